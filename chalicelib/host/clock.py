"""The clock. All code reads it here, so that a test can set it."""

import time


def now_us() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1_000


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return now_us() // 1_000


def monotonic_s() -> float:
    """Return seconds of a clock that never goes back."""
    return time.monotonic()
