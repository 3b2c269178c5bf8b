"""What the document says of each operation, besides what its row and the schema of its body say."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chalicelib.http import site
from chalicelib.http.route import Route
from chalicelib.openapi import parameters, results
from chalicelib.openapi.parameters import Parameter, of_fields, of_list
from chalicelib.openapi.results import accounts as of_accounts
from chalicelib.openapi.results import devices as of_devices
from chalicelib.openapi.results import objects as of_objects
from chalicelib.openapi.results import tokens as of_tokens
from chalicelib.schemas import (
    actions,
    analyses,
    devices,
    integrations,
    payloads,
    points,
    policies,
    run_users,
    tokens,
)

JSON = "application/json"


class Operation(NamedTuple):
    """What a row does not say of itself."""

    answer: Any = str
    """The type of ``result``. None: the operation answers nothing in the envelope but failures."""
    query: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] = {}
    """By content type, the type of a body that the row reads without a ``Body``."""
    raw: Mapping[str, Any] = {}
    """By content type, the JSON Schema of an answer without the envelope."""
    also: Mapping[int, str] = {}
    """Other statuses of success, such as 303, with what they mean."""


_TEXT = {"type": "string"}
PAGE = Operation(answer=None, raw={"text/html": _TEXT})
"""A page for a browser. Its failures are pages, too."""
_SAME = "The client has it already"
_SITE = Operation(
    answer=None, raw={"text/html": _TEXT}, also={304: _SAME, 308: "Without the slash at the end: at `Location`"}
)
"""A page of the console. Its failures are in the envelope."""
_REFUSED = Operation(answer=None)
"""An operation that is always refused."""
_SENT_POINTS = points.PointIn | list[points.PointIn]
_SEND = Operation(body={JSON: _SENT_POINTS, payloads.FORM: points.PointIn, "text/plain": str})
_READ = Operation(of_devices.Points, parameters.POINTS)
_EDIT = Operation(body={JSON: points.EditIn | list[points.EditIn]})
_DELETE = Operation(query=parameters.POINTS)

_OPERATIONS: Mapping[str, Operation] = {
    "GET /device": Operation(
        list[of_devices.DeviceRow], (*of_list(devices.LIST), *parameters.RESOLVE, parameters.SERIAL)
    ),
    "POST /device": Operation(of_devices.DeviceCreated),
    "GET /device/find/{serial}": Operation(
        list[of_devices.DeviceRow], (*of_list(devices.FIND_LIST), *parameters.RESOLVE)
    ),
    "GET /device/{device_id}": Operation(of_devices.Device),
    "GET /device/{device_id}/data_amount": Operation(results.Count),
    "GET /bucket/{device_id}/data_amount": Operation(results.Count),
    "GET /device/{device_id}/statistics": Operation(list[of_devices.DeviceUse], parameters.STATISTICS),
    "GET /device/token/{device_id_or_token}": Operation(list[of_tokens.TokenRow], of_list(tokens.LIST)),
    "POST /device/token": Operation(of_tokens.TokenCreated),
    "GET /device/params": Operation(list[of_devices.Param], (parameters.SENT_STATUS,)),
    "GET /device/{device_id}/params": Operation(list[of_devices.Param], (parameters.SENT_STATUS,)),
    "GET /device/{device_id}/chunk": Operation(list[of_devices.Chunk]),
    "POST /data": _SEND,
    "GET /data": _READ,
    "PUT /data": _EDIT,
    "DELETE /data": _DELETE,
    "POST /device/{device_id}/data": _SEND,
    "GET /device/{device_id}/data": _READ,
    "PUT /device/{device_id}/data": _EDIT,
    "DELETE /device/{device_id}/data": _DELETE,
    "GET /action": Operation(list[of_objects.Action], of_list(actions.LIST)),
    "POST /action": Operation(of_objects.ActionCreated),
    "GET /action/{action_id}": Operation(of_objects.Action),
    "GET /am": Operation(list[of_objects.PolicyRow], of_list(policies.LIST)),
    "POST /am": Operation(of_objects.PolicyCreated),
    "GET /am/{am_id}": Operation(of_objects.Policy),
    "GET /am/settings": Operation(of_objects.PolicySettings),
    "GET /analysis": Operation(list[of_objects.AnalysisRow], of_list(analyses.LIST)),
    "POST /analysis": Operation(of_objects.AnalysisCreated),
    "GET /analysis/{analysis_id}": Operation(of_objects.Analysis),
    "GET /analysis/{analysis_id}/token": Operation(of_objects.AnalysisToken),
    "POST /analysis/{analysis_id}/run": _REFUSED,
    "POST /analysis/{analysis_id}/upload": _REFUSED,
    "GET /analysis/{analysis_id}/download": _REFUSED,
    "GET /run/users": Operation(list[of_objects.RunUserRow], of_list(run_users.LIST)),
    "POST /run/users": Operation(of_objects.UserCreated),
    "GET /run/users/{user_id}": Operation(of_objects.RunUser),
    "GET /run/users/{user_id}/login": Operation(of_tokens.RunUserToken, (parameters.EXPIRE_TIME,)),
    "GET /integration/connector": Operation(list[of_objects.Connector], of_list(integrations.CONNECTORS)),
    "POST /integration/connector": Operation(of_objects.ConnectorCreated),
    "GET /integration/connector/{connector_id}": Operation(of_objects.Connector, of_fields(integrations.CONNECTORS)),
    "GET /integration/network": Operation(list[of_objects.Network], of_list(integrations.NETWORKS)),
    "POST /integration/network": Operation(of_objects.NetworkCreated),
    "GET /integration/network/{network_id}": Operation(of_objects.Network, of_fields(integrations.NETWORKS)),
    "GET /integration/network/token/{network_id_or_token}": Operation(list[of_tokens.TokenRow], of_list(tokens.LIST)),
    "POST /integration/network/token": Operation(of_tokens.NetworkTokenCreated),
    "POST /integration/network/data": Operation(
        query=(parameters.AUTHORIZATION,), body={JSON: Any, "text/plain": str, payloads.OCTETS: bytes}
    ),
    "POST /integration/network/device": Operation(of_devices.NetworkDeviceCreated),
    "GET /integration/network/{network_id}/devices": Operation(
        list[of_devices.NetworkDeviceRow], (*of_list(devices.NETWORK_LIST), parameters.SERIAL)
    ),
    "GET /serviceauth": Operation(list[of_tokens.TokenRow], of_list(tokens.SERVICE_LIST)),
    "POST /serviceauth": Operation(of_tokens.ServiceCreated),
    "GET /tags/keys/{tagged}": Operation(list[str]),
    "GET /info": Operation(of_accounts.Info, (parameters.DETAILS,)),
    "GET /status": Operation(of_accounts.Status),
    "GET /account": Operation(of_accounts.Account),
    "GET /account/plan": Operation(of_accounts.AccountPlan),
    "POST /account/login": Operation(of_accounts.Login),
    "POST /account/profile/token": Operation(of_tokens.LoginToken),
    "GET /account/allocation": Operation(list[of_accounts.Allocation]),
    "GET /profile": Operation(list[of_accounts.ProfileRow]),
    "POST /profile": Operation(of_accounts.ProfileCreated),
    "GET /profile/{profile_id}": Operation(of_accounts.Profile),
    "GET /profile/{profile_id}/summary": Operation(of_accounts.Summary, (parameters.ONLY_AMOUNT,)),
    "GET /profile/{profile_id}/statistics": Operation(list[of_devices.ProfileUse], parameters.STATISTICS),
    "GET /profile/{profile_id}/addons": Operation(list[str]),
    "POST /profile/{profile_id}/addons": _REFUSED,
    "DELETE /profile/{profile_id}/{addon}": _REFUSED,
    "POST /profile/{profile_id}/services": _REFUSED,
    "PUT /profile/{profile_id}/service": _REFUSED,
    "POST /profile/{profile_id}/service/test/{type}": _REFUSED,
    "GET /profile/{profile_id}/token": Operation(list[of_tokens.TokenRow], of_list(tokens.PROFILE_LIST)),
    "POST /profile/{profile_id}/token": Operation(of_tokens.TokenCreated),
    "GET /profile/{profile_id}/team": Operation(list[of_accounts.Member]),
    "GET /profile/{profile_id}/auditlog": Operation(of_accounts.AuditLog, parameters.AUDIT),
    "GET /profile/{profile_id}/auditlog/{query_id}": Operation(of_accounts.AuditLog),
    "GET /": Operation(of_accounts.Index, also={303: "For a browser: the console is at `Location`"}),
    "GET /console": _SITE,
    "GET /docs": _SITE,
    "GET /console/{name}": Operation(
        answer=None, raw=dict.fromkeys(site.TYPES, _TEXT), also={304: _SAME},
    ),
    "GET /openapi.json": Operation(answer=None, raw={JSON: {"type": "object"}}),
}  # fmt: skip
"""By method and path."""
_TEXTS = frozenset(
    {
        "PUT /device/{device_id}", "DELETE /device/{device_id}", "POST /device/{device_id}/empty",
        "POST /device/{device_id}/convert", "DELETE /device/token/{device_id_or_token}",
        "PUT /device/params/{param_id}", "POST /device/{device_id}/params",
        "DELETE /device/{device_id}/params/{param_id}", "DELETE /device/{device_id}/chunk/{chunk_id}",
        "PUT /action/{action_id}", "DELETE /action/{action_id}", "POST /analysis/services/mqtt/publish",
        "PUT /am/{am_id}", "DELETE /am/{am_id}", "PUT /analysis/{analysis_id}", "DELETE /analysis/{analysis_id}",
        "PUT /run/users/{user_id}", "DELETE /run/users/{user_id}", "PUT /integration/connector/{connector_id}",
        "DELETE /integration/connector/{connector_id}", "PUT /integration/network/{network_id}",
        "DELETE /integration/network/{network_id}", "DELETE /integration/network/token/{network_id_or_token}",
        "GET /integration/network/resolve/{serial}", "GET /integration/network/resolve/{serial}/{authorization}",
        "POST /integration/network/{network_id}/params", "POST /integration/network/publish",
        "PUT /serviceauth/{token}", "DELETE /serviceauth/{token}", "POST /account", "PUT /account",
        "DELETE /account", "POST /account/login/otp", "POST /account/otp/{type}/enable",
        "POST /account/otp/{type}/disable", "POST /account/otp/{type}/confirm", "GET /account/passwordreset/{email}",
        "POST /account/passwordreset", "GET /account/resend_confirmation/{email}", "GET /account/confirm/{token}",
        "POST /account/allocation", "PUT /profile/{profile_id}", "DELETE /profile/{profile_id}",
        "PUT /profile/switch/{profile_id}", "DELETE /profile/{profile_id}/token/{token}",
        "POST /profile/{profile_id}/team", "DELETE /profile/{profile_id}/team/{account_id}",
        "GET /profile/team/accept/{token}", "GET /profile/team/decline/{token}",
    }
)  # fmt: skip
"""Operations whose result is a text."""


def of(row: Route) -> Operation:
    """Return what the document says of a row.

    Raises:
        LookupError: nobody has described the row; the text says what to add.
    """
    if row.key in _OPERATIONS:
        return _OPERATIONS[row.key]
    if row.key in _TEXTS:
        return Operation()
    if row.path.startswith("/page/"):
        return PAGE
    raise LookupError(
        f"{row.key} has no line in chalicelib/openapi/operations.py: add {row.key!r} to _TEXTS if its result is a "
        "text, else to _OPERATIONS with the type of its result, or PAGE if it answers HTML, and its query parameters"
    )


def described() -> frozenset[str]:
    """Return the keys of all rows that are described one by one."""
    return _TEXTS | _OPERATIONS.keys()
