"""The time of day, from one place, so that a test can set it."""

import time


def now_us() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1_000


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return now_us() // 1_000


def monotonic_s() -> float:
    """Return seconds that only ever rise."""
    return time.monotonic()
