"""Tokens as clients request them, and the parameters of the list of a device's tokens."""

from typing import Annotated, NotRequired

from pydantic import Field, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.codec.tokens import Permission
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Serial
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


create: Body[DeviceTokenIn] = Body(TypeAdapter(DeviceTokenIn))
