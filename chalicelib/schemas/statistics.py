"""The parameters of statistics of devices and profiles."""

from datetime import UTC, tzinfo
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from chalicelib import errors
from chalicelib.codec import times
from chalicelib.codec.querystring import Tree
from chalicelib.schemas.parameters import bound, choice, one

Periodicity = Literal["hour", "day", "month"]
_LONGEST_MONTHS = {"hour": 1, "day": 3, "month": 12}
_DEFAULTS = {"hour": "24 hours", "day": "3 months", "month": "12 months"}
_TOLERANCE_MS = 86_400_000
"""Ranges of whole days may reach a day further: both ends are counted."""


class StatisticsQuery(NamedTuple):
    """A range of time, and the length of its parts."""

    start_ms: int
    end_ms: int
    """The last millisecond that belongs to the range."""
    periodicity: Periodicity
    zone: tzinfo
    """Where days and hours begin. Months are those of UTC, as the counters are."""
    now_ms: int


def read_statistics(tree: Tree, now_ms: int) -> StatisticsQuery:
    """Read the parameters: ``date``, or ``start_date``, ``end_date`` and ``periodicity``; and ``timezone``.

    Without both bounds, the range is the last 24 hours, 3 or 12 months, by the periodicity.

    Raises:
        errors.BadRequest: a parameter breaks a rule, the range ends before it starts, or it is longer than 1 month of
            hours, 3 months of days or 12 months of months.

    Source: TagoIO's clients.
    """
    zone = _zone(one(tree, "timezone"))
    day = one(tree, "date")
    if day is not None:
        start_ms, end_ms = (_day_bound(day, now_ms, zone, is_end=is_end) for is_end in (False, True))
        return StatisticsQuery(start_ms, end_ms, "hour", zone, now_ms)
    kind = choice("periodicity", one(tree, "periodicity") or "hour", _DEFAULTS)
    start, end = (bound(tree, name, now_ms=now_ms, zone=zone) for name in ("start_date", "end_date"))
    if start is None or end is None:
        start, end = times.parse_span(_DEFAULTS[kind], now_ms), now_ms
    if end < start:
        raise errors.BadRequest.field("end_date", "end_date must not be before start_date")
    months = _LONGEST_MONTHS[kind]
    if end - _TOLERANCE_MS > times.add_months(start, months):
        raise errors.BadRequest.field("start_date", f"The maximum range for {kind} is {months} month between the dates")
    return StatisticsQuery(start, end, kind, zone, now_ms)  # type: ignore[arg-type]


def _day_bound(text: str, now_ms: int, zone: tzinfo, *, is_end: bool) -> int:
    try:
        if len(text) != len("2026-01-31"):
            raise ValueError
        return times.parse_bound(text, now_ms=now_ms, is_end=is_end, zone=zone)
    except ValueError:
        raise errors.BadRequest.field("date", "date must be a day such as 2026-01-31") from None


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise errors.BadRequest.field("timezone", "timezone must be an IANA name such as Europe/Berlin") from None
