"""Walks a device's segments in order of time, and yields points in exact order while reading no more than is needed.

A segment holds nothing newer than its key and at most one UTC hour. So going back in time, a point is next as soon as
it is newer than the next segment's key; going forward, as soon as it is older than the next segment's hour.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib import errors, settings, store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import Item, Segment
from chalicelib.host import clock, deadline

Run = tuple[Segment, Sequence[int]]
"""Points of one segment, by index, that follow each other."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which points of a segment are wanted; None and empty mean all."""

    start_ms: int
    end_ms: int
    variables: frozenset[str] | None = None
    kinds: int = 0
    """HAS_VALUE or HAS_LOCATION, if points must have one."""
    accepts: Callable[[Segment, int], bool] | None = None
    """A last look at a point, which may decode it."""

    def select(self, segment: Segment) -> Sequence[int]:
        """Return the indices of the wanted points in rising order; reads only columns unless ``accepts`` is given."""
        indices = self._named(segment)
        if not indices or not self._is_within(segment):
            low, high = segment.time_ms - self.end_ms, segment.time_ms - self.start_ms
            offsets = segment.offsets
            indices = [index for index in indices if low <= offsets[index] <= high]
        if segment.dead:
            indices = [index for index in indices if index not in segment.dead]
        if self.kinds and not segment.all_have(self.kinds):
            indices = [index for index in indices if segment.kinds[index] & self.kinds]
        if self.accepts is not None:
            indices = [index for index in indices if self.accepts(segment, index)]
        return indices

    def _named(self, segment: Segment) -> Sequence[int]:
        names = segment.names
        if self.variables is not None:
            found = [name for name in names if name in self.variables]
            if not found:
                return ()
            if len(found) == 1 < len(names):
                return segment.indices_of(found[0])
            if len(found) < len(names):
                return sorted(index for name in found for index in segment.indices_of(name))
        return range(len(segment.offsets))

    def _is_within(self, segment: Segment) -> bool:
        """Tell whether all of the segment lies in range."""
        offsets, newest_ms = segment.offsets, segment.time_ms
        oldest_ms = newest_ms - (offsets[0] if segment.is_sorted else max(offsets))
        return oldest_ms >= self.start_ms and newest_ms <= self.end_ms


def walk(device: str, wanted: Filter, *, is_ascending: bool, first_page: int) -> Iterator[Run]:
    """Yield the wanted points in order of (time, id), as runs, rising or falling.

    Cost: segments are read one page ahead at most of what the caller takes.

    Raises:
        errors.Unavailable: the walk took longer than its deadline.
    """
    pending: list[Run] = []
    found = items(device, wanted, is_ascending=is_ascending, first_page=first_page)
    for item, boundary in _with_boundary(found, is_ascending):
        segment = segments.decode_shared(item)
        selected = wanted.select(segment)
        if selected:
            pending.append((segment, selected))
        if not pending:
            continue
        if len(pending) == 1 and _is_whole(pending[0], boundary, is_ascending):
            run_segment, indices = pending.pop()
            yield run_segment, indices if is_ascending else indices[::-1]
            continue
        ready, pending = _split(pending, boundary, is_ascending)
        yield from ready


def items(device: str, wanted: Filter, *, is_ascending: bool, first_page: int) -> Iterator[Item]:
    """Yield the stored segments that may hold wanted points, in order of key, up to the deadline."""
    if wanted.end_ms < wanted.start_ms:
        return
    deadline_s = deadline.within(settings.SCAN_DEADLINE_S)
    low, high = keys.key_bounds(wanted.start_ms, wanted.end_ms)
    found = store.current().scan_segments(device, low, high, newest_first=not is_ascending, first_page=first_page)
    for item in found:
        yield item
        if clock.monotonic_s() > deadline_s:
            raise errors.Unavailable("The query takes too long: narrow start_date and end_date")


def _with_boundary(found: Iterator[Item], is_ascending: bool) -> Iterator[tuple[Item, int | None]]:
    """Pair each segment with the time beyond which nothing that follows can lie; None after the last."""
    previous = None
    for item in found:
        if previous is not None:
            boundary = keys.key_time_ms(item.key)
            yield previous, keys.hour_of(boundary) * keys.HOUR_MS if is_ascending else boundary
        previous = item
    if previous is not None:
        yield previous, None


def _is_whole(run: Run, boundary: int | None, is_ascending: bool) -> bool:
    """Tell whether a lone run can be given out as it is."""
    segment, indices = run
    if not segment.is_sorted or segment.moved:
        return False
    if boundary is None:
        return True
    if is_ascending:
        return segment.time_ms - segment.offsets[indices[-1]] < boundary
    return segment.time_ms - segment.offsets[indices[0]] > boundary


def _split(pending: list[Run], boundary: int | None, is_ascending: bool) -> tuple[list[Run], list[Run]]:
    """Sort what is pending and part it into what can be given out and what must wait."""
    points = [
        (segment.time_ms - segment.offsets[index], segment.point_id(index), number, index)
        for number, (segment, indices) in enumerate(pending)
        for index in indices
    ]
    points.sort(reverse=not is_ascending)
    ready: list[tuple[Segment, list[int]]] = []
    waiting: dict[int, list[int]] = {}
    last = -1
    for time_ms, _, number, index in points:
        if boundary is not None and (time_ms >= boundary if is_ascending else time_ms <= boundary):
            waiting.setdefault(number, []).append(index)
        elif number == last:
            ready[-1][1].append(index)
        else:
            ready.append((pending[number][0], [index]))
            last = number
    return [*ready], [(pending[number][0], sorted(indices)) for number, indices in waiting.items()]
