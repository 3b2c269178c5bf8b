"""What payload parsers give: records, which are mended until they are points.

Decoders rely on this. A field that breaks a rule is left out, and only a record that cannot be a point is dropped: no
record of a parser makes a request fail.

Source: cases of public decoders, and TagoIO, "Sending Data" (limits).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from chalicelib.codec import jsontext, times
from chalicelib.schemas import points
from chalicelib.schemas.points import PointIn

MAX_RECORDS = 1_000
MAX_NOTES = 100
_SCALAR = (str, int, float)  # bool is an int
_DATES = ("%a %b %d %Y %H:%M:%S GMT%z", "%a, %d %b %Y %H:%M:%S GMT", "%m/%d/%Y, %I:%M:%S %p")
"""What JavaScript's ``String(date)``, ``date.toUTCString()`` and ``date.toLocaleString()`` write."""


class Mended(NamedTuple):
    """Records that are points now."""

    items: list[PointIn]
    """In their order. A time is in the API's format; one that is the time of arrival is left out."""
    notes: list[str]
    """What was left out, dropped or renamed, a line each."""
    dropped: int
    """How many records were dropped."""


def read(text: str) -> list[Any]:
    """Return the records of a parser's output. A single one is a list of one, null is none; lists in lists are joined.

    Args:
        text: JSON, as the engine writes it.

    Raises:
        ValueError: it is a text, a number or a boolean, is nested too deep, or has over 1,000 records.
    """
    output = _loads(text)
    if output is None:
        return []
    if not isinstance(output, dict | list):
        raise ValueError("payload must be an array of records at the end, not a single value")
    records: list[Any] = []
    waiting = [output]
    while waiting:
        record = waiting.pop()
        if isinstance(record, list):
            waiting += reversed(record)
            continue
        records.append(record)
        if len(records) > MAX_RECORDS:
            raise ValueError(f"The parser gave over {MAX_RECORDS:,} records; at most {MAX_RECORDS:,} are allowed")
    return records


def _loads(text: str) -> Any:
    """Parse JSON. Half of a surrogate pair, which JavaScript allows in a text, becomes a question mark."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(jsontext.without_surrogates(text))
    except (orjson.JSONDecodeError, RecursionError):
        raise ValueError("payload is nested too deep at the end") from None


def mend(records: list[Any], *, now_ms: int, window: tuple[int, int] | None) -> Mended:
    """Make points of records.

    Args:
        records: as ``read`` returns them.
        now_ms: the time of arrival.
        window: the first and last time that the device takes; None: any.

    Cost: about 30 microseconds a record.
    """
    items: list[PointIn] = []
    notes: dict[str, None] = {}  # a set in order
    for index, record in enumerate(records):
        try:
            item, problems = _mend(record, now_ms, window)
            items.append(item)
        except ValueError as error:
            problems = [f"{error}; the record is dropped"]
        for problem in problems:
            notes[problem if problem.startswith(_RENAMED) else f"record {index}: {problem}"] = None
    lines = [*notes]
    if len(lines) > MAX_NOTES:
        lines[MAX_NOTES - 1 :] = [f"and {len(lines) - MAX_NOTES + 1} more lines of this kind"]
    return Mended(items, lines, len(records) - len(items))


def _mend(record: Any, now_ms: int, window: tuple[int, int] | None) -> tuple[PointIn, list[str]]:
    """Return a record as a point, and what was changed. Raises ValueError: it cannot be a point."""
    if not isinstance(record, dict):
        raise ValueError("a record must be an object")
    item: Any = {"variable": _variable(record.get("variable"))}
    problems = _renamed(record["variable"], item["variable"])
    time_ms = _time_ms(record.get("time"))
    if window is not None and not window[0] <= (now_ms if time_ms is None else time_ms) <= window[1]:
        raise ValueError(f"time must be between {' and '.join(times.to_iso(bound)[:10] for bound in window)}")
    if time_ms not in (None, now_ms):
        item["time"] = times.to_iso(time_ms)
    for name, read_field in _OPTIONAL.items():
        sent = record.get(name)
        if sent is None and name == "value" and name in record:
            problems.append("value is null, or was NaN or infinite; the point has none")
        if sent is not None:
            try:
                item[name] = read_field(sent)
            except ValueError as error:
                problems.append(f"{error}; it is left out")
    return item, problems


def _variable(sent: Any) -> str:
    if sent is None:
        raise ValueError("variable is required")
    return points.clean_variable(points.FORBIDDEN.sub("_", _text("variable", sent).lower()))


_RENAMED = "stored as "


def _renamed(sent: Any, name: str) -> list[str]:
    if not isinstance(sent, str) or sent.lower() == name:
        return []
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return [f"{_RENAMED}{shown}: a name must not contain * ? ! < > . - = $, spaces or control characters"]


def _text(name: str, sent: Any) -> str:
    """Return a text, or a number or boolean as text, as decoders give numbers for groups and units."""
    if isinstance(sent, str):
        return sent
    if not isinstance(sent, _SCALAR):
        raise ValueError(f"{name} must be a text")
    return jsontext.dumps(sent)


def _time_ms(sent: Any) -> int | None:
    """Return a time in milliseconds since 1970; None: the time of arrival."""
    if sent is None or sent == "":
        return None
    if isinstance(sent, bool) or not isinstance(sent, _SCALAR):
        raise ValueError("time is not a time")
    try:
        return times.parse_time(sent)
    except ValueError as error:
        try:
            time_ms = _date_ms(sent) if isinstance(sent, str) else None
        except ValueError as why:
            raise ValueError(f"time {why}") from None
        if time_ms is None:
            raise ValueError(f"time {error}: {times.TIME_FORMS}") from None
        return time_ms


def _date_ms(text: str) -> int | None:
    bare = text.partition(" (")[0]  # String(date) ends with the name of the zone in brackets
    for form in _DATES:
        try:
            moment = datetime.strptime(bare, form)
        except ValueError:
            continue
        return times.in_range(times.from_datetime(moment))
    return None


def _value(sent: Any) -> Any:
    if not isinstance(sent, _SCALAR):
        raise ValueError("value must be a text, a number or a boolean")
    return points.check_value(sent)


def _unit(sent: Any) -> str:
    return points.check_text("unit", _text("unit", sent), points.MAX_UNIT_CHARS)


def _group(sent: Any) -> str:
    return points.check_text("group", _text("group", sent), points.MAX_GROUP_CHARS)


def _location(sent: Any) -> dict[str, Any]:
    if not isinstance(sent, dict):
        raise ValueError("location must be {lat, lng} or a GeoJSON Point")
    return points.clean_location(sent)


def _metadata(sent: Any) -> dict[str, Any]:
    if not isinstance(sent, dict):
        raise ValueError("metadata must be an object")
    points.check_metadata(sent, 0)  # its depth, before it is written
    points.check_metadata(sent, len(jsontext.dumps(sent).encode()))
    return sent


_OPTIONAL: dict[str, Callable[[Any], Any]] = {
    "value": _value, "unit": _unit, "group": _group, "serie": _group, "location": _location, "metadata": _metadata,
}  # fmt: skip
"""How each field that a point may lack is read."""
