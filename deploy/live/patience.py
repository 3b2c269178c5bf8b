"""How long the checks may take and wait. All waits go through here, so that a test need not wait."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT_S = 210.0
"""How long all checks may take together."""
REMOVAL_S = 30.0
"""How much longer the removal of what they made may take."""
_ANSWER_S = 15.0
"""How long an answer may take."""


class OutOfTime(Exception):
    """The time for all checks is over."""


class Patience:
    """Counts the time from its creation.

    Args:
        now_s: a clock that never goes back, in seconds.
        sleep: waits some seconds.
    """

    def __init__(
        self, now_s: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._now_s, self._sleep = now_s, sleep
        self._end_s = now_s() + LIMIT_S

    def extend(self) -> None:
        """Give the removal its own time."""
        self._end_s = self._now_s() + REMOVAL_S

    def answer_s(self) -> float:
        """Return how long to wait for an answer. Raises OutOfTime: the time is over."""
        left_s = self._end_s - self._now_s()
        if left_s <= 0:
            raise OutOfTime("no time is left")
        return min(_ANSWER_S, left_s)

    def now_s(self) -> float:
        """Return the time, in seconds from some moment."""
        return self._now_s()

    def until(self, look: Callable[[], T | None], within_s: float, waits_for: str, every_s: float = 2.0) -> T | None:
        """Return the first result of ``look`` that is not None, or None if there is none in time.

        Args:
            look: called at once and then again and again.
            within_s: for how long.
            waits_for: what to say on standard error if the first look finds nothing.
            every_s: the pause between two looks.
        """
        end_s = min(self._now_s() + within_s, self._end_s)
        found, is_said = look(), False
        while found is None and self._now_s() < end_s:
            if not is_said:
                print(f"waiting up to {within_s:.0f} s for {waits_for} …", file=sys.stderr, flush=True)
                is_said = True
            self._sleep(every_s)
            found = look()
        return found
