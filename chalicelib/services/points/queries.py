"""Reading points back: every kind of query, as finished JSON text or as a number."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from chalicelib import errors, settings, store
from chalicelib.codec import keys, numbers, periods, segments
from chalicelib.codec.segments import HAS_LOCATION, HAS_VALUE, Item, Segment
from chalicelib.host import clock
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import by_id, directory, scan
from chalicelib.services.points.scan import Filter, Run
from chalicelib.store import Doc

_KINDS = {"value": HAS_VALUE, "location": HAS_LOCATION}
Number = int | float | Decimal
_Taken = tuple[Segment, list[int]]


def select(*, device: Doc, query: PointQuery) -> list[Run]:
    """Return the points that a query of records names, in the order of the answer.

    Raises:
        errors.BadRequest: ids on an immutable device, or a query that names no points.
    """
    if query.ids:
        return _by_id(device, query)
    kind = query.kind
    if kind in ("default", "conditional"):
        return _ordered(device, query)
    edge, _, what = kind.partition("_")
    if what == "insert":
        return _by_creation(device, query, is_first=edge == "first")
    if what:
        names = query.variables or sorted(directory.read(device=device["id"]))
        wanted = make_filter(device, query, kinds=_KINDS.get(what, 0))
        taken = _take_each(device, names, wanted, 1, is_ascending=edge == "first")
        return [run for name in names for run in taken[name]]
    if kind in ("min", "max"):
        return _extremes(device, query)
    raise errors.BadRequest("Invalid query")


def make_filter(device: Doc, query: PointQuery, kinds: int = 0) -> Filter:
    """Return the filter of a query: bounds (never before what an immutable device still keeps), names, values."""
    variables = frozenset(query.variables) or None
    start_ms = keys.EARLIEST_MS if query.start_ms is None else query.start_ms
    if device["type"] == "immutable":
        kept_from_ms, _ = periods.window(clock.now_ms(), device["chunk_period"], device["chunk_retention"])
        start_ms = max(start_ms, kept_from_ms)
    end_ms = keys.LATEST_MS if query.end_ms is None else query.end_ms
    return Filter(start_ms, end_ms, variables, kinds, _last_look(query))


def _last_look(query: PointQuery) -> Any:
    groups, values = set(query.groups), query.values
    is_conditional = query.kind == "conditional"
    if not (groups or values or is_conditional):
        return None

    def accepts(segment: Segment, index: int) -> bool:
        point = segment.point(index)
        value = point.get("value")
        if groups and point["group"] not in groups:
            return False
        if values and not any(numbers.matches(value, wanted) for wanted in values):
            return False
        return not is_conditional or _compares(value, query)

    return accepts


def _compares(value: object, query: PointQuery) -> bool:
    if not is_number(value):
        return False
    threshold: Any = query.threshold
    number: Any = value
    return bool(
        {
            "gt": number > threshold,
            "gte": number >= threshold,
            "lt": number < threshold,
            "lte": number <= threshold,
            "eq": number == threshold,
            "ne": number != threshold,
        }[query.function]
    )


def is_number(value: object) -> bool:
    """Tell whether a value counts as a number: text and booleans do not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _ordered(device: Doc, query: PointQuery) -> list[Run]:
    """Take ``qty`` points after ``skip`` of each variable, or of all together when none is named."""
    wanted, count = make_filter(device, query), query.skip + query.qty
    if not query.variables:
        page = _first_page(count)
        runs = scan.walk(device["id"], wanted, is_ascending=query.is_ascending, first_page=page)
        return _take(runs, query.skip, query.qty)
    taken = _take_each(device, query.variables, wanted, count, is_ascending=query.is_ascending)
    return [run for name in query.variables for run in _take(taken[name], query.skip, query.qty)]


def _first_page(count: int) -> int:
    return min(max(count + 1, 4), 100)


def _take(runs: Iterable[Run], skip: int, qty: int) -> list[Run]:
    taken: list[Run] = []
    for segment, indices in runs:
        if skip >= len(indices):
            skip -= len(indices)
            continue
        part = indices[skip : skip + qty]
        skip = 0
        taken.append((segment, part))
        qty -= len(part)
        if qty == 0:
            break
    return taken


def _take_each(
    device: Doc, names: Sequence[str], bounds: Filter, count: int, *, is_ascending: bool
) -> Mapping[str, Sequence[Run]]:
    """Take ``count`` points of each variable in one walk.

    The directory bounds the walk: it starts where the newest of the variables still wanted was last seen, ends where
    the oldest began, and leaps over hours that hold none of them.
    """
    known = directory.read(device=device["id"])
    if len(names) == 1:
        return {names[0]: _take_one(device, names[0], known, bounds, count, is_ascending=is_ascending)}
    taken: dict[str, list[_Taken]] = {name: [] for name in names}
    missing = {name: count for name in names if name in known}
    start_ms, end_ms = bounds.start_ms, bounds.end_ms
    while missing:
        first_hour = min([known[name].first for name in missing])
        newest_hour = max([known[name].newest for name in missing])
        low = max(start_ms, first_hour * keys.HOUR_MS)
        high = min(end_ms, (newest_hour + 1) * keys.HOUR_MS - 1)
        if low > high:
            break
        wanted = Filter(low, high, frozenset(missing), bounds.kinds, bounds.accepts)
        page = _first_page(count * len(missing))
        runs = scan.walk(device["id"], wanted, is_ascending=is_ascending, first_page=page)
        reached_ms = _fill(runs, taken, missing, known, is_ascending)
        if reached_ms is None:
            break
        if is_ascending:
            start_ms = reached_ms
            missing = {name: left for name, left in missing.items() if known[name].newest * keys.HOUR_MS >= start_ms}
        else:
            end_ms = reached_ms
            missing = {name: left for name, left in missing.items() if known[name].first * keys.HOUR_MS <= end_ms}
    return taken


def _take_one(
    device: Doc, name: str, known: Mapping[str, directory.Span], bounds: Filter, count: int, *, is_ascending: bool
) -> list[Run]:
    """Take ``count`` points of one variable: the walk is in their order already."""
    span = known.get(name)
    if span is None:
        return []
    low = max(bounds.start_ms, span.first * keys.HOUR_MS)
    high = min(bounds.end_ms, (span.newest + 1) * keys.HOUR_MS - 1)
    wanted = Filter(low, high, frozenset((name,)), bounds.kinds, bounds.accepts)
    runs = scan.walk(device["id"], wanted, is_ascending=is_ascending, first_page=_first_page(count))
    return _take(runs, 0, count)


def _fill(
    runs: Iterator[Run],
    taken: dict[str, list[_Taken]],
    missing: dict[str, int],
    known: dict[str, directory.Span],
    is_ascending: bool,
) -> int | None:
    """Hand points to their variables until all have enough (None), or none of the rest lies in the hours at hand.

    Returns:
        Where to go on: the edge of an hour all of whose points were handed out; None when done.
    """
    hour = None
    for segment, indices in runs:
        for index in indices:
            at_ms = segment.time_ms - segment.offsets[index]
            now_hour = keys.hour_of(at_ms)
            if hour is not None and now_hour != hour and not _any_near(missing, known, now_hour, is_ascending):
                return now_hour * keys.HOUR_MS if is_ascending else (now_hour + 1) * keys.HOUR_MS - 1
            hour = now_hour
            name = segment.names[segment.variables[index]]
            left = missing.get(name)
            if left is None:
                continue
            runs_of = taken[name]
            if runs_of and runs_of[-1][0] is segment:
                runs_of[-1][1].append(index)
            else:
                runs_of.append((segment, [index]))
            if left > 1:
                missing[name] = left - 1
                continue
            del missing[name]
            if not missing:
                return None
    return None


def _any_near(missing: dict[str, int], known: dict[str, directory.Span], hour: int, is_ascending: bool) -> bool:
    if is_ascending:
        return any(known[name].first <= hour for name in missing)
    return any(known[name].newest >= hour for name in missing)


def _by_id(device: Doc, query: PointQuery) -> list[Run]:
    if device["type"] == "immutable":
        raise errors.BadRequest("Filter using ID(s) is not supported on Immutable Storage Type")
    wanted = make_filter(device, query, kinds=_KINDS.get(query.kind.partition("_")[2], 0))
    found = by_id.find_all(device=device["id"], ids=query.ids)
    points = [
        (segment.time_ms - segment.offsets[index], segment.point_id(index), segment, index)
        for segment, index in found
        if index in wanted.select(segment)
    ]
    points.sort(key=lambda point: point[:2], reverse=not query.is_ascending)
    qty = query.qty if query.kind in ("default", "conditional") else 1
    return [(segment, [index]) for _, _, segment, index in points[query.skip : query.skip + qty]]


def _by_creation(device: Doc, query: PointQuery, *, is_first: bool) -> list[Run]:
    """Take each variable's first or last stored point. Reads every header in range: nothing orders by creation."""
    best: dict[str, tuple[tuple[int, str], Item, int]] = {}
    wanted = make_filter(device, query)
    read = _reader(wanted)
    for item in scan.items(device["id"], wanted, is_ascending=False, first_page=100):
        segment = read(item)
        for index in wanted.select(segment):
            name = segment.names[segment.variables[index]]
            rank = (segment.point_created_ms(index), segment.point_id(index))
            if name not in best or (rank < best[name][0] if is_first else rank > best[name][0]):
                best[name] = (rank, item, index)
    order = query.variables or sorted(best)
    return [(segments.decode(best[name][1]), [best[name][2]]) for name in order if name in best]


def _reader(wanted: Filter) -> Callable[[Item], Segment]:
    """Return what decodes just enough for ``wanted`` to select."""
    return segments.decode_header if wanted.accepts is None else segments.decode


def _extremes(device: Doc, query: PointQuery) -> list[Run]:
    """Take each variable's point of lowest or highest number; of equal ones the newest."""
    best: dict[str, tuple[Any, Segment, int]] = {}
    for segment, index, value in numeric_points(device, query):
        name = segment.names[segment.variables[index]]
        if name not in best or (value < best[name][0] if query.kind == "min" else value > best[name][0]):
            best[name] = (value, segment, index)
    order = query.variables or sorted(best)
    return [(best[name][1], [best[name][2]]) for name in order if name in best]


def numeric_points(device: Doc, query: PointQuery) -> Iterator[tuple[Segment, int, Any]]:
    """Yield every wanted point whose value is a number, newest first, with it."""
    wanted = make_filter(device, query, kinds=HAS_VALUE)
    for segment, indices in scan.walk(device["id"], wanted, is_ascending=False, first_page=100):
        for index in indices:
            value = segment.point(index).get("value")
            if is_number(value):
                yield segment, index, value


def count(*, device: Doc, query: PointQuery) -> int:
    """Count the points that match.

    Cost: without variables, values or groups the store adds up whole hours; else headers are read, and with values or
    groups all of it.
    """
    if query.ids:
        return sum(
            len(indices) for _, indices in _by_id(device, replace(query, qty=len(query.ids), skip=0, kind="default"))
        )
    wanted = make_filter(device, query)
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
    read = _reader(wanted)
    found = scan.items(device["id"], wanted, is_ascending=False, first_page=100)
    return sum(len(wanted.select(read(item))) for item in found)


def total(*, device: Doc, query: PointQuery) -> Number | None:
    """Return avg or sum of the numbers that match, over all variables together; None when there is none.

    Whole numbers add up exactly, others with compensated summation.
    """
    values = [value for _, _, value in numeric_points(device, query)]
    if not values:
        return None
    added = add(values)
    return added if query.kind == "sum" else divide(added, len(values))


def add(values: list[Any]) -> Number:
    """Add numbers: exactly when all are whole."""
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


def divide(added: Number, by: int) -> Number:
    """Divide, staying whole where it comes out even."""
    if isinstance(added, int) and added % by == 0:
        return added // by
    return float(added) / by


def splice(runs: list[Run], *, details: bool) -> str:
    """Join points into the text of a JSON array.

    Raises:
        errors.TooLarge: the answer would be over 5 MB.
    """
    parts: list[str] = []
    for segment, indices in runs:
        parts.extend(segments.splice(segment, indices, details=details))
    text = "[" + ",".join(parts) + "]"
    if len(text) > settings.MAX_ANSWER_BYTES or len(text) * 4 > settings.MAX_ANSWER_BYTES < len(text.encode()):
        raise errors.TooLarge("The answer is over 5 MB: ask for less with qty, or narrow start_date and end_date")
    return text
