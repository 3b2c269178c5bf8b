"""The segment: one item holds the points of one request as finished JSON text, so that a read only splices text.

A body is a header line and one line a point. The header holds columns with the data that filters need. A point's line
is the end of its JSON object. It lacks ``id``, ``device`` and ``created_at``, which follow from the key and the header.
A body is deflated if that saves a unit of storage. A removed point leaves an empty line, so the ids of the others stay
valid.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import pairwise, repeat
from operator import and_
from typing import Any, NamedTuple

import orjson

from chalicelib.codec import numbers
from chalicelib.codec.keys import HEX4, key_time_ms
from chalicelib.codec.times import to_iso

HAS_VALUE = 1
HAS_LOCATION = 2
UNIT_BYTES = 1024
"""DynamoDB bills writes in units of this size, so deflating a smaller body saves nothing."""
MAX_BODY_BYTES = 400_000
"""DynamoDB's limit for an item is 409,600 bytes, keys and names included."""
_PLAIN = ord("{")
_HEADER_BYTES = 4_096
_SHARED_BYTES, _SHARED_POINTS, _SHARED_CHARS = 8_192, 512, 65_536


class Item(NamedTuple):
    """A segment as a store keeps it."""

    device: str
    key: str
    body: bytes
    digest: bytes
    """32-byte digest of the request: equal means a retry, different a key collision. Random if retries cannot be
    recognised."""
    points: int
    """How many of its points exist: not deleted, not moved away."""
    version: int
    """At first its arrival in microseconds (once: 1), then one more a change: what is put again has another version."""
    expires_at: int | None
    """Seconds since 1970; None: never."""


class Draft(NamedTuple):
    """A checked point that is not in a segment yet."""

    time_ms: int
    variable: str
    kinds: int
    """HAS_VALUE and HAS_LOCATION, combined with or."""
    line: str
    is_exact: bool
    """Whether it holds a number that a float would round, so that it needs exact decoding."""


class Moved(NamedTuple):
    """The id and the arrival of a point that an edit moved into this segment. The point keeps both."""

    id: str
    created_us: int
    """Microseconds since 1970."""


@dataclass(slots=True)
class Segment:
    """A decoded segment. Columns and lines have one element a point; without lines if only the header was read."""

    device: str
    key: str
    created_us: int
    """When the request arrived, in microseconds since 1970. Rows without microseconds count as whole milliseconds."""
    names: list[str]
    variables: list[int]
    """Index into ``names``."""
    offsets: list[int]
    """Milliseconds before the key's time; 0 or more."""
    kinds: list[int]
    lines: list[str]
    digest: bytes = b""
    version: int = 1
    expires_at: int | None = None
    is_exact: bool = False
    is_sorted: bool = True
    """Whether times rise with the index. Edits change times; then it is right again in the stored segment."""
    dead: set[int] = field(default_factory=set)
    moved: dict[int, Moved] = field(default_factory=dict)
    forwards: dict[int, str] = field(default_factory=dict)
    """By the index of a point that was moved away: the key of the segment that holds it now."""
    _by_name: dict[str, list[int]] | None = None
    _common: int | None = None

    @property
    def time_ms(self) -> int:
        """The newest time it may hold."""
        return key_time_ms(self.key)

    @property
    def points(self) -> int:
        """How many of its points exist: not deleted, not moved away."""
        return len(self.offsets) - len(self.dead)

    def indices_of(self, name: str) -> list[int]:
        """Return the rising indices of a variable's points, deleted ones included. Cached: do not change the list."""
        if self._by_name is None:
            by_number: list[list[int]] = [[] for _ in self.names]
            for index, number in enumerate(self.variables):
                by_number[number].append(index)
            self._by_name = dict(zip(self.names, by_number, strict=True))
        return self._by_name[name]

    def all_have(self, kinds: int) -> bool:
        """Return whether there is one of ``kinds`` that all points have. Computed once."""
        if self._common is None:
            self._common = reduce(and_, self.kinds)
        return bool(self._common & kinds)

    def point_id(self, index: int) -> str:
        """Return the id of the point at ``index``."""
        origin = self.moved.get(index) if self.moved else None
        return origin.id if origin else self.key + HEX4[index]

    def point_created_us(self, index: int) -> int:
        """Return when the point at ``index`` arrived, in microseconds since 1970. An edit does not change it."""
        origin = self.moved.get(index) if self.moved else None
        return origin.created_us if origin else self.created_us

    def order(self, index: int) -> tuple[int, int, str]:
        """Return what orders the point at ``index`` in every answer: its time, its arrival and its id.

        The ids of one request rise with the position in the request, for points of equal time.
        """
        time_ms = key_time_ms(self.key) - self.offsets[index]
        if not self.moved:
            return time_ms, self.created_us, self.key + HEX4[index]
        return time_ms, self.point_created_us(index), self.point_id(index)

    def point(self, index: int) -> dict[str, Any]:
        """Decode the point at ``index``. Its numbers are exact."""
        text = "{" + self.lines[index]
        if self.is_exact:
            return numbers.loads_exact(text)  # type: ignore[return-value]
        return orjson.loads(text)  # type: ignore[no-any-return]

    def put(self, index: int, draft: Draft) -> None:
        """Make ``draft`` the point at ``index``, whether that exists, was removed, or was moved away.

        Args:
            index: of a point of the same variable.
            draft: of the segment's hour and not newer than its key.
        """
        self.lines[index] = draft.line
        self.kinds[index] = draft.kinds
        self.offsets[index] = self.time_ms - draft.time_ms
        self.is_exact = self.is_exact or draft.is_exact
        self.dead.discard(index)
        self.forwards.pop(index, None)

    def kill(self, index: int, forward: str | None = None) -> None:
        """Remove the point at ``index``. If an edit moved it to the segment ``forward``, leave a forwarding mark."""
        self.dead.add(index)
        self.lines[index] = ""
        if forward is not None:
            self.forwards[index] = forward


def build(device: str, drafts: Sequence[Draft], key: str, created_us: int, *, digest: bytes = b"") -> Segment:
    """Build a segment from points of one UTC hour.

    Args:
        device: the owner of the points.
        drafts: in rising order of time. The last has the time that ``key`` names.
        key: from ``keys.segment_key``.
        created_us: when the request arrived, in microseconds since 1970.
        digest: see Item.
    """
    names, variables, offsets, kinds = _columns(drafts, key)
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
    header = _header(created_us, *_columns(drafts, key))
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


def _columns(drafts: Sequence[Draft], key: str) -> tuple[list[str], list[int], list[int], list[int]]:
    """Return the names of the variables, and each point's index into them, offset and kinds."""
    positions: dict[str, int] = {}
    variables = [positions.setdefault(draft[1], len(positions)) for draft in drafts]
    newest_ms = key_time_ms(key)
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
    body = item.body if item.body[0] == _PLAIN else zlib.decompress(item.body)
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
    if body[0] != _PLAIN:
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


def splice(segment: Segment, indices: Iterable[int], *, details: bool) -> list[str]:
    """Return the finished JSON objects of the points at ``indices``, in that order."""
    device, lines = f'","device":"{segment.device}",', segment.lines
    if not segment.moved:
        created = f'"created_at":"{to_iso(segment.created_us // 1000)}",' if details else ""
        head, middle = '{"id":"' + segment.key, device + created
        return [f"{head}{HEX4[index]}{middle}{lines[index]}" for index in indices]
    return [
        f'{{"id":"{segment.point_id(index)}{device}'
        + (f'"created_at":"{to_iso(segment.point_created_us(index) // 1000)}",' if details else "")
        + lines[index]
        for index in indices
    ]
