"""Devices and configuration parameters as clients send them, and the parameters of the device list.

Source: TagoIO, "Managing devices", and the official clients.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec import times
from chalicelib.codec.querystring import Tree
from chalicelib.schemas.queries import bad, flag
from chalicelib.schemas.reading import choice, read_json
from chalicelib.schemas.tokens import Serial

MAX_TAGS = 30
MAX_PARAMS = 60
MAX_DECODER_BYTES = 64_000
MAX_RETENTION = {"day": 31, "week": 26, "month": 36, "quarter": 36}
MAX_AMOUNT = 10_000
SORTABLE = ("name", "visible", "active", "last_input", "created_at", "updated_at", "id")


def _decoder(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("payload_decoder must be base64") from None
    if size > MAX_DECODER_BYTES:
        raise ValueError("Not permitted to use function parse with more than 64kb")
    return text


Name = Annotated[StrictStr, Field(min_length=3, max_length=100)]
Id = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{24}$")]
Decoder = Annotated[StrictStr | None, AfterValidator(_decoder)]
Description = Annotated[StrictStr, Field(max_length=1_000)] | None
Retention = Annotated[StrictInt, Field(ge=0, le=36)]


class Tag(TypedDict):
    """A label of a device."""

    key: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    value: Annotated[StrictStr, Field(max_length=500)]


Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]


class ParamIn(TypedDict, total=False):
    """A configuration parameter; with ``id`` an existing one."""

    id: StrictStr
    key: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    value: StrictStr | StrictInt | float | StrictBool
    sent: StrictBool


Params = Annotated[list[ParamIn], Field(max_length=MAX_PARAMS)]


class DeviceIn(TypedDict):
    """POST /device; other fields are ignored."""

    name: Name
    network: NotRequired[Id | None]
    connector: NotRequired[Id | None]
    type: NotRequired[Literal["mutable", "immutable"]]
    chunk_period: NotRequired[Literal["day", "week", "month", "quarter"] | None]
    chunk_retention: NotRequired[Retention | None]
    serie_number: NotRequired[Serial | None]
    description: NotRequired[Description]
    active: NotRequired[StrictBool]
    visible: NotRequired[StrictBool]
    tags: NotRequired[Tags]
    configuration_params: NotRequired[Params]
    payload_decoder: NotRequired[Decoder]


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


class ConvertIn(TypedDict):
    """POST /device/{id}/convert."""

    type: Literal["mutable", "immutable"]
    chunk_period: NotRequired[Literal["day", "week", "month", "quarter"] | None]
    chunk_retention: NotRequired[Retention | None]


class SentIn(TypedDict, total=False):
    """PUT /device/params/{id}."""

    sent: StrictBool


device = TypeAdapter(DeviceIn)
device_edit = TypeAdapter(DeviceEditIn)
conversion = TypeAdapter(ConvertIn)
one_or_more_params: TypeAdapter[Sequence[ParamIn]] = TypeAdapter(
    Annotated[Params, BeforeValidator(lambda found: [found] if isinstance(found, dict) else found)]
)
_sent = TypeAdapter(SentIn)


def read_sent(raw: bytes) -> bool:
    """Read the body of PUT /device/params/{id}; none means that the parameter was read.

    Raises:
        errors.BadRequest: not JSON, or not an object with a boolean.
    """
    return read_json(_sent, raw).get("sent", True) if raw.strip() else True


def check_retention(period: str | None, retention: int | None) -> None:
    """Check the chunk settings of an immutable device.

    Raises:
        errors.BadRequest: one is missing, or the retention is too long for the period.
    """
    if period is None:
        raise bad("chunk_period", "chunk_period is required for an immutable device")
    if retention is None:
        raise bad("chunk_retention", "chunk_retention is required for an immutable device")
    if retention > MAX_RETENTION[period]:
        reason = f"chunk_retention must be at most {MAX_RETENTION[period]} for the period {period}"
        raise errors.BadRequest(reason, {"chunk_retention": [reason]})


@dataclass(slots=True)
class ListQuery:
    """A page of a list, filtered and sorted."""

    page: int = 1
    amount: int = 20
    fields: list[str] = field(default_factory=list)
    order: str = "name"
    is_ascending: bool = True
    filters: dict[str, Any] = field(default_factory=dict)
    """Field to wanted text (``*`` matches anything), boolean, or since when in milliseconds."""
    tags: list[dict[str, str]] = field(default_factory=list)


_BOOLEANS = ("visible", "active")
_SINCE = ("last_input", "updated_at", "created_at")
_TEXTS = ("id", "name", "connector", "network", "type", "bucket")


def read_list(tree: Tree, *, allowed: tuple[str, ...], default: tuple[str, ...], order: str, now_ms: int) -> ListQuery:
    """Read page, amount, fields, orderBy and filter of a list.

    Args:
        tree: the query string.
        allowed: fields that may be asked for and sorted by.
        default: fields when none are asked for.
        order: ``field,dir`` when none is given.
        now_ms: what relative times count from.

    Raises:
        errors.BadRequest: names the parameter and what is allowed.
    """
    query = ListQuery(page=max(1, _whole(tree, "page", 1)), amount=_whole(tree, "amount", 20))
    if not 1 <= query.amount <= MAX_AMOUNT:
        raise bad("amount", f"amount must be a whole number from 1 to {MAX_AMOUNT}")
    query.fields = [choice("fields", name, allowed) for name in _texts(tree, "fields")] or list(default)
    name, _, direction = (_last(tree, "orderBy") or order).partition(",")
    query.order = choice("orderBy", name.strip(), (*allowed, *SORTABLE))
    query.is_ascending = choice("orderBy", direction.strip().lower() or "asc", ("asc", "desc")) == "asc"
    filters = tree.get("filter", {})
    if isinstance(filters, dict):
        _read_filters(query, filters, now_ms)
    return query


def _read_filters(query: ListQuery, filters: Tree, now_ms: int) -> None:
    for name in filters:
        if name == "tags":
            query.tags = _read_tags(filters[name])
        elif name in _BOOLEANS:
            query.filters[name] = flag(filters, name)
        elif name in _SINCE:
            query.filters[name] = _since(name, _last(filters, name) or "", now_ms)
        elif name in _TEXTS:
            query.filters[name] = _last(filters, name) or ""
        elif name != "serial":
            raise bad("filter", f"filter[{name[:50]}] is not known")


def serial(tree: Tree) -> str | None:
    """Return the serial number that a list is narrowed to, in either spelling."""
    filters = tree.get("filter")
    return _last(tree, "serial") or (_last(filters, "serial") if isinstance(filters, dict) else None)


def _read_tags(found: Any) -> list[dict[str, str]]:
    if not isinstance(found, dict):
        raise bad("filter", "filter[tags] must be a list of key and value")
    tags = []
    for pair in found.values():
        if not isinstance(pair, dict):
            raise bad("filter", "filter[tags] must be a list of key and value")
        tags.append({part: texts[-1] for part, texts in pair.items() if part in ("key", "value")})
    return tags


def _since(name: str, text: str, now_ms: int) -> int:
    try:
        return times.parse_bound(text, now_ms=now_ms, is_end=False)
    except ValueError:
        raise bad("filter", f"filter[{name}] must be a date or a span such as 1 day") from None


def _texts(tree: Tree, name: str) -> list[str]:
    found = tree.get(name, [])
    return [part for text in found for part in text.split(",")] if isinstance(found, list) else []


def _last(tree: Tree, name: str) -> str | None:
    found = tree.get(name)
    return found[-1] if isinstance(found, list) and found else None


def _whole(tree: Tree, name: str, default: int) -> int:
    text = _last(tree, name)
    if text is None:
        return default
    if not text.lstrip("-").isdigit() or len(text) > 9 or not text.isascii():
        raise bad(name, f"{name} must be a whole number")
    return int(text)
