"""Computes count, sum and average of points, and finds the points with the lowest or highest value."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from chalicelib import store
from chalicelib.codec import keys, numbers, segments
from chalicelib.codec.segments import HAS_VALUE, Item, Segment
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import by_id, filters, scan
from chalicelib.services.points.filters import Filter
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc


def reader(wanted: Filter) -> Callable[[Item], Segment]:
    """Return the function that decodes as much of an item as ``wanted`` needs."""
    return segments.decode_header if wanted.accepts is None else segments.decode


def extremes(*, device: Doc, query: PointQuery) -> list[Run]:
    """Take the point of each variable with the lowest or highest number. Of equal ones, take the newest."""
    best: dict[str, tuple[Any, Segment, int]] = {}
    for segment, index, value in numeric_points(device=device, query=query):
        name = segment.names[segment.variables[index]]
        if name not in best or (value < best[name][0] if query.kind == "min" else value > best[name][0]):
            best[name] = (value, segment, index)
    order = query.variables or sorted(best)
    return [(best[name][1], [best[name][2]]) for name in order if name in best]


def numeric_points(*, device: Doc, query: PointQuery) -> Iterator[tuple[Segment, int, Any]]:
    """Yield segment, index and value of every wanted point whose value is a number, newest first."""
    wanted = filters.of(device, query, kinds=HAS_VALUE)
    for segment, indices in scan.walk(device["id"], wanted, is_ascending=False, first_page=100):
        for index in indices:
            value = segment.point(index).get("value")
            if filters.is_number(value):
                yield segment, index, value


def points(*, device: Doc, query: PointQuery) -> Iterator[tuple[Segment, int]]:
    """Yield segment and index of every point that matches, in the order of the segments. The segments may lack lines.

    Cost: it decodes the headers of segments, or the complete segments if the query has values or groups.
    """
    wanted = filters.of(device, query)
    decode = reader(wanted)
    for item in scan.items(device["id"], wanted, is_ascending=False, first_page=100):
        segment = decode(item)
        for index in wanted.select(segment):
            yield segment, index


def count(*, device: Doc, query: PointQuery) -> int:
    """Count the points that match a query.

    Cost: without variables, values or groups, the store adds up the segments. Only those of the first and last hour
    that the range cuts are decoded. With variables, the headers of segments are decoded; with values or groups, the
    complete segments.
    """
    if query.ids:
        return sum(
            len(indices)
            for _, indices in by_id.select(device, replace(query, qty=len(query.ids), skip=0, kind="default"))
        )
    wanted = filters.of(device, query)
    if wanted.variables is not None or wanted.accepts is not None:
        return _count_walking(device, wanted)
    first_ms = -(-wanted.start_ms // keys.HOUR_MS) * keys.HOUR_MS
    if first_ms > wanted.end_ms:
        return _count_walking(device, wanted)
    # These segments begin at a whole hour. One whose newest point is in the range lies in it completely.
    low, high = keys.segment_key(first_ms, 0), keys.segment_key(wanted.end_ms, keys.SUFFIX_COUNT - 1)
    whole = store.current().count_points(device["id"], low, high)
    before, after = replace(wanted, end_ms=first_ms - 1), replace(wanted, start_ms=first_ms)
    return whole + _count_walking(device, before) + _count_walking(device, after, newest_from_ms=wanted.end_ms + 1)


def _count_walking(device: Doc, wanted: Filter, newest_from_ms: int = keys.EARLIEST_MS) -> int:
    read = reader(wanted)
    items = scan.items(device["id"], wanted, is_ascending=False, first_page=100, newest_from_ms=newest_from_ms)
    return sum(len(wanted.select(read(item))) for item in items)


def total(*, device: Doc, query: PointQuery) -> int | float | None:
    """Return the average or the sum of the numbers that match, over all variables together; None if none match.

    Whole numbers add up exactly; with fractions among them, the sum is rounded once.
    """
    added = numbers.Sum()
    for _, _, value in numeric_points(device=device, query=query):
        added.add(value)
    if not added.count:
        return None
    return added.total() if query.kind == "sum" else added.mean()
