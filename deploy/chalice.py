"""Runs the real ``chalice`` command, writes its configuration, and reads and repairs its record of what it deployed."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from chalicelib import sandbox, settings
from chalicelib.services.usage import plans
from deploy import spec
from deploy.names import APP, Names
from deploy.parts import Cloud, RefusedError, absent_is_none
from web import build as web

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".chalice"
DEFAULT_ARCHITECTURE = "x86_64"
"""The processor of the functions if neither .chalice/config.json nor the deployed functions have another."""


STARTED_BY = "CHALICE_STARTED_BY"
"""The environment variable by which app.py knows that this program started ``chalice``."""


def run(*arguments: str) -> None:
    """Run ``chalice`` in the project's folder. Its output appears as our own.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), STARTED_BY: APP}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)  # noqa: S603 - own words


def build_guest(stage: str) -> None:
    """Build the engine of payload parsers for the processor of a stage's functions, as their package holds it."""
    from guest import build  # noqa: PLC0415 - it loads the compiler

    stages = json.loads((FOLDER / "config.json").read_text())["stages"]
    build.ensure(sandbox.target(stages.get(stage, {}).get("lambda_architecture", DEFAULT_ARCHITECTURE)))


def build_console() -> None:
    """Build the console, as the package holds it. If node or its packages cannot be had, say so, and go on without.

    Raises:
        RefusedError: the sources of the console cannot be built.
    """
    try:
        web.ensure()
    except web.Unavailable as error:
        print(f"warning     The console was not built: {error}", flush=True)
    except web.Failed as error:
        raise RefusedError(f"the console cannot be built:\n{error}") from None


def write_config(
    names: Names,
    *,
    partition: str = "aws",
    may_reserve: bool = True,
    has_mqtt: bool = True,
    architecture: str | None = None,
) -> list[Path]:
    """Write a stage's part of .chalice/config.json and the policies of its functions.

    Keeps what a deployer added to the stage, such as a domain, an environment variable or ``lambda_architecture``.

    Args:
        names: of the stage's parts.
        partition: of the region.
        may_reserve: whether the account has enough concurrency to reserve any.
        has_mqtt: whether MQTT belongs to the stage.
        architecture: the processor of the deployed functions, or None. They keep it unless the file names another.

    Returns:
        The files that changed.
    """
    config, stage = json.loads((FOLDER / "config.json").read_text()), names.stage
    wanted = spec.stage_config(names, may_reserve=may_reserve, has_mqtt=has_mqtt)
    existing = config["stages"].get(stage, {})
    wanted["environment_variables"] = existing.get("environment_variables", {}) | wanted["environment_variables"]
    if architecture not in (None, DEFAULT_ARCHITECTURE):
        wanted["lambda_architecture"] = existing.get("lambda_architecture", architecture)
    config["stages"][stage] = existing | wanted
    documents = {FOLDER / "config.json": config}
    documents |= {FOLDER / f"policy-{key}-{stage}.json": spec.policy(key, names, partition) for key in spec.FUNCTIONS}
    texts = {path: json.dumps(document, indent=2) + "\n" for path, document in documents.items()}
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(texts[path])
    return changed


def use_plans(stage: str) -> None:
    """Use the price plans that the functions of a stage have, from its configuration.

    Raises:
        RefusedError: they cannot be read, or are a file, which Lambda does not have.
    """
    stages = json.loads((FOLDER / "config.json").read_text())["stages"]
    variables = stages.get(stage, {}).get("environment_variables", {})
    further, default = variables.get("DECANT_PLANS", ""), variables.get("DECANT_DEFAULT_PLAN") or plans.DEFAULT
    if further and not further.lstrip().startswith("{"):
        raise RefusedError("DECANT_PLANS of the stage must be JSON: the functions cannot read a file of this machine")
    try:
        plans.check(further, default)
    except ValueError as error:
        raise RefusedError(str(error)) from None
    settings.use(replace(settings.current(), plans=further, default_plan=default))


def configured(stage: str) -> tuple[Names, bool]:
    """Return the names of the parts and whether the stage has MQTT, as the last ``up`` here wrote them. No call."""
    stages = json.loads((FOLDER / "config.json").read_text())["stages"]
    variables = stages.get(stage, {}).get("environment_variables", {})
    names = Names(stage).of_table(variables.get("DECANT_ENTITIES_TABLE", "")) or Names(stage)
    return names, variables.get("DECANT_MQTT") != "false"


def reserves(stage: str) -> bool:
    """Return False if ``up`` wrote the stage's configuration for an account with too little concurrency to reserve any.

    True if the stage is not in the configuration yet.
    """
    stages = json.loads((FOLDER / "config.json").read_text())["stages"]
    functions = stages.get(stage, {}).get("lambda_functions")
    return functions is None or any("reserved_concurrency" in function for function in functions.values())


def may_reserve(cloud: Cloud) -> bool:
    """Return whether the account has enough concurrency for what the stage reserves. A new account often has ten.

    What the stage has reserved already counts as free for it. Costs a call, and one more a function that reserves any.
    """
    client = cloud.client("lambda")
    free = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    names = [function.full_name(cloud.stage) for function in spec.FUNCTIONS.values() if function.concurrency]
    for name in names:
        call = functools.partial(client.get_function_concurrency, FunctionName=name)
        free += (absent_is_none(call) or {}).get("ReservedConcurrentExecutions", 0)
    return bool(free >= spec.RESERVED + spec.UNRESERVED_MINIMUM)


def deployed(stage: str) -> dict[str, dict[str, Any]]:
    """Return the resources in Chalice's record, by name. Empty if there is no record."""
    path = _record_path(stage)
    return (
        {resource["name"]: resource for resource in json.loads(path.read_text())["resources"]} if path.exists() else {}
    )


def _record_path(stage: str) -> Path:
    return FOLDER / "deployed" / f"{stage}.json"


def recover(cloud: Cloud, *, afresh: bool = False) -> bool:
    """If Chalice's record is missing, write it from what AWS has. Return whether it was written.

    Chalice writes the record at the end of a deployment, on the machine that deployed. Without the record,
    ``chalice deploy`` would make a second API and ``chalice delete`` would remove nothing.
    A record whose API is gone is another clone's work since then, and is written anew too.
    Costs a call, and about 20 more if it must be written.

    Args:
        cloud: the account and stage.
        afresh: look although there is a record. ``chalice delete`` fails for ever if the record names an API that an
            earlier ``chalice delete`` removed before it was interrupted.
    """
    if deployed(cloud.stage) and not afresh and _has_recorded_api(cloud):
        return False
    resources: list[dict[str, Any]] = []
    for key, function in spec.FUNCTIONS.items():
        resources += _resources_of(cloud, key, function)
    api_id = _find_api(cloud)
    if api_id is not None:
        url = f"https://{api_id}.execute-api.{cloud.region}.amazonaws.com/api/"
        resources.append({"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api_id, "rest_api_url": url})
    path = _record_path(cloud.stage)
    path.unlink(missing_ok=True)
    if resources:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"resources": resources, "schema_version": "2.0", "backend": "api"}, indent=2))
    return bool(resources)


def _has_recorded_api(cloud: Cloud) -> bool:
    api_id = deployed(cloud.stage).get("rest_api", {}).get("rest_api_id")
    call = functools.partial(cloud.client("apigateway").get_rest_api, restApiId=api_id)
    return api_id is not None and absent_is_none(call) is not None


def _resources_of(cloud: Cloud, key: str, function: spec.Function) -> list[dict[str, Any]]:
    name = function.name or "api_handler"
    role = f"{APP}-{cloud.stage}-{name}"
    resources: list[dict[str, Any]] = []
    if absent_is_none(lambda: dict(cloud.client("iam").get_role(RoleName=role))):
        role_resource = {"name": f"{name}_role", "resource_type": "iam_role"}
        resources.append(role_resource | {"role_arn": cloud.role_arn(role), "role_name": role})
    full_name = function.full_name(cloud.stage)
    if absent_is_none(lambda: dict(cloud.client("lambda").get_function(FunctionName=full_name))):
        resources.append({"name": name, "resource_type": "lambda_function", "lambda_arn": cloud.function_arn(key)})
    rule = f"{full_name}-event"
    if absent_is_none(lambda: dict(cloud.client("events").describe_rule(Name=rule))):
        resources.append({"name": f"{name}-event", "resource_type": "cloudwatch_event", "rule_name": rule})
    return resources


def _find_api(cloud: Cloud) -> str | None:
    """Return the id of the API that calls the stage's HTTP handler. Earlier versions gave all stages' APIs one name."""
    client, handler_arn = cloud.client("apigateway"), cloud.function_arn("http")
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if api["name"] in (cloud.names.api, APP) and handler_arn in _functions_of_api(client, api["id"]):
                return str(api["id"])
    return None


def _functions_of_api(client: Any, api_id: str) -> set[str]:
    """Return the ARNs of the functions that an API calls. An address of one is ``…/functions/<ARN>/invocations``."""
    pages = client.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
    methods = [
        method
        for page in pages
        for resource in page["items"]
        for method in resource.get("resourceMethods", {}).values()
    ]
    addresses = [method.get("methodIntegration", {}).get("uri") or "" for method in methods]
    return {address.partition("/functions/")[2].removesuffix("/invocations") for address in addresses}
