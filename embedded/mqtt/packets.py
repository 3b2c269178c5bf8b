"""Reads MQTT control packets: pure functions, no I/O. Versions 3.1 (3), 3.1.1 (4) and 5.

Source: the OASIS specifications MQTT 3.1.1 and MQTT 5.0; section numbers in comments are those of the latter.
"""

from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = range(1, 12)
PINGREQ, PINGRESP, DISCONNECT, AUTH = range(12, 16)
V5 = 5
_FIRST = {0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, *range(0x30, 0x40)}
"""Valid first bytes: a packet's type and its flags. Only the flags of PUBLISH vary."""

NORMAL, NO_SUBSCRIBERS, WITH_WILL = 0x00, 0x10, 0x04
MALFORMED, PROTOCOL_ERROR, UNSUPPORTED_VERSION, BAD_CLIENT_ID = 0x81, 0x82, 0x84, 0x85
BAD_PASSWORD, NOT_AUTHORIZED, UNAVAILABLE, KEEP_ALIVE_TIMEOUT = 0x86, 0x87, 0x88, 0x8D
TAKEN_OVER, BAD_FILTER, BAD_TOPIC, TOO_LARGE, ADMINISTRATIVE, RATE_EXCEEDED = 0x8E, 0x8F, 0x90, 0x95, 0x98, 0x9F
SHUTTING_DOWN = 0x8B

SESSION_EXPIRY, RECEIVE_MAXIMUM, ASSIGNED_CLIENT_ID = 0x11, 0x21, 0x12
_TOPIC_ALIAS = 0x23
_BYTE, _TWO, _FOUR, _VARIABLE, _TEXT, _BINARY, _PAIR = range(7)
_KINDS = {
    0x01: _BYTE, 0x02: _FOUR, 0x03: _TEXT, 0x08: _TEXT, 0x09: _BINARY, 0x0B: _VARIABLE, 0x11: _FOUR, 0x12: _TEXT,
    0x13: _TWO, 0x15: _TEXT, 0x16: _BINARY, 0x17: _BYTE, 0x18: _FOUR, 0x19: _BYTE, 0x1A: _TEXT, 0x1C: _TEXT,
    0x1F: _TEXT, 0x21: _TWO, 0x22: _TWO, 0x23: _TWO, 0x24: _BYTE, 0x25: _BYTE, 0x26: _PAIR, 0x27: _FOUR, 0x28: _BYTE,
    0x29: _BYTE, 0x2A: _BYTE,
}  # fmt: skip
"""The encoding of each property's value, section 2.2.2.2."""
Value = int | str | bytes


class Malformed(Exception):
    """The bytes are not valid MQTT; the connection must end.

    Args:
        text: what is wrong, for the log.
        reason: the reason code of version 5.
    """

    def __init__(self, text: str, reason: int = MALFORMED) -> None:
        super().__init__(text)
        self.reason = reason


class Message(NamedTuple):
    """A published message."""

    topic: str
    payload: bytes
    qos: int = 0
    properties: bytes = b""
    """Properties of version 5, passed on to subscribers unchanged."""


class Connect(NamedTuple):
    """A client's first packet."""

    version: int
    client_id: str
    is_clean: bool
    keep_alive_s: int
    username: str | None
    password: bytes | None
    will: Message | None
    properties: dict[int, Value]


class Publish(NamedTuple):
    """A message, and how to acknowledge it."""

    message: Message
    packet_id: int
    """0 with QoS 0."""
    is_again: bool


class Subscribe(NamedTuple):
    """Filters, each with its options byte: QoS in the lowest two bits, the no-local flag in the third."""

    packet_id: int
    filters: list[tuple[str, int]]


class Unsubscribe(NamedTuple):
    """Filters to remove."""

    packet_id: int
    filters: list[str]


class Reader:
    """Takes values off the front of a packet's body."""

    __slots__ = ("_at", "_body", "_end")

    def __init__(self, body: bytes) -> None:
        self._body, self._at, self._end = body, 0, len(body)

    def take(self, count: int) -> bytes:
        """Take this many bytes."""
        at = self._at
        if at + count > self._end:
            raise Malformed("a packet ends too early")
        self._at = at + count
        return self._body[at : at + count]

    def rest(self) -> bytes:
        """Take the remaining bytes."""
        at, self._at = self._at, self._end
        return self._body[at:]

    @property
    def is_empty(self) -> bool:
        """Whether no bytes remain."""
        return self._at >= self._end

    def byte(self) -> int:
        """Take a byte."""
        return self.take(1)[0]

    def two(self) -> int:
        """Take two bytes as a number."""
        return int.from_bytes(self.take(2))

    def variable(self) -> int:
        """Take a number that is written with 7 bits a byte."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise Malformed("a length takes more than four bytes")

    def binary(self) -> bytes:
        """Take a length of two bytes, and the bytes that follow it."""
        return self.take(self.two())

    def text(self) -> str:
        """Take a length of two bytes, and the UTF-8 text that follows it."""
        return _text(self.binary())

    def properties(self) -> dict[int, Value]:
        """Take the properties of version 5. If a property may repeat, its last value is kept."""
        return _properties(self.take(self.variable()))


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None
    if "\0" in text:
        raise Malformed("a text holds a null character")
    return text


def _properties(raw: bytes) -> dict[int, Value]:
    reader, properties = Reader(raw), {}
    while not reader.is_empty:
        name = reader.variable()
        kind = _KINDS.get(name)
        if kind is None:
            raise Malformed(f"there is no property {name}")
        if name in properties and kind != _PAIR and name != 0x0B:
            raise Malformed(f"property {name} comes twice", PROTOCOL_ERROR)
        properties[name] = _property(reader, kind)
    return properties


def _property(reader: Reader, kind: int) -> Value:
    if kind == _BYTE:
        return reader.byte()
    if kind == _TWO:
        return reader.two()
    if kind == _FOUR:
        return int.from_bytes(reader.take(4))
    if kind == _VARIABLE:
        return reader.variable()
    if kind == _PAIR:
        reader.text()
    return reader.binary() if kind == _BINARY else reader.text()


def split(buffer: bytearray, max_bytes: int) -> tuple[int, bytes] | None:
    """Take the first packet off a buffer; return its first byte and its body, or None while it is incomplete.

    Raises:
        Malformed: the first byte or the length is invalid, or the length is over ``max_bytes``.
    """
    size = len(buffer)
    if size and buffer[0] not in _FIRST:
        raise Malformed(f"no packet begins with {buffer[0]:#04x}")
    if size < 2:
        return None
    length = buffer[1]
    start = 2
    if length > 127:
        length &= 127
        while True:
            if start > 4:
                raise Malformed("a length takes more than four bytes")
            if size <= start:
                return None
            byte = buffer[start]
            length |= (byte & 127) << (7 * (start - 1))
            start += 1
            if byte < 128:
                break
    if length > max_bytes:
        raise Malformed(f"a packet of {length} bytes is larger than {max_bytes}", TOO_LARGE)
    end = start + length
    if size < end:
        return None
    packet = buffer[0], bytes(memoryview(buffer)[start:end])
    del buffer[:end]
    return packet


def read_connect(body: bytes) -> Connect:
    """Read the body of CONNECT.

    Raises:
        Malformed: it is not valid. The reason is UNSUPPORTED_VERSION if the packet is of another version.
    """
    reader = Reader(body)
    name, version = reader.text(), reader.byte()
    if (name, version) not in (("MQIsdp", 3), ("MQTT", 4), ("MQTT", 5)):
        raise Malformed(f"{name!r} version {version} is not spoken here", UNSUPPORTED_VERSION)
    flags, keep_alive_s = reader.byte(), reader.two()
    if flags & 1 and version > 3:
        raise Malformed("a reserved flag is set")
    properties = reader.properties() if version == V5 else {}
    client_id = reader.text()
    will = _will(reader, flags, version) if flags & 4 else None
    if not flags & 4 and flags & 0x38:
        raise Malformed("the flags speak of a will that is not there")
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    if not reader.is_empty:
        raise Malformed("something follows the packet's end")
    return Connect(version, client_id, bool(flags & 2), keep_alive_s, username, password, will, properties)


def _will(reader: Reader, flags: int, version: int) -> Message:
    qos = flags >> 3 & 3
    if qos == 3:
        raise Malformed("there is no QoS 3")
    if version == V5:
        reader.properties()
    topic = reader.text()
    check_topic(topic)
    return Message(topic, reader.binary(), qos)


def check_topic(topic: str) -> None:
    """Raise Malformed if a message cannot be published to the topic."""
    if not topic or "+" in topic or "#" in topic:
        raise Malformed("a topic must have a character at least, and no wildcard", BAD_TOPIC)


def read_publish(first: int, body: bytes, version: int) -> Publish:
    """Read PUBLISH from its first byte and body.

    Raises:
        Malformed: it is not valid.
    """
    qos = first >> 1 & 3
    length = int.from_bytes(body[:2])
    at = 2 + length
    if qos == 3 or len(body) < at + (2 if qos else 0):
        raise Malformed("a publish is not whole")
    topic = _text(body[2:at])
    if version != V5 or topic:
        check_topic(topic)
    packet_id = 0
    if qos:
        packet_id = int.from_bytes(body[at : at + 2])
        at += 2
        if packet_id == 0:
            raise Malformed("a packet id is 0")
    properties = b""
    if version == V5:
        reader = Reader(body[at:])
        properties = reader.take(reader.variable())
        if _TOPIC_ALIAS in _properties(properties) or not topic:
            raise Malformed("topic aliases are not offered", 0x94)
        return Publish(Message(topic, reader.rest(), qos, properties), packet_id, bool(first & 8))
    return Publish(Message(topic, body[at:], qos), packet_id, bool(first & 8))


def read_ack(body: bytes) -> int:
    """Read the packet id of PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return Reader(body).two()


def _with_id(body: bytes, version: int) -> tuple[Reader, int]:
    """Read the packet id and skip the properties. Return the reader, which continues behind them, and the id."""
    reader = Reader(body)
    packet_id = reader.two()
    if version == V5:
        reader.properties()
    return reader, packet_id


def read_subscribe(body: bytes, version: int) -> Subscribe:
    """Read the body of SUBSCRIBE.

    Raises:
        Malformed: it is not valid.
    """
    reader, packet_id = _with_id(body, version)
    filters = []
    while not reader.is_empty:
        name, options = reader.text(), reader.byte()
        if options & 3 == 3 or (version != V5 and options > 2):
            raise Malformed("there is no QoS 3")
        filters.append((name, options))
    if not filters or packet_id == 0:
        raise Malformed("a subscription names nothing", PROTOCOL_ERROR)
    return Subscribe(packet_id, filters)


def read_unsubscribe(body: bytes, version: int) -> Unsubscribe:
    """Read the body of UNSUBSCRIBE.

    Raises:
        Malformed: it is not valid.
    """
    reader, packet_id = _with_id(body, version)
    filters = []
    while not reader.is_empty:
        filters.append(reader.text())
    if not filters or packet_id == 0:
        raise Malformed("nothing is named that should be unsubscribed", PROTOCOL_ERROR)
    return Unsubscribe(packet_id, filters)


def read_disconnect(body: bytes, version: int) -> tuple[int, dict[int, Value]]:
    """Read reason and properties of DISCONNECT."""
    if version != V5 or not body:
        return NORMAL, {}
    reader = Reader(body)
    reason = reader.byte()
    return reason, {} if reader.is_empty else reader.properties()
