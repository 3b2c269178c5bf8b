"""Handles the packets of an admitted client, but for DISCONNECT. Acknowledges its messages in their order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.services.access.admission import Admission
from embedded.mqtt import answers, packets
from embedded.mqtt.broker import Broker
from embedded.mqtt.packets import Message, Publish
from embedded.mqtt.reading import Malformed
from embedded.mqtt.session import Session
from embedded.mqtt.sessions import Client

MAX_WAITING = 32
"""How many messages of a connection may wait for payload parsers before it is read no further."""
MAX_WAITING_BYTES = 65_536
"""How many bytes these may have together: payloads, topics and properties."""


class Link(Client, Protocol):
    """The part of a connection that this module needs."""

    def answer(self, data: bytes, *, is_safe: bool = False) -> None:
        """Send after the packets at hand, and after the commit unless it is safe already."""

    def flush(self) -> None:
        """Send the answers so far. What is sent next comes after them."""

    def proceed(self) -> None:
        """Send the answers, and handle further packets."""


class _Waiting:
    """A message that was not acknowledged yet, as it or one before it waits for payload parsers."""

    __slots__ = ("reason", "sent", "size_bytes")

    def __init__(self, sent: Publish, reason: int | None) -> None:
        self.sent, self.reason, self.size_bytes = sent, reason, sent.message.size_bytes


class Requests:
    """The packets of one connection.

    Args:
        link: the connection.
        broker: stores and delivers the messages.
        who: the client.
        session: its session.
    """

    __slots__ = ("_broker", "_link", "_session", "_waiting", "who")

    def __init__(self, link: Link, broker: Broker, who: Admission, session: Session) -> None:
        self._link, self._broker, self.who, self._session = link, broker, who, session
        self._waiting: deque[_Waiting] | None = None
        """In order of arrival, as acknowledgements have this order."""

    @property
    def is_waiting(self) -> bool:
        """Whether messages wait for payload parsers."""
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether so many messages wait for payload parsers that no further packet is handled."""
        waiting = self._waiting
        if not waiting:
            return False
        return len(waiting) >= MAX_WAITING or sum(one.size_bytes for one in waiting) >= MAX_WAITING_BYTES

    def handle(self, first: int, body: bytes) -> None:
        """Handle a packet.

        Args:
            first: its first byte.
            body: what follows its length.

        Raises:
            Malformed: it is not valid, or not one that a client may send.
            errors.Unavailable: the store is down.
        """
        kind = first >> 4
        if kind == packets.PUBLISH:
            self._publish(first, body)
            return
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise Malformed(f"a client does not send packets of type {kind}", packets.PROTOCOL_ERROR)
        handler(self, body)

    def _publish(self, first: int, body: bytes) -> None:
        session = self._session
        sent = packets.read_publish(first, body, session.version, clock.now_ms())
        message, packet_id = sent.message, sent.packet_id
        if not self.who.may_publish:
            self._forbid(sent)
            return
        if message.qos == 2:
            is_known = session.has_received(packet_id)
        else:
            is_known = message.qos == 1 and sent.is_again and session.was_taken(packet_id, message)
        outcome = packets.NORMAL if is_known else self._accept(sent)
        if isinstance(outcome, asyncio.Task):
            self._wait(outcome, sent)
            return
        self._note(sent, outcome)
        if self._waiting:
            self._waiting.append(_Waiting(sent, outcome))
        else:
            self._answer(sent, outcome)

    def _forbid(self, sent: Publish) -> None:
        if self._session.version != packets.V5 or sent.message.qos == 0:
            raise Malformed("the token may not publish", packets.NOT_AUTHORIZED)
        self._answer(sent, packets.NOT_AUTHORIZED)

    def _accept(self, sent: Publish) -> "asyncio.Task[int] | int":
        """Hand a message to the broker. Return its reason code, or the task to wait for; see ``Broker.accept``."""
        parsing = self._session.parsing
        task = parsing.get(_key(sent)) if parsing else None  # the client sends it again
        if task is not None:
            return task
        outcome = self._broker.accept(self.who, self._session, sent.message)
        if isinstance(outcome, asyncio.Task) and sent.message.qos:
            key = _key(sent)
            parsing[key] = outcome
            outcome.add_done_callback(lambda _: parsing.pop(key, None))
        return outcome

    def _note(self, sent: Publish, reason: int, *, is_lost: bool = False) -> None:
        if reason < packets.FAILURE or self._session.version != packets.V5:  # no refusal can be told before version 5
            self._session.note_accepted(sent.packet_id, sent.message, is_lost=is_lost)

    def _answer(self, sent: Publish, reason: int) -> None:
        if sent.message.qos:
            kind = packets.PUBREC if sent.message.qos == 2 else packets.PUBACK
            self._link.answer(answers.ack(kind, sent.packet_id, self._session.version, reason))

    def _wait(self, task: "asyncio.Task[int]", sent: Publish) -> None:
        """Acknowledge a message when payload parsers have dealt with it. They keep the order of messages."""
        waiting = _Waiting(sent, None)
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(waiting)
        task.add_done_callback(lambda _: self._parsed(task, waiting))

    def _parsed(self, task: "asyncio.Task[int]", parsed: _Waiting) -> None:
        if task.cancelled() or task.exception() is not None:
            self._link.close(packets.UNAVAILABLE)  # nothing is acknowledged, so the client sends it again
            return
        parsed.reason = task.result()
        try:
            is_lost = self._broker.sessions.connected.get(self._session) is not self._link
            self._note(parsed.sent, parsed.reason, is_lost=is_lost)
        except errors.Unavailable:
            self._link.close(packets.UNAVAILABLE)
            return
        waiting = self._waiting
        while waiting and waiting[0].reason is not None:
            done = waiting.popleft()
            self._answer(done.sent, done.reason or packets.NORMAL)
        self._link.proceed()

    def _release(self, body: bytes) -> None:
        packet_id = packets.read_ack(body, self._session.version).packet_id
        reason = packets.NORMAL if self._session.release(packet_id) else packets.UNKNOWN_PACKET_ID
        self._link.answer(answers.ack(packets.PUBCOMP, packet_id, self._session.version, reason))

    def _acknowledged(self, body: bytes) -> None:
        self._session.acknowledged(packets.read_ack(body, self._session.version).packet_id)

    def _received(self, body: bytes) -> None:
        sent = packets.read_ack(body, self._session.version)
        reason = self._session.got_pubrec(sent.packet_id, sent.reason)
        if reason is not None:
            self._link.answer(answers.ack(packets.PUBREL, sent.packet_id, self._session.version, reason))

    def _completed(self, body: bytes) -> None:
        self._session.completed(packets.read_ack(body, self._session.version).packet_id)

    def _subscribe(self, body: bytes) -> None:
        sent = packets.read_subscribe(body, self._session.version)
        if self.who.may_subscribe:
            reasons = self._broker.subscribe(self._session, sent.filters, sent.identifier)
        else:
            reasons = [packets.NOT_AUTHORIZED] * len(sent.filters)
        self._link.answer(answers.suback(sent.packet_id, self._session.version, reasons))
        self._link.flush()
        self._broker.send_retained(self._link, self._session)

    def _unsubscribe(self, body: bytes) -> None:
        sent = packets.read_unsubscribe(body, self._session.version)
        reasons = self._broker.unsubscribe(self._session, sent.filters)
        self._link.answer(answers.unsuback(sent.packet_id, self._session.version, reasons))

    def _ping(self, body: bytes) -> None:
        if body:
            raise Malformed("a PINGREQ has no body")
        self._link.answer(answers.PINGRESP, is_safe=True)


def _key(sent: Publish) -> tuple[int, Message]:
    """Return what a message and its retry have in common: the expiry counts from each arrival."""
    return sent.packet_id, sent.message._replace(expires_ms=None)


_HANDLERS: dict[int, Callable[[Requests, bytes], None]] = {
    packets.PUBACK: Requests._acknowledged,
    packets.PUBREC: Requests._received,
    packets.PUBREL: Requests._release,
    packets.PUBCOMP: Requests._completed,
    packets.SUBSCRIBE: Requests._subscribe,
    packets.UNSUBSCRIBE: Requests._unsubscribe,
    packets.PINGREQ: Requests._ping,
}
