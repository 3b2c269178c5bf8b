"""Writes the MQTT packets that a broker sends: pure functions, no I/O."""

import struct
from collections.abc import Sequence

from embedded.mqtt import packets, properties
from embedded.mqtt.packets import V5, Message
from embedded.mqtt.reading import write_text, write_variable

PINGRESP = b"\xd0\x00"
REASONS = {
    packets.MALFORMED: "malformed packet",
    packets.PROTOCOL_ERROR: "protocol error",
    packets.BAD_PASSWORD: "there is no user name, or the password is not a valid token of an active device",
    packets.NOT_AUTHORIZED: "not authorized",
    packets.UNAVAILABLE: "the store is not available",
    packets.SHUTTING_DOWN: "the broker stops",
    packets.KEEP_ALIVE_TIMEOUT: "silent for too long",
    packets.TAKEN_OVER: "another connection has this client id",
    packets.BAD_TOPIC: "bad topic",
    packets.RECEIVE_MAXIMUM_EXCEEDED: "more messages of QoS 2 than the receive maximum",
    packets.BAD_ALIAS: "topic aliases are not offered",
    packets.TOO_LARGE: "packet too large",
    packets.RATE_EXCEEDED: "more a minute than the plan allows",
    packets.QUOTA_EXCEEDED: "more than the broker allows",
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
    return bytes((first,)) + write_variable(len(body)) + body


def connack(
    version: int, reason: int, *, is_present: bool = False, assigned: str = "", expiry_s: int = 0, max_bytes: int = 0,
    receive_maximum: int = 65_535, keep_alive_s: int = 0,
) -> bytes:  # fmt: skip
    """Write CONNACK.

    Args:
        version: the client's version of MQTT.
        reason: a reason code of version 5. An older client gets the closest code of its version.
        is_present: whether the broker kept the client's session.
        assigned: the client id, if the broker chose it.
        expiry_s: how long the session is kept after the connection ends.
        max_bytes: the size of the largest packet that the broker accepts.
        receive_maximum: how many messages above QoS 0 the client may have sent that are not acknowledged.
        keep_alive_s: the keep-alive that the client must use instead of its own; 0: its own.
    """
    if version != V5:
        return bytes(
            (packets.CONNACK << 4, 2, is_present and version > 3, _OLD_CONNACK.get(reason, 3) if reason else 0)
        )
    named = b""
    if not reason:
        named = bytes((properties.SHARED_AVAILABLE, 0))
        named += struct.pack(">BIBI", properties.SESSION_EXPIRY, expiry_s, properties.MAXIMUM_PACKET_SIZE, max_bytes)
        named += struct.pack(">BH", properties.RECEIVE_MAXIMUM, receive_maximum)
        if keep_alive_s:
            named += struct.pack(">BH", properties.SERVER_KEEP_ALIVE, keep_alive_s)
        if assigned:
            named += bytes((properties.ASSIGNED_CLIENT_ID,)) + write_text(assigned)
    return _packet(packets.CONNACK << 4, bytes((is_present, reason)) + write_variable(len(named)) + named)


def publish(
    message: Message, version: int, packet_id: int, qos: int, *, now_ms: int, is_again: bool = False,
    is_retained: bool = False, identifiers: Sequence[int] = (),
) -> bytes:  # fmt: skip
    """Write PUBLISH.

    Args:
        message: the message.
        version: the client's version of MQTT.
        packet_id: 0 with QoS 0.
        qos: the QoS of this delivery.
        now_ms: milliseconds since 1970, as what is left of the message's expiry is written.
        is_again: whether it may have been sent before.
        is_retained: the RETAIN flag of this delivery.
        identifiers: those of the client's subscriptions that match.
    """
    body = write_text(message.topic) + (packet_id.to_bytes(2) if qos else b"")
    if version == V5:
        named = message.properties
        if message.expires_ms is not None:
            left_s = max(0, -((now_ms - message.expires_ms) // 1_000))
            named += bytes((properties.EXPIRY,)) + left_s.to_bytes(4)
        for identifier in identifiers:
            named += bytes((properties.IDENTIFIER,)) + write_variable(identifier)
        body += write_variable(len(named)) + named
    return _packet(packets.PUBLISH << 4 | is_again << 3 | qos << 1 | is_retained, body + message.payload)


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
    """Write DISCONNECT with the reason in words, if any. Only for version 5: before it, a server only closes."""
    if not text:
        return bytes((packets.DISCONNECT << 4, 1, reason))
    named = bytes((properties.REASON_STRING,)) + write_text(text)
    return _packet(packets.DISCONNECT << 4, bytes((reason,)) + write_variable(len(named)) + named)
