"""Checks every rule of the points that a client sent, and writes their lines for the segment."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from chalicelib import errors
from chalicelib.codec import jsontext, keys, numbers, times
from chalicelib.codec.segment import HAS_LOCATION, HAS_VALUE, Draft
from chalicelib.schemas import points as schema
from chalicelib.schemas.points import PointIn

_clean_names: dict[str, str] = {}
_MAX_CLEAN_NAMES = 10_000
_MAX_MAGNITUDE = numbers.MAX_MAGNITUDE


def draft_all(*, items: Sequence[PointIn], now_ms: int, group_of: Callable[[Sequence[int]], str]) -> list[Draft]:
    """Check every item; return the points in rising order of time. Points of the same time keep their order.

    Args:
        items: as the schema read them.
        now_ms: the time of points that have none.
        group_of: returns the group of points that have none, from the times of all points in milliseconds since 1970.

    Raises:
        errors.BadRequest: an item breaks a rule; the text names the index and the field of the first.
    """
    times_read: list[tuple[int, str]] = []
    try:  # noqa: SIM105 - suppress() costs a part of a short request's time
        times_read += [_time(item, now_ms) for item in items]
    except ValueError:
        pass  # it is raised again below, for the first item that breaks a rule
    group = group_of([time_ms for time_ms, _ in times_read]) if times_read else ""
    drafts = []
    is_rising, last_ms = True, keys.EARLIEST_MS
    for index, item in enumerate(items):
        try:
            point = draft(item, now_ms=now_ms, group=group, time=times_read[index] if times_read else None)
        except ValueError as error:
            raise errors.BadRequest.item(index, str(error)) from None
        drafts.append(point)
        if point.time_ms < last_ms:
            is_rising = False
        last_ms = point.time_ms
    if not is_rising:
        drafts.sort(key=_time_of)
    return drafts


def _time_of(point: Draft) -> int:
    return point.time_ms


def draft(item: PointIn | dict[str, Any], *, now_ms: int, group: str, time: tuple[int, str] | None = None) -> Draft:
    """Check one item and return it as a point.

    Args:
        item: what was sent.
        now_ms: its time if it has none.
        group: its group if it has none.
        time: its time in milliseconds since 1970 and as text, if that was read already.

    Raises:
        ValueError: the item breaks a rule; the text names the field and the rule.
    """
    sent = item.get("variable")
    if sent is None:
        raise ValueError("variable is required")
    variable = _clean_names.get(sent) or _clean(sent)
    out: dict[str, Any] = {"variable": variable}
    kinds, is_exact = 0, False
    value = item.get("value")
    if value is not None:
        if type(value) is not float or not -_MAX_MAGNITUDE < value < _MAX_MAGNITUDE:  # most are floats in range
            is_exact = _needs_exact(value)
            schema.check_value(value)
        out["value"] = value
        kinds = HAS_VALUE
    unit = item.get("unit")
    if unit is not None:
        out["unit"] = schema.check_text("unit", unit, schema.MAX_UNIT_CHARS)
    out["group"] = _group(item) or group
    time_ms, out["time"] = time or _time(item, now_ms)
    location = item.get("location")
    if location is not None:
        out["location"] = schema.clean_location(location)
        kinds |= HAS_LOCATION
    metadata = item.get("metadata")
    if metadata is not None:
        schema.check_metadata(metadata, 0)  # its depth, before it is written
        out["metadata"] = metadata
    line = jsontext.dumps(out)
    if metadata is not None and 4 * len(line) > schema.MAX_METADATA_BYTES:  # else it is small, as the whole line is
        schema.check_metadata(metadata, len(jsontext.dumps(metadata).encode()))
    is_exact = is_exact or (metadata is not None and numbers.may_be_inexact(line.encode()))
    return Draft(time_ms, variable, kinds, line[1:], is_exact)


def _needs_exact(value: object) -> bool:
    """Return whether a value needs exact decoding: a fraction that is a Decimal, or a whole number over 64 bits."""
    return isinstance(value, Decimal) or (isinstance(value, int) and not -(2**63) <= value < 2**64)


def _clean(sent: str) -> str:
    if len(_clean_names) >= _MAX_CLEAN_NAMES:
        _clean_names.clear()
    variable = schema.clean_variable(sent)
    _clean_names[sent] = variable
    return variable


def _group(item: PointIn | dict[str, Any]) -> str | None:
    group = item.get("group")
    if group is None:
        serie = item.get("serie")
        if serie is None:
            return None
        group = str(serie)
    return schema.check_text("group", group, schema.MAX_GROUP_CHARS)


def _time(item: PointIn | dict[str, Any], now_ms: int) -> tuple[int, str]:
    """Return the time of an item in milliseconds and in the API's format. Raises ValueError: not a time."""
    time = item.get("time")
    if isinstance(time, str) and (time_ms := times.canonical_ms(time)) is not None:
        return time_ms, time
    if time is None or time == "":
        return now_ms, times.to_iso(now_ms)
    return _read_time(time)


def _read_time(time: str | int | float) -> tuple[int, str]:
    """Return the time that a client sent, in milliseconds and in the API's format.

    Raises:
        ValueError: not a time.
    """
    try:
        time_ms = times.parse_time(time)
    except ValueError as error:
        raise ValueError(f"time {error}: {times.TIME_FORMS}") from None
    return time_ms, times.to_iso(time_ms)
