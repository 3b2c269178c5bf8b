"""All connections of this process. HTTP and MQTT share the limit of open files and the memory.

A connection that waits for its client can be ended, so that others are served: the one that has waited longest goes
first. A connection whose request is being answered, or whose MQTT client is admitted, does not wait.
"""

from typing import Protocol

MAX_HELD_BYTES = 50_000_000
"""How many bytes all connections together may hold for clients that have not sent or not read the rest. An answer that
is sent in part takes its whole size, so the memory may be twice as much."""


class Connection(Protocol):
    """The part of a connection that the list of all connections needs."""

    def expire(self) -> None:
        """End the wait: the client has not done in time what the connection waits for."""

    def evict(self) -> None:
        """End the connection at once, without an answer: others need its room."""


class Connections:
    """The open connections, and how long each may wait for its client.

    One sweep a second looks at all of them, as a timer for each would cost more than the rest. So a wait ends up to a
    second early or late.

    Args:
        limit: how many may be open at once.
        now_s: the present time of the clock by which ``sweep`` is called.
        held_limit: how many bytes they may hold together.
    """

    def __init__(self, limit: int, now_s: float, held_limit: int = MAX_HELD_BYTES) -> None:
        self.now_s = now_s
        self._limit, self._held_limit = limit, held_limit
        self._open: set[Connection] = set()
        self._ends_s: dict[Connection, float] = {}
        """When each wait ends. The connection that has waited longest comes first."""
        self._held: dict[Connection, int] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: Connection, limit_s: float) -> None:
        """Add a new connection, which waits for its client's first bytes. Over the limit, another one is ended."""
        self._open.add(connection)
        self.wait(connection, limit_s)
        if len(self._open) > self._limit:
            self._evict(next(iter(self._ends_s)))

    def wait(self, connection: Connection, limit_s: float) -> None:
        """Note that a connection begins to wait for its client, for at most so long."""
        self._ends_s.pop(connection, None)
        self._ends_s[connection] = self.now_s + limit_s

    def work(self, connection: Connection) -> None:
        """Note that a connection does not wait for its client any more."""
        self._ends_s.pop(connection, None)
        if connection in self._held:
            self.hold(connection, 0)

    def hold(self, connection: Connection, size_bytes: int) -> None:
        """Note how many bytes a connection holds. If all hold too many, those that got none for longest are ended."""
        self._held_bytes += size_bytes - self._held.pop(connection, 0)
        if size_bytes:
            self._held[connection] = size_bytes
        while self._held_bytes > self._held_limit:
            self._evict(next(iter(self._held)))

    def leave(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._open.discard(connection)
        self._ends_s.pop(connection, None)
        self._held_bytes -= self._held.pop(connection, 0)

    def _evict(self, connection: Connection) -> None:
        self.leave(connection)
        connection.evict()

    def sweep(self, now_s: float) -> None:
        """End every wait that has become too long. Cost: a millisecond for 10,000 connections."""
        self.now_s = now_s
        for connection in [connection for connection, end_s in self._ends_s.items() if end_s <= now_s]:
            connection.expire()
