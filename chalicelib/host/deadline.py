"""How long the work at hand may still go on: no longer than its own limit, nor past the end of the function's time."""

from typing import Any

from chalicelib.host import clock

SPARE_S = 3.0
"""Kept back to answer in: a function that is cut off answers nobody."""
_end: list[float] = []


def begin(context: Any) -> None:
    """Note when the function that handles a request ends.

    Args:
        context: Lambda's; None where nothing ends by itself.
    """
    _end.clear()
    if context is not None:
        _end.append(clock.monotonic_s() + context.get_remaining_time_in_millis() / 1000 - SPARE_S)


def within(limit_s: float) -> float:
    """Return the moment, by ``clock.monotonic_s``, at which work of at most ``limit_s`` from now has to stop."""
    return min([clock.monotonic_s() + limit_s, *_end])


def has_passed() -> bool:
    """Tell whether there is no time left but to answer."""
    return bool(_end) and clock.monotonic_s() >= _end[0]
