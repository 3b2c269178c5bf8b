"""/info and /status."""

from typing import Any

from chalicelib import __version__, store
from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, DEVICE, NETWORK, PROFILE, RUN_USER, SERVICE, Call, Route
from chalicelib.services.access import analyses, run_users, tokens
from chalicelib.services.devices import devices, integrations

_STARTED_S = clock.monotonic_s()


def info(call: Call) -> Any:
    """Describe what the token stands for: a device, analysis, run user or network; else the token."""
    if call.caller.kind == DEVICE:
        return devices.show(call.device)
    if call.caller.kind == ANALYSIS:
        return analyses.show(call.subject)
    if call.caller.kind == RUN_USER:
        return run_users.show(call.subject)
    if call.caller.kind == NETWORK:
        return _network(call)
    return tokens.describe(caller=call.caller)


def _network(call: Call) -> Any:
    if call.query.get("details", ["false"]) in (["false"], ["0"]):
        return {name: call.subject[name] for name in ("id", "name")}
    return integrations.info(integrations.NETWORK, profile=call.profile, doc_id=call.subject["id"])


def status(_: Call) -> Any:
    """Return version, uptime, kind of store and health, to anybody. It is 503 if the store cannot be read."""
    health = "ok" if store.current().can_write() else "read-only"
    uptime_s = round(clock.monotonic_s() - _STARTED_S)
    return {"version": __version__, "uptime_s": uptime_s, "store": store.current().kind, "health": health}


ROUTES = (
    Route(
        "GET", "/info", info, who=(DEVICE, PROFILE, ANALYSIS, RUN_USER, SERVICE, NETWORK), rate="GET /info",
        note="SDK. A network shows its id and name, and all the rest with `details`",
    ),
    Route(
        "GET", "/status", status, who=(),
        note="Needs no token. `version`, `uptime_s`, `store` and `health`; 503 if the store is down",
    ),
)  # fmt: skip
