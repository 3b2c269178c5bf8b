"""Delivers messages to a client: what it has not acknowledged, and what waits."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from chalicelib.host import clock
from embedded.mqtt import answers, packets
from embedded.mqtt.packets import Message
from embedded.mqtt.space import Space
from embedded.mqtt.subscriptions import Match, Subscription

if TYPE_CHECKING:
    from embedded.mqtt.kept import Kept

MAX_QUEUED = 1_000
"""How many messages may wait for a client. If there are more, the oldest are dropped."""
MAX_QUEUED_BYTES = 4_000_000
"""How many bytes the waiting messages of a client may have. If there are more, the oldest are dropped."""
MAX_INFLIGHT, MAX_INFLIGHT_BYTES = 100, 1_000_000
"""How many messages a client may have to acknowledge at once, and how many bytes before it gets one more."""
MAX_INCOMPLETE = 1_000
"""How many messages a client may have begun to take and not completed. Those of QoS 2 that a former connection has
brought do not count for MAX_INFLIGHT."""
MESSAGE_BYTES = 1_000
"""What a message counts besides its bytes: so their number is bounded, as each takes memory, and time to be dropped."""
_DROPPED_AT_ONCE = 64
_SPARE_BYTES = 64
"""More than PUBLISH needs besides topic, payload and properties, without subscription identifiers."""


class Delivery:
    """A message above QoS 0 for a client, until the client has acknowledged it."""

    __slots__ = (
        "body",
        "identifiers",
        "is_out",
        "is_pending",
        "is_released",
        "is_retained",
        "message",
        "number",
        "qos",
        "size_bytes",
    )

    def __init__(
        self, number: int, message: Message, qos: int, *, is_retained: bool, identifiers: tuple[int, ...]
    ) -> None:
        self.number = number
        """Rises with each message of the session."""
        self.message, self.qos, self.is_retained, self.identifiers = message, qos, is_retained, identifiers
        self.size_bytes = message.size_bytes + MESSAGE_BYTES
        self.body = 0
        """The id of the payload in the database; 0: it is not there, or with the message."""
        self.is_released = False
        """Whether the client has a message of QoS 2: its PUBREC has arrived."""
        self.is_out = False
        """Whether it was sent on this connection, or is about to be, and is not acknowledged."""
        self.is_pending = False
        """Whether it is sent on this connection after the commit."""

    def empty(self) -> int:
        """Keep only what PUBREL needs. Return how many bytes were given up."""
        given_up, self.size_bytes = self.size_bytes, 0
        self.message, self.is_released = Message(self.message.topic, b"", 2), True
        return given_up


class Outbox:
    """The messages of a client, connected or away.

    Args:
        device: the device whose topic space the client is in.
        client_id: chosen by the client or the broker.
        space: the device's sessions.
        kept: writes what must survive the process, if the client asked for that.
    """

    def __init__(self, device: str, client_id: str, space: Space, kept: "Kept | None") -> None:
        self.device, self.client_id, self.space, self._kept = device, client_id, space, kept
        self.subscriptions: dict[str, Subscription] = {}
        self.version = 4
        self.max_inflight, self.max_packet_bytes = MAX_INFLIGHT, packets.MAX
        self.expiry_s = 0
        self.ends_s: float | None = None
        """When the session is forgotten; None while the client is connected."""
        self.row = 0
        """The id of the session in the database; 0: it is not there."""
        self.write: Callable[[bytes], None] | None = None
        """Sends to the client; None while it is not connected."""
        self.waiting: deque[Delivery] = deque()
        self.held_bytes = 0
        """How many bytes all messages have that the client has not acknowledged."""
        self._waiting_bytes = 0
        self._inflight: dict[int, Delivery] = {}
        self._again: dict[int, None] = {}
        """Packet ids that a former connection has sent and this one has not."""
        self._out = 0
        """How many messages this connection has to acknowledge."""
        self._last_id = self._last_number = 0

    @property
    def kept(self) -> "Kept | None":
        """What writes the session to the database; None: it ends with its connection."""
        return self._kept if self.row or self.expiry_s else None

    def send(self, message: Message, match: Match) -> None:
        """Send a message. Above QoS 0, keep it while the client is away or has too many to acknowledge.

        Raises:
            errors.Unavailable: it cannot be kept.
        """
        qos = min(match.qos, message.qos)
        if qos == 0:
            if self.write is not None and not self._is_void(message, match.identifiers):
                self.write(self._publish(message, 0, 0, is_retained=match.keeps_retain, identifiers=match.identifiers))
            return
        if self.write is None or self.waiting or self._again or not self._has_room:
            self.keep(message, match)
            self.drain()
            return
        if self._is_void(message, match.identifiers):
            return
        delivery, packet_id = self._delivery(message, match), self._next_id()
        if self.kept is not None:
            self.kept.add(self, delivery, packet_id)
        self._count(delivery.size_bytes)
        self._launch(packet_id, delivery)
        self.space.trim(self)

    def keep(self, message: Message, match: Match) -> None:
        """Add a message to the waiting ones, and drop the oldest if they are too many or too large.

        Raises:
            errors.Unavailable: it cannot be kept.
        """
        delivery = self._delivery(message, match)
        if self.kept is not None:
            self.kept.add(self, delivery, 0)
        self.waiting.append(delivery)
        self._waiting_bytes += delivery.size_bytes
        self._count(delivery.size_bytes)
        while len(self.waiting) > MAX_QUEUED or self._waiting_bytes > MAX_QUEUED_BYTES:
            self._drop_waiting(self._waiting_bytes - MAX_QUEUED_BYTES)
        self.space.trim(self)

    def _delivery(self, message: Message, match: Match) -> Delivery:
        self._last_number += 1
        qos, is_retained = min(match.qos, message.qos), match.keeps_retain and message.is_retained
        return Delivery(self._last_number, message, qos, is_retained=is_retained, identifiers=match.identifiers)

    def _count(self, more_bytes: int) -> None:
        self.held_bytes += more_bytes
        self.space.held_bytes += more_bytes

    def _drop_waiting(self, excess_bytes: int = 0) -> None:
        """Delete the oldest waiting message, and those after it until enough bytes are gone, or so many messages."""
        dropped, dropped_bytes = [], 0
        for delivery in itertools.islice(self.waiting, _DROPPED_AT_ONCE):
            dropped.append(delivery)
            dropped_bytes += delivery.size_bytes
            if dropped_bytes >= excess_bytes:
                break
        if self.kept is not None:
            self.kept.delete(self, dropped)
        for _ in dropped:
            self._take_waiting()
        self._count(-dropped_bytes)

    def _take_waiting(self) -> None:
        self._waiting_bytes -= self.waiting.popleft().size_bytes

    def drop_oldest(self, excess_bytes: int) -> bool:
        """Drop some messages, as the device's have so many bytes too many; return False if there is none to drop.

        While the client is away, messages that it has not acknowledged can be dropped too. Of one with QoS 2, the
        packet id is kept, as the client may know it.
        """
        if self.waiting:
            self._drop_waiting(excess_bytes)
            return True
        if self.write is not None:
            return False
        for packet_id, delivery in self._inflight.items():
            if not delivery.is_released:
                if delivery.qos == 1:
                    self._finish(packet_id)
                else:
                    self._release(delivery)
                return True
        return False

    @property
    def _may_send_more(self) -> bool:
        """Whether the client takes one more message that it has to acknowledge."""
        is_small = self.held_bytes - self._waiting_bytes < MAX_INFLIGHT_BYTES
        return self._out < self.max_inflight and (is_small or not self._out)

    @property
    def _has_room(self) -> bool:
        """Whether the client takes one more message for the first time."""
        return self._may_send_more and len(self._inflight) < MAX_INCOMPLETE

    def _is_void(self, message: Message, identifiers: tuple[int, ...]) -> bool:
        """Whether a message has expired or is larger than the client takes. It is dropped then (3.1.2.11.4)."""
        if message.expires_ms is not None and message.expires_ms <= clock.now_ms():
            return True
        return self._is_too_large(message, identifiers)

    def _is_too_large(self, message: Message, identifiers: tuple[int, ...]) -> bool:
        size_bytes = message.size_bytes + _SPARE_BYTES + 5 * len(identifiers)
        return size_bytes > self.max_packet_bytes and (
            len(self._publish(message, 1, message.qos, is_retained=False, identifiers=identifiers))
            > self.max_packet_bytes
        )

    def drain(self) -> None:
        """Send waiting messages, as many as the client accepts at once. Raises errors.Unavailable."""
        while self.write is not None and self._again and self._may_send_more:
            self._send_again()
        while self.write is not None and self.waiting and not self._again and self._has_room:
            if self._is_void(self.waiting[0].message, self.waiting[0].identifiers):
                self._drop_waiting()
            else:
                delivery, packet_id = self.waiting[0], self._next_id()
                if self.kept is not None:
                    self.kept.assign(self, delivery, packet_id)
                self._take_waiting()
                self._launch(packet_id, delivery)

    def _send_again(self) -> None:
        packet_id = next(iter(self._again))
        delivery = self._inflight.get(packet_id)
        if delivery is not None and not delivery.is_released:
            if self._is_too_large(delivery.message, delivery.identifiers):  # the client took more when it was sent
                self._finish(packet_id)
            else:
                self._note_out(delivery)
                self._transmit(packet_id, delivery, is_again=True)
        del self._again[packet_id]

    def _note_out(self, delivery: Delivery) -> None:
        delivery.is_out = True
        self._out += 1

    def _launch(self, packet_id: int, delivery: Delivery) -> None:
        """Send a message for the first time. If its packet id is kept, it leaves after the commit: see ``flush``."""
        self._inflight[packet_id] = delivery
        self._note_out(delivery)
        if self.kept is None:
            self._transmit(packet_id, delivery)
        else:
            delivery.is_pending = True
            self.kept.send_later(self, packet_id)

    def flush(self, packet_ids: Iterable[int]) -> None:
        """Send messages whose packet ids are safe now."""
        for packet_id in packet_ids:
            delivery = self._inflight.get(packet_id)
            if delivery is not None and delivery.is_pending and not delivery.is_released:
                delivery.is_pending = False
                self._transmit(packet_id, delivery)

    def _transmit(self, packet_id: int, delivery: Delivery, *, is_again: bool = False) -> None:
        if self.write is not None:
            message, qos, is_retained = delivery.message, delivery.qos, delivery.is_retained
            identifiers = delivery.identifiers
            self.write(
                self._publish(
                    message, packet_id, qos, is_again=is_again, is_retained=is_retained, identifiers=identifiers
                )
            )

    def _publish(
        self, message: Message, packet_id: int, qos: int, *, is_retained: bool, identifiers: tuple[int, ...],
        is_again: bool = False,
    ) -> bytes:  # fmt: skip
        return answers.publish(
            message, self.version, packet_id, qos, now_ms=clock.now_ms(), is_again=is_again,
            is_retained=is_retained and message.is_retained, identifiers=identifiers,
        )  # fmt: skip

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % 65_535 + 1
            if self._last_id not in self._inflight:
                return self._last_id

    def acknowledged(self, packet_id: int) -> None:
        """Note PUBACK. Raises errors.Unavailable."""
        delivery = self._inflight.get(packet_id)
        if delivery is not None and delivery.qos == 1:
            self._finish(packet_id)
            self.drain()

    def got_pubrec(self, packet_id: int, reason: int) -> int | None:
        """Note PUBREC; return the reason code of PUBREL, or None if none must be sent. Raises errors.Unavailable."""
        delivery = self._inflight.get(packet_id)
        if delivery is None or delivery.qos != 2:
            return packets.UNKNOWN_PACKET_ID
        if reason >= 0x80:
            self._finish(packet_id)
            self.drain()
            return None
        if not delivery.is_released:
            self._release(delivery)
        return packets.NORMAL

    def _release(self, delivery: Delivery) -> None:
        if self.kept is not None:
            self.kept.release(self, delivery)
        self._count(-delivery.empty())

    def completed(self, packet_id: int) -> None:
        """Note PUBCOMP. Raises errors.Unavailable."""
        delivery = self._inflight.get(packet_id)
        if delivery is not None and delivery.is_released:
            self._finish(packet_id)
            self.drain()

    def _finish(self, packet_id: int) -> None:
        """Delete a message that is dealt with."""
        delivery = self._inflight[packet_id]
        if self.kept is not None:
            self.kept.delete(self, [delivery])
        del self._inflight[packet_id]
        self._count(-delivery.size_bytes)
        self._out -= delivery.is_out

    def resume(self, write: Callable[[bytes], None]) -> None:
        """Use a new connection: send what was not acknowledged again, as far as the client accepts, then what waits.

        Raises:
            errors.Unavailable: the store is down.
        """
        self.write, self.ends_s, self._out = write, None, 0
        self._again = {packet_id: None for packet_id, delivery in self._inflight.items() if not delivery.is_released}
        for packet_id, delivery in self._inflight.items():
            delivery.is_out = delivery.is_pending = False
            if delivery.is_released:
                write(answers.ack(packets.PUBREL, packet_id, self.version))
        self.drain()
