"""The segment: what a store keeps of it, and what it holds when it is decoded. ``segments`` reads and writes it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

import orjson

from chalicelib.codec import numbers
from chalicelib.codec.keys import HEX4, key_time_ms
from chalicelib.codec.times import to_iso

HAS_VALUE = 1
HAS_LOCATION = 2
SMALL_POINTS = 64
"""A segment with as many points is not sealed: it is read as fast as a sealed one."""


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


class SealedItem(NamedTuple):
    """A sealed segment as a store keeps it. It holds the requests of a range of keys; ranges never overlap."""

    device: str
    key: str
    """The end of the range, which is in it. No point is newer."""
    low: str
    """The start of the range, which is not in it."""
    oldest_ms: int
    """The time of its oldest point."""
    points: int
    """How many points it holds."""
    version: int
    expires_at: int | None
    """Seconds since 1970; None: never."""
    summary: bytes
    """See ``summaries``. It can be read without the body."""
    body: bytes
    counted: int = 0
    """DynamoDB: how many of its points the counters have from it, not from small segments that are not deleted yet."""


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

    @property
    def newest_ms(self) -> int:
        """A time that none of its points passes."""
        return self.time_ms

    @property
    def is_ordered(self) -> bool:
        """Whether the points are in the order of answers."""
        return self.is_sorted and not self.moved

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
            self._common = reduce(and_, self.kinds, HAS_VALUE | HAS_LOCATION)
        return bool(self._common & kinds)

    def home(self, index: int) -> str:
        """Return the place of the point at ``index``: the key of its request, and its index there."""
        return self.key + HEX4[index]

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

    def line(self, index: int) -> str:
        """Return the end of the JSON object of the point at ``index``: all but id, device and ``created_at``."""
        return self.lines[index]

    def point(self, index: int) -> dict[str, Any]:
        """Decode the point at ``index``. Its numbers are exact."""
        text = "{" + self.line(index)
        if self.is_exact:
            return numbers.loads_exact(text)  # type: ignore[return-value]
        return orjson.loads(text)  # type: ignore[no-any-return]

    def value(self, index: int) -> Any:
        """Decode the value of the point at ``index``; None if it has none."""
        return self.point(index).get("value")

    def values_at_once(self) -> Sequence[Any] | None:
        """Return the values of all points, None for a point without; None: they must be decoded one by one."""
        return None

    def group(self, index: int) -> str:
        """Return the group of the point at ``index``."""
        return str(self.point(index)["group"])

    def locate(self, point_id: str) -> int | str | None:
        """Find a point whose id names this segment.

        Returns:
            Its index; the key of the segment that an edit moved it to; None: it is not there.
        """
        index = int(point_id[20:], 16)
        if index >= len(self.offsets):
            return None
        if index in self.forwards:
            return self.forwards[index]
        return None if index in self.moved or index in self.dead else index

    def locate_moved(self, point_id: str) -> int | None:
        """Return the index of a point that an edit moved to this segment; None: it is not there."""
        indices = [index for index, origin in self.moved.items() if origin.id == point_id and index not in self.dead]
        return indices[0] if indices else None

    def splice(self, indices: Sequence[int], *, details: bool) -> list[str]:
        """Return the finished JSON objects of the points at ``indices``, in that order."""
        device, lines = f'","device":"{self.device}",', self.lines
        if not self.moved:
            created = f'"created_at":"{to_iso(self.created_us // 1000)}",' if details else ""
            head, middle = '{"id":"' + self.key, device + created
            return [f"{head}{HEX4[index]}{middle}{lines[index]}" for index in indices]
        return self._splice_each(indices, details)

    def _splice_each(self, indices: Iterable[int], details: bool) -> list[str]:
        device = f'","device":"{self.device}",'
        return [
            f'{{"id":"{self.point_id(index)}{device}'
            + (f'"created_at":"{to_iso(self.point_created_us(index) // 1000)}",' if details else "")
            + self.line(index)
            for index in indices
        ]

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
