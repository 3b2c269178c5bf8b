"""A client's connection: reads packets, hands them to the broker, and acknowledges after the commit."""

import asyncio
import math
from typing import Any

from chalicelib import errors
from chalicelib.host import clock, log
from embedded.mqtt import answers, packets
from embedded.mqtt.broker import Broker
from embedded.mqtt.incoming import MAX_HELD_BYTES, MAX_PACKET_BYTES, Incoming, has_left
from embedded.mqtt.outgoing import Outgoing
from embedded.mqtt.packets import Will
from embedded.mqtt.rates import next_minute_s
from embedded.mqtt.reading import Malformed, Reader
from embedded.mqtt.requests import Requests
from embedded.mqtt.session import MAX_RECEIVED, Session

CONNECT_WITHIN_S = 10.0
"""How long a client has for the whole of CONNECT."""
NO_KEEP_ALIVE_S = 60.0
"""How long a client that named no keep-alive may be silent."""
MAX_CLIENT_ID_BYTES = 1_024
MAX_PACKETS = 32
"""How many packets of a connection are handled before it is the turn of another."""
MIN_NOTED_BYTES = 65_536
"""From how many bytes on a connection counts for the limit of all connections together."""
_RECEIVED = memoryview(bytearray(32_768))
"""Where all connections receive. An event loop reads a quarter of a megabyte at once from a connection otherwise."""
_PINGREQ = bytes((packets.PINGREQ << 4, 0))


class Connection(asyncio.BufferedProtocol):
    """The connection of one client.

    Its transport needs ``write``, ``close``, ``abort``, ``pause_reading``, ``resume_reading``,
    ``get_write_buffer_size`` and ``get_extra_info`` of asyncio's transports, and calls ``pause_writing`` and
    ``resume_writing``. It may call ``data_received`` in the place of the methods that a BufferedProtocol has for that.

    Args:
        broker: the broker that the client is connected to.
    """

    __slots__ = (
        "_answers", "_broker", "_held_until", "_in", "_is_in_line", "_is_reading", "_loop", "_max_packet_bytes",
        "_must_be_safe", "_noted_bytes", "_opened_s", "_out", "_requests", "_session", "_silence_s", "_transport",
        "_version", "_will", "heard_s",
    )  # fmt: skip

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._in = Incoming()
        self._answers = bytearray()
        """Answers to the packets that are being handled."""
        self._must_be_safe = False
        """Whether these answers wait for the commit."""
        self._held_until: asyncio.TimerHandle | None = None
        """Set while the next message waits, as the profile publishes too often."""
        self._is_in_line, self._is_reading = False, True
        self._version, self._max_packet_bytes = 4, packets.MAX
        self._session: Session | None = None
        """Set when CONNECT was accepted, with ``_requests``."""
        self._requests: Requests | None = None
        self._will: Will | None = None
        self._silence_s = NO_KEEP_ALIVE_S
        self._opened_s = self.heard_s = self._loop.time()
        """When the client was last heard of."""
        self._noted_bytes = 0
        """What ``Connections.hold`` was told."""
        self._transport: Any = None
        self._out: Outgoing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for CONNECT."""
        self._transport = transport
        self._out = Outgoing(transport, self._broker, self._undone)
        self._broker.opened.add(self)
        self._broker.connections.enter(self, math.inf)  # ``check`` ends a silent one

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the broker, which publishes the will unless it was cancelled. What was not handled is dropped."""
        self._broker.opened.discard(self)
        self._broker.connections.leave(self)
        self._in.buffer.clear()
        if self._held_until is not None:
            self._held_until.cancel()
        session = self._session
        self._requests = self._transport = None  # no cycle is left: they are collected seldom
        self._out.detach(session.forget_taken if session is not None else None)
        if session is not None:
            self._broker.leave(self, session, self._loop.time(), self._will)

    def pause_writing(self) -> None:
        """Send no more for now: the client reads slowly. The transport calls this."""
        self._out.pause()

    def resume_writing(self) -> None:
        """Send again."""
        self._out.resume()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the transport puts the next bytes."""
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        """Take these bytes."""
        self.data_received(bytes(_RECEIVED[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Handle packets, or wait in line for that."""
        if self._out.is_over:
            return
        self.heard_s = self._loop.time()
        self._in.buffer += data
        if self._is_in_line:
            return
        is_ping = data == _PINGREQ and len(self._in.buffer) == len(data)  # costs nothing, so it need not wait
        if is_ping or self._broker.rounds.is_free:
            self.handle()
        else:
            self._enter_line()

    def _enter_line(self) -> None:
        self._is_in_line = True
        self._broker.rounds.enter(self)
        self._read_or_pause()

    def handle(self) -> None:
        """Handle some complete packets, then send the answers; see rounds.Handler."""
        self._is_in_line = False
        if self._out.is_over:
            return
        has_more = False
        try:
            if self._held_until is None:
                has_more = self._handle_some()
            if self._held_until is not None:
                has_more = self._look_ahead()
        except Malformed as error:
            self._broker.refuse(log.reason(error), self._out.who)
            self._fail(error.reason)
        except errors.Unavailable:
            self._fail(packets.UNAVAILABLE)  # nothing is acknowledged, so the client sends it again
        except Exception:
            self.expire()  # the fault is here, and the loop logs it
            raise
        self.flush()
        if self._out.is_over:
            return
        if has_more:
            self._enter_line()
        elif self._session is None:
            self._note_held(len(self._in.buffer))
        self._read_or_pause()

    def _handle_some(self) -> bool:
        """Handle packets until none is complete, or until it is another connection's turn; return whether it is."""
        incoming, rounds = self._in, self._broker.rounds
        if self._session is None and incoming.buffer and incoming.buffer[0] != packets.CONNECT << 4:
            raise Malformed("the first packet is not CONNECT", packets.PROTOCOL_ERROR)
        for _ in range(MAX_PACKETS):
            found = None if self._requests is not None and self._requests.is_full else incoming.peek()
            if found is None or self._must_hold(incoming.buffer[0]):
                return False
            first, body = incoming.take(*found)
            if self._session is None or self._requests is None:
                self._connect(body)
            elif first >> 4 == packets.DISCONNECT:
                self._disconnect(body, self._session)
            else:
                self._requests.handle(first, body)
            if not incoming.buffer or self._out.is_over:
                return False
            if rounds.is_over:
                break
        return True

    def _must_hold(self, first: int) -> bool:
        """Whether the packet that is next must wait for the rate of its profile. Counts it otherwise."""
        if first >> 4 != packets.PUBLISH or self._requests is None:
            return False
        if self._broker.rates.take(self._requests.who.profile, "publish"):
            return False
        self._held_until = self._loop.call_later(next_minute_s(), self._release_held)
        return True

    def _release_held(self) -> None:
        self._held_until = None
        if self._in.dropped:
            self._broker.refuse(f"over the rate, messages dropped: {self._in.dropped}", self._out.who)
            self._in.dropped = 0
        self.proceed()

    def _look_ahead(self) -> bool:
        """Answer PINGREQ and obey DISCONNECT behind a message that waits; return whether there is more to look at."""
        found = self._in.look_ahead()
        self._answers += answers.PINGRESP * found.pings
        if found.farewell is not None and self._session is not None:
            self._disconnect(found.farewell, self._session)  # the message was not acknowledged, and is not stored
        return found.has_more

    def proceed(self) -> None:
        """Send the answers, and handle further packets; see requests.Link."""
        if self._is_in_line:
            self.flush()
        else:
            self.handle()

    def answer(self, data: bytes, *, is_safe: bool = False) -> None:
        """Answer after the packets at hand, and after the commit unless it is safe already; see requests.Link."""
        if len(data) > self._max_packet_bytes:
            raise Malformed("the answer is larger than the client takes", packets.TOO_LARGE)
        self._answers += data
        self._must_be_safe = self._must_be_safe or not is_safe

    def flush(self) -> None:
        """Send the answers so far; see requests.Link."""
        if not self._answers:
            return
        data, must_be_safe = bytes(self._answers), self._must_be_safe
        self._answers.clear()
        self._must_be_safe = False
        if must_be_safe:
            self._out.write_after_commit(data)
        else:
            self._out.write(data)

    def _undone(self) -> None:
        """Note that a commit failed: nothing is acknowledged, and the client sends it again."""
        if self._session is not None:
            self._session.forget_taken()
        self.close(packets.UNAVAILABLE)

    def _deliver(self, data: bytes) -> None:
        """Send a message. Drop it if it has QoS 0 and the client reads too slowly."""
        if data[0] & 6 or data[0] >> 4 != packets.PUBLISH or self._out.has_room:
            self._out.write(data)

    def _connect(self, body: bytes) -> None:
        self._version = packets.read_version(Reader(body))
        sent = packets.read_connect(body)
        is_missing = not sent.client_id and not sent.is_clean and sent.version < packets.V5
        if is_missing or len(sent.client_id.encode()) > MAX_CLIENT_ID_BYTES:
            self._refuse(packets.BAD_CLIENT_ID, "a client id is too long, or missing for a session that is to be kept")
            return
        who = self._broker.admit(sent)
        if isinstance(who, int):
            self._refuse(who, f"not admitted: {answers.REASONS[who]}")
            return
        self._silence_s = sent.keep_alive_s * 1.5 or NO_KEEP_ALIVE_S
        self._will, self._max_packet_bytes, self._out.who = sent.will, sent.max_packet_bytes, who
        session, is_present = self._broker.open(self, who, sent)
        self._session, self._requests = session, Requests(self, self._broker, who, session)
        self._broker.connections.work(self)
        self._noted_bytes = 0
        self.answer(answers.connack(
            sent.version, packets.NORMAL, is_present=is_present, assigned="" if sent.client_id else session.client_id,
            expiry_s=session.expiry_s, max_bytes=MAX_PACKET_BYTES, receive_maximum=MAX_RECEIVED,
            keep_alive_s=0 if sent.keep_alive_s else int(NO_KEEP_ALIVE_S / 2),
        ))  # fmt: skip
        self.flush()
        self._broker.resume(self, session, self._deliver)

    def _refuse(self, reason: int, text: str) -> None:
        self._broker.refuse(text)
        self._out.end(self._loop.time(), answers.connack(self._version, reason))

    def _fail(self, reason: int) -> None:
        """End the connection. CONNECT is answered if the client's version has a code for the reason."""
        has_code = self._version == packets.V5 or reason in (packets.UNSUPPORTED_VERSION, packets.UNAVAILABLE)
        if self._session is None and has_code:
            self._out.end(self._loop.time(), answers.connack(self._version, reason))
        else:
            self.close(reason)

    def _disconnect(self, body: bytes, session: Session) -> None:
        reason, wanted_s = packets.read_disconnect(body, self._version)
        if wanted_s and not session.expiry_s:
            raise Malformed("a session that ends with its connection cannot be kept", packets.PROTOCOL_ERROR)
        if reason != packets.WITH_WILL:
            self._will = None
        if wanted_s is not None:
            session.expiry_s = self._broker.sessions.granted_s(wanted_s)
        if not session.expiry_s:
            session.parsing.clear()  # the client does not send these again, so they are stored
        self.flush()
        self._out.end(self._loop.time())

    def close(self, reason: int) -> None:
        """End the connection. A client of version 5 gets the reason; see Client."""
        if self._out.is_over:
            return
        if reason == packets.ADMINISTRATIVE:
            self._will = None
        last = b""
        if not self._out.has_begun and (self._session is not None or reason == packets.UNAVAILABLE):
            self._will = None  # the client was not admitted after all
            why = packets.TOO_LARGE if reason == packets.TOO_LARGE else packets.UNAVAILABLE
            last = answers.connack(self._version, why)
        elif self._session is not None and self._version == packets.V5:
            last = answers.disconnect(reason, answers.REASONS.get(reason, "ended"))
            if len(last) > self._max_packet_bytes:
                last = answers.disconnect(reason, "")
        self._out.end(self._loop.time(), last)

    def expire(self) -> None:
        """End the connection; see connections.Connection."""
        self._out.abort()

    evict = expire

    def _read_or_pause(self) -> None:
        is_held = self._held_until is not None and len(self._in.buffer) >= MAX_HELD_BYTES
        is_full = self._requests is not None and self._requests.is_full
        is_reading = not (self._is_in_line or is_held or is_full)
        if is_reading != self._is_reading:
            self._is_reading = is_reading
            if is_reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _note_held(self, size_bytes: int) -> None:
        if size_bytes != self._noted_bytes:
            self._noted_bytes = size_bytes
            self._broker.connections.hold(self, size_bytes)

    def check(self, now_s: float) -> None:
        """End the connection of a client that is silent, does not read, or whose token has expired; see Client."""
        self._out.check(now_s)
        if self._out.is_over:
            return
        if self._requests is None:
            if now_s - self._opened_s > CONNECT_WITHIN_S:
                self._broker.refuse("no CONNECT in time")
                self._out.end(now_s)
            return
        expires_ms = self._requests.who.expires_ms
        if expires_ms is not None and expires_ms <= clock.now_ms():
            self.close(packets.ADMINISTRATIVE)
        elif self._held_until is not None:
            if not self._is_reading and has_left(self._transport):
                self.expire()
        elif now_s - self.heard_s > self._silence_s and not self._is_in_line and not self._requests.is_waiting:
            self._broker.refuse("silent for too long", self._out.who)
            self.close(packets.KEEP_ALIVE_TIMEOUT)
        held_bytes = self._out.held_bytes + len(self._in.buffer)
        self._note_held(held_bytes if held_bytes > MIN_NOTED_BYTES else 0)
