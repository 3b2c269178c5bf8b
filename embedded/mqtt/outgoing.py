"""What is sent to a client: in order, no sooner than the commit that it waits for, and bounded in bytes."""

import functools
from collections.abc import Callable
from typing import Any

from chalicelib.services.access.admission import Admission
from embedded.mqtt.broker import Broker

MAX_UNSENT_BYTES = 4_000_000
"""If more bytes than this wait for a client, it is disconnected."""
MAX_DROPPABLE_BYTES = 1_000_000
"""If more bytes than this wait for a client, it gets no messages of QoS 0."""
STALL_S = 20.0
"""How long a client may take nothing of what waits for it."""
LINGER_S = 5.0
"""How long a client has to take what was sent before the end of its connection."""
_CHUNK_BYTES = 65_536


class _Part:
    """Bytes that wait for a commit, or for such bytes before them."""

    __slots__ = ("data", "is_ready")

    def __init__(self, data: bytes, *, is_ready: bool) -> None:
        self.data, self.is_ready = [data], is_ready


class Outgoing:
    """Sends to one client.

    Args:
        transport: of the connection.
        broker: its group commit is waited for.
        on_undone: called if a commit failed that something waited for.
    """

    __slots__ = (
        "_broker", "_ended_s", "_is_paused", "_on_undone", "_queue", "_queued_bytes", "_taken_bytes", "_taken_s",
        "_transport", "_unsent", "_written_bytes", "has_begun", "is_over", "who",
    )  # fmt: skip

    def __init__(self, transport: Any, broker: Broker, on_undone: Callable[[], None] | None) -> None:
        self._transport, self._broker, self._on_undone = transport, broker, on_undone
        self._queue: list[_Part] = []
        """Empty, or begins with a part whose commit is not over."""
        self._unsent = bytearray()
        """What the transport gets when the client has read what it holds. So the transport never holds much."""
        self._queued_bytes = self._written_bytes = self._taken_bytes = 0
        self._is_paused = False
        self._taken_s: float | None = None
        """When the client last took something; None: nothing waits for it."""
        self._ended_s = 0.0
        self.who: Admission | None = None
        """Whose connection it is, for the log. None: not known yet."""
        self.has_begun = False
        """Whether anything was sent."""
        self.is_over = False
        """Whether the connection has ended: nothing more is sent, and nothing that arrives is handled."""

    @property
    def held_bytes(self) -> int:
        """How many bytes wait for a client that does not read fast enough."""
        return self._transport.get_write_buffer_size() + len(self._unsent) if self._is_paused else 0

    @property
    def has_room(self) -> bool:
        """Whether the client may get messages of QoS 0."""
        return self.held_bytes + self._queued_bytes < MAX_DROPPABLE_BYTES

    def write(self, data: bytes) -> None:
        """Send bytes, after those that wait for a commit."""
        if self.is_over:
            return
        if not self._queue:
            self._send(data)
            return
        if self._queue[-1].is_ready:
            self._queue[-1].data.append(data)
        else:
            self._queue.append(_Part(data, is_ready=True))
        self._queued_bytes += len(data)
        self._limit()

    def write_after_commit(self, data: bytes) -> None:
        """Send bytes when everything is safe that was written to the store so far."""
        if self.is_over:
            return
        part = _Part(data, is_ready=False)
        self._queue.append(part)
        self._queued_bytes += len(data)
        self._broker.commits.settle(functools.partial(self._settled, part), is_alone=self._broker.is_alone)

    def _settled(self, part: _Part, is_kept: bool) -> None:
        if not is_kept:
            if self._on_undone is not None:
                self._on_undone()
            return
        part.is_ready = True
        queue = self._queue
        while queue and queue[0].is_ready:
            data = b"".join(queue.pop(0).data)
            self._queued_bytes -= len(data)
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._is_paused:
            self._unsent += data
            self._limit()
        else:
            self._written_bytes += len(data)
            self.has_begun = True
            self._transport.write(data)

    def _limit(self) -> None:
        if self._queued_bytes + len(self._unsent) > MAX_UNSENT_BYTES:
            self._broker.refuse("reads too slowly", self.who)
            self.abort()

    def pause(self) -> None:
        """Give the transport nothing more; see asyncio.Protocol.pause_writing."""
        self._is_paused = True

    def resume(self) -> None:
        """Give the transport what waits, until it is full again; see asyncio.Protocol.resume_writing."""
        self._is_paused = False
        while self._unsent and not self._is_paused:
            data = bytes(self._unsent[:_CHUNK_BYTES])
            del self._unsent[:_CHUNK_BYTES]
            self._send(data)

    def check(self, now_s: float) -> None:
        """Disconnect a client that has taken nothing of what waits for it for too long."""
        if self.is_over:
            if now_s - self._ended_s > LINGER_S:
                self._transport.abort()
            return
        size_bytes = self._transport.get_write_buffer_size()
        if not size_bytes:
            self._taken_s = None
            return
        taken_bytes = self._written_bytes - size_bytes
        if self._taken_s is None or taken_bytes > self._taken_bytes:
            self._taken_bytes, self._taken_s = taken_bytes, now_s
        elif now_s - self._taken_s > STALL_S:
            self._broker.refuse("does not read", self.who)
            self.abort()

    def end(self, now_s: float, last: bytes = b"") -> None:
        """Send last bytes and close the connection. A client that reads too slowly does not get them."""
        if self.is_over:
            return
        if self._is_paused:
            self.abort()
            return
        self._drop(now_s)
        if last:
            self._transport.write(last)
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._drop(0.0)
        self._transport.abort()

    def detach(self, on_undone: Callable[[], None] | None) -> None:
        """Note that the connection is lost. ``on_undone`` is still called if a commit fails."""
        self._drop(0.0)
        self._transport, self._on_undone = None, on_undone

    def _drop(self, now_s: float) -> None:
        self.is_over, self._ended_s = True, now_s
        self._queue, self._queued_bytes, self._unsent = [], 0, bytearray()
