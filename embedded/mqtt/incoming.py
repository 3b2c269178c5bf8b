"""What a client has sent and the broker has not handled yet, and what is done with it while it waits for the rate."""

import select
from typing import Any, NamedTuple

from embedded.mqtt import packets

MAX_PACKET_BYTES = 131_072 + 1_024
"""128 KiB of payload, as on AWS, and room for topic and properties."""
MAX_HELD_BYTES = 256_000
"""How many bytes are read from a client whose next message waits for the rate."""
MAX_DROPPABLE_BYTES = 128_000
"""If more bytes than this wait for the rate, further messages of QoS 0 are dropped. So the client's end is noticed."""
MAX_LOOKED_AT = 1_000
"""How many packets of such a client are looked at in a turn of the loop."""
_PUBLISH, _PINGREQ, _DISCONNECT = packets.PUBLISH << 4, packets.PINGREQ << 4, packets.DISCONNECT << 4


class Found(NamedTuple):
    """What there is behind a message that waits for the rate."""

    pings: int
    """How many PINGREQ. They are removed."""
    farewell: bytes | None
    """The body of DISCONNECT, if there is one."""
    has_more: bool
    """Whether there are further packets to look at."""


class Incoming:
    """The bytes of one client, in order of arrival."""

    __slots__ = ("_looked_at", "buffer", "dropped")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.dropped = 0
        """How many messages ``look_ahead`` has dropped."""
        self._looked_at = 0
        """How many bytes ``look_ahead`` has looked at and left."""

    def peek(self) -> tuple[int, int] | None:
        """Return where the body of the first packet begins and ends; None while the packet is not complete.

        Raises:
            Malformed: it is not valid, or larger than MAX_PACKET_BYTES.
        """
        buffer = self.buffer
        if not buffer:
            return None
        found = packets.measure(buffer, 0, MAX_PACKET_BYTES)
        return None if found is None or found[1] > len(buffer) else found

    def take(self, start: int, end: int) -> tuple[int, bytes]:
        """Remove the first packet, whose body ``peek`` has found; return its first byte and its body."""
        first, body = self.buffer[0], bytes(memoryview(self.buffer)[start:end])
        del self.buffer[:end]
        self._looked_at = 0
        return first, body

    def look_ahead(self) -> Found:
        """Look at packets that were not looked at before; see Found.

        Raises:
            Malformed: a packet is not valid, or larger than MAX_PACKET_BYTES.
        """
        buffer, at, pings, dropped, farewell, has_more = self.buffer, self._looked_at, 0, 0, None, False
        others = bytearray()
        for looked_at in range(1, MAX_LOOKED_AT + 1):
            found = packets.measure(buffer, at, MAX_PACKET_BYTES)
            if found is None or found[1] > len(buffer):
                break
            start, end = found
            if buffer[at] == _DISCONNECT:
                farewell = bytes(buffer[start:end])
                break
            if buffer[at] == _PINGREQ and start == end:
                pings += 1
            elif buffer[at] & 0xF6 == _PUBLISH and self._looked_at + len(others) >= MAX_DROPPABLE_BYTES:
                dropped += 1
            else:
                others += buffer[at:end]
            at, has_more = end, looked_at == MAX_LOOKED_AT
        if pings or dropped:
            buffer[self._looked_at : at] = others
        self._looked_at += len(others)
        self.dropped += dropped
        return Found(pings, farewell, has_more)


def has_left(transport: Any) -> bool:
    """Return whether the client has closed its side. Nothing else notices while the connection is not read."""
    link = transport.get_extra_info("socket")
    if link is None or link.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(link, getattr(select, "POLLRDHUP", 0))  # only Linux has it; elsewhere, the next minute notices
    return bool(poll.poll(0))
