"""Hours since 1970, and the calendar months, UTC, that they are in."""

from datetime import UTC, datetime

from chalicelib.host import clock

HOUR_MS = 3_600_000
KEPT = 427 * 24
"""How many hours statistics are kept: 14 months."""


def now() -> int:
    """Return the current hour."""
    return clock.now_ms() // HOUR_MS


def month(hour: int) -> str:
    """Return the month of an hour.

    >>> month(0)
    '1970-01'
    """
    return datetime.fromtimestamp(hour * 3_600, UTC).strftime("%Y-%m")


def of_month(hour: int) -> int:
    """Return the first hour of the month of an hour.

    >>> of_month(31 * 24 + 5) == 31 * 24
    True
    """
    start = datetime.fromtimestamp(hour * 3_600, UTC).replace(day=1, hour=0)
    return int(start.timestamp()) // 3_600
