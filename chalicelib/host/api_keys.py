"""API Gateway's API keys and usage plans. It takes few calls a second, so they are made slowly, one by one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from chalicelib import errors, settings
from chalicelib.host import clock
from chalicelib.host.slot import Slot

BETWEEN_S = 1 / 3
"""From one call to the next. An account has 5 CreateApiKey and 5 DeleteApiKey a second, and 10 calls in all.

Source: Amazon API Gateway quotas, "creating, deploying and managing an API"."""
_READ_TIMEOUT_S = 10.0
_PAGE = 500
"""The most keys that one call returns."""
_CONFLICT, _ABSENT = "ConflictException", "NotFoundException"


class Key(NamedTuple):
    """An API key. Its value is derived, and only API Gateway stores it."""

    id: str
    name: str


class ApiKeys:
    """The API keys of the account and region, and the usage plans of the stage.

    Every method raises errors.Unavailable if API Gateway does not answer or refuses a call.

    Args:
        client: of API Gateway.
        prefix: how the names of the stage's usage plans begin.
        failures: what a call raises if it fails.
    """

    def __init__(self, client: Any, prefix: str, failures: tuple[type[Exception], ...]) -> None:
        self._client, self.prefix, self._failures = client, prefix, failures
        self._last_s = clock.monotonic_s() - BETWEEN_S
        self._plan_ids: dict[str, str] = {}

    def all(self, name: str = "") -> list[Key]:
        """Return all keys whose name begins so, also those of others. Cost: one call for 500 keys."""
        found = self._pages("get_api_keys", **({"nameQuery": name} if name else {}))
        return [Key(key["id"], key.get("name", "")) for key in found]

    def members(self) -> dict[str, str]:
        """Return the name of the usage plan by id of key. Cost: one call, and one for 500 keys of each plan."""
        keys_by_plan = {
            plan: self._pages("get_usage_plan_keys", usagePlanId=id_) for plan, id_ in self._plans().items()
        }
        return {key["id"]: plan for plan, keys in keys_by_plan.items() for key in keys}

    def create(self, name: str, value: str) -> str:
        """Create a key, or find the one that an earlier try has created. Return its id. Cost: one call, or two."""
        try:
            return str(self._call("create_api_key", name=name, value=value, enabled=True)["id"])
        except errors.Conflict:
            ids = [key.id for key in self.all(name) if key.name == name]
        if not ids:
            raise errors.Unavailable(f"Another API key has the value of {name}")
        return ids[0]

    def put(self, key: str, plan: str) -> None:
        """Put a key into a usage plan of the stage, unless it is in it. Cost: one call; the first time one more.

        Raises:
            errors.NotFound: there is no such usage plan, or the key was deleted.
        """
        for is_last in (False, True):
            if is_last or plan not in self._plan_ids:  # somebody may have made the plan anew
                self._plan_ids = self._plans()
            if plan not in self._plan_ids:
                raise errors.NotFound(f"The usage plan {self.prefix}{plan} is missing")
            try:
                self._call("create_usage_plan_key", usagePlanId=self._plan_ids[plan], keyId=key, keyType="API_KEY")
            except errors.Conflict:
                return
            except errors.NotFound:
                if is_last:
                    raise
            else:
                return

    def delete(self, key: str) -> None:
        """Delete a key, if it exists. Cost: one call."""
        try:
            self._call("delete_api_key", apiKey=key)
        except errors.NotFound:
            return

    def _plans(self) -> dict[str, str]:
        """Return the id of each usage plan of the stage by name, without the prefix."""
        names = {plan["name"]: plan["id"] for plan in self._pages("get_usage_plans")}
        return {name.removeprefix(self.prefix): id_ for name, id_ in names.items() if name.startswith(self.prefix)}

    def _pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        parameters["limit"] = _PAGE
        while True:
            page = self._call(operation, **parameters)
            yield from page.get("items", ())
            if not page.get("position"):
                return
            parameters["position"] = page["position"]

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        wait_s = self._last_s + BETWEEN_S - clock.monotonic_s()
        if wait_s > 0:
            clock.sleep(wait_s)
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except self._failures as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code")
            kinds = {_CONFLICT: errors.Conflict, _ABSENT: errors.NotFound}
            raise kinds.get(code, errors.Unavailable)(f"API Gateway refused {operation}: {code}") from error
        finally:
            self._last_s = clock.monotonic_s()
        return answer


def _on_aws() -> ApiKeys:
    from chalicelib.host import aws

    return ApiKeys(aws.client("apigateway", _READ_TIMEOUT_S), settings.current().keys_prefix, aws.FAILURES)


_slot = Slot(_on_aws)
current, use = _slot.current, _slot.use
