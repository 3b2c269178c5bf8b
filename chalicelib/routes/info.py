"""/info and /status."""

from typing import Any

from chalicelib import __version__
from chalicelib.http.route import DEVICE, PROFILE, Call, Route
from chalicelib.services.access import tokens
from chalicelib.services.devices import devices


def info(call: Call) -> Any:
    """Describe the device, or the profile token, that calls."""
    return devices.show(call.device) if call.caller.kind == DEVICE else tokens.describe(caller=call.caller)


def status(_: Call) -> Any:
    """Return the version, to anybody."""
    return {"version": __version__}


ROUTES = (
    Route(
        "GET", "/info", info, who=(DEVICE, PROFILE), rate="GET /info",
        note="partly: SDK. Device and profile tokens; network and analysis tokens do not exist yet",
    ),
    Route("GET", "/status", status, who=(), note="Needs no token"),
)  # fmt: skip
