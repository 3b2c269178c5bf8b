"""The parts around the API that Chalice deployed: usage plans, an API key for each profile, throttling of the stage."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.host import api_keys as host_keys
from chalicelib.host.api_keys import ApiKeys
from chalicelib.http.route import Route
from chalicelib.services.usage import keys
from deploy import spec, throttles
from deploy.parts import Cloud, Part, RefusedError, State, absent_is_none


def _pages(client: Any, operation: str, **parameters: Any) -> Iterator[State]:
    for page in client.get_paginator(operation).paginate(**parameters):
        yield from page.get("items", ())


def usage_plan(cloud: Cloud, api_id: str, plan: throttles.UsagePlan) -> Part:
    """A usage plan: rates, and a number of requests a month.

    ``mend`` changes the plan in place, so no key leaves it. AWS takes one UpdateUsagePlan in 20 seconds. If AWS refuses
    the changes, ``mend`` makes a new plan, moves the keys one by one, and removes the old plan.
    """
    client = cloud.client("apigateway")
    name = cloud.names.usage_plan(plan.name)
    stage = {"apiId": api_id, "stage": spec.API_STAGE, **({"throttle": plan.by_route} if plan.by_route else {})}
    wanted: State = {"name": name, "apiStages": [stage], "throttle": plan.of_key, "quota": plan.quota, "others": 0}

    existing = functools.partial(_plans_named, client, name, wanted)

    def look() -> State | None:
        found = existing()
        return {**found[0], "others": len(found) - 1} if found else None

    def create() -> State:
        limits = {limit: wanted[limit] for limit in _LIMITS if wanted[limit]}
        created: State = client.create_usage_plan(name=name, apiStages=[stage], **limits)
        return created

    def make() -> None:
        create()

    def mend(_: State) -> None:
        kept, *old = existing()
        if not _is_plan(kept, wanted) and not _is_patched(client, kept, wanted):
            kept, old = create(), [kept, *old]
        for usage_plan in old:
            _move_keys(client, usage_plan["id"], kept["id"])
            _remove_plan(client, usage_plan)

    def drop() -> None:
        for usage_plan in existing():
            _remove_plan(client, usage_plan)

    return Part("usage plan", name, wanted, look, make, mend, drop)


_LIMITS = ("throttle", "quota")


def _is_plan(usage_plan: State, wanted: State) -> bool:
    return all(usage_plan.get(key) == wanted[key] for key in ("name", "apiStages", *_LIMITS))


def _is_patched(client: Any, usage_plan: State, wanted: State) -> bool:
    """Change a usage plan in place. Return False if AWS refuses that, or makes something else of it."""
    operations = [*_name_patch(usage_plan, wanted), *_stage_patches(usage_plan, wanted["apiStages"][0])]
    for limit in _LIMITS:
        operations += _limit_patches(f"/{limit}", usage_plan.get(limit), wanted[limit])
    try:
        patched = client.update_usage_plan(usagePlanId=usage_plan["id"], patchOperations=operations)
    except client.exceptions.BadRequestException:
        return False
    return _is_plan(_plain(patched), wanted)


def _plain(usage_plan: State) -> State:
    """Return a usage plan without the limits that say nothing."""
    stages = [{name: part for name, part in stage.items() if part} for stage in usage_plan.get("apiStages", ())]
    return {**usage_plan, "apiStages": stages, **{limit: usage_plan.get(limit) or None for limit in _LIMITS}}


def _name_patch(usage_plan: State, wanted: State) -> Iterator[State]:
    if usage_plan["name"] != wanted["name"]:
        yield {"op": "replace", "path": "/name", "value": wanted["name"]}


def _stage_patches(usage_plan: State, wanted: State) -> Iterator[State]:
    """Yield what makes the plan one of the wanted stage, and of no other, with the wanted limits of routes."""
    limits_by_stage = {
        f"{stage['apiId']}:{stage['stage']}": stage.get("throttle", {}) for stage in usage_plan.get("apiStages", ())
    }
    name, limits = f"{wanted['apiId']}:{wanted['stage']}", wanted.get("throttle", {})
    for other in limits_by_stage.keys() - {name}:
        yield {"op": "remove", "path": "/apiStages", "value": other}
    if name not in limits_by_stage:
        yield {"op": "add", "path": "/apiStages", "value": name}
    actual = limits_by_stage.get(name, {})
    for route in {**actual, **limits}:
        # The slashes of a route are not escaped: the Terraform provider, which works, writes the path like this.
        yield from _limit_patches(f"/apiStages/{name}/throttle/{route}", actual.get(route), limits.get(route))


def _limit_patches(path: str, actual: State | None, wanted: State | None) -> Iterator[State]:
    if not wanted:
        if actual:
            yield {"op": "remove", "path": path}
        return
    for name, value in wanted.items():
        if (actual or {}).get(name) != value:
            yield {"op": "replace", "path": f"{path}/{name}", "value": str(value)}


def _plans_named(client: Any, name: str, wanted: State) -> list[State]:
    """Return the usage plans of a name, first the one that is as wanted. More than one: ``mend`` was interrupted."""
    names = (name, f"{name}-old")  # earlier versions gave a plan that they replaced the second name
    found = [_plain(usage_plan) for usage_plan in _pages(client, "get_usage_plans") if usage_plan["name"] in names]
    return sorted(found, key=lambda usage_plan: not _is_plan(usage_plan, wanted))


def _remove_plan(client: Any, usage_plan: State) -> None:
    """Remove a usage plan but not its keys. The part ``api_keys`` puts them into the next plan."""
    for key in _pages(client, "get_usage_plan_keys", usagePlanId=usage_plan["id"]):
        client.delete_usage_plan_key(usagePlanId=usage_plan["id"], keyId=key["id"])
    operations = [
        {"op": "remove", "path": "/apiStages", "value": f"{stage['apiId']}:{stage['stage']}"}
        for stage in usage_plan.get("apiStages", ())
    ]
    if operations:
        client.update_usage_plan(usagePlanId=usage_plan["id"], patchOperations=operations)
    client.delete_usage_plan(usagePlanId=usage_plan["id"])


def _move_keys(client: Any, old_plan_id: str, new_plan_id: str) -> None:
    """Move the keys to another plan. None can be in two plans of one stage, so each is in none for a moment."""
    for key in _pages(client, "get_usage_plan_keys", usagePlanId=old_plan_id):
        client.delete_usage_plan_key(usagePlanId=old_plan_id, keyId=key["id"])
        client.create_usage_plan_key(usagePlanId=new_plan_id, keyId=key["id"], keyType="API_KEY")


def use_gateway(cloud: Cloud) -> None:
    """Make the services of this process call API Gateway with the deployer's client."""
    failures = (ClientError, BotoCoreError)
    host_keys.use(ApiKeys(cloud.client("apigateway"), cloud.names.prefix, failures))


def api_keys(cloud: Cloud) -> Part:
    """The API key of each profile, in the usage plan of its price plan, and the keys that profiles share.

    The service makes them as the function does. Keys that were replaced do not count: the function removes them later.
    ``mend`` deletes the keys of profiles that do not exist. Call ``use_deployed_store`` first: it reads the profiles.
    """
    use_gateway(cloud)
    found = keys.look_over()
    lacking = {request.profile or request.plan for request in found.missing}
    actual: State = {one: plan for one, plan in found.wanted.items() if one not in lacking}
    actual |= {key.profile: "no profile" for key in found.ownerless}

    def make() -> None:
        keys.repair(found)

    return Part(
        "API keys", _keys_name(cloud), found.wanted, lambda: actual or None, make, lambda _: make(), None, is_whole=True
    )


def keys_to_remove(cloud: Cloud) -> Part:
    """All API keys of the stage, as ``down`` removes them. It reads no profile: the tables may be gone."""
    use_gateway(cloud)

    def drop() -> None:
        for key in keys.all_of_stage():
            host_keys.current().delete(key.id)

    def make() -> None:
        raise NotImplementedError

    return Part(
        "API keys",
        _keys_name(cloud),
        {},
        lambda: {key.name: key.id for key in keys.all_of_stage()},
        make,
        lambda _: make(),
        drop,
    )


def _keys_name(cloud: Cloud) -> str:
    return f"{cloud.names.prefix}<profile>-<plan>"


def throttling(cloud: Cloud, api_id: str, rows: Sequence[Route]) -> Part:
    """The rates at which the stage accepts requests from all callers together. They limit the bill of a flood.

    Routes that need no token have rates of their own, as no usage plan limits their callers.
    """
    client = cloud.client("apigateway")
    limits = throttles.stage_limits(rows)
    wanted: State = {name: (float(rate), burst) for name, (rate, burst) in limits.items()}

    def look() -> State | None:
        stage = absent_is_none(lambda: client.get_stage(restApiId=api_id, stageName=spec.API_STAGE)) or {}
        found = {
            name: (float(limits["throttlingRateLimit"]), int(limits["throttlingBurstLimit"]))
            for name, limits in stage.get("methodSettings", {}).items()
            if "throttlingRateLimit" in limits
        }
        return found or None

    def make() -> None:
        operations = [
            {"op": "replace", "path": f"/{name}/throttling/{limit}", "value": str(value)}
            for name, values in limits.items()
            for limit, value in zip(("rateLimit", "burstLimit"), values, strict=True)
        ]
        client.update_stage(restApiId=api_id, stageName=spec.API_STAGE, patchOperations=operations)

    return Part("throttling", f"{api_id}/{spec.API_STAGE}", wanted, look, make, lambda _: make(), None)


def api_name(cloud: Cloud, api_id: str) -> Part:
    """The name of the API, by which CloudWatch tells the APIs of an account apart."""
    client, wanted = cloud.client("apigateway"), {"name": cloud.names.api}

    def look() -> State | None:
        return absent_is_none(lambda: {"name": client.get_rest_api(restApiId=api_id)["name"]})

    def mend(_: State) -> None:
        operations = [{"op": "replace", "path": "/name", "value": cloud.names.api}]
        client.update_rest_api(restApiId=api_id, patchOperations=operations)

    def make() -> None:
        raise RefusedError(f"The API {api_id} is gone. Remove .chalice/deployed/{cloud.stage}.json, and run `up` again")

    return Part("API", api_id, wanted, look, make, mend, None)


def usage_plans(cloud: Cloud, api_id: str, rows: Sequence[Route]) -> list[Part]:
    """Return the usage plan of each price plan and of each key that profiles share."""
    return [usage_plan(cloud, api_id, plan) for plan in throttles.usage_plans(rows).values()]


def shared_plans(cloud: Cloud, api_id: str) -> list[Part]:
    """Return the usage plans of the keys that profiles share."""
    return [
        usage_plan(cloud, api_id, plan)
        for plan in throttles.usage_plans([]).values()
        if plan.name in throttles.SHARED_KEYS
    ]
