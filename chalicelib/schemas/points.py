"""Points as clients send them, and the rules of each field.

Source: TagoIO, "Sending Data" (limits) and the official clients (shapes).
"""

import hashlib
import math
import re
from decimal import Decimal
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl

from pydantic import ConfigDict, FailFast, StrictBool, StrictFloat, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec import jsontext, keys, numbers, querystring, times
from chalicelib.schemas import ignored
from chalicelib.schemas.bodies import read_items, read_json

MAX_VARIABLE_CHARS = 100
MAX_UNIT_CHARS = 25
MAX_GROUP_CHARS = 100
MAX_VALUE_BYTES = 6_000
MAX_METADATA_BYTES = 10_000
MAX_METADATA_DEPTH = 32
MAX_EDITS = 25
MAX_POINTS = len(keys.HEX4)
"""Only a compressed body can hold more."""

FORBIDDEN = re.compile(r"[*?!<>.\-=$\s\x00-\x1f\x7f-\x9f]")
"""What the name of a variable must not hold."""
_Text = StrictStr | None
_BOUNDS = (180, 90, 1_000_000_000)
"""The largest longitude and latitude in degrees, and a height in meters that is beyond any satellite."""


def _add_rules(schema: dict[str, Any]) -> None:
    """Add what ``clean_variable``, ``check_value``, ``clean_location`` and the others demand to the JSON Schema."""
    fields = schema["properties"]
    fields["variable"] |= {"minLength": 1, "maxLength": MAX_VARIABLE_CHARS, "pattern": r"^[^*?!<>.\-=$\s]+$"}
    fields["value"]["description"] = f"A text has at most {MAX_VALUE_BYTES:,} bytes"
    fields["unit"]["maxLength"] = MAX_UNIT_CHARS
    fields["group"]["maxLength"] = fields["serie"]["maxLength"] = MAX_GROUP_CHARS
    fields["serie"]["description"] = "Another name of `group`"
    fields["time"]["description"] = f"{times.TIME_FORMS}. The time of arrival if absent"
    degrees = [{"type": "number", "minimum": -bound, "maximum": bound} for bound in _BOUNDS]
    pair = {"properties": dict(zip(("lng", "lat"), degrees, strict=False)), "required": ["lat", "lng"]}
    geo_json = {
        "properties": {"coordinates": {"type": "array", "prefixItems": degrees, "minItems": 2, "maxItems": 3}},
        "required": ["coordinates"],
    }
    fields["location"] |= {
        "description": "`lat` and `lng`, or a GeoJSON Point, whose coordinates are longitude, latitude and height",
        "if": {"type": "object"},
        "then": {"anyOf": [pair, geo_json]},
    }
    fields["metadata"]["description"] = f"At most {MAX_METADATA_BYTES:,} bytes of JSON, {MAX_METADATA_DEPTH} deep"


class PointIn(TypedDict, total=False):
    """A point of POST /data; other fields are ignored."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False, json_schema_extra=_add_rules)  # type: ignore[misc]
    variable: StrictStr
    value: StrictBool | StrictInt | StrictFloat | StrictStr | None
    unit: _Text
    group: _Text
    serie: StrictStr | StrictInt | StrictFloat | None
    time: StrictStr | StrictInt | StrictFloat | None
    location: dict[str, Any] | None
    metadata: dict[str, Any] | None


class EditIn(PointIn, total=False):
    """An edit of PUT /data: the point with this ``id`` gets the other fields."""

    id: StrictStr


FIELDS = frozenset(PointIn.__annotations__)
EDIT_FIELDS = frozenset(EditIn.__annotations__)
_points = TypeAdapter(Annotated[list[PointIn], FailFast()])
_point = TypeAdapter(PointIn)
_edits = TypeAdapter(Annotated[list[EditIn], FailFast()])
_edit = TypeAdapter(EditIn)


class Sent(NamedTuple):
    """The points that a request or message sent."""

    items: list[PointIn]
    raw: bytes
    """The body as received. Services use only its digest."""
    ignored: tuple[str, ...] = ()
    """Names in the first point that nothing reads; see ``ignored.fields``."""
    made: bytes = b""
    """What payload parsers have made of the body, as JSON. It can differ for equal bodies."""

    def digest(self, *, device: str, origin: str) -> bytes:
        """Return 32 bytes that are equal for equal requests and differ for all others.

        Args:
            device: the id of the device that the points belong to.
            origin: a text that distinguishes requests with equal bodies. If it is empty, equal bodies of which payload
                parsers have made different points are different requests.
        """
        parts = [device.encode(), origin.encode(), self.raw]
        if self.made and not origin:
            parts.append(self.made)
        return hashlib.sha256(b"\0".join(parts)).digest()


def read_points(raw: bytes, *, is_form: bool = False) -> Sent:
    """Read one point or an array of points.

    Raises:
        errors.BadRequest: the body is not JSON, holds no points, or holds a number that is not finite.
        errors.TooLarge: it holds more than 16,384 points.
    """
    start = raw.lstrip()[:1]
    if is_form and start not in (b"[", b"{"):  # curl -d calls every body a form, JSON too
        item = _from_form(raw)
        return Sent([item], raw, ignored.fields(b"", [item], FIELDS))
    if start == b"[":
        items = read_items(_points, raw)
        if len(items) > MAX_POINTS:
            raise errors.TooLarge(f"The body holds {len(items)} points, more than {MAX_POINTS}: send fewer a request")
    elif start == b"{":
        items = [read_json(_point, raw)]
    else:
        raise _no_points(raw)
    return Sent(_with_exact_values(items, raw), raw, ignored.fields(raw, items, FIELDS))


def read_edits(raw: bytes) -> list[EditIn]:
    """Read one edit or an array of at most 25.

    Raises:
        errors.BadRequest: as in ``read_points``; an edit has no ``id``; or there are too many.
    """
    start = raw.lstrip()[:1]
    if start not in (b"[", b"{"):
        raise _no_points(raw)
    items = read_items(_edits, raw) if start == b"[" else [read_json(_edit, raw)]
    if len(items) > MAX_EDITS:
        raise errors.BadRequest(f"You have exceeded the maximum number of {MAX_EDITS} items in a single request")
    for index, item in enumerate(items):
        if "id" not in item:
            raise errors.BadRequest.item(index, "id is required")
    return _with_exact_values(items, raw)


def payload_point(payload: bytes, about: dict[str, Any], *, is_hex: bool) -> PointIn:
    """Return the point that a payload without points becomes: its bytes as hex digits, or as text."""
    value = payload.hex() if is_hex else payload.decode(errors="replace")
    return {"variable": "payload", "value": value, "metadata": about}


def _no_points(raw: bytes) -> errors.BadRequest:
    if raw.strip():
        read_json(TypeAdapter(Any), raw)
        return errors.BadRequest("The body must be a JSON object or an array of objects")
    return errors.BadRequest("The body is empty: send a JSON object or an array of objects")


def _with_exact_values(items: list[Any], raw: bytes) -> list[Any]:
    if numbers.may_be_inexact(raw):
        exact: Any = numbers.loads_exact(raw)
        for item, original in zip(items, exact if isinstance(exact, list) else [exact], strict=True):
            if isinstance(item.get("value"), float):
                item["value"] = original["value"]
    return items


def _from_form(raw: bytes) -> PointIn:
    """Read ``variable=a&value=1``. A form has no types: see ``_typed``."""
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100, errors="strict"
        )
        tree: Any = querystring.parse({name: [text] for name, text in pairs})
    except UnicodeDecodeError:
        raise errors.BadRequest("The form is not UTF-8") from None
    except ValueError as error:
        raise errors.BadRequest(f"The body is not a form: {error}") from None
    point: Any = {name: texts[-1] for name, texts in tree.items() if isinstance(texts, list)}
    if "value" in point:
        point["value"] = _typed(point["value"])
    location, metadata = tree.get("location"), tree.get("metadata")
    if isinstance(location, dict):
        if not all(isinstance(texts, list) for texts in location.values()):
            raise errors.BadRequest.item(0, "location must be {lat, lng}")
        parsed = {name: numbers.parse(texts[-1]) for name, texts in location.items()}
        point["location"] = {name: float(n) if isinstance(n, Decimal) else n for name, n in parsed.items()}
    if isinstance(metadata, dict):
        point["metadata"] = _typed_tree(metadata)
    for name in ("location", "metadata"):
        if isinstance(point.get(name), str):
            raise errors.BadRequest.item(0, f"{name} must be an object")
    return point  # type: ignore[no-any-return]


def _typed(text: str) -> str | int | float | Decimal | bool:
    """Return the number or boolean whose JSON is this very text, else the text, as for ``01``, ``1e5`` and ``+1``."""
    if text in ("true", "false"):
        return text == "true"
    number = numbers.parse(text)
    is_exact = number is not None and numbers.problem(number) is None and jsontext.dumps(number) == text
    return number if number is not None and is_exact else text


def _typed_tree(tree: querystring.Tree) -> dict[str, Any]:
    return {name: _typed(value[-1]) if isinstance(value, list) else _typed_tree(value) for name, value in tree.items()}


def clean_variable(name: str) -> str:
    """Return ``name`` in lower case.

    Raises:
        ValueError: the name is empty, has over 100 characters, or holds one that is not allowed.
    """
    folded = name.lower()
    if not folded:
        raise ValueError("variable must not be empty")
    if len(folded) > MAX_VARIABLE_CHARS:
        raise ValueError(f"variable must have at most {MAX_VARIABLE_CHARS} characters")
    if FORBIDDEN.search(folded):
        raise ValueError("variable must not contain * ? ! < > . - = $, spaces or control characters")
    return folded


def check_value(value: Any) -> Any:
    """Return ``value`` if it can be stored.

    Raises:
        ValueError: a text over 6,000 bytes, or a number out of range.
    """
    if isinstance(value, str):
        if len(value) * 4 > MAX_VALUE_BYTES and len(value.encode()) > MAX_VALUE_BYTES:
            raise ValueError(f"value must have at most {MAX_VALUE_BYTES} bytes")
    elif not isinstance(value, bool):
        problem = numbers.problem(value)
        if problem:
            raise ValueError(f"value {problem}")
    return value


def check_text(name: str, text: str, max_chars: int) -> str:
    """Return ``text`` if it is short enough.

    Raises:
        ValueError: it is too long; the text names the field and the limit.
    """
    if len(text) > max_chars:
        raise ValueError(f"{name} must have at most {max_chars} characters")
    return text


def clean_location(location: dict[str, Any]) -> dict[str, Any]:
    """Return a location, which is ``{"lat", "lng"}`` or a GeoJSON Point, as a GeoJSON Point.

    Its coordinates are ``[lng, lat]``, or ``[lng, lat, height]`` if the client sent a height.

    Raises:
        ValueError: it has neither shape, or a coordinate is out of range.
    """
    height: list[Any] = []
    if "coordinates" in location:
        coordinates = location["coordinates"]
        kind = location.get("type", "Point")
        if not isinstance(coordinates, list) or len(coordinates) not in (2, 3):
            raise ValueError("location.coordinates must be [lng, lat] or [lng, lat, height]")
        if not isinstance(kind, str) or kind.lower() != "point":
            raise ValueError("location.type must be Point")
        lng, lat, *height = coordinates
    elif "lat" in location and "lng" in location:
        lng, lat = location["lng"], location["lat"]
    else:
        raise ValueError("location must be {lat, lng} or a GeoJSON Point")
    for name, number, bound in zip(("lng", "lat", "height"), (lng, lat, *height), _BOUNDS, strict=False):
        if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
            raise ValueError(f"location {name} must be a number")
        if not -bound <= number <= bound:
            raise ValueError(f"location {name} must be between -{bound} and {bound}")
    return {"type": "Point", "coordinates": [lng, lat, *height]}


def check_metadata(metadata: dict[str, Any], encoded_bytes: int) -> None:
    """Check the size, the depth and the numbers of metadata.

    Args:
        metadata: as the client sent it.
        encoded_bytes: its size as JSON.

    Raises:
        ValueError: over 10,000 bytes, nested over 32 deep, or a number that is not finite or not below 1e126.
    """
    if encoded_bytes > MAX_METADATA_BYTES:
        raise ValueError(f"metadata must have at most {MAX_METADATA_BYTES} bytes")
    level: list[Any] = [metadata]
    for _ in range(MAX_METADATA_DEPTH):
        below: list[Any] = []
        for container in level:
            for child in container.values() if isinstance(container, dict) else container:
                if isinstance(child, dict | list):
                    below.append(child)
                elif isinstance(child, float) and not -numbers.MAX_MAGNITUDE < child < numbers.MAX_MAGNITUDE:
                    raise ValueError("metadata must hold only finite numbers smaller than 1e126")
        if not below:
            return
        level = below
    raise ValueError(f"metadata must be nested at most {MAX_METADATA_DEPTH} deep")
