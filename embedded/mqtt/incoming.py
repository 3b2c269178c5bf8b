"""What a client has sent and the broker has not handled yet. While a message waits for the rate, pings are found."""

import select
from typing import Any

from embedded.mqtt import packets

MAX_PACKET_BYTES = 131_072 + 1_024
"""128 KiB of payload, as on AWS, and room for topic and properties."""
MAX_HELD_BYTES = 256_000
"""How many bytes are read from a client whose next message waits for the rate."""
MAX_LOOKED_AT = 1_000
"""How many packets of such a client are looked at in a turn of the loop."""
_PINGREQ, _DISCONNECT = packets.PINGREQ << 4, packets.DISCONNECT << 4


class Incoming:
    """The bytes of one client, in order of arrival."""

    __slots__ = ("_looked_at", "buffer")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self._looked_at = 0
        """How many bytes ``pings`` has looked at."""

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

    def pings(self) -> tuple[int, bytes | None, bool]:
        """Look for PINGREQ and DISCONNECT behind the first packet, and remove the PINGREQ.

        Returns:
            How many PINGREQ there were, the body of DISCONNECT if there is one, and whether there is more to look at.

        Raises:
            Malformed: a packet is not valid, or larger than MAX_PACKET_BYTES.
        """
        buffer, at, count, farewell, has_more = self.buffer, self._looked_at, 0, None, False
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
                count += 1
            else:
                others += buffer[at:end]
            at, has_more = end, looked_at == MAX_LOOKED_AT
        if count:
            buffer[self._looked_at : at] = others
        self._looked_at += len(others)
        return count, farewell, has_more


def has_left(transport: Any) -> bool:
    """Return whether the client has closed its side. Nothing else notices while the connection is not read."""
    link = transport.get_extra_info("socket")
    if link is None or link.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(link, getattr(select, "POLLRDHUP", 0))  # only Linux has it; elsewhere, the next minute notices
    return bool(poll.poll(0))
