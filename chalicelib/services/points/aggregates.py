"""Folds points into calendar buckets."""

from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib import errors
from chalicelib.codec import keys, periods, times
from chalicelib.host import clock
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import directory, totals
from chalicelib.services.points.directory import Span
from chalicelib.services.points.filters import Number
from chalicelib.store import Doc

MAX_BUCKETS = 10_000


def aggregate(*, device: Doc, query: PointQuery) -> list[dict[str, Any]]:
    """Return a bucket for each interval that holds a number: by variable in the query's order, then by rising start.

    Args:
        device: the device.
        query: has ``interval`` and ``function``. Without bounds, it covers all points of the device up to now.

    Returns:
        ``{"time", "value"}`` objects, with ``variable`` if there are several variables.

    Raises:
        errors.BadRequest: the range spans more than 10,000 intervals.

    Source: TagoIO, query=aggregate. The alignment of buckets to UTC and their maximum are ours.
    """
    known = directory.read(device=device["id"])
    variables = query.variables or sorted(known)
    _check_buckets(known, query)
    by_variable: dict[str, list[tuple[int, Any]]] = {}
    for segment, index, value in totals.numeric_points(device=device, query=query):
        name = segment.names[segment.variables[index]]
        by_variable.setdefault(name, []).append((segment.time_ms - segment.offsets[index], value))
    answer = []
    for name in variables:
        for start_ms, value in fold(by_variable.get(name, ()), query.interval, query.function):
            bucket: dict[str, Any] = {"time": times.to_iso(start_ms), "value": value}
            answer.append(bucket | {"variable": name} if len(variables) > 1 else bucket)
    return answer


def _check_buckets(known: Mapping[str, Span], query: PointQuery) -> None:
    spans = known.values()
    if not spans:
        return
    start_ms = query.start_ms if query.start_ms is not None else min(span.first for span in spans) * keys.HOUR_MS
    newest_ms = (max(span.newest for span in spans) + 1) * keys.HOUR_MS - 1
    end_ms = query.end_ms if query.end_ms is not None else min(max(newest_ms, clock.now_ms()), keys.LATEST_MS)
    buckets = periods.period_count(start_ms, end_ms, query.interval)
    if buckets > MAX_BUCKETS:
        raise errors.BadRequest(
            f"The range holds {buckets} intervals, more than {MAX_BUCKETS}: narrow it or take a longer interval"
        )


def fold(points: Iterable[tuple[int, Any]], interval: str, function: str) -> list[tuple[int, Number]]:
    """Fold pairs of (milliseconds since 1970, number), in any order, into buckets by rising start.

    A bucket is half-open, [start, end), in UTC. A bucket without a point is omitted, not returned as zero.

    >>> fold([(0, 1), (1_000, 4), (60_000, 5)], "minute", "avg")
    [(0, 2.5), (60000, 5)]
    """
    buckets: dict[int, list[Any]] = {}
    for time_ms, value in points:
        buckets.setdefault(periods.period_start(time_ms, interval), []).append(value)
    return [(start_ms, _apply(function, values)) for start_ms, values in sorted(buckets.items())]


def _apply(function: str, values: list[Any]) -> Number:
    if function == "min":
        lowest: Number = min(values)
        return lowest
    if function == "max":
        highest: Number = max(values)
        return highest
    added = totals.add(values)
    return added if function == "sum" else totals.divide(added, len(values))
