"""What the broker keeps of a client: what it subscribes to, what it has not acknowledged, what waits for it."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from chalicelib.codec import topics
from embedded.mqtt import answers, packets
from embedded.mqtt.packets import Message

MAX_QUEUED = 1_000
"""Messages that wait for a client, and their payloads' bytes; the oldest go first when there are more."""
MAX_QUEUED_BYTES = 4_000_000
MAX_INFLIGHT = 100
MAX_SUBSCRIPTIONS = 100
_REMEMBERED = 256


class Subscription(NamedTuple):
    """How a client wants what matches a filter."""

    qos: int
    is_not_local: bool
    """Whether its own messages are kept from it."""


class Session:
    """A client of one device, connected or away.

    Args:
        device: whose topic space it is in.
        client_id: as the client or the broker chose it.
    """

    def __init__(self, device: str, client_id: str) -> None:
        self.device, self.client_id = device, client_id
        self.version = 4
        self.max_inflight = MAX_INFLIGHT
        self.expiry_s = 0
        self.ends_s: float | None = None
        """When it is forgotten, while nobody is connected."""
        self.write: Callable[[bytes], None] | None = None
        """Sends to the client; None while it is away."""
        self.subscriptions: dict[str, Subscription] = {}
        self.received: set[int] = set()
        """Packet ids of QoS 2 messages that were taken and not released yet."""
        self.waiting: deque[Message] = deque()
        self._waiting_bytes = 0
        self._inflight: dict[int, Message] = {}
        self._taken: dict[int, int] = {}
        self._last_id = 0

    def subscribe(self, name: str, options: int) -> int:
        """Add a filter; return the QoS granted, or why it is refused."""
        if not topics.is_filter(name):
            return packets.BAD_FILTER
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS and name not in self.subscriptions:
            return 0x97
        qos = min(options & 3, 1)
        self.subscriptions[name] = Subscription(qos, bool(options & 4))
        return qos

    def unsubscribe(self, name: str) -> int:
        """Remove a filter; return whether it was there, as version 5 says it."""
        return packets.NORMAL if self.subscriptions.pop(name, None) else 0x11

    def wants(self, topic: str, *, is_own: bool) -> int | None:
        """Return the best QoS at which a topic is wanted, or None."""
        best = None
        for name, (qos, is_not_local) in self.subscriptions.items():
            if topics.matches(name, topic) and not (is_own and is_not_local) and (best is None or qos > best):
                best = qos
        return best

    def was_taken(self, packet_id: int, message: Message) -> bool:
        """Tell whether a QoS 1 message that comes again was taken already."""
        return self._taken.get(packet_id) == hash((message.topic, message.payload))

    def note_taken(self, packet_id: int, message: Message) -> None:
        """Remember a QoS 1 message, as it may come again."""
        if len(self._taken) >= _REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._taken[packet_id] = hash((message.topic, message.payload))

    def forget_taken(self) -> None:
        """Take back that messages were taken: the transaction they were stored in was undone, and they come again."""
        self._taken.clear()
        self.received.clear()

    def send(self, message: Message, qos: int) -> None:
        """Send a message, or keep it while the client is away or has too many to acknowledge; QoS 0 is not kept."""
        if qos == 0:
            if self.write is not None:
                self.write(answers.publish(message, self.version, 0, 0))
            return
        self.keep(message)
        self.drain()

    def keep(self, message: Message) -> None:
        """Let a message wait; the oldest go when there are too many, or too much."""
        self.waiting.append(message)
        self._waiting_bytes += len(message.payload)
        while len(self.waiting) > MAX_QUEUED or self._waiting_bytes > MAX_QUEUED_BYTES:
            self._waiting_bytes -= len(self.waiting.popleft().payload)

    def drain(self) -> None:
        """Send what waits, as much as the client takes at once."""
        while self.write is not None and self.waiting and len(self._inflight) < self.max_inflight:
            message = self.waiting.popleft()
            self._waiting_bytes -= len(message.payload)
            packet_id = self._next_id()
            self._inflight[packet_id] = message
            self.write(answers.publish(message, self.version, packet_id, 1))

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self._inflight:
                return self._last_id

    def acknowledged(self, packet_id: int) -> None:
        """Note that the client has a message."""
        if self._inflight.pop(packet_id, None) is not None:
            self.drain()

    def resume(self, write: Callable[[bytes], None]) -> None:
        """Go on with a new connection: what was not acknowledged is sent again, then what waits."""
        self.write, self.ends_s = write, None
        for packet_id, message in self._inflight.items():
            write(answers.publish(message, self.version, packet_id, 1, is_again=True))
        self.drain()
