"""What the broker keeps for a client: its subscriptions, its unacknowledged messages and its waiting messages."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalicelib.codec import topics
from embedded.mqtt import packets
from embedded.mqtt.outbox import Delivery, Outbox
from embedded.mqtt.packets import Message
from embedded.mqtt.reading import Malformed
from embedded.mqtt.space import MAX_FILTERS, Space
from embedded.mqtt.subscriptions import Match, Subscription, match, subscribed

if TYPE_CHECKING:
    from embedded.mqtt.kept import Kept

MAX_SUBSCRIPTIONS, MAX_LEVELS = 100, 1_000
"""How many filters a session may have, and how many levels all of them together: each message is compared with them."""
MAX_RECEIVED = 10_000
"""How many messages of QoS 2 a client may have sent and not released."""
RETRY_S = 10.0
"""How long before the end of a connection a message was accepted whose PUBACK may not have arrived."""


class Session(Outbox):
    """A client of one device, connected or away.

    Args:
        device: the device whose topic space the client is in.
        client_id: chosen by the client or the broker.
        space: the device's sessions.
        kept: writes what must survive the process, if the client asked for that.
    """

    def __init__(self, device: str, client_id: str, space: Space | None = None, kept: "Kept | None" = None) -> None:
        super().__init__(device, client_id, space or Space(), kept)
        self.asked: dict[str, Subscription] = {}
        """Subscriptions whose retained messages were not sent yet."""
        self.received: set[int] = set()
        """Packet ids of QoS 2 messages that were accepted and are not released yet."""
        self._taken: dict[int, float] = {}
        """QoS 1 messages that this connection has brought, by ``_key``, and when."""
        self._unsure: set[int] | None = None
        """Those of the last connection whose PUBACK may not have arrived."""
        self.parsing: dict[tuple[int, Message], asyncio.Task[int]] = {}
        """Messages above QoS 0, with their packet ids, that wait for payload parsers."""

    def restore(
        self,
        deliveries: Iterable[tuple[int, Delivery]],
        received: Iterable[int],
        subscriptions: dict[str, Subscription],
    ) -> None:
        """Take over what the database has. Each delivery comes with its packet id; 0: it waits."""
        self.subscriptions, self.received = subscriptions, {*received}
        self.space.filters += len(subscriptions)
        for packet_id, delivery in deliveries:
            self._count(delivery.size_bytes)
            if packet_id:
                self._inflight[packet_id] = delivery
                self._last_id = packet_id
            else:
                self.waiting.append(delivery)
                self._waiting_bytes += delivery.size_bytes
            self._last_number = delivery.number

    def subscribe(self, name: str, options: int, identifier: int = 0) -> int:
        """Add a filter; return the granted QoS, or the reason code of the refusal.

        Args:
            name: the filter.
            options: the options byte of SUBSCRIBE.
            identifier: what matching messages carry; 0: nothing.
        """
        if topics.is_shared(name):
            return packets.NO_SHARED_SUBSCRIPTIONS
        if not topics.is_filter(name):
            return packets.BAD_FILTER
        if name not in self.subscriptions and not self._has_room_for(name):
            return packets.QUOTA_EXCEEDED
        handling, is_new = options >> 4 & 3, name not in self.subscriptions
        added = subscribed(name, options & 3, bool(options & 4), bool(options & 8), identifier)
        self.subscriptions[name] = added
        self.space.filters += is_new
        if handling == 0 or (handling == 1 and is_new):
            self.asked[name] = added
        return added.qos

    def _has_room_for(self, name: str) -> bool:
        if self.space.filters >= MAX_FILTERS:
            return False
        levels = sum(one.count("/") + 1 for one in (*self.subscriptions, name))
        return len(self.subscriptions) < MAX_SUBSCRIPTIONS and levels <= MAX_LEVELS

    def unsubscribe(self, name: str) -> int:
        """Remove a filter; return version 5's reason code: success, or no such subscription."""
        self.asked.pop(name, None)
        if self.subscriptions.pop(name, None) is None:
            return packets.NO_SUBSCRIPTION
        self.space.filters -= 1
        return packets.NORMAL

    def match(self, topic: str, *, is_own: bool) -> Match | None:
        """Return how the client wants a message of a topic; None: it does not."""
        return match(self.subscriptions, topic, is_own=is_own)

    def was_taken(self, packet_id: int, message: Message) -> bool:
        """Return whether a QoS 1 message is a retry of one that was accepted, whose PUBACK may not have arrived.

        A PUBACK that was sent on this connection arrives, so its packet id is free for another message.
        """
        if not self._unsure:
            return False
        key = _key(packet_id, message)
        is_known = key in self._unsure
        self._unsure.discard(key)
        return is_known

    def note_taken(self, packet_id: int, message: Message) -> None:
        """Remember an accepted QoS 1 message, as the client may send it again on its next connection."""
        now_s, key = asyncio.get_running_loop().time(), _key(packet_id, message)
        self._taken.pop(key, None)
        self._taken[key] = now_s
        if self._unsure:
            self._unsure.discard(key)
        oldest = next(iter(self._taken))
        if self._taken[oldest] < now_s - 2 * RETRY_S:
            del self._taken[oldest]
        if len(self._taken) > MAX_RECEIVED:
            del self._taken[oldest]

    def end_connection(self, heard_s: float) -> None:
        """Note that the connection has ended. ``heard_s``: when the client was last heard of, in the loop's time."""
        self.write = None
        self._unsure = {key for key, taken_s in self._taken.items() if taken_s >= heard_s - RETRY_S}
        self._taken.clear()
        self.asked.clear()

    def has_received(self, packet_id: int) -> bool:
        """Return whether a QoS 2 message was accepted before and is not released.

        Raises:
            Malformed: the client has not released MAX_RECEIVED others.
        """
        if packet_id in self.received:
            return True
        if len(self.received) >= MAX_RECEIVED:
            raise Malformed("too many messages of QoS 2 are not released", packets.RECEIVE_MAXIMUM_EXCEEDED)
        return False

    def note_accepted(self, packet_id: int, message: Message, *, is_lost: bool = False) -> None:
        """Remember an accepted message until the client cannot send it again.

        Args:
            packet_id: of the message.
            message: the message.
            is_lost: whether the connection that brought it has ended meanwhile, so that no PUBACK was sent.

        Raises:
            errors.Unavailable: it cannot be kept; it must not be acknowledged.
        """
        if message.qos == 2 and packet_id not in self.received:
            if self.kept is not None:
                self.kept.receive(self, packet_id)
            self.received.add(packet_id)
        elif message.qos == 1 and self.expiry_s:  # no other connection resumes a session without expiry
            if is_lost and self._unsure is not None:
                self._unsure.add(_key(packet_id, message))
            else:
                self.note_taken(packet_id, message)

    def release(self, packet_id: int) -> bool:
        """Note PUBREL; return whether its message is known. Raises errors.Unavailable."""
        if packet_id not in self.received:
            return False
        if self.kept is not None:
            self.kept.release_received(self, packet_id)
        self.received.discard(packet_id)
        return True

    def forget_taken(self) -> None:
        """Forget which messages were accepted: their transaction was undone, and the client sends them again."""
        self._taken.clear()
        self._unsure = None
        if not self.row:
            self.received.clear()


def _key(packet_id: int, message: Message) -> int:
    """Return a hash of what a message of QoS 1 and its retry have in common: a session may remember thousands."""
    return hash((packet_id, message.topic, message.payload))
