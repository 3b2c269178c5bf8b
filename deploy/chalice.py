"""Runs the real ``chalice`` command, writes its configuration, and reads and repairs its record of what it deployed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy import spec
from deploy.names import APP
from deploy.parts import Cloud, absent_is_none

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".chalice"


def run(*arguments: str) -> None:
    """Run ``chalice`` in the project's folder. Its output appears as our own.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [str(Path(sys.executable).with_name("chalice")), *arguments]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)  # noqa: S603 - own words


def write_config(stage: str, *, may_reserve: bool = True) -> list[Path]:
    """Write a stage's part of .chalice/config.json and the policies of its functions.

    Keeps what a deployer added to the stage, such as a domain or an environment variable.

    Args:
        stage: its name.
        may_reserve: whether the account has enough concurrency to reserve any.

    Returns:
        The files that changed.
    """
    config = json.loads((FOLDER / "config.json").read_text())
    wanted, existing = spec.stage_config(stage, may_reserve=may_reserve), config["stages"].get(stage, {})
    wanted["environment_variables"] = existing.get("environment_variables", {}) | wanted["environment_variables"]
    config["stages"][stage] = existing | wanted
    documents = {FOLDER / "config.json": config}
    documents |= {FOLDER / f"policy-{key}-{stage}.json": spec.policy(key, stage) for key in spec.FUNCTIONS}
    texts = {path: json.dumps(document, indent=2) + "\n" for path, document in documents.items()}
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.write_text(texts[path])
    return changed


def reserves(stage: str) -> bool:
    """Return False if ``up`` wrote the stage's configuration for an account with too little concurrency to reserve any.

    True if the stage is not in the configuration yet.
    """
    stages = json.loads((FOLDER / "config.json").read_text())["stages"]
    functions = stages.get(stage, {}).get("lambda_functions")
    return functions is None or any("reserved_concurrency" in function for function in functions.values())


def may_reserve(cloud: Cloud) -> bool:
    """Return whether the account has enough concurrency to reserve any. A new account often has ten in all."""
    limit = cloud.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    return bool(limit >= spec.RESERVED + spec.UNRESERVED_MINIMUM)


def deployed(stage: str) -> dict[str, dict[str, Any]]:
    """Return the resources in Chalice's record, by name. Empty if there is no record."""
    path = _record_path(stage)
    return (
        {resource["name"]: resource for resource in json.loads(path.read_text())["resources"]} if path.exists() else {}
    )


def _record_path(stage: str) -> Path:
    return FOLDER / "deployed" / f"{stage}.json"


def recover(cloud: Cloud) -> bool:
    """If Chalice's record is missing, write it from what AWS has. Return whether it was written.

    Chalice writes the record at the end of a deployment, on the machine that deployed. Without the record,
    ``chalice deploy`` would make a second API and ``chalice delete`` would remove nothing.
    Costs about 20 calls to AWS if the record is missing, otherwise none.
    """
    if deployed(cloud.stage):
        return False
    resources: list[dict[str, Any]] = []
    for key, function in spec.FUNCTIONS.items():
        resources += _resources_of(cloud, key, function)
    api_id = _find_api(cloud)
    if api_id is not None:
        url = f"https://{api_id}.execute-api.{cloud.region}.amazonaws.com/api/"
        resources.append({"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api_id, "rest_api_url": url})
    if resources:
        path = _record_path(cloud.stage)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"resources": resources, "schema_version": "2.0", "backend": "api"}, indent=2))
    return bool(resources)


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
    """Return the id of the API that calls the stage's HTTP handler. The name of an API does not hold the stage."""
    client, handler_arn = cloud.client("apigateway"), cloud.function_arn("http")
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if api["name"] == APP and handler_arn in _functions_of_api(client, api["id"]):
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
