"""Folds points into calendar buckets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any

from chalicelib import errors
from chalicelib.codec import keys, numbers, periods, times
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
        query: has ``interval``, ``function`` and ``zone``. Without bounds, it covers all points up to now.

    Returns:
        ``{"time", "value"}`` objects, with ``variable`` if there are several variables. The function ``count`` counts
        all points, as the query ``count`` does, also those without a number.

    Raises:
        errors.BadRequest: the range spans more than 10,000 intervals.

    Cost: besides the segments, one read of the directory, unless the query names its variables and both bounds.

    Source: TagoIO, query=aggregate. The alignment of buckets to local time, ``count`` and the maximum are ours.
    """
    variables: Sequence[str] = query.variables
    if not variables or not _is_short(query):
        known = directory.read(device=device["id"])
        variables = variables or sorted(known)
        _check_buckets(known, query)
    buckets = fold(_values(device, query), query.interval, query.function, query.zone)
    answer = []
    for name in variables:
        for start_ms, value in sorted(buckets.get(name, {}).items()):
            bucket: dict[str, Any] = {"time": times.to_iso(start_ms), "value": value}
            answer.append(bucket | {"variable": name} if len(variables) > 1 else bucket)
    return answer


def _values(device: Doc, query: PointQuery) -> Iterator[tuple[str, int, Any]]:
    """Yield variable, milliseconds since 1970 and value of each point; the value is None if only points are counted."""
    if query.function == "count":
        for segment, index in totals.points(device=device, query=query):
            yield segment.names[segment.variables[index]], segment.time_ms - segment.offsets[index], None
        return
    for segment, index, value in totals.numeric_points(device=device, query=query):
        yield segment.names[segment.variables[index]], segment.time_ms - segment.offsets[index], value


def _is_short(query: PointQuery) -> bool:
    """Return whether the bounds of a query alone leave few enough buckets."""
    start_ms, end_ms = query.start_ms, query.end_ms
    if start_ms is None or end_ms is None:
        return False
    return periods.period_count(start_ms, end_ms, query.interval, query.zone) <= MAX_BUCKETS


def _check_buckets(known: Mapping[str, Span], query: PointQuery) -> None:
    spans = [*known.values()]
    if not spans:
        return
    start_ms = query.start_ms if query.start_ms is not None else min(span.first for span in spans) * keys.HOUR_MS
    newest_ms = (max(span.newest for span in spans) + 1) * keys.HOUR_MS - 1
    end_ms = query.end_ms if query.end_ms is not None else min(max(newest_ms, clock.now_ms()), keys.LATEST_MS)
    buckets = periods.period_count(start_ms, end_ms, query.interval, query.zone)
    if buckets > MAX_BUCKETS:
        raise errors.BadRequest(
            f"The range holds {buckets} intervals, more than {MAX_BUCKETS}: narrow it or take a longer interval"
        )


def fold(
    points: Iterable[tuple[str, int, Any]], interval: str, function: str, zone: tzinfo = UTC
) -> dict[str, dict[int, Number]]:
    """Fold points into buckets.

    A bucket is half-open, [start, end), in local time. A bucket without a point is omitted, not returned as zero.

    Args:
        points: variable, milliseconds since 1970 and value of each, in any order.
        interval: one of ``periods.INTERVALS``.
        function: avg, sum, min, max or count.
        zone: the time zone of the buckets.

    Returns:
        By variable, the value of each bucket by its first millisecond.

    Cost: constant memory a bucket. The time zone is asked once a bucket, not once a point.

    >>> fold([("a", 0, 1), ("a", 1_000, 4), ("a", 60_000, 5)], "minute", "avg")
    {'a': {0: 2.5, 60000: 5}}
    """
    step, start_of = _STEPS[function], periods.Buckets(interval, zone).start_of
    states: dict[str, dict[int, Any]] = {}
    for name, time_ms, value in points:
        of_variable = states.setdefault(name, {})
        start_ms = start_of(time_ms)
        of_variable[start_ms] = step(of_variable.get(start_ms), value)
    if function in ("avg", "sum"):
        read: Callable[[numbers.Sum], Number] = numbers.Sum.mean if function == "avg" else numbers.Sum.total
        return {name: {start: read(state) for start, state in of.items()} for name, of in states.items()}
    return states


def _count(state: int | None, _: Any) -> int:
    return (state or 0) + 1


def _least(state: Any, value: Any) -> Any:
    return value if state is None or value < state else state


def _greatest(state: Any, value: Any) -> Any:
    return value if state is None or value > state else state


def _add(state: numbers.Sum | None, value: Any) -> numbers.Sum:
    state = state or numbers.Sum()
    state.add(value)
    return state


_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "avg": _add,
    "sum": _add,
    "min": _least,
    "max": _greatest,
    "count": _count,
}
"""By function: how the next value changes the state of a bucket, which is None at first."""
