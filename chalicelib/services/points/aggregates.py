"""Folds points into calendar buckets."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import reduce
from typing import Any

from chalicelib import errors
from chalicelib.codec import keys, numbers, periods, times
from chalicelib.codec.segment import HAS_VALUE
from chalicelib.codec.summaries import Facts
from chalicelib.host import clock
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import directory, filters, folds
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
    buckets = Buckets(query.interval, query.function, query.zone)
    kinds = 0 if buckets.counts_all else HAS_VALUE
    folds.fold(device, filters.of(device, query, kinds), buckets)
    values = buckets.values()
    by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in variables}
    for start_ms in sorted(values):
        time = times.to_iso(start_ms)
        for name, value in values[start_ms].items():
            if name in by_name:
                also = {"variable": name} if len(variables) > 1 else {}
                by_name[name].append({"time": time, "value": value, **also})
    return [bucket for of_name in by_name.values() for bucket in of_name]


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


class Buckets:
    """Folds points into buckets; implements ``folds.Fold``.

    A bucket is half-open, [start, end), in local time. A bucket without a point is omitted, not returned as zero.

    Args:
        interval: one of ``periods.INTERVALS``.
        function: avg, sum, min, max or count.
        zone: the time zone of the buckets.

    Cost: constant memory a bucket and variable. The time zone is asked once a bucket, not once a point.

    >>> buckets = Buckets("minute", "avg")
    >>> buckets.add("a", [0, 1_000, 60_000], [1, 4, 5])
    >>> buckets.values()
    {0: {'a': 2.5}, 60000: {'a': 5}}
    """

    def __init__(self, interval: str, function: str, zone: tzinfo = UTC) -> None:
        self.counts_all, self.is_fine = function == "count", periods.is_within_day(interval)
        self._function, self._step = function, _STEPS[function]
        self._bounds_of = periods.Buckets(interval, zone).bounds_of
        self._states: dict[int, dict[str, Any]] = {}

    def holds(self, oldest_ms: int, newest_ms: int) -> bool:
        """See folds.Fold."""
        return newest_ms < self._bounds_of(oldest_ms)[1]

    def add_facts(self, time_ms: int, facts: Mapping[str, Facts]) -> None:
        """See folds.Fold."""
        states, step = self._states.setdefault(self._bounds_of(time_ms)[0], {}), self._step
        for name, of in facts.items():
            if of.numbers or self.counts_all:
                states[name] = step(states.get(name), of)

    def add(self, name: str, times: Sequence[int], values: Sequence[Any]) -> None:
        """See folds.Fold."""
        states, bounds_of, step = self._states, self._bounds_of, self._step
        if step is _add and {*map(type, values)} == _FLOATS:
            step = _add_floats
        first, length = 0, len(times)
        while first < length:
            start_ms, end_ms = bounds_of(times[first])
            end = bisect_left(times, end_ms, first)
            of = states.setdefault(start_ms, {})
            of[name] = step(of.get(name), values[first:end])
            first = end

    def values(self) -> Mapping[int, Mapping[str, Number]]:
        """Return, by the first millisecond of each bucket, the value of each variable."""
        if self._function not in ("avg", "sum"):
            return self._states
        read: Callable[[numbers.Sum], Number] = numbers.Sum.mean if self._function == "avg" else numbers.Sum.total
        return {start: {name: read(state) for name, state in of.items()} for start, of in self._states.items()}


Part = Any
"""What is added to a bucket: the ``Facts`` of some points, or a sequence of their values."""


def _count(state: int | None, part: Part) -> int:
    return (state or 0) + (part.records if isinstance(part, Facts) else len(part))


def _least(state: Any, part: Part) -> Any:
    return reduce(numbers.lesser, [part.least] if isinstance(part, Facts) else part, state)


def _greatest(state: Any, part: Part) -> Any:
    return reduce(numbers.greater, [part.greatest] if isinstance(part, Facts) else part, state)


def _add(state: numbers.Sum | None, part: Part) -> numbers.Sum:
    state = state or numbers.Sum()
    if isinstance(part, Facts):
        state.add_sums(part.numbers, part.whole, part.partials)
    else:
        state.extend(part)
    return state


def _add_floats(state: numbers.Sum | None, part: Part) -> numbers.Sum:
    state = state or numbers.Sum()
    state.add_sums(len(part), 0, part)
    return state


_FLOATS = {float}
_STEPS: dict[str, Callable[[Any, Part], Any]] = {
    "avg": _add,
    "sum": _add,
    "min": _least,
    "max": _greatest,
    "count": _count,
}
"""By function: how a part changes the state of a bucket, which is None at first."""
