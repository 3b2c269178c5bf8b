"""What the document says of each operation, besides what its row and the schema of its body say."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chalicelib.http import site
from chalicelib.http.route import Route
from chalicelib.openapi import (
    account_results,
    device_results,
    file_results,
    object_results,
    parameters,
    results,
    token_results,
)
from chalicelib.openapi.parameters import Parameter, of_fields, of_list
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
_READ = Operation(device_results.Points, (*parameters.POINTS, parameters.FORMAT), raw={"text/csv": _TEXT})
_EDIT = Operation(body={JSON: points.EditIn | list[points.EditIn]})
_DELETE = Operation(query=parameters.POINTS)

_OPERATIONS: Mapping[str, Operation] = {
    "GET /device": Operation(
        list[device_results.DeviceRow], (*of_list(devices.LIST), *parameters.RESOLVE, parameters.SERIAL)
    ),
    "POST /device": Operation(device_results.DeviceCreated),
    "GET /device/find/{serial}": Operation(
        list[device_results.DeviceRow], (*of_list(devices.FIND_LIST), *parameters.RESOLVE)
    ),
    "GET /device/{device_id}": Operation(device_results.Device),
    "GET /device/{device_id}/data_amount": Operation(results.Count),
    "GET /bucket/{device_id}/data_amount": Operation(results.Count),
    "GET /device/{device_id}/statistics": Operation(list[device_results.DeviceUse], parameters.STATISTICS),
    "GET /device/token/{device_id_or_token}": Operation(list[token_results.TokenRow], of_list(tokens.LIST)),
    "POST /device/token": Operation(token_results.TokenCreated),
    "GET /device/params": Operation(list[device_results.Param], (parameters.SENT_STATUS,)),
    "GET /device/{device_id}/params": Operation(list[device_results.Param], (parameters.SENT_STATUS,)),
    "GET /device/{device_id}/chunk": Operation(list[device_results.Chunk]),
    "POST /data": _SEND,
    "GET /data": _READ,
    "PUT /data": _EDIT,
    "DELETE /data": _DELETE,
    "POST /device/{device_id}/data": _SEND,
    "GET /device/{device_id}/data": _READ,
    "PUT /device/{device_id}/data": _EDIT,
    "DELETE /device/{device_id}/data": _DELETE,
    "GET /action": Operation(list[object_results.Action], of_list(actions.LIST)),
    "POST /action": Operation(object_results.ActionCreated),
    "GET /action/{action_id}": Operation(object_results.Action),
    "GET /am": Operation(list[object_results.PolicyRow], of_list(policies.LIST)),
    "POST /am": Operation(object_results.PolicyCreated),
    "GET /am/{am_id}": Operation(object_results.Policy),
    "GET /am/settings": Operation(object_results.PolicySettings),
    "GET /analysis": Operation(list[object_results.AnalysisRow], of_list(analyses.LIST)),
    "POST /analysis": Operation(object_results.AnalysisCreated),
    "GET /analysis/{analysis_id}": Operation(object_results.Analysis),
    "GET /analysis/{analysis_id}/token": Operation(object_results.AnalysisToken),
    "POST /analysis/{analysis_id}/run": _REFUSED,
    "POST /analysis/{analysis_id}/upload": _REFUSED,
    "GET /analysis/{analysis_id}/download": _REFUSED,
    "GET /run/users": Operation(list[object_results.RunUserRow], of_list(run_users.LIST)),
    "POST /run/users": Operation(object_results.UserCreated),
    "GET /run/users/{user_id}": Operation(object_results.RunUser),
    "GET /run/users/{user_id}/login": Operation(token_results.RunUserToken, (parameters.EXPIRE_TIME,)),
    "GET /integration/connector": Operation(list[object_results.Connector], of_list(integrations.CONNECTORS)),
    "POST /integration/connector": Operation(object_results.ConnectorCreated),
    "GET /integration/connector/{connector_id}": Operation(
        object_results.Connector, of_fields(integrations.CONNECTORS)
    ),
    "GET /integration/network": Operation(list[object_results.Network], of_list(integrations.NETWORKS)),
    "POST /integration/network": Operation(object_results.NetworkCreated),
    "GET /integration/network/{network_id}": Operation(object_results.Network, of_fields(integrations.NETWORKS)),
    "GET /integration/network/token/{network_id_or_token}": Operation(
        list[token_results.TokenRow], of_list(tokens.LIST)
    ),
    "POST /integration/network/token": Operation(token_results.NetworkTokenCreated),
    "POST /integration/network/data": Operation(
        query=(parameters.AUTHORIZATION,), body={JSON: Any, "text/plain": str, payloads.OCTETS: bytes}
    ),
    "POST /integration/parser/run": Operation(object_results.Trial),
    "POST /integration/network/device": Operation(device_results.NetworkDeviceCreated),
    "GET /integration/network/{network_id}/devices": Operation(
        list[device_results.NetworkDeviceRow], (*of_list(devices.NETWORK_LIST), parameters.SERIAL)
    ),
    "GET /serviceauth": Operation(list[token_results.TokenRow], of_list(tokens.SERVICE_LIST)),
    "POST /serviceauth": Operation(token_results.ServiceCreated),
    "GET /tags/keys/{tagged}": Operation(list[str]),
    "GET /info": Operation(account_results.Info, (parameters.DETAILS,)),
    "GET /status": Operation(account_results.Status),
    "GET /account": Operation(account_results.Account),
    "GET /account/plan": Operation(account_results.AccountPlan),
    "POST /account/login": Operation(account_results.Login),
    "POST /account/profile/token": Operation(token_results.LoginToken),
    "GET /account/allocation": Operation(list[account_results.Allocation]),
    "GET /profile": Operation(list[account_results.ProfileRow]),
    "POST /profile": Operation(account_results.ProfileCreated),
    "GET /profile/{profile_id}": Operation(account_results.Profile),
    "GET /profile/{profile_id}/summary": Operation(account_results.Summary, (parameters.ONLY_AMOUNT,)),
    "GET /profile/{profile_id}/statistics": Operation(list[device_results.ProfileUse], parameters.STATISTICS),
    "GET /profile/{profile_id}/addons": Operation(list[str]),
    "POST /profile/{profile_id}/addons": _REFUSED,
    "DELETE /profile/{profile_id}/{addon}": _REFUSED,
    "POST /profile/{profile_id}/services": _REFUSED,
    "PUT /profile/{profile_id}/service": _REFUSED,
    "POST /profile/{profile_id}/service/test/{type}": _REFUSED,
    "GET /profile/{profile_id}/token": Operation(list[token_results.TokenRow], of_list(tokens.PROFILE_LIST)),
    "POST /profile/{profile_id}/token": Operation(token_results.TokenCreated),
    "GET /profile/{profile_id}/team": Operation(list[account_results.Member]),
    "GET /profile/{profile_id}/auditlog": Operation(account_results.AuditLog, parameters.AUDIT),
    "GET /profile/{profile_id}/auditlog/{query_id}": Operation(account_results.AuditLog),
    "GET /": Operation(account_results.Index, also={303: "For a browser: the console is at `Location`"}),
    "GET /console": _SITE,
    "GET /docs": _SITE,
    "GET /console/{name}": Operation(
        answer=None, raw=dict.fromkeys(site.TYPES, _TEXT), also={304: _SAME},
    ),
    "POST /device/{device_id}/data/backup": Operation(file_results.Backup),
    "POST /device/{device_id}/chunk/backup": Operation(file_results.ChunkBackup),
    "POST /device/{device_id}/chunk/copy": Operation(file_results.ChunkBackup),
    "GET /files": Operation(file_results.Files),
    "GET /files/url": Operation(file_results.Download, (parameters.FILE_PATH,)),
    "POST /files/url": Operation(file_results.Upload),
    "GET /openapi.json": Operation(answer=None, raw={JSON: {"type": "object"}}),
}  # fmt: skip
"""By method and path."""
_TEXTS = frozenset(
    {
        "POST /device/{device_id}/data/restore", "DELETE /files",
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
