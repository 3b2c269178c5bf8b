"""The parts around the API that Chalice deployed: usage plans, an API key for each profile, throttling of the stage."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from chalicelib.http.route import Route
from chalicelib.services.usage import plans
from chalicelib.services.usage.plans import Plan
from deploy import spec
from deploy.names import APP
from deploy.parts import Cloud, Part, RefusedError, State, absent_is_none


def _pages(client: Any, operation: str, **parameters: Any) -> Iterator[State]:
    for page in client.get_paginator(operation).paginate(**parameters):
        yield from page.get("items", ())


def usage_plan(cloud: Cloud, api_id: str, plan: Plan, rows: Sequence[Route]) -> Part:
    """The usage plan of a price plan: rates by method, and a number of requests a month.

    ``mend`` makes a new usage plan of the same name, moves the keys one by one, and removes the old one. Each key is in
    no plan for some milliseconds. AWS takes one UpdateUsagePlan in 20 seconds, and a plan that is removed needs one.
    """
    client = cloud.client("apigateway")
    name = cloud.names.usage_plan(plan.name)
    throttles, quota = spec.plan_throttles(plan, rows), spec.plan_quota(plan)
    stage = {"apiId": api_id, "stage": spec.API_STAGE, **({"throttle": throttles} if throttles else {})}
    wanted: State = {"name": name, "apiStages": [stage], "quota": quota, "others": 0}

    def existing() -> list[State]:
        return _plans_named(client, name, wanted)

    def look() -> State | None:
        found = existing()
        return {"quota": None, **found[0], "others": len(found) - 1} if found else None

    def create() -> State:
        created: State = client.create_usage_plan(name=name, apiStages=[stage], **({"quota": quota} if quota else {}))
        return created

    def make() -> None:
        create()

    def mend(_: State) -> None:
        found = existing()
        kept, old = (found[0], found[1:]) if _is_plan(found[0], wanted) else (create(), found)
        for usage_plan in old:
            for key in _pages(client, "get_usage_plan_keys", usagePlanId=usage_plan["id"]):
                _move_key(client, key["id"], usage_plan["id"], kept["id"])
            _remove_plan(client, usage_plan)

    def drop() -> None:
        for usage_plan in existing():
            _remove_plan(client, usage_plan)

    return Part("usage plan", name, wanted, look, make, mend, drop)


def _is_plan(usage_plan: State, wanted: State) -> bool:
    return all(usage_plan.get(key) == wanted[key] for key in ("name", "apiStages", "quota"))


def _plans_named(client: Any, name: str, wanted: State) -> list[State]:
    """Return the usage plans of a name, first the one that is as wanted. More than one: ``mend`` was interrupted."""
    names = (name, f"{name}-old")  # earlier versions gave a plan that they replaced the second name
    found = [usage_plan for usage_plan in _pages(client, "get_usage_plans") if usage_plan["name"] in names]
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


def _move_key(client: Any, key_id: str, old_plan_id: str | None, new_plan_id: str) -> None:
    """Move a key to another plan. A key cannot be in two plans of one stage, so for a moment it is in none."""
    if old_plan_id is not None:
        client.delete_usage_plan_key(usagePlanId=old_plan_id, keyId=key_id)
    client.create_usage_plan_key(usagePlanId=new_plan_id, keyId=key_id, keyType="API_KEY")


_NO_PLAN = "no plan"


class _Key(NamedTuple):
    id: str
    plan: str
    plan_id: str | None


def _existing_keys(client: Any, prefix: str) -> dict[str, _Key]:
    """Return the API keys of the stage by id of profile. Costs a call, and two more a usage plan."""
    plan_of = {
        key["id"]: (plan["name"].removeprefix(prefix), plan["id"])
        for plan in _pages(client, "get_usage_plans")
        if plan["name"].startswith(prefix)
        for key in _pages(client, "get_usage_plan_keys", usagePlanId=plan["id"])
    }
    return {
        key["name"].removeprefix(prefix): _Key(key["id"], *plan_of.get(key["id"], (_NO_PLAN, None)))
        for key in _pages(client, "get_api_keys", nameQuery=prefix)
        if re.fullmatch(re.escape(prefix) + "[0-9a-f]{24}", key["name"])  # nobody else's
    }


def api_keys(cloud: Cloud, wanted: dict[str, str], key_text: Callable[[str], str]) -> Part:
    """The API key of each profile, in the usage plan of its price plan. ``mend`` deletes the keys of deleted profiles.

    Args:
        cloud: the account and stage.
        wanted: price plan by id of profile.
        key_text: returns the key of a profile. The key is derived from the secret; only API Gateway stores it.
    """
    client, prefix = cloud.client("apigateway"), f"{APP}-{cloud.stage}-"
    name = f"{prefix}<profile>"

    def look() -> State | None:
        plan_by_profile = {profile: key.plan for profile, key in _existing_keys(client, prefix).items()}
        return plan_by_profile if plan_by_profile or not wanted else None

    def mend(_: State) -> None:
        plan_ids = {plan["name"].removeprefix(prefix): plan["id"] for plan in _pages(client, "get_usage_plans")}
        unwanted = _existing_keys(client, prefix)
        for profile, plan in wanted.items():
            key = unwanted.pop(profile, None)
            if key is None:
                created = client.create_api_key(name=prefix + profile, value=key_text(profile), enabled=True)
                key = _Key(created["id"], _NO_PLAN, None)
            if key.plan != plan:
                _move_key(client, key.id, key.plan_id, plan_ids[plan])
        for key in unwanted.values():
            client.delete_api_key(apiKey=key.id)

    def drop() -> None:
        for key in _existing_keys(client, prefix).values():
            client.delete_api_key(apiKey=key.id)

    return Part("API keys", name, dict(wanted), look, lambda: mend({}), mend, drop, is_whole=True)


def throttling(cloud: Cloud, api_id: str) -> Part:
    """The rate at which the stage accepts requests from all callers together. It limits the bill of a flood."""
    client = cloud.client("apigateway")
    wanted: State = {"throttlingRateLimit": float(spec.REQUESTS_PER_SECOND), "throttlingBurstLimit": spec.REQUEST_BURST}

    def look() -> State | None:
        stage = absent_is_none(lambda: client.get_stage(restApiId=api_id, stageName=spec.API_STAGE))
        limits = (stage or {}).get("methodSettings", {}).get("*/*")
        return {name: type(wanted[name])(limits.get(name, 0)) for name in wanted} if limits else None

    def make() -> None:
        operations = [
            {"op": "replace", "path": f"/*/*/throttling/{name}", "value": str(value)}
            for name, value in (("rateLimit", spec.REQUESTS_PER_SECOND), ("burstLimit", spec.REQUEST_BURST))
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
    """Return the usage plan of each price plan."""
    return [usage_plan(cloud, api_id, plan, rows) for plan in plans.load().values()]
