"""Segment keys and point ids: fixed-width hex, so that order of text is order of time.

A segment's key is 12 hex digits of its newest point's time and 8 of a suffix; a point's id is the key of the
segment it was stored in and 4 hex digits of its index there. The 12 digits count milliseconds since the year
1100, which leaves room up to the end of the year 9999 and sorts times before 1970 rightly.
"""

import re
import secrets

HOUR_MS = 3_600_000
EARLIEST_MS = -27_454_550_400_000
"""1100-01-01T00:00:00.000Z, the oldest time a point may carry."""
LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the newest time a point may carry."""

SUFFIX_COUNT = 1 << 32
HEX4 = tuple(f"{index:04x}" for index in range(16_384))
"""The last four digits of a point's id, by index. A body of 200 kB holds fewer points than this."""

_ID = re.compile(r"[0-9a-f]{24}")


def segment_key(time_ms: int, suffix: int) -> str:
    """Return the key of the segment whose newest point is at ``time_ms``.

    >>> segment_key(0, 255)
    '18f842b95c00000000ff'
    """
    return f"{time_ms - EARLIEST_MS:012x}{suffix:08x}"


def key_time_ms(key: str) -> int:
    """Return the newest time, in milliseconds since 1970, that the segment ``key`` can hold.

    >>> key_time_ms(segment_key(-5, 7))
    -5
    """
    return int(key[:12], 16) + EARLIEST_MS


def key_suffix(key: str) -> int:
    """Return the suffix of ``key``."""
    return int(key[12:], 16)


def key_bounds(start_ms: int, end_ms: int) -> tuple[str, str]:
    """Return the lowest and highest key of the segments that may hold a point in [start_ms, end_ms].

    A segment holds nothing newer than its key and at most one UTC hour, so keys run on to the end of the hour
    of ``end_ms``.
    """
    last_ms = min(hour_of(end_ms) * HOUR_MS + HOUR_MS - 1, LATEST_MS)
    return segment_key(max(start_ms, EARLIEST_MS), 0), segment_key(last_ms, SUFFIX_COUNT - 1)


def hour_of(time_ms: int) -> int:
    """Return the number of the UTC hour since 1970 that ``time_ms`` lies in; negative before 1970."""
    return time_ms // HOUR_MS


def is_id(text: str) -> bool:
    """Tell whether ``text`` has the shape of an id: 24 lower-case hex digits."""
    return _ID.fullmatch(text) is not None


def new_id() -> str:
    """Return an id that nobody can guess: 96 random bits as 24 hex digits."""
    return secrets.token_hex(12)


def digest_suffix(digest: bytes) -> int:
    """Return the suffix of a request that has a digest of its own: a retry gets the same."""
    return int.from_bytes(digest[:4], "big")


def arrival_suffix(microsecond: int, noise: bytes) -> int:
    """Return a suffix for what arrived in this microsecond of its millisecond: later ones sort higher.

    Args:
        microsecond: since 1970.
        noise: random; its first four bytes decide between requests of one microsecond.
    """
    return (microsecond % 1000) << 22 | int.from_bytes(noise[:4], "big") >> 10
