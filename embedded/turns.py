"""Whose payload parsers run next: at most one run of a profile at once, in order of arrival.

Profiles whose runs are short take turns. A profile with a long run counts as slow for a while, as does one of which no
run is known. Slow ones wait until no other profile does, and leave one run to the others, as a run cannot be
interrupted for another one.
"""

import asyncio
import contextlib
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.services.devices.parsers import NO_TURN

LONG_S = 0.1
"""A run is long if it takes more processor time than this."""
SLOW_FACTOR = 300
"""How many seconds a profile counts as slow for each second of a long run."""
MAX_SLOW_S = 600.0
MAX_KNOWN = 10_000
"""Of how many profiles the last runs are known."""


class Run:
    """A run that has its turn. ``took_s`` is how much processor time it took, set before its end."""

    took_s = 0.0


class Turns:
    """Gives turns to profiles.

    Args:
        runs: how many run at once.
    """

    def __init__(self, runs: int) -> None:
        self._runs, self._slow_runs = runs, max(1, runs - 1)
        self._running: dict[str, bool] = {}
        """By profile: whether it counts as slow."""
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        """Who waits, by profile. The profile at the front has waited longest for its turn."""
        self._slow_until_s: OrderedDict[str, float] = OrderedDict()
        """Until when each known profile is slow. Who ran last is last."""

    @contextlib.asynccontextmanager
    async def turn(self, profile: str, end_s: float = math.inf) -> AsyncIterator[Run]:
        """Wait for the profile's turn, which the block then has.

        Args:
            profile: whose run it is.
            end_s: until when it may wait, a time of ``clock.monotonic_s``.

        Raises:
            errors.Unavailable: it did not get its turn in time.

        Cost: some microseconds for each profile that waits.
        """
        place = asyncio.get_running_loop().create_future()
        self._lines.setdefault(profile, deque()).append(place)
        self._call_next()
        run = Run()
        try:
            if not place.done():
                await self._wait(place, end_s)
            yield run
        finally:
            self._leave(profile, place, run)

    @staticmethod
    async def _wait(place: asyncio.Future[None], end_s: float) -> None:
        within_s = None if end_s == math.inf else max(0.0, end_s - clock.monotonic_s())
        try:
            async with asyncio.timeout(within_s):
                await place
        except TimeoutError:
            raise errors.Unavailable(NO_TURN) from None

    def _leave(self, profile: str, place: asyncio.Future[None], run: Run) -> None:
        if place.done() and not place.cancelled():
            del self._running[profile]
            self._note(profile, run.took_s)
            if profile in self._lines:
                self._lines[profile] = self._lines.pop(profile)
        elif place in self._lines.get(profile, ()):
            self._lines[profile].remove(place)
            self._drop_if_empty(profile)
        self._call_next()

    def _drop_if_empty(self, profile: str) -> None:
        if not self._lines[profile]:
            del self._lines[profile]

    def _note(self, profile: str, took_s: float) -> None:
        now_s = clock.monotonic_s()
        until_s = self._slow_until_s.pop(profile, now_s)
        if took_s > LONG_S:
            until_s = min(max(until_s, now_s) + SLOW_FACTOR * took_s, now_s + MAX_SLOW_S)
        self._slow_until_s[profile] = until_s
        if len(self._slow_until_s) > MAX_KNOWN:
            self._slow_until_s.popitem(last=False)

    def _call_next(self) -> None:
        """Give turns to those that may have one."""
        while len(self._running) < self._runs:
            profile, is_slow = self._next()
            if profile is None:
                return
            place = self._lines[profile].popleft()
            self._drop_if_empty(profile)
            if not place.cancelled():  # else its block is about to end
                place.set_result(None)
                self._running[profile] = is_slow

    def _next(self) -> tuple[str | None, bool]:
        """Return the profile whose turn is next, and whether it is slow."""
        now_s = clock.monotonic_s()
        found, least_s = None, math.inf
        for profile in self._lines:
            if profile in self._running:
                continue
            until_s = self._slow_until_s.get(profile)
            if until_s is not None and until_s <= now_s:
                return profile, False
            if (until_s or 0.0) < least_s:
                found, least_s = profile, until_s or 0.0
        return (found, True) if sum(self._running.values()) < self._slow_runs else (None, True)
