"""Walks a device's segments in order of time. It yields points in exact order and reads no more than it needs.

Two streams are merged. A small segment holds no point newer than its key, and at most one UTC hour. A sealed one holds
no point newer than its key, and says how old its oldest is. So a point can be yielded, on a walk back in time, if it is
newer than the next key; on a walk forward, if it is older than the next segment's hour, or its oldest point.

A small segment that a sealed one lists does not exist: it is only not deleted yet. So of two segments that overlap, the
sealed one is read first.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chalicelib import store
from chalicelib.codec import keys, sealed, segments, summaries
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.segment import Item, SealedItem, Segment
from chalicelib.host import deadline
from chalicelib.services.points import decoded
from chalicelib.services.points.filters import Filter
from chalicelib.store import Doc

Run = tuple[Segment, Sequence[int]]
"""Points of one segment, by index, that follow each other in the answer."""
Stored = Item | SealedItem
_EACH = 64
"""How many small segments make one sealed segment at least. It says how many to fetch at first."""


class Bounds(NamedTuple):
    """What a scan reads."""

    start_ms: int
    end_ms: int
    is_ascending: bool
    first_page: int
    """How many small segments to fetch at first."""
    has_bodies: bool = True
    """Whether sealed segments come with their bodies."""


def walk(device: Doc, wanted: Filter, *, is_ascending: bool, first_page: int) -> Iterator[Run]:
    """Yield the wanted points as runs, in rising or falling ``Segment.order``.

    Cost: it reads at most one page of segments more than the caller takes.

    Raises:
        errors.Unavailable: the walk took longer than its deadline.
    """
    pending: list[Run] = []
    first_ms: int | None = None
    """The time of the pending point that is next; None if none is pending."""
    bounds = Bounds(wanted.start_ms, wanted.end_ms, is_ascending, first_page)
    skips = wanted.variables is not None or wanted.values is not None
    for item, boundary in _with_boundary(device, bounds):
        selected: Sequence[int] = ()
        if skips and isinstance(item, SealedItem) and wanted.excludes(summaries.decode(item.summary)):
            pass
        else:
            segment = decode_shared(item)
            selected = wanted.select(segment)
        if selected:
            pending.append((segment, selected))
            first_ms = _first_ms(segment, selected, first_ms, is_ascending)
        # Nothing is sorted while all of it must wait: many requests of one moment, or of an hour read forward.
        if first_ms is None or _must_wait(first_ms, boundary, is_ascending):
            continue
        if len(pending) == 1 and _is_whole(pending[0], boundary, is_ascending):
            run_segment, indices = pending.pop()
            first_ms = None
            yield run_segment, indices if is_ascending else indices[::-1]
            continue
        ready, pending, first_ms = _split(pending, boundary, is_ascending)
        yield from ready


def items(device: Doc, bounds: Bounds) -> Iterator[Stored]:
    """Yield the stored segments that may hold points within bounds, about in order of key.

    Raises:
        errors.Unavailable, deadline.TooLong: as ``deadline.check``.
    """
    return (item for item, _ in _with_boundary(device, bounds))


def decode(item: Stored) -> Segment:
    """Read a stored segment, with its lines."""
    return sealed.decode(item) if isinstance(item, SealedItem) else segments.decode(item)


def decode_shared(item: Stored) -> Segment:
    """Read a stored segment, or return one that was decoded before. Do not change it."""
    return decoded.decode(item) if isinstance(item, SealedItem) else segments.decode_shared(item)


def load(item: SealedItem) -> Sealed | None:
    """Return a sealed segment that may have been read without its body; None: it is gone. Do not change it.

    Cost: at most one read.
    """
    whole = item if item.body else store.current().sealed_at(item.device, item.key)
    return decoded.decode(whole) if whole else None


def sealed_to(device: Doc) -> str:
    """Return a key that no sealed segment of the device passes; empty if it has none."""
    current = store.current()
    if current.keeps_originals and device["type"] != "immutable":
        return ""
    return current.sealed_to(device["id"])


def sealed_items(device: Doc, bounds: Bounds) -> Iterator[SealedItem]:
    """Yield the sealed segments that may hold points within bounds, in order of key."""
    highest, low = sealed_to(device), keys.segment_key(max(bounds.start_ms, keys.EARLIEST_MS), 0)
    if highest < low or bounds.end_ms < bounds.start_ms:
        return iter(())
    return store.current().scan_sealed(
        device["id"],
        low,
        min(highest, keys.end_of_day(bounds.end_ms)),
        newest_first=not bounds.is_ascending,
        first_page=2 + bounds.first_page // _EACH,
        oldest_to_ms=bounds.end_ms,
        has_bodies=bounds.has_bodies,
    )


def small_items(device: Doc, bounds: Bounds, newest_from_ms: int = keys.EARLIEST_MS) -> Iterator[Item]:
    """Yield the small segments that may hold points within bounds, in order of key, also those that are sealed.

    Args:
        device: whose segments.
        bounds: the bounds.
        newest_from_ms: leave out the segments whose newest point is older.
    """
    low, high = keys.key_bounds(max(bounds.start_ms, newest_from_ms), bounds.end_ms)
    if bounds.end_ms < bounds.start_ms or low > high:
        return iter(())
    return store.current().scan_segments(
        device["id"], low, high, newest_first=not bounds.is_ascending, first_page=bounds.first_page
    )


def _with_boundary(device: Doc, bounds: Bounds) -> Iterator[tuple[Stored, int | None]]:
    """Pair each segment with a time that no point of a later segment can pass; None for the last segment."""
    merged = _Merged(device, bounds)
    item = merged.take()
    while item is not None:
        yield item, merged.boundary()
        deadline.check()
        item = merged.take()


class _Merged:
    """The small and the sealed segments of a device in the order in which they are to be read.

    The sealed ones are asked for only when no newer small segment is left.
    """

    def __init__(self, device: Doc, bounds: Bounds) -> None:
        self._device, self._bounds = device, bounds
        self._sealed_to = sealed_to(device)
        self._keeps = store.current().keeps_originals
        self._smalls = small_items(device, bounds)
        self._sealed: Iterator[SealedItem] | None = None
        self._small = next(self._smalls, None)
        self._next: SealedItem | None = None
        self._last: Sealed | None = None
        """The sealed segment that was taken last, if it may list small ones."""
        self._look()

    def _look(self) -> None:
        """Ask for the sealed segments as soon as they matter."""
        if self._sealed is not None:
            return
        is_newer = self._small is not None and self._small.key > self._sealed_to
        if not self._bounds.is_ascending and is_newer:
            return
        self._sealed = sealed_items(self._device, self._bounds) if self._sealed_to else iter(())
        self._next = next(self._sealed, None)

    def take(self) -> Stored | None:
        """Return the next segment; None if there is none."""
        small, later = self._small, self._next
        if later is not None and (small is None or self._comes_first(later, small)):
            self._next = self._after(later)
            self._note(later)
            self._skip_listed()
            return later
        if small is not None:
            self._small = next(self._smalls, None)
            self._skip_listed()
            self._look()
        return small

    def _after(self, taken: SealedItem) -> SealedItem | None:
        """Return the next sealed segment whose range does not overlap that of the one that was taken.

        Between two pages, a seal may divide or extend a segment. What it added is still read from the small ones.
        """
        assert self._sealed is not None  # noqa: S101 - it has yielded ``taken``
        is_ascending = self._bounds.is_ascending
        for item in self._sealed:
            if item.low >= taken.key if is_ascending else item.key <= taken.low:
                return item
        return None

    def _skip_listed(self) -> None:
        """Leave out small segments that do not exist, so that ``boundary`` does not go by them."""
        while self._small is not None and self._is_listed(self._small):
            self._small = next(self._smalls, None)

    def _comes_first(self, later: SealedItem, small: Item) -> bool:
        return later.low < small.key if self._bounds.is_ascending else later.key >= small.key

    def _note(self, taken: SealedItem) -> None:
        self._last = None
        small = self._small
        if self._keeps and small is not None and taken.low < small.key <= taken.key:
            self._last = load(taken)

    def _is_listed(self, small: Item) -> bool:
        last = self._last
        return last is not None and last.low < small.key <= last.key and last.number_of(small.key) is not None

    def boundary(self) -> int | None:
        """Return a time that no point of the segments that are left can pass; None if none is left."""
        small, later = self._small, self._next
        if not self._bounds.is_ascending:
            highest = max(small.key if small else "", later.key if later else "")
            return keys.key_time_ms(highest) if highest else None
        times = [_hour_ms(small.key)] if small else []
        if later:
            times.append(min(later.oldest_ms, _hour_ms(later.key)))
        return min(times, default=None)


def _hour_ms(key: str) -> int:
    """Return the start of the hour of a key."""
    return keys.hour_of(keys.key_time_ms(key)) * keys.HOUR_MS


def _first_ms(segment: Segment, indices: Sequence[int], first_ms: int | None, is_ascending: bool) -> int:
    """Return the time of the point that comes first: one of these, or the one at ``first_ms``."""
    offsets = segment.offsets
    if segment.is_sorted:
        own_ms = segment.time_ms - offsets[indices[0 if is_ascending else -1]]
    else:
        own_ms = segment.time_ms - (max if is_ascending else min)(offsets[index] for index in indices)
    if first_ms is None:
        return own_ms
    return min(own_ms, first_ms) if is_ascending else max(own_ms, first_ms)


def _must_wait(time_ms: int, boundary: int | None, is_ascending: bool) -> bool:
    """Return whether a point may not be yielded yet, as a later segment may hold points that come before it."""
    return boundary is not None and (time_ms >= boundary if is_ascending else time_ms <= boundary)


def _is_whole(run: Run, boundary: int | None, is_ascending: bool) -> bool:
    """Return whether all points of a run can be yielded, in the order of their indices."""
    segment, indices = run
    if not segment.is_ordered:
        return False
    last_ms = segment.time_ms - segment.offsets[indices[-1 if is_ascending else 0]]
    return not _must_wait(last_ms, boundary, is_ascending)


def _split(pending: list[Run], boundary: int | None, is_ascending: bool) -> tuple[list[Run], list[Run], int | None]:
    """Sort the pending points. Return those that can be yielded, those that must wait, and the time of their first."""
    points = [
        (segment.order(index), number, index) for number, (segment, indices) in enumerate(pending) for index in indices
    ]
    points.sort(reverse=not is_ascending)
    ready: list[tuple[Segment, list[int]]] = []
    waiting: dict[int, list[int]] = {}
    last, first_ms = -1, None
    for (time_ms, _, _), number, index in points:
        if _must_wait(time_ms, boundary, is_ascending):
            first_ms = time_ms if first_ms is None else first_ms
            waiting.setdefault(number, []).append(index)
        elif number == last:
            ready[-1][1].append(index)
        else:
            ready.append((pending[number][0], [index]))
            last = number
    return [*ready], [(pending[number][0], sorted(indices)) for number, indices in waiting.items()], first_ms
