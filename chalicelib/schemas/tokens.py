"""Tokens as clients request them, and the parameters of the list of a device's tokens."""

from typing import Annotated, NotRequired

from pydantic import Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec import jsontext
from chalicelib.codec.tokens import Permission
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Anything, Serial
from chalicelib.schemas.lists import ListShape

_FIELDS = (
    "token", "device_id", "network_id", "name", "permission", "serie_number", "last_authorization", "expire_time",
    "created_at",
)  # fmt: skip
LIST = ListShape(
    fields=_FIELDS,
    default=("name", "token", "permission"),
    sortable=_FIELDS,
    filters={
        "name": "text", "token": "text", "permission": "text", "serie_number": "text", "created_at": "since",
    },
    order="created_at,desc",
    has_tags=False,
)  # fmt: skip


class TokenIn(TypedDict):
    """The properties of a new token."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    permission: Permission
    expire_time: NotRequired[StrictStr | None]
    serie_number: NotRequired[Serial | None]


class DeviceTokenIn(TokenIn):
    """POST /device/token."""

    device: StrictStr


PROFILE_FIELDS = (
    "token", "name", "type", "permission", "serie_number", "last_authorization", "verification_code", "expire_time",
    "ref_id", "created_at", "created_by",
)  # fmt: skip
PROFILE_LIST = LIST._replace(
    fields=PROFILE_FIELDS,
    sortable=PROFILE_FIELDS,
    filters={**LIST.filters, "type": "text", "verification_code": "text", "ref_id": "text"},
)
"""GET /profile/{id}/token."""


SERVICE_FIELDS = (*PROFILE_FIELDS, "additional_parameters")
SERVICE_LIST = PROFILE_LIST._replace(
    fields=SERVICE_FIELDS, default=("name", "token"), sortable=tuple(set(SERVICE_FIELDS) - {"additional_parameters"})
)
"""GET /serviceauth."""
Code = Annotated[StrictStr, Field(max_length=1_000)] | None
MAX_PARAMETERS_CHARS = 10_000


class ServiceIn(TypedDict):
    """POST /serviceauth."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    permission: NotRequired[Permission]
    expire_time: NotRequired[StrictStr | None]
    verification_code: NotRequired[Code]
    additional_parameters: NotRequired[
        Annotated[Anything, Field(description=f"At most {MAX_PARAMETERS_CHARS} characters of JSON")]
    ]


class ServiceEditIn(TypedDict):
    """PUT /serviceauth/{token}."""

    verification_code: NotRequired[Code]


class PrivilegesIn(TypedDict, total=False):
    """What a network may do with a token, besides its permission."""

    createDevice: StrictBool


class NetworkTokenIn(TypedDict):
    """POST /integration/network/token."""

    network: StrictStr
    name: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    permission: NotRequired[Permission]
    expire_time: NotRequired[StrictStr | None]
    privileges: NotRequired[PrivilegesIn | None]
    previlegies: NotRequired[PrivilegesIn | None]
    """``privileges`` as some clients spell it. The right spelling wins."""


def _check_parameters(sent: ServiceIn) -> ServiceIn:
    if len(jsontext.dumps(sent.get("additional_parameters"))) > MAX_PARAMETERS_CHARS:
        reason = f"additional_parameters must have at most {MAX_PARAMETERS_CHARS} characters of JSON"
        raise errors.BadRequest.field("additional_parameters", reason)
    return sent


create_service: Body[ServiceIn] = Body(TypeAdapter(ServiceIn), then=_check_parameters)
edit_service: Body[ServiceEditIn] = Body(TypeAdapter(ServiceEditIn))
create_of_network: Body[NetworkTokenIn] = Body(TypeAdapter(NetworkTokenIn))
create: Body[DeviceTokenIn] = Body(TypeAdapter(DeviceTokenIn))
