"""Devices as clients send them, and the parameters of the list of devices.

Source: TagoIO, "Managing devices", and the official clients.
"""

from typing import Annotated, Literal, NamedTuple, NotRequired

from pydantic import AfterValidator, Field, StrictBool, StrictInt, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec.querystring import Tree
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Decoder, Description, Id, Name, Serial, Tags
from chalicelib.schemas.lists import ListQuery, ListShape
from chalicelib.schemas.parameters import flag, one
from chalicelib.schemas.params import Params

MAX_RETENTION = {"day": 31, "week": 26, "month": 36, "quarter": 36}
LIST = ListShape(
    fields=(
        "id", "name", "description", "active", "visible", "type", "tags", "connector", "network", "profile", "bucket",
        "payload_decoder", "chunk_period", "chunk_retention", "mutable_variable_regex", "last_input", "last_output",
        "inspected_at", "created_at", "updated_at", "rpm", "data_retention",
    ),
    default=("id", "name", "tags", "connector", "network"),
    sortable=(
        "id", "name", "description", "active", "visible", "type", "connector", "network", "profile", "payload_decoder",
        "chunk_period", "chunk_retention", "mutable_variable_regex", "last_input", "last_output", "inspected_at",
        "created_at", "updated_at", "data_retention",
    ),
    filters={
        "id": "text", "name": "text", "connector": "text", "network": "text", "type": "text", "bucket": "text",
        "serial": "text", "visible": "flag", "active": "flag", "last_input": "since", "updated_at": "since",
        "created_at": "since",
    },
    always=("id", "name", "tags"),
)  # fmt: skip

Retention = Annotated[StrictInt, Field(ge=0, le=36)]
PerMinute = Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]


class DeviceRpm(TypedDict, total=False):
    """Requests a minute that a device allows itself. null: no limit."""

    data_input: PerMinute | None
    data_output: PerMinute | None


def _limited(rpm: DeviceRpm | None) -> dict[str, int] | None:
    """Return only the limits that are set; None if there are none."""
    return {name: limit for name, limit in (rpm or {}).items() if isinstance(limit, int)} or None


Rpm = Annotated[DeviceRpm | None, AfterValidator(_limited)]
"""Requests a minute that a device or a profile allows itself, below the limit of its plan. null: no limit."""


class NetworkDeviceIn(TypedDict):
    """POST /integration/network/device, which a network calls; other fields are ignored."""

    name: Name
    connector: NotRequired[Id | None]
    type: NotRequired[Literal["mutable", "immutable"]]
    chunk_period: NotRequired[Literal["day", "week", "month", "quarter"] | None]
    chunk_retention: NotRequired[Retention | None]
    serie_number: NotRequired[Serial | None]
    active: NotRequired[StrictBool]
    visible: NotRequired[StrictBool]
    tags: NotRequired[Tags]


class DeviceIn(NetworkDeviceIn):
    """POST /device; other fields are ignored."""

    network: NotRequired[Id | None]
    description: NotRequired[Description]
    configuration_params: NotRequired[Params]
    payload_decoder: NotRequired[Decoder]
    rpm: NotRequired[Rpm]


FIND_LIST = LIST._replace(filters={name: kind for name, kind in LIST.filters.items() if name != "serial"})
"""GET /device/find/{serial}, whose path has the serial number."""
NETWORK_LIST = LIST._replace(default=LIST.fields)
"""GET /integration/network/{id}/devices."""


class DeviceEditIn(TypedDict, total=False):
    """PUT /device/{id}; other fields, such as type and chunk_period, are ignored."""

    name: Name
    network: Id
    connector: Id
    chunk_retention: Retention
    description: Description
    active: StrictBool
    visible: StrictBool
    tags: Tags
    payload_decoder: Decoder
    rpm: Rpm


class ConvertIn(TypedDict):
    """POST /device/{id}/convert."""

    type: Literal["mutable", "immutable"]
    chunk_period: NotRequired[Literal["day", "week", "month", "quarter"] | None]
    chunk_retention: NotRequired[Retention | None]


create: Body[DeviceIn] = Body(TypeAdapter(DeviceIn))
create_in_network: Body[NetworkDeviceIn] = Body(TypeAdapter(NetworkDeviceIn))
edit: Body[DeviceEditIn] = Body(TypeAdapter(DeviceEditIn))
convert: Body[ConvertIn] = Body(TypeAdapter(ConvertIn))


def check_retention(period: str | None, retention: int | None) -> None:
    """Check the chunk settings of an immutable device.

    Raises:
        errors.BadRequest: a setting is missing, or the retention is too long for the period.
    """
    if period is None:
        raise errors.BadRequest.field("chunk_period", "chunk_period is required for an immutable device")
    if retention is None:
        raise errors.BadRequest.field("chunk_retention", "chunk_retention is required for an immutable device")
    if retention > MAX_RETENTION[period]:
        reason = f"chunk_retention must be at most {MAX_RETENTION[period]} for the period {period}"
        raise errors.BadRequest.field("chunk_retention", reason)


class Resolve(NamedTuple):
    """Which names to add to each device of a list."""

    bucket: bool
    connector: bool
    network: bool


def read_resolve(tree: Tree) -> Resolve:
    """Read ``resolveBucketName``, ``resolveConnectorName`` and ``resolveNetworkName``."""
    return Resolve(*(bool(flag(tree, f"resolve{name.title()}Name")) for name in Resolve._fields))


def read_serial(tree: Tree, query: ListQuery) -> str | None:
    """Return the serial number that filters the list, from either spelling, and remove it from ``query.filters``."""
    filtered: str | None = query.filters.pop("serial", None)
    return one(tree, "serial") or filtered
