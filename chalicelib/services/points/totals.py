"""Numbers over many points: count, sum, average, and the points with the lowest or highest value."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from chalicelib import store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import HAS_VALUE, Item, Segment
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import by_id, filters, scan
from chalicelib.services.points.filters import Filter, Number
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc


def reader(wanted: Filter) -> Callable[[Item], Segment]:
    """Return the function that decodes just enough of an item for ``wanted`` to select."""
    return segments.decode_header if wanted.accepts is None else segments.decode


def extremes(*, device: Doc, query: PointQuery) -> list[Run]:
    """Take each variable's point of lowest or highest number; of equal ones the newest."""
    best: dict[str, tuple[Any, Segment, int]] = {}
    for segment, index, value in numeric_points(device=device, query=query):
        name = segment.names[segment.variables[index]]
        if name not in best or (value < best[name][0] if query.kind == "min" else value > best[name][0]):
            best[name] = (value, segment, index)
    order = query.variables or sorted(best)
    return [(best[name][1], [best[name][2]]) for name in order if name in best]


def numeric_points(*, device: Doc, query: PointQuery) -> Iterator[tuple[Segment, int, Any]]:
    """Yield every wanted point whose value is a number, newest first, with it."""
    wanted = filters.of(device, query, kinds=HAS_VALUE)
    for segment, indices in scan.walk(device["id"], wanted, is_ascending=False, first_page=100):
        for index in indices:
            value = segment.point(index).get("value")
            if filters.is_number(value):
                yield segment, index, value


def count(*, device: Doc, query: PointQuery) -> int:
    """Count the points that match.

    Cost: without variables, values or groups the store adds up whole hours. With variables it reads headers, with
    values or groups everything.
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
    end_ms = (wanted.end_ms + 1) // keys.HOUR_MS * keys.HOUR_MS
    if first_ms >= end_ms:
        return _count_walking(device, wanted)
    whole = store.current().count_points(device["id"], *keys.key_bounds(first_ms, end_ms - 1))
    before, after = replace(wanted, end_ms=first_ms - 1), replace(wanted, start_ms=end_ms)
    return whole + _count_walking(device, before) + _count_walking(device, after)


def _count_walking(device: Doc, wanted: Filter) -> int:
    read = reader(wanted)
    items = scan.items(device["id"], wanted, is_ascending=False, first_page=100)
    return sum(len(wanted.select(read(item))) for item in items)


def total(*, device: Doc, query: PointQuery) -> Number | None:
    """Return avg or sum of the numbers that match, over all variables together; None if there is none.

    Whole numbers add up exactly, others with compensated summation.
    """
    values = [value for _, _, value in numeric_points(device=device, query=query)]
    if not values:
        return None
    added = add(values)
    return added if query.kind == "sum" else divide(added, len(values))


def add(values: list[Any]) -> Number:
    """Add numbers: exactly if all are whole."""
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


def divide(added: Number, by: int) -> Number:
    """Divide; an even quotient of whole numbers is a whole number."""
    if isinstance(added, int) and added % by == 0:
        return added // by
    return float(added) / by
