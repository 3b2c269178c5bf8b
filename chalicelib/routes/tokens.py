"""/device/token: the tokens of devices."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, DEVICE, PROFILE, Call, Route
from chalicelib.schemas import tokens as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.access import reach, tokens
from chalicelib.services.accounts import roles
from chalicelib.services.devices import serials
from chalicelib.store import names


def create(call: Call) -> Any:
    """Create a token of a device."""
    device = reach.device_or_raise(profile=call.profile, device=call.body["device"])
    call.changed = device["id"]
    sent = serials.in_token(device=device, sent=call.body)
    return tokens.create(kind="device", profile=call.profile, subject=device["id"], sent=sent, giver=call.caller)


def list_tokens(call: Call) -> Any:
    """List the tokens of a device."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    device = reach.device_or_raise(profile=call.profile, device=call.path["device_id_or_token"])
    reader = roles.reader(call.caller)
    return tokens.list_page(owner=names.device(device["id"]), kind=DEVICE, query=query, reader=reader)


def delete(call: Call) -> Any:
    """Delete a token."""
    call.changed = tokens.delete(profile=call.profile, text=call.path["device_id_or_token"])
    return "Token Successfully Removed"


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/device/token/{device_id_or_token}", list_tokens, who=_WHO, grant="device/token_access",
        rate="GET /device/token/:id",
        note="SDK. `last_authorization` is the service authorization with which a network last used the token. A text "
        "is null if the token that asks has less, or if it acts for a member of the profile and another account "
        "made the listed token",
    ),
    Route(
        "POST", "/device/token", create, who=_WHO, need="write", body=schema.create, grant="device/token_access",
        rate="POST /device/token",
        note="SDK. Answers `expire_time` and `expire_date`. A token can give only the permission that it has",
    ),
    Route(
        "DELETE", "/device/token/{device_id_or_token}", delete, who=_WHO, need="full",
        grant="device/token_access", rate="DELETE /device/token/:token",
        note="SDK. Refused elsewhere within 60 s",
    ),
)  # fmt: skip
