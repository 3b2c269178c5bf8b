"""The segment: one item holds the points of one request as finished JSON text, so that a read only splices text.

A body is a header line and one line a point. The header holds columns with the data that filters need. A point's line
is the end of its JSON object. It lacks ``id``, ``device`` and ``created_at``, which follow from the key and the header.
A body is deflated if that saves a unit of storage. A removed point leaves an empty line, so the ids of the others stay
valid.
"""

import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise, repeat
from typing import Any

import orjson

from chalicelib.codec.keys import key_time_ms
from chalicelib.codec.segment import Draft, Item, Moved, Segment

UNIT_BYTES = 1024
"""DynamoDB bills writes in units of this size, so deflating a smaller body saves nothing."""
MAX_BODY_BYTES = 400_000
"""DynamoDB's limit for an item is 409,600 bytes, keys and names included."""
PLAIN = ord("{")
"""The first byte of a body that is not deflated."""
_HEADER_BYTES = 4_096
_SHARED_BYTES, _SHARED_POINTS, _SHARED_CHARS = 8_192, 512, 65_536


def build(device: str, drafts: Sequence[Draft], key: str, created_us: int, *, digest: bytes = b"") -> Segment:
    """Build a segment from points of one UTC hour.

    Args:
        device: the owner of the points.
        drafts: in rising order of time. The last has the time that ``key`` names.
        key: from ``keys.segment_key``.
        created_us: when the request arrived, in microseconds since 1970.
        digest: see Item.
    """
    names, variables, offsets, kinds = _columns(drafts, key_time_ms(key))
    return Segment(
        *(device, key, created_us, names, variables, offsets, kinds),
        lines=[draft[3] for draft in drafts],
        digest=digest,
        version=created_us,
        is_exact=any(draft[4] for draft in drafts),
    )


def pack(
    device: str, drafts: Sequence[Draft], key: str, created_us: int, *, digest: bytes, expires_at: int | None
) -> Item:
    """Return the item of new points. The same as ``encode`` of ``build``, but faster.

    Raises:
        ValueError: the points do not fit into one item of the store.
    """
    header = _header(created_us, *_columns(drafts, drafts[-1][0]))
    if any(draft[4] for draft in drafts):
        header["x"] = 1
    body = _body(header, [draft[3] for draft in drafts])
    return Item(device, key, body, digest, len(drafts), created_us, expires_at)


def encode(segment: Segment) -> Item:
    """Return the item that holds ``segment``.

    Raises:
        ValueError: the segment does not fit into one item of the store.
    """
    header = _header(segment.created_us, segment.names, segment.variables, segment.offsets, segment.kinds)
    if segment.is_exact:
        header["x"] = 1
    if any(a < b for a, b in pairwise(segment.offsets)):
        header["u"] = 1
    if segment.dead:
        header["d"] = sorted(segment.dead)
    if segment.moved:
        header["m"] = [[index, at.id, *divmod(at.created_us, 1000)] for index, at in segment.moved.items()]
    if segment.forwards:
        header["f"] = list(segment.forwards.items())
    body = _body(header, segment.lines)
    return Item(segment.device, segment.key, body, segment.digest, segment.points, segment.version, segment.expires_at)


def _columns(drafts: Sequence[Draft], newest_ms: int) -> tuple[list[str], list[int], list[int], list[int]]:
    """Return the names of the variables, and each point's index into them, offset and kinds."""
    positions: dict[str, int] = {}
    variables = [positions.setdefault(draft[1], len(positions)) for draft in drafts]
    return [*positions], variables, [newest_ms - draft[0] for draft in drafts], [draft[2] for draft in drafts]


def _header(
    created_us: int, names: list[str], variables: list[int], offsets: list[int], kinds: list[int]
) -> dict[str, Any]:
    header: dict[str, Any] = {
        "v": 1,
        "c": created_us // 1000,
        "n": names,
        "i": _column(variables),
        "t": _column(offsets),
        "k": _column(kinds),
    }
    if len(offsets) > 1:
        header["l"] = len(offsets)
    if created_us % 1000:
        header["a"] = created_us % 1000
    return header


def _body(header: dict[str, Any], lines: list[str]) -> bytes:
    body = orjson.dumps(header) + b"\n" + "\n".join(lines).encode()
    if len(body) > UNIT_BYTES:
        deflated = zlib.compress(body, 1)
        if -(-len(deflated) // UNIT_BYTES) < -(-len(body) // UNIT_BYTES):
            body = deflated
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"the points of one hour take {len(body)} bytes, more than {MAX_BODY_BYTES}")
    return body


def _column(values: list[int]) -> int | list[int]:
    """Return the column, or its only value if all are equal."""
    first = values[0]
    return first if values.count(first) == len(values) else values


def decode(item: Item) -> Segment:
    """Read a stored item, with its lines."""
    body = item.body if item.body[0] == PLAIN else zlib.decompress(item.body)
    header, *lines = body.decode().split("\n")
    return _from_header(item, orjson.loads(header), lines)


def decode_shared(item: Item) -> Segment:
    """Read a stored item, or return the segment that was decoded from an equal item before. Do not change the segment.

    Dashboards read the newest points again and again. At most 64 small segments stay decoded, which take 1 to 16 MB.
    """
    is_small = len(item.body) <= _SHARED_BYTES and item.points <= _SHARED_POINTS
    shared = _decode_shared(item) if is_small else None
    return decode(item) if shared is None else shared


@lru_cache(maxsize=64)
def _decode_shared(item: Item) -> Segment | None:
    """Return None if the lines are too long to be kept: a small body may be deflated to a thousandth."""
    segment = decode(item)
    return segment if sum(map(len, segment.lines)) <= _SHARED_CHARS else None


def decode_header(item: Item) -> Segment:
    """Read only the columns. A deflated body is inflated only as far as they need. A damaged item raises."""
    body = item.body
    if body[0] != PLAIN:
        inflater = zlib.decompressobj()
        more = body = inflater.decompress(item.body, _HEADER_BYTES)
        while more and b"\n" not in body:
            more = inflater.decompress(inflater.unconsumed_tail, _HEADER_BYTES * 4)
            body += more
    return _from_header(item, orjson.loads(body[: body.index(b"\n")]), [])


def _from_header(item: Item, header: dict[str, Any], lines: list[str]) -> Segment:
    length: int = header.get("l", 1)
    variables, offsets, kinds = (
        value if isinstance(value, list) else list(repeat(value, length))
        for value in (header["i"], header["t"], header["k"])
    )
    created_us = header["c"] * 1000 + header.get("a", 0)
    segment = Segment(item.device, item.key, created_us, header["n"], variables, offsets, kinds, lines)
    segment.digest, segment.version, segment.expires_at = item.digest, item.version, item.expires_at
    if len(header) > 6 + ("l" in header) + ("a" in header):
        _add_rarities(segment, header)
    return segment


def _add_rarities(segment: Segment, header: dict[str, Any]) -> None:
    segment.is_exact = "x" in header
    segment.is_sorted = "u" not in header
    segment.dead = set(header.get("d", ()))
    segment.moved = {
        index: Moved(point_id, created_ms * 1000 + sum(microseconds))  # old rows have no microseconds
        for index, point_id, created_ms, *microseconds in header.get("m", ())
    }
    segment.forwards = dict(header.get("f", ()))
