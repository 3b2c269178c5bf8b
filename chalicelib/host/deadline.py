"""How long the current work may take: at most its own limit, and not past the end of the Lambda function."""

import math
from typing import Any

from chalicelib.host import clock
from chalicelib.host.slot import Slot

SPARE_S = 3.0
"""Time that is kept for writing the answer: a function that Lambda cuts off sends none."""


def _never() -> float:
    return math.inf


_end_s = Slot(_never)


def begin(context: Any) -> None:
    """Note when the function that handles a request ends.

    Args:
        context: Lambda's context object; None if nothing cuts the work off.
    """
    remaining_s = None if context is None else context.get_remaining_time_in_millis() / 1000
    _end_s.use(None if remaining_s is None else clock.monotonic_s() + remaining_s - SPARE_S)


def within(limit_s: float) -> float:
    """Return when work that may take ``limit_s`` from now must stop, as a time of ``clock.monotonic_s``."""
    return min(clock.monotonic_s() + limit_s, _end_s.current())


def has_passed() -> bool:
    """Return whether the remaining time is only enough to answer."""
    return clock.monotonic_s() >= _end_s.current()
