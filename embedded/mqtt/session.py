"""What the broker keeps for a client: its subscriptions, its unacknowledged messages and its waiting messages."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from chalicelib.codec import topics
from chalicelib.host import clock
from embedded.mqtt import answers, packets
from embedded.mqtt.packets import Message

MAX_QUEUED = 1_000
"""How many messages may wait for a client. If there are more, the oldest are dropped."""
MAX_QUEUED_BYTES = 4_000_000
"""How many bytes the payloads of the waiting messages may have. If there are more, the oldest are dropped."""
MAX_INFLIGHT = 100
MAX_SUBSCRIPTIONS = 100
_REMEMBERED = 256


class Subscription(NamedTuple):
    """How a client wants the messages that match a filter."""

    qos: int
    is_not_local: bool
    """Whether the client must not get its own messages."""


class Session:
    """A client of one device, connected or away.

    Args:
        device: the device whose topic space the client is in.
        client_id: chosen by the client or the broker.
    """

    def __init__(self, device: str, client_id: str) -> None:
        self.device, self.client_id = device, client_id
        self.version = 4
        self.max_inflight = MAX_INFLIGHT
        self.expiry_s = 0
        self.ends_s: float | None = None
        """When the session is forgotten; None while the client is connected."""
        self.write: Callable[[bytes], None] | None = None
        """Sends to the client; None while it is not connected."""
        self.subscriptions: dict[str, Subscription] = {}
        self.received: set[int] = set()
        """Packet ids of QoS 2 messages that were accepted and are not released yet."""
        self.waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._inflight: dict[int, Message] = {}
        self._taken: dict[int, int] = {}
        self.parsing: dict[tuple[int, Message], asyncio.Task[None]] = {}
        """Messages above QoS 0, with their packet ids, that wait for payload parsers."""
        self._last_id = 0

    def subscribe(self, name: str, options: int) -> int:
        """Add a filter; return the granted QoS, or the reason code of the refusal."""
        if name.startswith("$share/"):
            return packets.NO_SHARED_SUBSCRIPTIONS
        if not topics.is_filter(name):
            return packets.BAD_FILTER
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS and name not in self.subscriptions:
            return packets.QUOTA_EXCEEDED
        qos = min(options & 3, 1)
        self.subscriptions[name] = Subscription(qos, bool(options & 4))
        return qos

    def unsubscribe(self, name: str) -> int:
        """Remove a filter; return version 5's reason code: success, or no such subscription."""
        return packets.NORMAL if self.subscriptions.pop(name, None) else packets.NO_SUBSCRIPTION

    def wants(self, topic: str, *, is_own: bool) -> int | None:
        """Return the highest QoS among the subscriptions that match a topic, or None."""
        best = None
        for name, (qos, is_not_local) in self.subscriptions.items():
            if topics.matches(name, topic) and not (is_own and is_not_local) and (best is None or qos > best):
                best = qos
        return best

    def was_taken(self, packet_id: int, message: Message) -> bool:
        """Return whether a QoS 1 message that is sent again was accepted before."""
        return self._taken.get(packet_id) == hash((message.topic, message.payload))

    def note_taken(self, packet_id: int, message: Message) -> None:
        """Remember an accepted QoS 1 message, as the client may send it again."""
        if len(self._taken) >= _REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._taken[packet_id] = hash((message.topic, message.payload))

    def note_accepted(self, packet_id: int, message: Message) -> None:
        """Remember an accepted message until the client cannot send it again."""
        if message.qos == 2:
            self.received.add(packet_id)
        elif message.qos == 1:
            self.note_taken(packet_id, message)

    def forget_taken(self) -> None:
        """Forget which messages were accepted: their transaction was undone, and the client sends them again."""
        self._taken.clear()
        self.received.clear()

    def send(self, message: Message, qos: int) -> None:
        """Send a message. Above QoS 0, keep it while the client is away or has too many to acknowledge."""
        if qos == 0:
            if self.write is not None:
                self.write(answers.publish(message, self.version, 0, 0, now_ms=clock.now_ms()))
            return
        self.keep(message)
        self.drain()

    def keep(self, message: Message) -> None:
        """Add a message to the waiting ones, and drop the oldest if they are too many or too large."""
        self.waiting.append(message)
        self._waiting_bytes += len(message.payload)
        while len(self.waiting) > MAX_QUEUED or self._waiting_bytes > MAX_QUEUED_BYTES:
            self._waiting_bytes -= len(self.waiting.popleft().payload)

    def drain(self) -> None:
        """Send waiting messages, as many as the client accepts at once."""
        while self.write is not None and self.waiting and len(self._inflight) < self.max_inflight:
            message = self.waiting.popleft()
            self._waiting_bytes -= len(message.payload)
            packet_id = self._next_id()
            self._inflight[packet_id] = message
            self.write(answers.publish(message, self.version, packet_id, 1, now_ms=clock.now_ms()))

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self._inflight:
                return self._last_id

    def acknowledged(self, packet_id: int) -> None:
        """Note that the client acknowledged a message."""
        if self._inflight.pop(packet_id, None) is not None:
            self.drain()

    def resume(self, write: Callable[[bytes], None]) -> None:
        """Use a new connection: send the unacknowledged messages again, then the waiting ones."""
        self.write, self.ends_s = write, None
        for packet_id, message in self._inflight.items():
            write(answers.publish(message, self.version, packet_id, 1, now_ms=clock.now_ms(), is_again=True))
        self.drain()
