"""Tokens as clients ask for them."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, StrictStr, TypeAdapter
from typing_extensions import TypedDict

Name = Annotated[StrictStr, Field(min_length=1, max_length=100)]
Serial = Annotated[StrictStr, Field(max_length=100, pattern=r"^[^#\x00-\x1f]*$")]

TOKEN_FIELDS = (
    "token",
    "device_id",
    "network_id",
    "name",
    "permission",
    "serie_number",
    "last_authorization",
    "expire_time",
    "created_at",
)


class TokenIn(TypedDict):
    """What a new token shall be."""

    name: Name
    permission: Literal["full", "write", "read"]
    expire_time: NotRequired[StrictStr | None]
    serie_number: NotRequired[Serial | None]


class DeviceTokenIn(TokenIn):
    """POST /device/token."""

    device: StrictStr


device_token = TypeAdapter(DeviceTokenIn)
