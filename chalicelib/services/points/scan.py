"""Walks a device's segments in order of time. It yields points in exact order and reads no more than it needs.

A segment holds no point newer than its key, and at most one UTC hour. So a point can be yielded, on a walk back in
time, if it is newer than the next segment's key; on a walk forward, if it is older than the next segment's hour.
"""

from collections.abc import Iterator, Sequence

from chalicelib import errors, settings, store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import Item, Segment
from chalicelib.host import clock, deadline
from chalicelib.services.points.filters import Filter

Run = tuple[Segment, Sequence[int]]
"""Points of one segment, by index, that follow each other in the answer."""


def walk(device: str, wanted: Filter, *, is_ascending: bool, first_page: int) -> Iterator[Run]:
    """Yield the wanted points as runs, in rising or falling order of (time, id).

    Cost: it reads at most one page of segments more than the caller takes.

    Raises:
        errors.Unavailable: the walk took longer than its deadline.
    """
    pending: list[Run] = []
    stored = items(device, wanted, is_ascending=is_ascending, first_page=first_page)
    for item, boundary in _with_boundary(stored, is_ascending):
        segment = segments.decode_shared(item)
        selected = wanted.select(segment)
        if selected:
            pending.append((segment, selected))
        if not pending or (is_ascending and _is_same_hour(item, boundary)):
            continue
        if len(pending) == 1 and _is_whole(pending[0], boundary, is_ascending):
            run_segment, indices = pending.pop()
            yield run_segment, indices if is_ascending else indices[::-1]
            continue
        ready, pending = _split(pending, boundary, is_ascending)
        yield from ready


def items(device: str, wanted: Filter, *, is_ascending: bool, first_page: int) -> Iterator[Item]:
    """Yield the stored segments that may hold wanted points, in order of key. Raises errors.Unavailable: too slow."""
    if wanted.end_ms < wanted.start_ms:
        return
    deadline_s = deadline.within(settings.SCAN_DEADLINE_S)
    low, high = keys.key_bounds(wanted.start_ms, wanted.end_ms)
    stored = store.current().scan_segments(device, low, high, newest_first=not is_ascending, first_page=first_page)
    for item in stored:
        yield item
        if clock.monotonic_s() > deadline_s:
            raise errors.Unavailable("The query takes too long: narrow start_date and end_date")


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


def _is_same_hour(item: Item, boundary: int | None) -> bool:
    """Return whether the next segment is of the same hour, so that no point of this one can be yielded yet."""
    return boundary is not None and keys.hour_of(boundary) == keys.hour_of(keys.key_time_ms(item.key))


def _is_whole(run: Run, boundary: int | None, is_ascending: bool) -> bool:
    """Return whether all points of a run can be yielded, in the order of their indices."""
    segment, indices = run
    if not segment.is_sorted or segment.moved:
        return False
    if boundary is None:
        return True
    if is_ascending:
        return segment.time_ms - segment.offsets[indices[-1]] < boundary
    return segment.time_ms - segment.offsets[indices[0]] > boundary


def _split(pending: list[Run], boundary: int | None, is_ascending: bool) -> tuple[list[Run], list[Run]]:
    """Sort the pending points, and split them into those that can be yielded and those that must wait."""
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
