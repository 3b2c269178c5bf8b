"""Local time: the offset of a time zone at a moment, and the moment at which a local day begins.

A *wall time* is what a clock in the zone shows, counted in milliseconds as if the zone were UTC.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo

from chalicelib.codec.keys import EARLIEST_MS, LATEST_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MARGIN_MS = 172_800_000
"""Two days. The years 1100 and 9999 change no offset there, and ``datetime`` ends with 9999."""


def _moment(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(time_ms, EARLIEST_MS), LATEST_MS - _MARGIN_MS))


def offset_ms(time_ms: int, zone: tzinfo) -> int:
    """Return by how many milliseconds the zone is ahead of UTC at a moment; negative west of it.

    >>> from zoneinfo import ZoneInfo
    >>> offset_ms(0, ZoneInfo("Asia/Kolkata"))
    19800000
    """
    return (_moment(time_ms).astimezone(zone).utcoffset() or timedelta()) // _MILLISECOND


def midnight_ms(wall_ms: int, zone: tzinfo) -> int:
    """Return when a local day begins, in milliseconds since 1970 UTC.

    If the clock is set forward over midnight, the day begins at that moment. If it is set back and shows midnight
    twice, the day begins the first time; but the second time if it showed the day before in between.

    Args:
        wall_ms: midnight of the day, as a wall time.
        zone: the time zone.
    """
    wall = _moment(wall_ms)
    early, late = (
        wall_ms - (wall.replace(fold=fold, tzinfo=zone).utcoffset() or timedelta()) // _MILLISECOND for fold in (0, 1)
    )
    if early > late:
        return late + bisect_left(
            range(late, early), True, key=lambda time_ms: time_ms + offset_ms(time_ms, zone) >= wall_ms
        )
    return late if early < late and late - 1 + offset_ms(late - 1, zone) < wall_ms else early
