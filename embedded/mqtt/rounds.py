"""Which connection handles packets next: in each turn of the loop some do, for a few milliseconds together.

So a client that sends thousands of packets at once, or many clients that do, keep nobody waiting for long.
"""

import asyncio
from collections import deque
from typing import Protocol

TURN_S = 0.004
"""How long all connections together handle packets in a turn of the loop. A packet that has begun is handled whole."""


class Handler(Protocol):
    """A connection with packets to handle."""

    def handle(self) -> None:
        """Handle some packets. Called once for each ``enter``."""


class Rounds:
    """The line of connections that have more packets than their part of a turn.

    Args:
        turn_s: how long all of them together handle packets in a turn.
    """

    def __init__(self, turn_s: float = TURN_S) -> None:
        self._turn_s = turn_s
        self._line: deque[Handler] = deque()
        self._ends_s: float | None = None
        """When the present turn's time is over; None: no connection has handled packets in this turn."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_over(self) -> bool:
        """Whether this turn's time is over. The first call in a turn begins it."""
        if self._ends_s is None:
            self._begin()
            return False
        assert self._loop is not None  # noqa: S101 - ``_begin`` has set it
        return self._loop.time() >= self._ends_s

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends_s = self._loop.time() + self._turn_s
        self._loop.call_soon(self._next)

    @property
    def is_free(self) -> bool:
        """Whether a connection may handle packets at once."""
        return not self._line and not self.is_over

    def enter(self, handler: Handler) -> None:
        """Let a connection handle packets after all that came before it. It must not be in the line already."""
        self._line.append(handler)
        if self._ends_s is None:
            self._begin()

    def _next(self) -> None:
        """Begin a turn of the loop."""
        self._ends_s = None
        while self._line and not self.is_over:
            self._line.popleft().handle()
