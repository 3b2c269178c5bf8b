"""MQTT packets as bytes, written and read for tests without the broker's own code, over TCP and over WebSocket.

Everywhere, ``with_`` are the properties of version 5: pairs of a number and a value.
"""

import base64
import collections
import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = (
    2, 3, 4, 5, 6, 7, 9, 11, 13, 14,
)  # fmt: skip
PINGREQ = b"\xc0\x00"
STORED = "tago/data/post"
"""A topic whose messages are stored."""
WAIT_S = 10

PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
SUBSCRIPTION_ID, SESSION_EXPIRY, ASSIGNED_ID, SERVER_KEEP_ALIVE, WILL_DELAY = 0x0B, 0x11, 0x12, 0x13, 0x18
RECEIVE_MAXIMUM, USER_PROPERTY, MAXIMUM_PACKET = 0x21, 0x26, 0x27
_SIZES = {0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1,
          0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}  # fmt: skip
"""The properties that are numbers of a fixed size."""


def kept(version):
    """Return what CONNECT needs so that the session is kept."""
    return {"clean": False, "with_": ((SESSION_EXPIRY, 300),) if version == 5 else ()}


def point(value, **more):
    return json.dumps({"variable": "n", "value": value, **more})


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return len(raw).to_bytes(2) + raw


def number(value):
    """Write a number with 7 bits a byte."""
    found = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        found.append(digit | (128 if value else 0))
        if not value:
            return bytes(found)


def packet(first, body=b""):
    return bytes((first,)) + number(len(body)) + body


def properties(pairs):
    body = b""
    for name, value in pairs:
        body += bytes((name,))
        if name in _SIZES:
            body += value.to_bytes(_SIZES[name])
        elif name == SUBSCRIPTION_ID:
            body += number(value)
        elif name == USER_PROPERTY:
            body += text(value[0]) + text(value[1])
        else:
            body += text(value)
    return number(len(body)) + body


def _if_5(version, pairs):
    return properties(pairs) if version == 5 else b""


class Will(NamedTuple):
    topic: str
    payload: bytes | str = b""
    qos: int = 0
    retain: bool = False
    with_: tuple[tuple[int, Any], ...] = ()


def connect(token, client_id="c", version=5, *, clean=True, keep_alive=60, will=None, username="Token", with_=()):
    """Write CONNECT. A version above 127 is that of a bridge."""
    flags, tail = 2 if clean else 0, text(client_id)
    if will:
        flags |= 4 | will.qos << 3 | will.retain << 5
        tail += _if_5(version, will.with_) + text(will.topic) + text(will.payload)
    if username is not None:
        flags |= 0x80
        tail += text(username)
    if token is not None:
        flags |= 0x40
        tail += text(token)
    name = "MQIsdp" if version & 127 == 3 else "MQTT"
    head = text(name) + bytes((version, flags)) + keep_alive.to_bytes(2) + _if_5(version, with_)
    return packet(0x10, head + tail)


def publish(topic, payload=b"", qos=0, packet_id=1, *, version=5, dup=False, retain=False, with_=()):
    raw = payload.encode() if isinstance(payload, str) else payload
    ids = packet_id.to_bytes(2) if qos else b""
    return packet(0x30 | dup << 3 | qos << 1 | retain, text(topic) + ids + _if_5(version, with_) + raw)


def subscribe(*filters, packet_id=1, version=5, with_=()):
    """Write SUBSCRIBE. A filter is its name, with QoS 1, or a pair of its name and its options."""
    pairs = [one if isinstance(one, tuple) else (one, 1) for one in filters]
    body = packet_id.to_bytes(2) + _if_5(version, with_)
    return packet(0x82, body + b"".join(text(name) + bytes((options,)) for name, options in pairs))


def unsubscribe(*filters, packet_id=1, version=5):
    return packet(0xA2, packet_id.to_bytes(2) + _if_5(version, ()) + b"".join(map(text, filters)))


def ack(kind, packet_id, reason=None):
    body = packet_id.to_bytes(2) + (b"" if reason is None else bytes((reason,)))
    return packet(kind << 4 | (2 if kind == PUBREL else 0), body)


def disconnect(reason=None, with_=None):
    body = b"" if reason is None else bytes((reason,))
    return packet(0xE0, body + (b"" if with_ is None else properties(with_)))


@dataclass
class Packet:
    """What the broker sent. ``reasons`` has the codes of CONNACK, SUBACK, UNSUBACK, DISCONNECT and acknowledgements."""

    kind: int
    flags: int = 0
    packet_id: int = 0
    topic: str = ""
    payload: bytes = b""
    is_present: bool = False
    reasons: tuple[int, ...] = ()
    properties: list[tuple[int, Any]] = field(default_factory=list)

    @property
    def qos(self):
        return self.flags >> 1 & 3

    @property
    def is_again(self):
        return bool(self.flags & 8)

    @property
    def is_retained(self):
        return bool(self.flags & 1)

    def all(self, name):
        """Return the values of a property, in their order."""
        return [value for found, value in self.properties if found == name]


class _Body:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.raw), "the broker sent a packet that ends too early"
        return self.raw[self.at - count : self.at]

    def two(self):
        return int.from_bytes(self.take(2))

    def text(self):
        return self.take(self.two()).decode()

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def rest(self):
        return self.take(len(self.raw) - self.at)

    def properties(self):
        end = self.number() + self.at
        found = []
        while self.at < end:
            name = self.number()
            if name in _SIZES:
                found.append((name, int.from_bytes(self.take(_SIZES[name]))))
            elif name == SUBSCRIPTION_ID:
                found.append((name, self.number()))
            elif name == USER_PROPERTY:
                found.append((name, (self.text(), self.text())))
            elif name in (CORRELATION, 0x16):
                found.append((name, self.take(self.two())))
            else:
                found.append((name, self.text()))
        assert self.at == end, "the properties are longer than they say"
        return found


def read(first, raw, version):
    """Read a packet from its first byte and its body."""
    found, body, is_5 = Packet(first >> 4, first & 15), _Body(raw), version == 5
    if found.kind == CONNACK:
        found.is_present, found.reasons = bool(body.take(1)[0]), tuple(body.take(1))
    elif found.kind == PUBLISH:
        found.topic = body.text()
        found.packet_id = body.two() if found.qos else 0
    elif found.kind == DISCONNECT:
        found.reasons = tuple(body.take(min(1, len(raw)))) or (0,)
    elif found.kind != PINGRESP:
        found.packet_id = body.two()
        if found.kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            found.reasons = tuple(body.take(min(1, len(raw) - 2))) or (0,)
    if is_5 and body.at < len(raw):
        found.properties = body.properties()
    if found.kind == PUBLISH:
        found.payload = body.rest()
    elif found.kind in (SUBACK, UNSUBACK):
        found.reasons = tuple(body.rest())
    assert body.at == len(raw), "something follows the packet's end"
    return found


class Tcp:
    """A connection to the broker.

    Args:
        port: where it listens.
        receive_bytes: how much the kernel may keep for this side; None: as much as it likes.
    """

    def __init__(self, port, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(WAIT_S)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Return the next bytes; none if the broker has closed the connection."""
        try:
            return self.socket.recv(65_536)
        except ConnectionResetError:
            return b""

    def close(self):
        self.socket.close()


class WebSocket(Tcp):
    """A connection to ``/mqtt`` on the HTTP port. Each ``send`` is one masked binary frame."""

    BINARY, CLOSE, PING, PONG = 2, 8, 9, 10

    def __init__(self, port, protocols="mqtt", path="/mqtt"):
        super().__init__(port)
        self._got = b""
        key = base64.b64encode(os.urandom(16)).decode()
        offered = f"Sec-WebSocket-Protocol: {protocols}\r\n" if protocols else ""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n".encode()
        )
        while b"\r\n\r\n" not in self._got:
            part = super().receive()
            assert part, f"the server closed the connection: {self._got!r}"
            self._got += part
        head, self._got = self._got.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])

    def send(self, data):
        self.send_frame(self.BINARY, data)

    def send_frame(self, kind, data, *, is_last=True):
        size, mask = len(data), os.urandom(4)
        if size < 126:
            head = bytes((size | 128,))
        elif size < 65_536:
            head = bytes((126 | 128,)) + size.to_bytes(2)
        else:
            head = bytes((127 | 128,)) + size.to_bytes(8)
        whole = int.from_bytes(data) ^ int.from_bytes((mask * (size // 4 + 1))[:size])
        self.socket.sendall(bytes((is_last << 7 | kind,)) + head + mask + whole.to_bytes(size))

    def _take(self, count):
        while len(self._got) < count:
            part = super().receive()
            if not part:
                return None
            self._got += part
        found, self._got = self._got[:count], self._got[count:]
        return found

    def receive_frame(self):
        """Return the kind and the data of the next frame; None if the server has closed the connection."""
        head = self._take(2)
        if head is None:
            return None
        size = head[1]
        assert size < 128, "a server does not mask"
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8))
        return head[0] & 15, self._take(size)

    def receive(self):
        while True:
            frame = self.receive_frame()
            if frame is None or frame[0] == self.CLOSE:
                return b""
            if frame[0] in (0, self.BINARY):
                return frame[1]


class Peer:
    """A client that sends packets and reads what the broker sends.

    Args:
        link: the connection, of TCP or WebSocket.
        version: 3, 4 or 5.
    """

    def __init__(self, link, version=5):
        self.link, self.version, self._got = link, version, b""
        self._ahead = collections.deque()
        """Packets that came while ``message`` waited for another one."""
        self.welcome = None
        """CONNACK."""

    def send(self, *packets):
        self.link.send(b"".join(packets))
        return self

    def next(self, wait_s=WAIT_S):
        """Return the next packet; None if the broker has closed the connection."""
        return self._ahead.popleft() if self._ahead else self._receive(wait_s)

    def _receive(self, wait_s):
        self.link.socket.settimeout(wait_s)
        while (found := self._split()) is None:
            part = self.link.receive()
            if not part:
                return None
            self._got += part
        return read(*found, self.version)

    def _split(self):
        size = shift = 0
        for at, byte in enumerate(self._got[1:5], 2):
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                if len(self._got) < at + size:
                    return None
                found = self._got[0], self._got[at : at + size]
                self._got = self._got[at + size :]
                return found
        return None

    def expect(self, kind, wait_s=WAIT_S):
        """Return the next packet, which must be of this kind."""
        found = self.next(wait_s)
        assert found is not None and found.kind == kind, found
        return found

    def nothing_more(self):
        """Check that the broker sends nothing that it has not sent before it answers a PINGREQ."""
        self.send(PINGREQ)
        return self.expect(PINGRESP)

    def connect(self, token, client_id="c", **options):
        self.send(connect(token, client_id, self.version, **options))
        return self.expect(CONNACK)

    def subscribe(self, *filters, **options):
        self.send(subscribe(*filters, version=self.version, **options))
        return self.expect(SUBACK).reasons

    def publish(self, topic, payload=b"", qos=0, packet_id=1, **options):
        """Publish a message, and wait until the broker is done with it."""
        self.send(publish(topic, payload, qos, packet_id, version=self.version, **options))
        if qos == 0:
            return self.nothing_more()
        found = self.expect(PUBACK if qos == 1 else PUBREC)
        if qos == 2 and found.reasons[0] < 0x80:
            self.send(ack(PUBREL, packet_id))
            return self.expect(PUBCOMP)
        return found

    def message(self, wait_s=WAIT_S):
        """Return the next message, and acknowledge it."""
        found = self.expect(PUBLISH, wait_s)
        if found.qos == 1:
            self.send(ack(PUBACK, found.packet_id))
        elif found.qos == 2:
            self.send(ack(PUBREC, found.packet_id))
            while (answer := self._receive(wait_s)) is not None and answer.kind != PUBREL:
                self._ahead.append(answer)
            assert answer is not None and answer.packet_id == found.packet_id, answer
            self.send(ack(PUBCOMP, found.packet_id))
        return found

    def rest(self):
        """Wait until the broker has closed the connection. Return the kind and the reason of what it sent before."""
        found = []
        while (one := self.next()) is not None:
            found.append((one.kind, *one.reasons))
        return found

    def vanish(self):
        """Close the connection without DISCONNECT, and wait until the broker knows."""
        self.link.socket.settimeout(WAIT_S)
        self.link.socket.shutdown(socket.SHUT_WR)
        deadline_s = time.monotonic() + WAIT_S
        while self.link.receive() and time.monotonic() < deadline_s:
            pass
        self.link.close()
