"""/info and /status."""

from typing import Any

from chalicelib import __version__, store
from chalicelib.host import clock
from chalicelib.http.route import DEVICE, PROFILE, Call, Route
from chalicelib.services.access import tokens
from chalicelib.services.devices import devices

_STARTED_S = clock.monotonic_s()


def info(call: Call) -> Any:
    """Describe the device, or the profile token, that calls."""
    return devices.show(call.device) if call.caller.kind == DEVICE else tokens.describe(caller=call.caller)


def status(_: Call) -> Any:
    """Return version, uptime, kind of store and health, to anybody. It is 503 if the store cannot be read."""
    health = "ok" if store.current().can_write() else "read-only"
    uptime_s = round(clock.monotonic_s() - _STARTED_S)
    return {"version": __version__, "uptime_s": uptime_s, "store": store.current().kind, "health": health}


ROUTES = (
    Route(
        "GET", "/info", info, who=(DEVICE, PROFILE), rate="GET /info",
        note="partly: SDK. Device and profile tokens; network and analysis tokens do not exist yet",
    ),
    Route(
        "GET", "/status", status, who=(),
        note="Needs no token. `version`, `uptime_s`, `store` and `health`; 503 if the store is down",
    ),
)  # fmt: skip
