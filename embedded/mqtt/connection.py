"""A client's connection: reads packets, hands them to the broker, and acknowledges after the commit."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from chalicelib import errors
from chalicelib.host import clock, log
from chalicelib.services.access.admission import Admission
from embedded.mqtt import answers, packets
from embedded.mqtt.broker import Broker
from embedded.mqtt.packets import Publish, Will
from embedded.mqtt.rates import next_minute_s
from embedded.mqtt.reading import Malformed
from embedded.mqtt.session import Session
from embedded.mqtt.sessions import MAX_PERSIST_S

MAX_PACKET_BYTES = 131_072 + 1_024
"""128 KiB of payload, as on AWS, and room for topic and properties."""
CONNECT_WITHIN_S = 10.0
NO_KEEP_ALIVE_S = 60.0
"""How long a client that named no keep-alive may be silent."""
MAX_UNSENT_BYTES = 1_000_000
"""If more bytes than this wait for a slow client, its QoS 0 messages are dropped."""
MAX_WAITING = 32
"""How many messages of a connection may wait for payload parsers before it is read no further."""
MAX_WAITING_BYTES = 65_536
"""How many bytes the payloads of these may have together."""


class _Waiting:
    """A message that was not acknowledged yet, as it or one before it waits for payload parsers."""

    __slots__ = ("is_done", "sent")

    def __init__(self, sent: Publish, *, is_done: bool) -> None:
        self.sent, self.is_done = sent, is_done


class Connection(asyncio.Protocol):
    """The connection of one client.

    Args:
        broker: the broker that the client is connected to.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._acks = bytearray()
        self._held: tuple[int, bytes] | None = None
        self._waiting: deque[_Waiting] = deque()
        """In order of arrival, as acknowledgements have this order."""
        self._version = 4
        self._who: Admission | None = None
        self._session: Session | None = None
        self._will: Will | None = None
        self._silence_s = CONNECT_WITHIN_S
        self.heard_s = self._loop.time()
        self._is_over = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for CONNECT."""
        self._transport = transport
        self._broker.opened.add(self)
        self._broker.connections.enter(self, math.inf)  # ``check`` ends a silent one

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the broker, and publish the will unless it was cancelled."""
        self._broker.opened.discard(self)
        self._broker.connections.leave(self)
        self._is_over = True
        session, who, will = self._session, self._who, self._will
        self._session = None
        if session is None or who is None:
            return
        self._broker.leave(self, session, self._loop.time(), will)

    def data_received(self, data: bytes) -> None:
        """Handle every complete packet, then send the acknowledgements after the commit."""
        if self._is_over:
            return
        self.heard_s = self._loop.time()
        self._buffer += data
        try:
            if self._session is None and self._buffer and self._buffer[0] != packets.CONNECT << 4:
                raise Malformed("the first packet is not CONNECT", packets.PROTOCOL_ERROR)
            while self._held is None and not self._is_full and not self._is_over:
                packet = packets.split(self._buffer, MAX_PACKET_BYTES)
                if packet is None:
                    break
                self._handle(*packet)
        except Malformed as error:
            self._broker.refuse(log.reason(error))
            self.close(error.reason)
        except errors.Unavailable:
            # Nothing is acknowledged, so the client sends it again.
            self.close(packets.UNAVAILABLE)
        if self._acks:
            acks, self._acks, session = bytes(self._acks), bytearray(), self._session
            self._broker.commits.settle(
                lambda is_kept: self._settled(acks, session, is_kept), is_alone=self._broker.is_alone
            )

    def _settled(self, acks: bytes, session: Session | None, is_kept: bool) -> None:
        if is_kept:
            self._write(acks)
            if session is not None and session.asked:
                self._broker.send_retained(self, session)
            return
        if session is not None:
            session.forget_taken()
        self.close(packets.UNAVAILABLE)

    def _write(self, data: bytes) -> None:
        if not self._is_over:
            self._transport.write(data)

    def _deliver(self, data: bytes) -> None:
        """Send a message. Drop it if it has QoS 0 and the client reads too slowly."""
        if data[0] & 6 or self._transport.get_write_buffer_size() < MAX_UNSENT_BYTES:
            self._write(data)

    def _handle(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if self._session is None or self._who is None:
            self._connect(body)
        elif kind == packets.PUBLISH:
            self._publish(first, body, self._who, self._session)
        else:
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise Malformed(f"a client does not send packets of type {kind}", packets.PROTOCOL_ERROR)
            handler(self, body, self._session)

    def _connect(self, body: bytes) -> None:
        sent = packets.read_connect(body)
        self._version = sent.version
        if not sent.client_id and not sent.is_clean and sent.version < packets.V5:
            self._refuse(packets.BAD_CLIENT_ID, "no client id for a session that is to be kept")
            return
        who = self._broker.admit(sent)
        if isinstance(who, int):
            self._refuse(who, f"not admitted, reason {who:#x}")
            return
        self._silence_s = sent.keep_alive_s * 2.0 or NO_KEEP_ALIVE_S
        self._will = sent.will
        session, is_present = self._broker.open(self, who, sent)
        self._who, self._session = who, session
        self._broker.connections.work(self)
        assigned = "" if sent.client_id else session.client_id
        answer = answers.connack(
            sent.version, packets.NORMAL, is_present=is_present, assigned=assigned, expiry_s=session.expiry_s,
            max_bytes=MAX_PACKET_BYTES,
        )  # fmt: skip
        self._broker.commits.settle(
            lambda is_kept: self._welcome(answer, session, is_kept), is_alone=self._broker.is_alone
        )

    def _welcome(self, answer: bytes, session: Session, is_kept: bool) -> None:
        self._settled(answer, session, is_kept)
        if not self._is_over:
            self._broker.resume(self, session, self._deliver)

    def _refuse(self, reason: int, text: str) -> None:
        self._broker.refuse(text)
        self._write(answers.connack(self._version, reason))
        self._end()

    def _publish(self, first: int, body: bytes, who: Admission, session: Session) -> None:
        if not self._broker.rates.take(who.profile, "publish"):
            self._hold(first, body)
            return
        sent = packets.read_publish(first, body, self._version, clock.now_ms())
        message, packet_id = sent.message, sent.packet_id
        if not who.may_publish:
            self._forbid(message.qos, packet_id)
            return
        if message.qos == 2:
            is_known = session.has_received(packet_id)
        else:
            is_known = message.qos == 1 and sent.is_again and session.was_taken(packet_id, message)
        task = None if is_known else self._accept(who, session, sent)
        if task is not None:
            self._wait(task, session, sent)
        elif self._waiting:
            session.note_accepted(packet_id, message)
            self._waiting.append(_Waiting(sent, is_done=True))
        else:
            session.note_accepted(packet_id, message)
            self._acknowledge(sent)

    def _accept(self, who: Admission, session: Session, sent: Publish) -> asyncio.Task[None] | None:
        """Hand a message to the broker. Return the task to wait for, if there is one; see ``Broker.accept``."""
        place = sent.packet_id, sent.message
        task = session.parsing.get(place) if session.parsing else None  # the client sends it again
        if task is None:
            task = self._broker.accept(who, session, sent.message)
            if task is not None and sent.message.qos:
                session.parsing[place] = task
                task.add_done_callback(lambda _: session.parsing.pop(place, None))
        return task

    def _acknowledge(self, sent: Publish) -> None:
        if sent.message.qos:
            kind = packets.PUBREC if sent.message.qos == 2 else packets.PUBACK
            self._acks += answers.ack(kind, sent.packet_id, self._version)

    def _wait(self, task: asyncio.Task[None], session: Session, sent: Publish) -> None:
        """Acknowledge a message when payload parsers have dealt with it. They keep the order of messages."""
        waiting = _Waiting(sent, is_done=False)
        self._waiting.append(waiting)
        task.add_done_callback(lambda _: self._parsed(task, session, waiting))
        self._read_or_pause()

    def _parsed(self, task: asyncio.Task[None], session: Session, waiting: _Waiting) -> None:
        if task.cancelled() or task.exception() is not None:
            self.close(packets.UNAVAILABLE)  # nothing is acknowledged, so the client sends it again
            return
        session.note_accepted(waiting.sent.packet_id, waiting.sent.message)
        waiting.is_done = True
        while self._waiting and self._waiting[0].is_done:
            self._acknowledge(self._waiting.popleft().sent)
        if not self._is_over:
            self.data_received(b"")
            self._read_or_pause()

    @property
    def _is_full(self) -> bool:
        """Whether so many messages wait for payload parsers that no further packet is handled."""
        waiting = self._waiting
        return len(waiting) >= MAX_WAITING or (
            bool(waiting) and sum(len(one.sent.message.payload) for one in waiting) >= MAX_WAITING_BYTES
        )

    def _read_or_pause(self) -> None:
        if self._held is not None or self._is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _forbid(self, qos: int, packet_id: int) -> None:
        if self._version != packets.V5 or qos == 0:
            raise Malformed("the token may not publish", packets.NOT_AUTHORIZED)
        kind = packets.PUBACK if qos == 1 else packets.PUBREC
        self._write(answers.ack(kind, packet_id, self._version, packets.NOT_AUTHORIZED))

    def _hold(self, first: int, body: bytes) -> None:
        """Stop reading until the next minute. The client waits for its acknowledgement, and nothing is lost."""
        self._held = first, body
        self._read_or_pause()
        self._loop.call_later(next_minute_s(), self._resume)

    def _resume(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self._is_over:
            try:
                self._handle(*held)
            except (Malformed, errors.Unavailable):
                self.close(packets.UNAVAILABLE)
            self.data_received(b"")
            self._read_or_pause()

    def _acknowledged(self, body: bytes, session: Session) -> None:
        session.acknowledged(packets.read_ack(body, self._version).packet_id)

    def _release(self, body: bytes, session: Session) -> None:
        packet_id = packets.read_ack(body, self._version).packet_id
        reason = packets.NORMAL if session.release(packet_id) else packets.UNKNOWN_PACKET_ID
        self._acks += answers.ack(packets.PUBCOMP, packet_id, self._version, reason)

    def _received(self, body: bytes, session: Session) -> None:
        sent = packets.read_ack(body, self._version)
        reason = session.got_pubrec(sent.packet_id, sent.reason)
        if reason is not None:
            self._acks += answers.ack(packets.PUBREL, sent.packet_id, self._version, reason)

    def _completed(self, body: bytes, session: Session) -> None:
        session.completed(packets.read_ack(body, self._version).packet_id)

    def _subscribe(self, body: bytes, session: Session) -> None:
        sent = packets.read_subscribe(body, self._version)
        reasons = [packets.NOT_AUTHORIZED] * len(sent.filters)
        if self._who is not None and self._who.may_subscribe:
            reasons = self._broker.subscribe(session, sent.filters, sent.identifier)
        self._acks += answers.suback(sent.packet_id, self._version, reasons)

    def _unsubscribe(self, body: bytes, session: Session) -> None:
        sent = packets.read_unsubscribe(body, self._version)
        reasons = self._broker.unsubscribe(session, sent.filters)
        self._acks += answers.unsuback(sent.packet_id, self._version, reasons)

    def _ping(self, _body: bytes, _session: Session) -> None:
        self._write(answers.PINGRESP)

    def _disconnect(self, body: bytes, session: Session) -> None:
        reason, wanted_s = packets.read_disconnect(body, self._version)
        if reason != packets.WITH_WILL:
            self._will = None
        if wanted_s is not None and session.expiry_s:
            session.expiry_s = min(wanted_s, MAX_PERSIST_S)
        if not session.expiry_s:
            session.parsing.clear()  # the client does not send these again, so they are stored
        self._end()

    def close(self, reason: int) -> None:
        """End the connection. A client of version 5 gets the reason; see Client."""
        if self._is_over:
            return
        if reason == packets.ADMINISTRATIVE:
            self._will = None
        if self._version == packets.V5 and self._session is not None:
            self._write(answers.disconnect(reason, answers.REASONS.get(reason, "ended")))
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._transport.close()

    def expire(self) -> None:
        """End the connection; see connections.Connection."""
        self._is_over = True
        self._transport.abort()

    evict = expire

    def check(self, now_s: float) -> None:
        """End the connection of a client that has been silent for too long, or whose token has expired; see Client."""
        expires_ms = self._who.expires_ms if self._who is not None else None
        if expires_ms is not None and expires_ms <= clock.now_ms():
            self.close(packets.ADMINISTRATIVE)
        if now_s - self.heard_s > self._silence_s and self._held is None and not self._waiting:
            self._broker.refuse("silent for too long")
            self.close(packets.KEEP_ALIVE_TIMEOUT)


_HANDLERS: dict[int, Callable[[Connection, bytes, Session], None]] = {
    packets.PUBACK: Connection._acknowledged,
    packets.PUBREC: Connection._received,
    packets.PUBREL: Connection._release,
    packets.PUBCOMP: Connection._completed,
    packets.SUBSCRIBE: Connection._subscribe,
    packets.UNSUBSCRIBE: Connection._unsubscribe,
    packets.PINGREQ: Connection._ping,
    packets.DISCONNECT: Connection._disconnect,
}
