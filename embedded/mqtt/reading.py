"""Takes values off the front of bytes, in the encodings of section 1.5 of MQTT 5.0; writes them."""

MALFORMED, PROTOCOL_ERROR, QUOTA_EXCEEDED = 0x81, 0x82, 0x97


class Malformed(Exception):
    """The bytes are not valid MQTT; the connection must end.

    Args:
        text: what is wrong, for the log.
        reason: the reason code of version 5.
    """

    def __init__(self, text: str, reason: int = MALFORMED) -> None:
        super().__init__(text)
        self.reason = reason


class Reader:
    """Takes values off the front of a packet's body. Each method raises Malformed if the value is not there."""

    __slots__ = ("_body", "_end", "at")

    def __init__(self, body: bytes, at: int = 0) -> None:
        self._body, self._end = body, len(body)
        self.at = at
        """Where the next value begins."""

    def take(self, count: int) -> bytes:
        """Take this many bytes."""
        at = self.at
        if at + count > self._end:
            raise Malformed("a packet ends too early")
        self.at = at + count
        return self._body[at : at + count]

    def rest(self) -> bytes:
        """Take the remaining bytes."""
        at, self.at = self.at, self._end
        return self._body[at:]

    @property
    def is_empty(self) -> bool:
        """Whether no bytes remain."""
        return self.at >= self._end

    def finish(self) -> None:
        """Raise Malformed if bytes remain."""
        if self.at < self._end:
            raise Malformed("something follows the packet's end")

    def byte(self) -> int:
        """Take a byte."""
        return self.take(1)[0]

    def two(self) -> int:
        """Take two bytes as a number."""
        return int.from_bytes(self.take(2))

    def four(self) -> int:
        """Take four bytes as a number."""
        return int.from_bytes(self.take(4))

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
        return decode(self.binary())


def decode(raw: bytes) -> str:
    """Return the text of UTF-8 bytes. Raises Malformed, also if there is a null character."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None
    if "\0" in text:
        raise Malformed("a text holds a null character")
    return text


def write_variable(value: int) -> bytes:
    """Write a number with 7 bits a byte, the lowest first.

    >>> write_variable(127).hex(), write_variable(128).hex()
    ('7f', '8001')
    """
    if value < 128:
        return bytes((value,))
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        encoded.append(digit | (128 if value else 0))
        if not value:
            return bytes(encoded)


def write_text(text: str) -> bytes:
    """Write the length of a text in two bytes, then the text in UTF-8."""
    raw = text.encode()
    return len(raw).to_bytes(2) + raw
