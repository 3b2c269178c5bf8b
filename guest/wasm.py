"""Reads and writes the binary format of WebAssembly, as far as freezing the guest needs it.

Source: WebAssembly Core Specification, "Binary Format".
"""

from collections.abc import Iterator
from typing import NamedTuple

TYPE, IMPORT, FUNCTION, MEMORY, GLOBAL, EXPORT, START, CODE, DATA, DATA_COUNT = 1, 2, 3, 5, 6, 7, 8, 10, 11, 12
PAGE = 65_536
_HEAD = b"\0asm\x01\0\0\0"
_CUSTOM = 0


class Import(NamedTuple):
    """An imported function."""

    name: str
    type: int
    """The number of its type."""


class Export(NamedTuple):
    """An exported item, as it stands in the binary."""

    name: str
    kind: int
    number: int


class Reader:
    """Reads numbers and names from bytes, one after the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def number(self) -> int:
        """Read an unsigned number in LEB128."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def take(self, size: int) -> bytes:
        """Read bytes."""
        self.at += size
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        """Read a name."""
        return self.take(self.number()).decode()


def number(value: int) -> bytes:
    """Write an unsigned number in LEB128.

    >>> number(624485).hex()
    'e58e26'
    """
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def signed(value: int) -> bytes:
    """Write a signed number in LEB128.

    >>> signed(-123456).hex()
    'c0bb78'
    """
    encoded = bytearray()
    while not -0x40 <= value < 0x40:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value & 0x7F])


def sized(content: bytes) -> bytes:
    """Write bytes with their length before them, as for a name or the code of a function."""
    return number(len(content)) + content


def vector(items: list[bytes]) -> bytes:
    """Write items with their number before them."""
    return number(len(items)) + b"".join(items)


def length(content: bytes) -> int:
    """Return how many items a section has that is a vector."""
    return Reader(content).number()


def extended(content: bytes, *, before: list[bytes], after: list[bytes]) -> bytes:
    """Return the content of a section, which is a vector, with more items before and after its own."""
    reader = Reader(content)
    count = reader.number() + len(before) + len(after)
    return number(count) + b"".join(before) + content[reader.at :] + b"".join(after)


def sections(module: bytes) -> dict[int, bytes]:
    """Return the sections of a module by their number, in its order. Custom sections are left out.

    Raises:
        ValueError: it is no module of version 1.
    """
    if not module.startswith(_HEAD):
        raise ValueError("this is not a WebAssembly module of version 1")
    reader, found = Reader(module, len(_HEAD)), {}
    while reader.at < len(module):
        kind = reader.take(1)[0]
        content = reader.take(reader.number())
        if kind != _CUSTOM:
            found[kind] = content
    return found


def assemble(parts: dict[int, bytes]) -> bytes:
    """Return the module that has these sections."""
    return _HEAD + b"".join(bytes([kind]) + sized(content) for kind, content in parts.items())


def imports(content: bytes) -> list[Import]:
    """Read the section of imports.

    Raises:
        ValueError: something else than a function is imported.
    """
    reader, found = Reader(content), []
    for _ in range(reader.number()):
        reader.name()
        name, kind = reader.name(), reader.take(1)
        if kind != b"\0":
            raise ValueError(f"the import {name} is not a function")
        found.append(Import(name, reader.number()))
    return found


def exports(content: bytes) -> list[Export]:
    """Read the section of exports."""
    reader = Reader(content)
    return [Export(reader.name(), reader.take(1)[0], reader.number()) for _ in range(reader.number())]


def write_exports(items: list[Export]) -> bytes:
    """Write the section of exports."""
    return vector([sized(item.name.encode()) + bytes([item.kind]) + number(item.number) for item in items])


def results(content: bytes) -> list[bytes]:
    """Return the types of the results of each function type, as bytes. There are only function types."""
    reader, found = Reader(content), []
    for _ in range(reader.number()):
        if reader.take(1) != b"\x60":
            raise ValueError("there is a type that is not of a function")
        reader.take(reader.number())
        found.append(reader.take(reader.number()))
    return found


def runs(memory: bytes, block: int) -> Iterator[tuple[int, bytes]]:
    """Return the parts of a memory that are not zero, as offset and bytes. Both are multiples of ``block`` bytes."""
    zeros, start = bytes(block), None
    for offset in range(0, len(memory), block):
        if memory[offset : offset + block] == zeros:
            if start is not None:
                yield start, memory[start:offset]
            start = None
        elif start is None:
            start = offset
    if start is not None:
        yield start, memory[start:]
