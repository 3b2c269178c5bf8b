"""Connectors and networks as clients send them, and the parameters of their lists.

Source: the official clients, and TagoIO, "Connector overview", "Creating a network integration" and "Serial number
format".
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Anything, Decoder, Id, Label, Url
from chalicelib.schemas.lists import ListQuery, ListShape
from chalicelib.schemas.params import MAX_PARAMS

MAX_NETWORKS = 200
_SHARED = ("id", "name", "description", "logo_url", "device_parameters", "payload_decoder", "payload_encoder", "public",
           "profile", "created_at", "updated_at")  # fmt: skip
_SORTABLE = ("id", "name", "description", "logo_url", "public", "profile", "created_at", "updated_at")
CONNECTORS = ListShape(
    fields=(*_SHARED, "networks", "install_text", "install_end_text", "device_annotation"),
    default=("id", "name"),
    sortable=_SORTABLE,
    filters={
        "id": "text", "name": "text", "description": "text", "public": "text", "created_at": "since",
        "updated_at": "since",
    },
    always=("id",),
    has_tags=False,
)  # fmt: skip
NETWORKS = CONNECTORS._replace(
    fields=(
        *_SHARED, "icon_url", "banner_url", "middleware_endpoint", "documentation_url", "serial_number",
        "require_devices_access",
    ),
)  # fmt: skip

Networks = Annotated[list[Id], Field(min_length=1, max_length=MAX_NETWORKS), FailFast()]
Title = Annotated[StrictStr, Field(min_length=1, max_length=255)]
About = Annotated[StrictStr, Field(max_length=500)] | None
Text = Annotated[StrictStr, Field(max_length=20_000)] | None
Encoder = Annotated[StrictStr, Field(max_length=90_000)] | None
"""Stored as sent: nothing runs it."""


class DeviceParameter(TypedDict):
    """A configuration parameter that a new device gets."""

    name: Label
    label: NotRequired[Annotated[StrictStr, Field(max_length=255)] | None]
    type: NotRequired[Literal["text", "dropdown", "switch", "number"]]
    default: NotRequired[Anything]
    group: NotRequired[Literal["default", "main", "advanced", "hide"]]
    options: NotRequired[list[Anything] | None]


def _or_empty(sent: Any) -> Any:
    return [] if sent is None else sent


DeviceParameters = Annotated[
    list[DeviceParameter],
    Field(max_length=MAX_PARAMS),
    FailFast(),
    BeforeValidator(_or_empty, json_schema_input_type=list[DeviceParameter] | None),
]


def _mask(text: str) -> str:
    if text and not ({*text} & {*"FA0P"} and {*text} <= {*"FA0P-"}):
        raise ValueError("mask must be made of F (a hex digit), A (a letter), 0 (a digit), P (a letter or digit) and -")
    return text


class SerialRule(TypedDict, total=False):
    """What a network demands of the serial numbers of its devices."""

    mask: Annotated[StrictStr, Field(max_length=100), AfterValidator(_mask)] | None
    label: Annotated[StrictStr, Field(max_length=255)] | None
    image: Url | None
    case: Literal["upper", "lower", ""] | None
    help: Text
    required: StrictBool


class ConnectorEditIn(TypedDict, total=False):
    """PUT /integration/connector/{id}; other fields are ignored."""

    name: Title
    description: About
    logo_url: Url | None
    networks: Networks
    device_parameters: DeviceParameters
    payload_decoder: Decoder
    payload_encoder: Encoder
    install_text: Text
    install_end_text: Text
    device_annotation: Text


class ConnectorIn(ConnectorEditIn):
    """POST /integration/connector; other fields are ignored."""

    # It requires what an edit may omit; type checkers forbid a subclass to say so.
    name: Title  # type: ignore[misc]
    networks: Networks  # type: ignore[misc]


class NetworkEditIn(TypedDict, total=False):
    """PUT /integration/network/{id}; other fields are ignored."""

    name: Title
    description: About
    logo_url: Url | None
    icon_url: Url | None
    banner_url: Url | None
    device_parameters: DeviceParameters
    middleware_endpoint: Url | None
    payload_encoder: Encoder
    payload_decoder: Decoder
    public: StrictBool
    documentation_url: Url | None
    serial_number: SerialRule | None
    require_devices_access: StrictBool


class NetworkIn(NetworkEditIn):
    """POST /integration/network; other fields are ignored."""

    name: Title  # type: ignore[misc]


class TrialIn(TypedDict):
    """POST /integration/parser/run."""

    payload_decoder: Decoder
    payload: StrictStr
    """A body as a device sends it."""
    content_type: NotRequired[Annotated[StrictStr, Field(max_length=255)]]
    kind: NotRequired[Literal["network", "connector", "device"]]
    device: NotRequired[Id | None]
    """The device whose tags and parameters the parser sees."""


create_connector: Body[ConnectorIn] = Body(TypeAdapter(ConnectorIn))
edit_connector: Body[ConnectorEditIn] = Body(TypeAdapter(ConnectorEditIn))
create_network: Body[NetworkIn] = Body(TypeAdapter(NetworkIn))
edit_network: Body[NetworkEditIn] = Body(TypeAdapter(NetworkEditIn))
run_parser: Body[TrialIn] = Body(TypeAdapter(TrialIn))


def read_is_own_only(query: ListQuery) -> bool:
    """Return whether the list leaves out the catalogue, and remove the filter ``public``, which says so."""
    return query.filters.pop("public", None) is not None
