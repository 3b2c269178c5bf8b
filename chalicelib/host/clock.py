"""The clock. All code reads it here, so that a test can set it."""

import time

_latest_us = [0]
"""The latest arrival."""


def now_us() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1_000


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return now_us() // 1_000


def arrival_us() -> int:
    """Return the arrival of a request: now, in microseconds since 1970, but later than each arrival before it.

    Two requests of one process never arrive at once, even if the clock steps back between them.
    """
    _latest_us[0] = max(_latest_us[0] + 1, now_us())
    return _latest_us[0]


def sleep(seconds: float) -> None:
    """Wait. Only functions that nobody waits for may do so."""
    time.sleep(seconds)


monotonic_s = time.monotonic
"""Returns seconds of a clock that never goes back. A request reads it up to ten times."""
