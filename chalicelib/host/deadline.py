"""How long the present work may take: no longer than its own limit, and not past the end of the Lambda function."""

import math
from typing import Any

from chalicelib.host import clock
from chalicelib.host.slot import Slot

SPARE_S = 3.0
"""Kept back for the answer: a function that Lambda cuts off answers nobody."""


def _never() -> float:
    return math.inf


_end_s = Slot(_never)


def begin(context: Any) -> None:
    """Note when the function that handles a request ends.

    Args:
        context: Lambda's; None where nothing cuts the work off.
    """
    remaining_s = None if context is None else context.get_remaining_time_in_millis() / 1000
    _end_s.use(None if remaining_s is None else clock.monotonic_s() + remaining_s - SPARE_S)


def within(limit_s: float) -> float:
    """Return the moment, by ``clock.monotonic_s``, at which work of at most ``limit_s`` from now has to stop."""
    return min(clock.monotonic_s() + limit_s, _end_s.current())


def has_passed() -> bool:
    """Return whether no time is left but to answer."""
    return clock.monotonic_s() >= _end_s.current()
