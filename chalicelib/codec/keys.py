"""Segment keys and point ids: fixed-width hex, so that they sort as text in order of time.

A segment's key has 12 hex digits for the time of its newest point and 8 for a suffix. A point's id is the key of the
segment in which it was first stored, and 4 hex digits for its index there. The 12 digits count milliseconds since the
year 1100. So times before 1970 sort correctly, and the digits suffice up to the end of the year 9999.
"""

import re
import secrets
from functools import lru_cache

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
EARLIEST_MS = -27_454_550_400_000
"""1100-01-01T00:00:00.000Z, the oldest time a point may carry."""
LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the newest time a point may carry."""

SUFFIX_COUNT = 1 << 32
HEX4 = tuple(f"{index:04x}" for index in range(16_384))
"""The last four digits of a point's id, by the point's index. A body of 200 kB holds fewer points than this."""

_ID = re.compile(r"[0-9a-f]{24}")


def segment_key(time_ms: int, suffix: int) -> str:
    """Return the key of the segment whose newest point is at ``time_ms``.

    >>> segment_key(0, 255)
    '18f842b95c00000000ff'
    """
    return f"{time_ms - EARLIEST_MS:012x}{suffix:08x}"


@lru_cache(maxsize=4_096)
def key_time_ms(key: str) -> int:
    """Return the newest time, in milliseconds since 1970, that the segment ``key`` can hold.

    >>> key_time_ms(segment_key(-5, 7))
    -5
    """
    return int(key[:12], 16) + EARLIEST_MS


def key_suffix(key: str) -> int:
    """Return the suffix of ``key``."""
    return int(key[12:], 16)


def key_before(key: str) -> str:
    """Return the key that sorts directly below ``key``."""
    return f"{int(key, 16) - 1:020x}"


def key_after(key: str) -> str:
    """Return the key that sorts directly above ``key``."""
    return f"{int(key, 16) + 1:020x}"


def end_of_day(time_ms: int) -> str:
    """Return the highest key of the UTC day of ``time_ms``."""
    return segment_key(min(time_ms - time_ms % DAY_MS + DAY_MS - 1, LATEST_MS), SUFFIX_COUNT - 1)


def key_bounds(start_ms: int, end_ms: int) -> tuple[str, str]:
    """Return the lowest and highest key of the segments that may hold a point in [start_ms, end_ms].

    A segment holds no point newer than its key, and at most one UTC hour. So the highest key is at the end of the hour
    of ``end_ms``.
    """
    last_ms = min(hour_of(end_ms) * HOUR_MS + HOUR_MS - 1, LATEST_MS)
    return segment_key(max(start_ms, EARLIEST_MS), 0), segment_key(last_ms, SUFFIX_COUNT - 1)


def hour_of(time_ms: int) -> int:
    """Return the number of the UTC hour since 1970 in which ``time_ms`` lies. It is negative before 1970."""
    return time_ms // HOUR_MS


def is_id(text: str) -> bool:
    """Return whether ``text`` has the shape of an id: 24 lower-case hex digits."""
    return _ID.fullmatch(text) is not None


def new_id() -> str:
    """Return an id that nobody can guess: 96 random bits as 24 hex digits."""
    return secrets.token_hex(12)


def digest_suffix(digest: bytes) -> int:
    """Return the suffix for a request that has a digest. A retry gets the same suffix."""
    return int.from_bytes(digest[:4], "big")


def arrival_suffix(microsecond: int, noise: bytes) -> int:
    """Return a suffix for a request by its arrival: within one millisecond, later requests sort higher.

    Args:
        microsecond: when the request arrived, in microseconds since 1970.
        noise: random bytes. The first four distinguish requests of one microsecond.
    """
    return (microsecond % 1000) << 22 | int.from_bytes(noise[:4], "big") >> 10
