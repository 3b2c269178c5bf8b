"""/info and /status."""

from typing import Any

from chalicelib import __version__, store
from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, DEVICE, PROFILE, RUN_USER, SERVICE, Call, Route
from chalicelib.services.access import analyses, run_users, tokens
from chalicelib.services.devices import devices

_STARTED_S = clock.monotonic_s()


def info(call: Call) -> Any:
    """Describe what the token stands for: a device, analysis or run user; else the token."""
    if call.caller.kind == DEVICE:
        return devices.show(call.device)
    if call.caller.kind == ANALYSIS:
        return analyses.show(call.subject)
    if call.caller.kind == RUN_USER:
        return run_users.show(call.subject)
    return tokens.describe(caller=call.caller)


def status(_: Call) -> Any:
    """Return version, uptime, kind of store and health, to anybody. It is 503 if the store cannot be read."""
    health = "ok" if store.current().can_write() else "read-only"
    uptime_s = round(clock.monotonic_s() - _STARTED_S)
    return {"version": __version__, "uptime_s": uptime_s, "store": store.current().kind, "health": health}


ROUTES = (
    Route(
        "GET", "/info", info, who=(DEVICE, PROFILE, ANALYSIS, RUN_USER, SERVICE), rate="GET /info",
        note="partly: SDK. Network tokens do not exist yet",
    ),
    Route(
        "GET", "/status", status, who=(),
        note="Needs no token. `version`, `uptime_s`, `store` and `health`; 503 if the store is down",
    ),
)  # fmt: skip
