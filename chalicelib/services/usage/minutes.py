"""Counts by calendar minute, in the memory of this process."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chalicelib.host import clock
from chalicelib.services.usage.shares import Shares
from chalicelib.services.usage.waste import free

Key = tuple[str, str]
"""Whose counter it is, such as a profile, and the name of its rate."""
MOST = 200_000
"""How many counters a minute may have: more than one process can need, in about 40 MB."""
_MINUTE_MS = 60_000
_MINUTE_S = 60.0


class Budget(NamedTuple):
    """A counter, and how many its minute may have."""

    key: Key
    limit: int
    sharer: str = ""
    """Who must leave a fair share to the others of this counter; empty: the counter is not shared fairly."""


class Taken(NamedTuple):
    """What became of a call. Its figures are those of the budget that has the least left."""

    is_allowed: bool
    """If not, nothing was counted."""
    limit: int
    remaining: int
    minute: int
    """The calendar minute, in minutes since 1970."""
    budgets: Sequence[Budget]
    """What was counted."""


class Minute:
    """The calendar minute. If the clock steps back, it goes on for up to 60 s, so nobody gets its limit twice."""

    def __init__(self) -> None:
        self._number, self._ends_s = -1, 0.0

    def number(self) -> int:
        """Return the current minute, in minutes since 1970."""
        number = clock.now_ms() // _MINUTE_MS
        if number != self._number:
            now_s = clock.monotonic_s()
            if number > self._number or now_s >= self._ends_s:
                self._number, self._ends_s = number, now_s + _MINUTE_S
        return self._number


def left_s() -> float:
    """Return the seconds until the next minute begins: more than 0, at most 60."""
    return (_MINUTE_MS - clock.now_ms() % _MINUTE_MS) / 1000


class Counter:
    """Counts calls of the current minute. Threads may share it.

    Args:
        open_rates: rates that are allowed uncounted if there is no room for another counter. All others are refused.
        warn: gets a text if a bound is reached, once a minute.
        shares: the fair shares of the budgets that have a sharer.
        most: how many counters a minute may have.
    """

    def __init__(
        self,
        open_rates: Sequence[str],
        warn: Callable[[str], object],
        shares: Shares | None = None,
        most: int = MOST,
    ) -> None:
        self._open, self._warn, self._most = open_rates, warn, most
        self._shares = shares or Shares(warn)
        self._lock, self._minute, self._number = threading.Lock(), Minute(), -1
        self._counts: dict[Key, int] = {}
        self._old: list[dict[Key, int]] = []
        self._is_full = False

    def take(self, budgets: Sequence[Budget]) -> Taken:
        """Count a call in every budget; or in none, if the minute's limit of one is used up.

        Args:
            budgets: at least one. At most one has a sharer.
        """
        with self._lock:
            self._begin()
            counts, tightest, least = self._counts, budgets[0], -1
            for budget in budgets:
                used = counts.get(budget.key)
                if used is None:
                    used = 0 if len(counts) < self._most else self._without_room(budget)
                left = budget.limit - used
                is_loud = budget.sharer and self._shares.is_loud(
                    budget.key, budget.sharer, used, budget.limit, self._number
                )
                if is_loud or left <= 0:
                    return Taken(False, budget.limit, 0, self._number, ())
                if least < 0 or left < least:
                    tightest, least = budget, left
            for budget in budgets:
                self._add(budget, 1)
            return Taken(True, tightest.limit, least - 1, self._number, budgets)

    def give_back(self, taken: Taken) -> None:
        """Undo what ``take`` has counted, if its minute is not over."""
        with self._lock:
            if taken.minute == self._number:
                for budget in taken.budgets:
                    if budget.key in self._counts:
                        self._add(budget, -1)

    def __len__(self) -> int:
        """Return how many counters there are in memory."""
        return len(self._counts) + sum(map(len, self._old))

    def _begin(self) -> None:
        """Begin the next minute if it is time, and free a part of the earlier ones."""
        number = self._minute.number()
        if number != self._number:
            self._old.append(self._counts)
            self._number, self._counts, self._is_full = number, {}, False
        if self._old:
            free(self._old)

    def _without_room(self, budget: Budget) -> int:
        """Return how much counts as used of a counter for which there is no room: nothing, or all."""
        if not self._is_full:
            self._is_full = True
            self._warn(f"more than {self._most} counters in one minute: data is not limited, all else is refused")
        return 0 if budget.key[1] in self._open else budget.limit

    def _add(self, budget: Budget, number: int) -> None:
        counts, key = self._counts, budget.key
        used = counts.get(key)
        if used is not None:
            counts[key] = used + number
        elif len(counts) < self._most:
            counts[key] = number
        if budget.sharer:
            self._shares.count(key, budget.sharer, number)
