"""/action: which MQTT messages are stored."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import actions as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.devices import actions


def list_actions(call: Call) -> Any:
    """List the profile's actions."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    return actions.list_page(profile=call.profile, query=query, may_see=call.may_see)


def create(call: Call) -> Any:
    """Create an action."""
    return {"action": actions.create(profile=call.profile, sent=call.body)}


def info(call: Call) -> Any:
    """Return an action."""
    return actions.info(profile=call.profile, action=call.path["action_id"])


def edit(call: Call) -> Any:
    """Change an action."""
    actions.edit(profile=call.profile, action=call.path["action_id"], sent=call.body)
    return "Successfully Updated"


def delete(call: Call) -> Any:
    """Delete an action."""
    actions.delete(profile=call.profile, action=call.path["action_id"])
    return "Successfully Removed"


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/action", list_actions, who=_WHO, grant="action/access",
        note="partly: SDK. Only actions of type `mqtt_topic`",
    ),
    Route(
        "POST", "/action", create, who=_WHO, need="write", body=schema.create, grant="action/create",
        rate="POST /action",
        note="partly: SDK. Only type `mqtt_topic` with the action `insert_to_device`; all others are refused with 400. "
        "A trigger names only devices of the profile",
    ),
    Route(
        "GET", "/action/{action_id}", info, who=_WHO, grant="action/access",
        note="partly: SDK. `last_triggered` is always null",
    ),
    Route(
        "PUT", "/action/{action_id}", edit, who=_WHO, need="write", body=schema.edit, grant="action/edit",
        rate="PUT /action",
        note="partly: SDK. As `POST /action`",
    ),
    Route(
        "DELETE", "/action/{action_id}", delete, who=_WHO, need="full", grant="action/delete", rate="DELETE /action",
        note="SDK",
    ),
)  # fmt: skip
