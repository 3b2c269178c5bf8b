"""Calendar periods in UTC: when a minute, hour, day, week, month, quarter or year starts and ends."""

from functools import lru_cache
from typing import Literal, get_args

from chalicelib.codec.times import DAY_MS, add_months, from_datetime, to_datetime

Interval = Literal["minute", "hour", "day", "month", "quarter", "year"]
Chunk = Literal["day", "week", "month", "quarter"]
INTERVALS: tuple[str, ...] = get_args(Interval)
CHUNKS: tuple[str, ...] = get_args(Chunk)

_STEP_MS = {"minute": 60_000, "hour": 3_600_000, "day": DAY_MS, "week": 7 * DAY_MS}
_STEP_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday."""


def period_start(time_ms: int, period: str) -> int:
    """Return the first millisecond of the period in which ``time_ms`` lies. Weeks start on Monday.

    >>> from chalicelib.codec.times import parse_time, to_iso
    >>> to_iso(period_start(parse_time("2026-08-20"), "quarter"))
    '2026-07-01T00:00:00.000Z'
    """
    if period in _STEP_MS:
        origin = _MONDAY_MS if period == "week" else 0
        return time_ms - (time_ms - origin) % _STEP_MS[period]
    moment = to_datetime(time_ms)
    months = _STEP_MONTHS[period]
    month = (moment.month - 1) // months * months + 1
    return from_datetime(moment.replace(month=month, day=1, hour=0, minute=0, second=0, microsecond=0))


def shift(start_ms: int, period: str, count: int) -> int:
    """Return the start of the period that is ``count`` periods after the one that starts at ``start_ms``.

    Raises:
        ValueError: the step leaves the years 1100 to 9999.
    """
    if period in _STEP_MS:
        return start_ms + count * _STEP_MS[period]
    return add_months(start_ms, count * _STEP_MONTHS[period])


def period_count(start_ms: int, end_ms: int, period: str) -> int:
    """Return how many periods the range [start_ms, end_ms] touches; 0 if it is empty.

    >>> period_count(0, 59_999, "minute"), period_count(0, 60_000, "minute")
    (1, 2)
    """
    if end_ms < start_ms:
        return 0
    first, last = period_start(start_ms, period), period_start(end_ms, period)
    if period in _STEP_MS:
        return (last - first) // _STEP_MS[period] + 1
    start, end = to_datetime(first), to_datetime(last)
    return ((end.year - start.year) * 12 + end.month - start.month) // _STEP_MONTHS[period] + 1


def window(now_ms: int, period: str, retention: int) -> tuple[int, int]:
    """Return the first and the last millisecond for which an immutable device accepts points.

    It keeps ``retention`` full chunks and the current one, and accepts points up to the end of tomorrow.

    Source: TagoIO, data retention.
    """
    return _window(now_ms - now_ms % DAY_MS, period, retention)


@lru_cache(maxsize=1_024)
def _window(now_ms: int, period: str, retention: int) -> tuple[int, int]:
    """Compute the window. It is the same all day."""
    start_ms = shift(period_start(now_ms, period), period, -retention)
    return start_ms, period_start(now_ms, "day") + 2 * DAY_MS - 1


def expiry_ms(time_ms: int, period: str, retention: int) -> int:
    """Return when a point at ``time_ms`` expires: the end of its chunk plus ``retention`` chunks."""
    return _expiry_ms(time_ms - time_ms % DAY_MS, period, retention)


@lru_cache(maxsize=1_024)
def _expiry_ms(time_ms: int, period: str, retention: int) -> int:
    return shift(period_start(time_ms, period), period, retention + 1)
