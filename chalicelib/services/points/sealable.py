"""Says which segments on DynamoDB are worth sealing. Pure: it goes by a device's settings, or by a segment alone.

To delete a million segments costs about 0.70 dollars, and what they take costs 0.13 dollars a month. So a day is sealed
only if its points are kept for seven months or more.
"""

from chalicelib.codec.keys import DAY_MS, key_time_ms
from chalicelib.services.points import sealing
from chalicelib.store import Doc

LEAST_DAYS = 210
"""How many days a device must keep its points: seven months of thirty days."""
_DAYS = {"day": 1, "week": 7, "month": 30, "quarter": 91}


def is_worth(device: Doc) -> bool:
    """Return whether the days of a device are worth sealing. Only those of immutable devices can be sealed."""
    if device["type"] != "immutable":
        return False
    return _DAYS[device["chunk_period"]] * int(device["chunk_retention"]) >= LEAST_DAYS


def day_of(*, key: str, points: int, expires_at: int | None) -> int | None:
    """Return the UTC day in which a new segment should be sealed, in days since 1970; None: it should not.

    It may name a day of a device that keeps its points for a few days too short: the sealer reads the settings.
    """
    time_ms = key_time_ms(key)
    if not sealing.is_small(points) or expires_at is None or expires_at * 1000 - time_ms < LEAST_DAYS * DAY_MS:
        return None
    return time_ms // DAY_MS
