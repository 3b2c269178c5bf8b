"""The shapes of points, chunks, devices and their parameters."""

from typing import Annotated, Any, Literal, Required

from pydantic import Field
from typing_extensions import TypedDict

from chalicelib.openapi.results import Count, Number, Time
from chalicelib.schemas.fields import Tag


class GeoPoint(TypedDict):
    """A place: longitude, latitude and perhaps a height in meters."""

    type: Literal["Point"]
    coordinates: Annotated[list[Number], Field(min_length=2, max_length=3)]


class Point(TypedDict, total=False):
    """A point."""

    id: Required[str]
    device: Required[str]
    variable: Required[str]
    group: Required[str]
    time: Required[Time]
    value: str | Number | bool
    unit: str
    location: GeoPoint
    metadata: dict[str, Any]
    created_at: Time


class Bucket(TypedDict, total=False):
    """A number of one part of a range. ``variable`` is there if the query names several, or none."""

    time: Required[Time]
    value: Required[Number]
    variable: str


Points = list[Point] | list[Bucket] | Number | None
"""Points; buckets of ``aggregate``; a number of ``count``, ``avg`` and ``sum``, which some clients get in a list."""

Chunk = TypedDict("Chunk", {"id": str, "amount": Count, "from": Time, "to": Time})
Chunk.__doc__ = "A chunk of an immutable device. The id holds its first and last second."


class DeviceCreated(TypedDict):
    """A new device, with its first token."""

    device_id: str
    bucket_id: str
    token: str


class NetworkDeviceCreated(TypedDict):
    """A new device of a network."""

    device_id: str
    token: str


class BucketName(TypedDict):
    """The device again, as older clients know it."""

    id: str
    name: str


class RequestsPerMinute(TypedDict, total=False):
    """Requests a minute that a device or a profile allows itself."""

    data_input: int
    data_output: int


class _DeviceFields(TypedDict, total=False):
    description: str | None
    active: bool
    visible: bool
    type: Literal["mutable", "immutable"]
    connector: str
    network: str
    profile: str
    bucket: BucketName
    payload_decoder: str | None
    chunk_period: Literal["day", "week", "month", "quarter"] | None
    chunk_retention: int | None
    mutable_variable_regex: None
    last_input: Time | None
    last_output: Time | None
    inspected_at: None
    created_at: Time
    updated_at: Time
    rpm: RequestsPerMinute | None
    data_retention: str


class Device(_DeviceFields):
    """A device."""

    id: str
    name: str
    tags: list[Tag]


class DeviceRow(Device, total=False):
    """A device in a list."""

    bucket_name: str
    connector_name: str | None
    network_name: str | None


class NetworkDeviceRow(Device):
    """A device of a network, with the newest token that the network may see."""

    token: str | None


class Param(TypedDict):
    """A configuration parameter. ``sent`` says whether the device has read it."""

    id: str
    key: str
    value: str | Number | bool
    sent: bool


class DeviceUse(TypedDict, total=False):
    """What a device has sent and read in a part of a range."""

    time: Required[Time]
    device_input: Count
    device_output: Count


class ProfileUse(TypedDict, total=False):
    """What a profile has used in a part of a range, and how many points it held."""

    time: Required[Time]
    input: Count
    output: Count
    data_records: Count
