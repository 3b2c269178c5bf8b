"""Reads the properties of MQTT 5: which packets may have which, their encodings and their values (section 2.2.2)."""

from typing import NamedTuple

from embedded.mqtt.reading import PROTOCOL_ERROR, QUOTA_EXCEEDED, Malformed, Reader

FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
IDENTIFIER, SESSION_EXPIRY, ASSIGNED_CLIENT_ID, SERVER_KEEP_ALIVE = 0x0B, 0x11, 0x12, 0x13
AUTHENTICATION_METHOD, AUTHENTICATION_DATA, PROBLEM_INFORMATION, WILL_DELAY = 0x15, 0x16, 0x17, 0x18
RESPONSE_INFORMATION, REASON_STRING, RECEIVE_MAXIMUM, ALIAS_MAXIMUM, ALIAS = 0x19, 0x1F, 0x21, 0x22, 0x23
USER, MAXIMUM_PACKET_SIZE, SHARED_AVAILABLE = 0x26, 0x27, 0x2A

_HANDED_ON = frozenset((FORMAT, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, USER))
"""What a subscriber gets unchanged."""
OF_CONNECT = frozenset((
    SESSION_EXPIRY, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE, ALIAS_MAXIMUM, RESPONSE_INFORMATION, PROBLEM_INFORMATION,
    USER, AUTHENTICATION_METHOD, AUTHENTICATION_DATA,
))  # fmt: skip
OF_WILL = _HANDED_ON | {EXPIRY, WILL_DELAY}
OF_PUBLISH = _HANDED_ON | {EXPIRY, ALIAS}
"""A client must not send IDENTIFIER here, section 3.3.4."""
OF_ACK = frozenset((REASON_STRING, USER))
OF_SUBSCRIBE = frozenset((IDENTIFIER, USER))
OF_UNSUBSCRIBE = frozenset((USER,))
OF_DISCONNECT = frozenset((SESSION_EXPIRY, REASON_STRING, USER))

_BYTE, _TWO, _FOUR, _VARIABLE, _TEXT, _BINARY, _PAIR = range(7)
_KINDS = {
    FORMAT: _BYTE, EXPIRY: _FOUR, CONTENT_TYPE: _TEXT, RESPONSE_TOPIC: _TEXT, CORRELATION: _BINARY,
    IDENTIFIER: _VARIABLE, SESSION_EXPIRY: _FOUR, AUTHENTICATION_METHOD: _TEXT, AUTHENTICATION_DATA: _BINARY,
    PROBLEM_INFORMATION: _BYTE, WILL_DELAY: _FOUR, RESPONSE_INFORMATION: _BYTE, REASON_STRING: _TEXT,
    RECEIVE_MAXIMUM: _TWO, ALIAS_MAXIMUM: _TWO, ALIAS: _TWO, USER: _PAIR, MAXIMUM_PACKET_SIZE: _FOUR,
}  # fmt: skip
"""The encoding of the value of each property that a client may send."""
_NEVER_0 = {RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE, IDENTIFIER}
_FLAGS = {FORMAT, PROBLEM_INFORMATION, RESPONSE_INFORMATION}
"""Bytes that are 0 or 1."""
MAX_USER = 1_000
"""How many user properties a packet may have. Each takes a microsecond or two, and 128 kB have room for 26,000."""


class Properties(NamedTuple):
    """The properties of a packet."""

    numbers: dict[int, int]
    """The values that are numbers, 1 for each text or bytes that came, and how many user properties came."""
    handed_on: bytes
    """What a subscriber of the message gets unchanged, as it came and in that order."""


NONE = Properties({}, b"")


def read(reader: Reader, allowed: frozenset[int]) -> Properties:
    """Take the properties off the front of a packet's body.

    Args:
        reader: where their length begins.
        allowed: the properties that the packet may have.

    Raises:
        Malformed: a property is not one of them, comes twice or has a value that the standard forbids.
    """
    length = reader.variable()
    if length == 0:
        return NONE
    raw = reader.take(length)
    inner, parts = Reader(raw), []
    numbers: dict[int, int] = {}
    while not inner.is_empty:
        at = inner.at
        name = inner.variable()
        if name not in allowed:
            raise Malformed(f"the packet has no property {name}")
        value = _value(inner, name)
        if name == USER:
            value += numbers.get(name, 0)
            if value > MAX_USER:
                raise Malformed(f"a packet has more than {MAX_USER} user properties", QUOTA_EXCEEDED)
        elif name in numbers:
            raise Malformed(f"property {name} comes twice", PROTOCOL_ERROR)
        numbers[name] = value
        if name in _HANDED_ON:
            parts.append(raw[at : inner.at])
    return Properties(numbers, b"".join(parts))


def _value(reader: Reader, name: int) -> int:
    kind = _KINDS[name]
    if kind >= _TEXT:
        _skip(reader, name, kind)
        return 1
    if kind == _BYTE:
        value = reader.byte()
    elif kind == _TWO:
        value = reader.two()
    else:
        value = reader.four() if kind == _FOUR else reader.variable()
    if (value == 0 and name in _NEVER_0) or (value > 1 and name in _FLAGS):
        raise Malformed(f"property {name} must not be {value}", PROTOCOL_ERROR)
    return value


def _skip(reader: Reader, name: int, kind: int) -> None:
    if kind == _BINARY:
        reader.binary()
        return
    text = reader.text()
    if kind == _PAIR:
        reader.text()
    if name == RESPONSE_TOPIC and (not text or "+" in text or "#" in text):
        raise Malformed("a response topic must have a character at least, and no wildcard", PROTOCOL_ERROR)
