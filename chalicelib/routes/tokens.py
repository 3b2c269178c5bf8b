"""/device/token: the tokens of devices."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import Call, Route
from chalicelib.schemas import tokens as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.access import reach, tokens


def create(call: Call) -> Any:
    """Create a token of a device."""
    device = reach.device_or_raise(profile=call.profile, device=call.body["device"])
    return tokens.create(kind="device", profile=call.profile, subject=device["id"], sent=call.body, giver=call.caller)


def list_tokens(call: Call) -> Any:
    """List the tokens of a device."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    device = reach.device_or_raise(profile=call.profile, device=call.path["device_id_or_token"])
    return tokens.list_page(device=device["id"], query=query, reader=call.caller.permission)


def delete(call: Call) -> Any:
    """Delete a token."""
    tokens.delete(profile=call.profile, text=call.path["device_id_or_token"])
    return "Token Successfully Removed"


ROUTES = (
    Route(
        "GET", "/device/token/{device_id_or_token}", list_tokens, rate="GET /device/token/:id",
        note="SDK. `last_authorization` is always null. A profile token that may only read is shown the texts of "
        "tokens that may only read; the others are null",
    ),
    Route(
        "POST", "/device/token", create, need="write", body=schema.create, rate="POST /device/token",
        note="SDK. Answers `expire_time` and `expire_date`. A token can give only the permission that it has",
    ),
    Route(
        "DELETE", "/device/token/{device_id_or_token}", delete, need="full", rate="DELETE /device/token/:token",
        note="SDK. Refused elsewhere within 60 s",
    ),
)  # fmt: skip
