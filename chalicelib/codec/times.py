"""Reads every spelling of a time that clients use, as whole milliseconds since 1970 UTC."""

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from chalicelib.codec import zones
from chalicelib.codec.keys import EARLIEST_MS, LATEST_MS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
_MINUTES = tuple(f"{minute // 60:02}:{minute % 60:02}:" for minute in range(1_440))
_SECONDS = tuple(f"{second:02}." for second in range(60))
_MILLIS = tuple(f"{milli:03}Z" for milli in range(1_000))
_MILLISECOND = timedelta(milliseconds=1)
SECONDS_BELOW = 100_000_000_000
"""A bare number below this counts seconds since 1970, any other milliseconds. As milliseconds, it is 1973-03-03."""

TIME_FORMS = "send 2026-01-31T12:00:00Z, 2026-01-31, or seconds or milliseconds since 1970"
"""The forms of a time, for error messages."""
BOUND_FORMS = f"{TIME_FORMS}, or a span such as 1 day"
"""The forms of ``start_date`` and ``end_date``, for error messages."""

_NUMBER = re.compile(r"-?\d{9,17}(\.\d+)?")
_BLANK_OFFSET = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")
_END_OF_DAY = re.compile(r"(?<=[T ])24(?=:?00(?::?00(?:[.,]0+)?)?(?:Z|[+-]|$))")
_LEAP_SECOND = re.compile(r"(?:(?<=[T ]\d\d:\d\d:)|(?<=[T ]\d{4}))60(?:[.,]\d+)?")
_SPAN = re.compile(r"(\d{1,9})\s*([A-Za-z]+)")
_CALENDAR_MONTHS = {"M": 1, "MM": 1, "month": 1, "quarter": 3, "y": 12, "yy": 12, "year": 12}
_FIXED_MS = {
    **dict.fromkeys(("S", "SS", "ms", "millisecond"), 1),
    **dict.fromkeys(("s", "ss", "sec", "second"), 1_000),
    **dict.fromkeys(("m", "mm", "min", "minute"), 60_000),
    **dict.fromkeys(("h", "hh", "hour"), 3_600_000),
    **dict.fromkeys(("d", "dd", "day"), DAY_MS),
    **dict.fromkeys(("w", "ww", "week"), 7 * DAY_MS),
}


@lru_cache(maxsize=256)
def to_iso(time_ms: int) -> str:
    """Write a time in the API's format.

    >>> to_iso(1767225600123)
    '2026-01-01T00:00:00.123Z'
    """
    return (EPOCH + timedelta(milliseconds=time_ms)).isoformat("T", "milliseconds")[:-6] + "Z"


class DayTexts:
    """Writes times of one UTC day as ``to_iso`` does, some times as fast.

    Args:
        time_ms: a time of the day.
    """

    def __init__(self, time_ms: int) -> None:
        self.start_ms = time_ms - time_ms % DAY_MS
        self._date = to_iso(self.start_ms)[:11]

    def of(self, times_ms: Iterable[int]) -> list[str]:
        """Return the texts of times.

        >>> DayTexts(1767225600000).of([1767225600123])
        ['2026-01-01T00:00:00.123Z']
        """
        date, start_ms = self._date, self.start_ms
        return [
            f"{date}{_MINUTES[(ms := time_ms - start_ms) // 60_000]}{_SECONDS[ms // 1000 % 60]}{_MILLIS[ms % 1000]}"
            for time_ms in times_ms
        ]


def canonical_ms(text: str) -> int | None:
    """Return the time of a text in the API's format, or None if it is in another. A fast path for storing points.

    >>> canonical_ms("2026-01-01T00:00:00.123Z"), canonical_ms("2026-01-01")
    (1767225600123, None)
    """
    if len(text) != 24 or text[7] != "-" or text[10] != "T" or text[19] != "." or text[23] != "Z":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    time_ms = int(moment.timestamp() // 1) * 1000 + moment.microsecond // 1000
    return time_ms if time_ms >= EARLIEST_MS else None


def to_datetime(time_ms: int) -> datetime:
    """Return ``time_ms`` as an aware datetime in UTC."""
    return EPOCH + timedelta(milliseconds=time_ms)


def from_datetime(moment: datetime) -> int:
    """Return ``moment`` in milliseconds since 1970, cut to the millisecond, not rounded. A naive one is in UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // _MILLISECOND


def parse_time(value: str | int | float, zone: tzinfo = UTC) -> int:
    """Read an absolute time.

    ISO 8601 with or without offset, ``YYYY-MM-DD HH:mm:ss``, ``YYYY-MM-DD``, or a number since 1970: seconds below
    10**11, else milliseconds, as a number or as text of at least nine digits. Digits past the millisecond are cut.
    ``24:00`` is the next midnight, a leap second the start of the next minute. ``T`` and ``Z`` may be lower case.

    Args:
        value: what the client sent; ``bool`` is refused.
        zone: the time zone of a text that names none.

    Returns:
        Milliseconds since 1970 UTC, within the years 1100 to 9999.

    Raises:
        ValueError: not a time, or outside that range; the text says which.

    Source: TagoIO, data model and query parameters. The reading of bare numbers and the range are ours.

    >>> parse_time("2026-01-01 01:00:00+01:00") == parse_time(1767225600) == parse_time("2026-01-01")
    True
    """
    if isinstance(value, bool):
        raise ValueError("is not a time")
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _from_number(float(text) if "." in text else int(text))
        return in_range(_from_text(text, zone))
    return _from_number(value)


def _from_number(value: int | float) -> int:
    if not -1e17 < value < 1e17:
        raise ValueError("is out of range")
    if -SECONDS_BELOW < value < SECONDS_BELOW:
        return in_range(value * 1000 if isinstance(value, int) else round(value * 1000))
    return in_range(int(value // 1))


def _from_text(text: str, zone: tzinfo) -> int:
    plain, midnights = _END_OF_DAY.subn("00", _BLANK_OFFSET.sub(r"\1+\2", text.upper()))
    plain, leaps = _LEAP_SECOND.subn("59", plain)
    try:
        moment = datetime.fromisoformat(plain) + timedelta(days=midnights, seconds=leaps)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        time_ms = (moment - EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise ValueError("is not a date") from None
    if leaps and time_ms % DAY_MS:
        raise ValueError("has the second 60, which only 23:59:60 UTC can have")
    return time_ms


def in_range(time_ms: int) -> int:
    """Return a time in milliseconds since 1970 if it can be stored. Raises ValueError: it cannot."""
    if not EARLIEST_MS <= time_ms <= LATEST_MS:
        raise ValueError("must be between the years 1100 and 9999")
    return time_ms


def parse_span(text: str, now_ms: int, direction: int = -1) -> int:
    """Read a relative time such as ``1 day``, ``5 minutes``, ``10d`` or ``1month`` and count it from now.

    Months, quarters and years are calendar steps. If the resulting month has no such day, its last day is taken.

    Args:
        text: one whole number and one unit; ``M`` is months, ``m`` minutes.
        now_ms: milliseconds since 1970.
        direction: -1 counts into the past, 1 into the future.

    Returns:
        Milliseconds since 1970; never outside the years 1100 to 9999.

    Raises:
        ValueError: not one number and one known unit, or outside the years 1100 to 9999.

    >>> to_iso(parse_span("1 month", parse_time("2026-03-31")))
    '2026-02-28T00:00:00.000Z'
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a date")
    count, unit = int(match[1]), match[2]
    singular = unit[:-1] if len(unit) > 3 and unit.endswith("s") else unit
    if singular in _FIXED_MS:
        return in_range(now_ms + direction * count * _FIXED_MS[singular])
    if singular in _CALENDAR_MONTHS:
        return add_months(now_ms, direction * count * _CALENDAR_MONTHS[singular])
    raise ValueError("is not a date")


def add_months(time_ms: int, months: int) -> int:
    """Add calendar months. If the resulting month has no such day, its last day is taken.

    Raises:
        ValueError: the step leaves the years 1100 to 9999.
    """
    moment = to_datetime(time_ms)
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1100 <= year <= 9999:
        raise ValueError("must be between the years 1100 and 9999")
    day = min(moment.day, monthrange(year, month + 1)[1])
    return from_datetime(moment.replace(year=year, month=month + 1, day=day))


def parse_bound(text: str, *, now_ms: int, is_end: bool, zone: tzinfo = UTC) -> int:
    """Read ``start_date`` or ``end_date`` of a query: an absolute time, a span back from now, or ``now``.

    A date without a time of day (at most ten characters) means the local day: its first millisecond as a start, and its
    last millisecond as an end. The day has as many hours as the zone gives it.

    Raises:
        ValueError: it is none of these.

    Source: TagoIO, "Get device data"; that a span counts back for both bounds is ours.

    >>> to_iso(parse_bound("2026-01-31", now_ms=0, is_end=True))
    '2026-01-31T23:59:59.999Z'
    """
    text = text.strip()
    if text == "now":
        return now_ms
    if _SPAN.fullmatch(text):
        return parse_span(text, now_ms)
    if len(text) > 10 or _NUMBER.fullmatch(text):
        return parse_time(text, zone)
    day_ms = parse_time(text)
    bound_ms = zones.midnight_ms(day_ms + DAY_MS, zone) - 1 if is_end else zones.midnight_ms(day_ms, zone)
    return min(max(bound_ms, EARLIEST_MS), LATEST_MS)
