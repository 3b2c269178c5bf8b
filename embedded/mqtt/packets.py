"""Reads MQTT control packets: pure functions, no I/O. Versions 3.1 (3), 3.1.1 (4) and 5.

Source: the OASIS specifications MQTT 3.1.1 and MQTT 5.0; section numbers in comments are those of the latter.
"""

from typing import NamedTuple

from chalicelib.codec import topics
from embedded.mqtt import properties, reading
from embedded.mqtt.reading import Malformed, Reader, decode

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = range(1, 12)
PINGREQ, PINGRESP, DISCONNECT, AUTH = range(12, 16)
V5 = 5
MAX = 268_435_460
"""The size in bytes of the largest packet that MQTT has."""
MAX_FILTERS = 1_000
"""How many filters SUBSCRIBE and UNSUBSCRIBE may have. A session has far fewer subscriptions."""
_TOO_MANY = f"a packet has more than {MAX_FILTERS} filters"
_FIRST = {0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, *range(0x30, 0x40)}
"""Valid first bytes: a packet's type and its flags. Only the flags of PUBLISH vary."""

MALFORMED, PROTOCOL_ERROR, QUOTA_EXCEEDED = reading.MALFORMED, reading.PROTOCOL_ERROR, reading.QUOTA_EXCEEDED
NORMAL, WITH_WILL, NO_SUBSCRIPTION = 0x00, 0x04, 0x11
UNSUPPORTED_VERSION, BAD_CLIENT_ID, BAD_PASSWORD, NOT_AUTHORIZED, UNAVAILABLE = 0x84, 0x85, 0x86, 0x87, 0x88
SHUTTING_DOWN, BAD_AUTHENTICATION_METHOD, KEEP_ALIVE_TIMEOUT, TAKEN_OVER = 0x8B, 0x8C, 0x8D, 0x8E
BAD_FILTER, BAD_TOPIC, UNKNOWN_PACKET_ID, BAD_ALIAS, TOO_LARGE, RATE_EXCEEDED = 0x8F, 0x90, 0x92, 0x94, 0x95, 0x9F
RECEIVE_MAXIMUM_EXCEEDED = 0x93
ADMINISTRATIVE, BAD_PAYLOAD, NO_SHARED_SUBSCRIPTIONS = 0x98, 0x99, 0x9E
FAILURE = 0x80
"""Reason codes from this one on are refusals."""


class Message(NamedTuple):
    """A published message."""

    topic: str
    payload: bytes
    qos: int = 0
    properties: bytes = b""
    """The properties of version 5 that subscribers get unchanged, as the publisher wrote them."""
    is_retained: bool = False
    """Whether the publisher set RETAIN."""
    expires_ms: int | None = None
    """When the message expires, in milliseconds since 1970; None: never."""

    @property
    def size_bytes(self) -> int:
        """What limits count: the bytes of payload, topic and properties."""
        return len(self.payload) + len(self.topic.encode()) + len(self.properties)


class Will(NamedTuple):
    """A message that is published for a client whose connection ends without DISCONNECT."""

    message: Message
    """Without ``expires_ms``, as this counts from when it is published; see ``due``."""
    delay_s: int
    expiry_s: int | None = None
    """The message's expiry interval; None: it never expires."""

    def due(self, now_ms: int) -> Message:
        """Return the message as it is published now."""
        if self.expiry_s is None:
            return self.message
        return self.message._replace(expires_ms=now_ms + 1_000 * self.expiry_s)


class Connect(NamedTuple):
    """A client's first packet. Before version 5, the last three fields are as if it had named none."""

    version: int
    client_id: str
    is_clean: bool
    keep_alive_s: int
    username: str | None
    password: bytes | None
    will: Will | None
    expiry_s: int = 0
    """How long the client wants its session to be kept after the connection has ended; 4,294,967,295: for ever."""
    receive_maximum: int = 65_535
    """How many messages above QoS 0 it takes at once."""
    max_packet_bytes: int = MAX
    """The size of the largest packet that it takes."""


class Publish(NamedTuple):
    """A message, and how to acknowledge it."""

    message: Message
    packet_id: int
    """0 with QoS 0."""
    is_again: bool


class Ack(NamedTuple):
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""

    packet_id: int
    reason: int
    """0 before version 5."""


class Subscribe(NamedTuple):
    """Filters, each with its options byte.

    The lowest two bits are the QoS. Those of version 5 follow: no-local, retain as published, and two of retain
    handling.
    """

    packet_id: int
    filters: list[tuple[str, int]]
    identifier: int = 0
    """What messages that match carry; 0: nothing."""


class Unsubscribe(NamedTuple):
    """Filters to remove."""

    packet_id: int
    filters: list[str]


def measure(buffer: bytearray, at: int, max_bytes: int) -> tuple[int, int] | None:
    """Return where the body of the packet at a place begins, and where it will end; None while that is not known.

    Raises:
        Malformed: the first byte or the length is invalid, or the length is over ``max_bytes``.
    """
    size = len(buffer)
    if size > at and buffer[at] not in _FIRST:
        raise Malformed(f"no packet begins with {buffer[at]:#04x}")
    start, length, shift = at + 1, 0, 0
    while True:
        if size <= start:
            return None
        byte = buffer[start]
        start += 1
        length |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 21:
            raise Malformed("a length takes more than four bytes")
    if length > max_bytes:
        raise Malformed(f"a packet is larger than the broker takes: it has {length} bytes", TOO_LARGE)
    return start, start + length


def read_version(reader: Reader) -> int:
    """Take the version of MQTT off the front of the body of CONNECT.

    Raises:
        Malformed: it cannot be read. The reason is UNSUPPORTED_VERSION if it is another version than 3, 4 and 5.
    """
    name, version = reader.text(), reader.byte()
    if (name, version) not in (("MQIsdp", 3), ("MQTT", 4), ("MQTT", 5)):
        raise Malformed(f"a client must use MQTT 3.1, 3.1.1 or 5, and not {name!r} {version}", UNSUPPORTED_VERSION)
    return version


def read_connect(body: bytes) -> Connect:
    """Read the body of CONNECT.

    Raises:
        Malformed: it is not valid; see also ``read_version``.
    """
    reader = Reader(body)
    version = read_version(reader)
    flags, keep_alive_s = reader.byte(), reader.two()
    if flags & 1 and version > 3:
        raise Malformed("a reserved flag is set")
    named = _connect_properties(reader) if version == V5 else {}
    client_id = reader.text()
    will = _will(reader, flags, version) if flags & 4 else None
    if not flags & 4 and flags & 0x38:
        raise Malformed("the flags speak of a will that is not there")
    if flags & 0xC0 == 0x40 and version != V5:
        raise Malformed("there is a password without a user name")
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.finish()
    return Connect(
        version, client_id, bool(flags & 2), keep_alive_s, username, password, will,
        named.get(properties.SESSION_EXPIRY, 0), named.get(properties.RECEIVE_MAXIMUM, 65_535),
        min(named.get(properties.MAXIMUM_PACKET_SIZE, MAX), MAX),
    )  # fmt: skip


def _connect_properties(reader: Reader) -> dict[int, int]:
    named = properties.read(reader, properties.OF_CONNECT).numbers
    if properties.AUTHENTICATION_METHOD in named:
        raise Malformed("authentication methods are not offered", BAD_AUTHENTICATION_METHOD)
    if properties.AUTHENTICATION_DATA in named:
        raise Malformed("there is authentication data without a method", PROTOCOL_ERROR)
    return named


def _will(reader: Reader, flags: int, version: int) -> Will:
    qos = flags >> 3 & 3
    if qos == 3:
        raise Malformed("there is no QoS 3")
    named, handed_on = properties.read(reader, properties.OF_WILL) if version == V5 else properties.NONE
    topic = reader.text()
    check_topic(topic)
    message = Message(topic, reader.binary(), qos, handed_on, bool(flags & 0x20))
    return Will(message, named.get(properties.WILL_DELAY, 0), named.get(properties.EXPIRY))


def check_topic(topic: str) -> None:
    """Raise Malformed if a message cannot be published to the topic."""
    if not topic or "+" in topic or "#" in topic:
        raise Malformed("a topic must have a character at least, and no wildcard", BAD_TOPIC)


def read_publish(first: int, body: bytes, version: int, now_ms: int) -> Publish:
    """Read PUBLISH from its first byte and body. It arrived at ``now_ms``, from which its expiry counts.

    Raises:
        Malformed: it is not valid.
    """
    qos, is_again = first >> 1 & 3, bool(first & 8)
    length = int.from_bytes(body[:2])
    at = 2 + length
    if qos == 3 or len(body) < at + (2 if qos else 0):
        raise Malformed("a publish is not whole")
    if is_again and not qos and version > 3:
        raise Malformed("a message with QoS 0 is not sent again")
    topic = decode(body[2:at])
    if version != V5 or topic:
        check_topic(topic)
    packet_id = 0
    if qos:
        packet_id = int.from_bytes(body[at : at + 2])
        at += 2
        if packet_id == 0:
            raise Malformed("a packet id is 0", PROTOCOL_ERROR)
    if version != V5:
        return Publish(Message(topic, body[at:], qos, b"", bool(first & 1)), packet_id, is_again)
    reader = Reader(body, at)
    named, handed_on = properties.read(reader, properties.OF_PUBLISH)
    if properties.ALIAS in named:
        raise Malformed("topic aliases are not offered", BAD_ALIAS)
    if not topic:
        raise Malformed("a message has no topic", PROTOCOL_ERROR)
    expiry_s = named.get(properties.EXPIRY)
    expires_ms = None if expiry_s is None else now_ms + 1_000 * expiry_s
    message = Message(topic, reader.rest(), qos, handed_on, bool(first & 1), expires_ms)
    return Publish(message, packet_id, is_again)


def read_ack(body: bytes, version: int) -> Ack:
    """Read PUBACK, PUBREC, PUBREL or PUBCOMP.

    Raises:
        Malformed: it is not valid.
    """
    reader = Reader(body)
    packet_id, reason = reader.two(), NORMAL
    if packet_id == 0:
        raise Malformed("a packet id is 0", PROTOCOL_ERROR)
    if version == V5 and not reader.is_empty:
        reason = reader.byte()
        if not reader.is_empty:
            properties.read(reader, properties.OF_ACK)
    reader.finish()
    return Ack(packet_id, reason)


def read_subscribe(body: bytes, version: int) -> Subscribe:
    """Read the body of SUBSCRIBE.

    Raises:
        Malformed: it is not valid.
    """
    reader = Reader(body)
    packet_id = reader.two()
    named = properties.read(reader, properties.OF_SUBSCRIBE).numbers if version == V5 else {}
    filters = []
    while not reader.is_empty:
        name, options = reader.text(), reader.byte()
        _check_options(name, options, version)
        filters.append((name, options))
        if len(filters) > MAX_FILTERS:
            raise Malformed(_TOO_MANY, QUOTA_EXCEEDED)
    if not filters or packet_id == 0:
        raise Malformed("a subscription names nothing", PROTOCOL_ERROR)
    return Subscribe(packet_id, filters, named.get(properties.IDENTIFIER, 0))


def _check_options(name: str, options: int, version: int) -> None:
    if options & 3 == 3 or options & (0xC0 if version == V5 else 0xFC):
        raise Malformed("the options of a subscription are not valid")
    if options & 0x30 == 0x30:
        raise Malformed("there is no retain handling 3", PROTOCOL_ERROR)
    if options & 4 and topics.is_shared(name):
        raise Malformed("a shared subscription cannot leave out the client's own messages", PROTOCOL_ERROR)


def read_unsubscribe(body: bytes, version: int) -> Unsubscribe:
    """Read the body of UNSUBSCRIBE.

    Raises:
        Malformed: it is not valid.
    """
    reader = Reader(body)
    packet_id = reader.two()
    if version == V5:
        properties.read(reader, properties.OF_UNSUBSCRIBE)
    filters = []
    while not reader.is_empty:
        filters.append(reader.text())
        if len(filters) > MAX_FILTERS:
            raise Malformed(_TOO_MANY, QUOTA_EXCEEDED)
    if not filters or packet_id == 0:
        raise Malformed("nothing is named that should be unsubscribed", PROTOCOL_ERROR)
    return Unsubscribe(packet_id, filters)


def read_disconnect(body: bytes, version: int) -> tuple[int, int | None]:
    """Read DISCONNECT.

    Returns:
        Its reason, and how many seconds the session is to be kept; None: it does not say.

    Raises:
        Malformed: it is not valid.
    """
    reader = Reader(body)
    reason, named = NORMAL, {}
    if version == V5 and body:
        reason = reader.byte()
        if not reader.is_empty:
            named = properties.read(reader, properties.OF_DISCONNECT).numbers
    reader.finish()
    return reason, named.get(properties.SESSION_EXPIRY)
