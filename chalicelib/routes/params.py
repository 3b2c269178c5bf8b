"""Configuration parameters: /device/params for the device itself, and /device/{id}/params for its profile."""

from typing import Any

from chalicelib.http.route import ANALYSIS, DEVICE, PROFILE, Call, Route
from chalicelib.schemas import params as schema
from chalicelib.schemas.parameters import flag
from chalicelib.services.devices import params


def list_params(call: Call) -> Any:
    """List configuration parameters."""
    return params.list_all(device=call.device["id"], sent_status=flag(call.query, "sent_status"))


def set_sent(call: Call) -> Any:
    """Note that the device has read a parameter."""
    params.set_sent(device=call.device["id"], param=call.path["param_id"], is_sent=call.body.get("sent", True))
    return "Params Successfully Updated"


def merge(call: Call) -> Any:
    """Change and add parameters."""
    params.merge(device=call.device["id"], sent=call.body)
    return "Params Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a parameter."""
    params.delete(device=call.device["id"], param=call.path["param_id"])
    return "Successfully Removed"


_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route("GET", "/device/params", list_params, who=(DEVICE,), rate="GET /device/params", note="SDK"),
    Route(
        "PUT", "/device/params/{param_id}", set_sent, who=(DEVICE,), need="write", body=schema.sent, note="SDK",
    ),
    Route(
        "GET", "/device/{device_id}/params", list_params, who=_WHO, grant="device/access",
        rate="GET /device/params/:id", note="SDK",
    ),
    Route(
        "POST", "/device/{device_id}/params", merge, who=_WHO, need="write", body=schema.one_or_more,
        grant="device/edit",
        note="SDK. Merges; at most 60",
    ),
    Route(
        "DELETE", "/device/{device_id}/params/{param_id}", delete, who=_WHO, need="full", grant="device/edit",
        note="SDK",
    ),
)  # fmt: skip
