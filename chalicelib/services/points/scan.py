"""Walks a device's segments in order of time. It yields points in exact order and reads no more than it needs.

A segment holds no point newer than its key, and at most one UTC hour. So a point can be yielded, on a walk back in
time, if it is newer than the next segment's key; on a walk forward, if it is older than the next segment's hour.
"""

from collections.abc import Iterator, Sequence

from chalicelib import store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import Item, Segment
from chalicelib.host import deadline
from chalicelib.services.points.filters import Filter

Run = tuple[Segment, Sequence[int]]
"""Points of one segment, by index, that follow each other in the answer."""


def walk(device: str, wanted: Filter, *, is_ascending: bool, first_page: int) -> Iterator[Run]:
    """Yield the wanted points as runs, in rising or falling ``Segment.order``.

    Cost: it reads at most one page of segments more than the caller takes.

    Raises:
        errors.Unavailable: the walk took longer than its deadline.
    """
    pending: list[Run] = []
    first_ms: int | None = None
    """The time of the pending point that is next; None if none is pending."""
    stored = items(device, wanted, is_ascending=is_ascending, first_page=first_page)
    for item, boundary in _with_boundary(stored, is_ascending):
        segment = segments.decode_shared(item)
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


def items(
    device: str, wanted: Filter, *, is_ascending: bool, first_page: int, newest_from_ms: int = keys.EARLIEST_MS
) -> Iterator[Item]:
    """Yield the stored segments that may hold wanted points, in order of key. Raises as ``deadline.check``.

    Args:
        device: whose segments.
        wanted: the filter of the points.
        is_ascending: whether the oldest come first.
        first_page: how many to fetch at first.
        newest_from_ms: leave out the segments whose newest point is older.
    """
    low, high = keys.key_bounds(max(wanted.start_ms, newest_from_ms), wanted.end_ms)
    if wanted.end_ms < wanted.start_ms or low > high:
        return
    stored = store.current().scan_segments(device, low, high, newest_first=not is_ascending, first_page=first_page)
    for item in stored:
        yield item
        deadline.check()


def _with_boundary(stored: Iterator[Item], is_ascending: bool) -> Iterator[tuple[Item, int | None]]:
    """Pair each segment with a time that no point of a later segment can pass; None for the last segment."""
    previous = None
    for item in stored:
        if previous is not None:
            boundary = keys.key_time_ms(item.key)
            yield previous, keys.hour_of(boundary) * keys.HOUR_MS if is_ascending else boundary
        previous = item
    if previous is not None:
        yield previous, None


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
    if not segment.is_sorted or segment.moved:
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
