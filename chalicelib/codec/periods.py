"""Calendar periods: when a minute, hour, day, week, month, quarter or year starts and ends, in UTC or local time."""

from bisect import bisect_left, bisect_right
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Literal, get_args

from chalicelib.codec import zones
from chalicelib.codec.keys import HOUR_MS, LATEST_MS
from chalicelib.codec.times import DAY_MS, add_months, from_datetime, to_datetime

Interval = Literal[
    "minute", "5 minutes", "10 minutes", "15 minutes", "30 minutes", "hour", "day", "week", "month", "quarter", "year"
]
Chunk = Literal["day", "week", "month", "quarter"]
INTERVALS: tuple[str, ...] = get_args(Interval)
CHUNKS: tuple[str, ...] = get_args(Chunk)
INTERVAL_OF_SPELLING = {
    f"{minutes}{blank}{unit}": f"{minutes} minutes"
    for minutes in (5, 10, 15, 30)
    for blank in ("", " ")
    for unit in ("m", "min", "mins", "minute", "minutes")
}
"""Other spellings of the intervals of several minutes, such as ``5min``."""

_STEP_MS = {"minute": 60_000, "hour": HOUR_MS, "day": DAY_MS, "week": 7 * DAY_MS}
_STEP_MS |= {f"{minutes} minutes": minutes * 60_000 for minutes in (5, 10, 15, 30)}
_STEP_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_MONDAY_MS = 4 * DAY_MS
"""1970-01-05, the first Monday."""


def is_within_day(interval: str) -> bool:
    """Return whether an interval is shorter than a day."""
    return _STEP_MS.get(interval, DAY_MS) < DAY_MS


def period_start(time_ms: int, period: str) -> int:
    """Return the first millisecond of the period in which ``time_ms`` lies. Weeks start on Monday.

    >>> from chalicelib.codec.times import parse_time, to_iso
    >>> to_iso(period_start(parse_time("2026-08-20"), "quarter"))
    '2026-07-01T00:00:00.000Z'
    """
    if period in _STEP_MS:
        origin = _MONDAY_MS if period == "week" else 0
        return time_ms - (time_ms - origin) % _STEP_MS[period]
    moment = to_datetime(min(time_ms, LATEST_MS))  # east of UTC, the wall time reaches the year 10000
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


def period_count(start_ms: int, end_ms: int, period: str, zone: tzinfo = UTC) -> int:
    """Return how many periods of local time the range [start_ms, end_ms] touches; 0 if it is empty.

    An hour that a clock change cuts in two parts counts once.

    >>> period_count(0, 59_999, "minute"), period_count(0, 60_000, "minute")
    (1, 2)
    """
    if end_ms < start_ms:
        return 0
    offset_ms = zones.offset_ms(start_ms, zone)
    end_offset_ms = offset_ms if _STEP_MS.get(period, DAY_MS) <= HOUR_MS else zones.offset_ms(end_ms, zone)
    first, last = period_start(start_ms + offset_ms, period), period_start(end_ms + end_offset_ms, period)
    if period in _STEP_MS:
        return (last - first) // _STEP_MS[period] + 1
    start, end = to_datetime(first), to_datetime(last)
    return ((end.year - start.year) * 12 + end.month - start.month) // _STEP_MONTHS[period] + 1


def bucket(time_ms: int, interval: str, zone: tzinfo) -> tuple[int, int]:
    """Return the first millisecond of the bucket in which ``time_ms`` lies, and that of the next bucket.

    Days and longer intervals begin at local midnight and have as many hours as the clock changes give them. Hours and
    shorter ones are those of the local clock; a change of the offset ends a bucket, so a repeated hour is two buckets.

    Cost: about 20 microseconds.

    >>> from zoneinfo import ZoneInfo
    >>> start_ms, end_ms = bucket(1_792_900_000_000, "day", ZoneInfo("Europe/Berlin"))
    >>> (end_ms - start_ms) // HOUR_MS  # the end of summer time
    25
    """
    offset_ms = zones.offset_ms(time_ms, zone)
    wall_ms = period_start(time_ms + offset_ms, interval)
    if _STEP_MS.get(interval, DAY_MS) <= HOUR_MS:
        start_ms = wall_ms - offset_ms
        return _of_one_offset(start_ms, time_ms, start_ms + _STEP_MS[interval], offset_ms, zone)
    start_ms = zones.midnight_ms(wall_ms, zone)
    if time_ms < start_ms:
        return zones.midnight_ms(shift(wall_ms, interval, -1), zone), start_ms
    try:
        return start_ms, zones.midnight_ms(shift(wall_ms, interval, 1), zone)
    except ValueError:  # the last period of the year 9999
        return start_ms, LATEST_MS + 1


def _of_one_offset(start_ms: int, time_ms: int, end_ms: int, offset_ms: int, zone: tzinfo) -> tuple[int, int]:
    """Narrow [start_ms, end_ms) to the part around ``time_ms`` that has its offset. An hour has one change at most."""
    if zones.offset_ms(start_ms, zone) != offset_ms:
        start_ms += bisect_left(range(start_ms, time_ms), True, key=lambda ms: zones.offset_ms(ms, zone) == offset_ms)
    if zones.offset_ms(end_ms - 1, zone) != offset_ms:
        end_ms = time_ms + bisect_left(
            range(time_ms, end_ms), True, key=lambda ms: zones.offset_ms(ms, zone) != offset_ms
        )
    return start_ms, end_ms


class Buckets:
    """Finds the buckets of an interval in a time zone. In UTC most are arithmetic; else each is computed once."""

    def __init__(self, interval: str, zone: tzinfo) -> None:
        self._step_ms = _STEP_MS.get(interval, 0) if zone is UTC else 0
        self._origin_ms = _MONDAY_MS if interval == "week" else 0
        self._interval, self._zone = interval, zone
        self._starts: list[int] = []
        self._ends: list[int] = []

    def bounds_of(self, time_ms: int) -> tuple[int, int]:
        """Return the first millisecond of the bucket in which ``time_ms`` lies, and that of the next bucket.

        Cost: a search by halves.
        """
        if self._step_ms:
            start_ms = time_ms - (time_ms - self._origin_ms) % self._step_ms
            return start_ms, start_ms + self._step_ms
        index = bisect_right(self._starts, time_ms)
        if index and time_ms < self._ends[index - 1]:
            return self._starts[index - 1], self._ends[index - 1]
        start_ms, end_ms = bucket(time_ms, self._interval, self._zone)
        self._starts.insert(index, start_ms)
        self._ends.insert(index, end_ms)
        return start_ms, end_ms


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
