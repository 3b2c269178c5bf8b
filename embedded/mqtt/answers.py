"""Writes the MQTT packets that a broker sends: pure functions, no I/O."""

import struct

from embedded.mqtt import packets
from embedded.mqtt.packets import V5, Message

PINGRESP = b"\xd0\x00"
_RETAIN_AVAILABLE, _MAXIMUM_PACKET_SIZE, _IDENTIFIERS_AVAILABLE, _SHARED_AVAILABLE = 0x25, 0x27, 0x29, 0x2A
_REASON_STRING = 0x1F
REASONS = {
    packets.MALFORMED: "malformed packet",
    packets.PROTOCOL_ERROR: "protocol error",
    packets.NOT_AUTHORIZED: "not authorized",
    packets.UNAVAILABLE: "the store is not available",
    packets.SHUTTING_DOWN: "the broker stops",
    packets.KEEP_ALIVE_TIMEOUT: "silent for too long",
    packets.TAKEN_OVER: "another connection has this client id",
    packets.BAD_TOPIC: "bad topic",
    packets.TOO_LARGE: "packet too large",
    packets.ADMINISTRATIVE: "the token or the device is gone",
}
"""Reason codes of version 5, in words."""
_OLD_CONNACK = {
    packets.UNSUPPORTED_VERSION: 1,
    packets.BAD_CLIENT_ID: 2,
    packets.BAD_PASSWORD: 5,
    packets.NOT_AUTHORIZED: 5,
}
"""The CONNACK codes of versions before 5, by reason. Every other reason becomes 3, server unavailable."""


def _packet(first: int, body: bytes) -> bytes:
    length = len(body)
    head = bytearray((first,))
    while True:
        length, digit = length >> 7, length & 127
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def _variable(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        encoded.append(digit | (128 if value else 0))
        if not value:
            return bytes(encoded)


def _write_text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2) + raw


def connack(
    version: int, reason: int, *, is_present: bool = False, assigned: str = "", expiry_s: int = 0, max_bytes: int = 0
) -> bytes:
    """Write CONNACK.

    Args:
        version: the client's version of MQTT.
        reason: a reason code of version 5. An older client gets the closest code of its version.
        is_present: whether the broker kept the client's session.
        assigned: the client id, if the broker chose it.
        expiry_s: how long the session is kept after the connection ends.
        max_bytes: the size of the largest packet that the broker accepts.
    """
    if version != V5:
        return bytes(
            (packets.CONNACK << 4, 2, is_present and version > 3, _OLD_CONNACK.get(reason, 3) if reason else 0)
        )
    properties = b""
    if not reason:
        properties = bytes((_RETAIN_AVAILABLE, 0, _IDENTIFIERS_AVAILABLE, 0, _SHARED_AVAILABLE, 0))
        properties += struct.pack(">BIBI", packets.SESSION_EXPIRY, expiry_s, _MAXIMUM_PACKET_SIZE, max_bytes)
        if assigned:
            properties += bytes((packets.ASSIGNED_CLIENT_ID,)) + _write_text(assigned)
    return _packet(packets.CONNACK << 4, bytes((is_present, reason)) + _variable(len(properties)) + properties)


def publish(message: Message, version: int, packet_id: int, qos: int, *, is_again: bool = False) -> bytes:
    """Write PUBLISH."""
    body = _write_text(message.topic) + (packet_id.to_bytes(2) if qos else b"")
    if version == V5:
        body += _variable(len(message.properties)) + message.properties
    return _packet(packets.PUBLISH << 4 | is_again << 3 | qos << 1, body + message.payload)


def ack(kind: int, packet_id: int, version: int, reason: int = packets.NORMAL) -> bytes:
    """Write PUBACK, PUBREC, PUBREL or PUBCOMP."""
    first = kind << 4 | (2 if kind == packets.PUBREL else 0)
    if version == V5 and reason:
        return bytes((first, 3)) + packet_id.to_bytes(2) + bytes((reason,))
    return bytes((first, 2)) + packet_id.to_bytes(2)


def suback(packet_id: int, version: int, reasons: list[int]) -> bytes:
    """Write SUBACK. ``reasons`` has the granted QoS of each filter, or a reason code of version 5 from 0x80 on."""
    codes = bytes(reason if version == V5 or reason < 0x80 else 0x80 for reason in reasons)
    return _packet(packets.SUBACK << 4, packet_id.to_bytes(2) + (b"\0" if version == V5 else b"") + codes)


def unsuback(packet_id: int, version: int, reasons: list[int]) -> bytes:
    """Write UNSUBACK."""
    return _packet(packets.UNSUBACK << 4, packet_id.to_bytes(2) + (b"\0" + bytes(reasons) if version == V5 else b""))


def disconnect(reason: int, text: str) -> bytes:
    """Write DISCONNECT with the reason in words. Only for version 5: before it, a server only closes."""
    properties = bytes((_REASON_STRING,)) + _write_text(text)
    return _packet(packets.DISCONNECT << 4, bytes((reason,)) + _variable(len(properties)) + properties)
