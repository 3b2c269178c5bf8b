"""Takes the newest or oldest points of each variable in one walk over a device's segments."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from chalicelib.codec import keys
from chalicelib.codec.segments import Segment
from chalicelib.services.points import scan
from chalicelib.services.points.directory import Span
from chalicelib.services.points.filters import Filter
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc

Taken = tuple[Segment, list[int]]


def first_page(count: int) -> int:
    """Return how many segments to fetch at first for ``count`` points."""
    return min(max(count + 1, 4), 100)


def take(runs: Iterable[Run], skip: int, qty: int) -> list[Run]:
    """Return ``qty`` points after the first ``skip``."""
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


def take_each(
    device: Doc,
    names: Sequence[str],
    known: Mapping[str, Span],
    bounds: Filter,
    count: int,
    *,
    is_ascending: bool,
) -> Mapping[str, Sequence[Run]]:
    """Take ``count`` points of each variable in one walk.

    The directory bounds the walk. The walk covers only the hours of variables that still lack points, from the newest
    hour to the oldest or the other way round, and skips hours that hold none of them.

    Args:
        device: the owner of the points.
        names: the variables.
        known: the device's directory.
        bounds: the filter for the points of all variables.
        count: how many points of each variable.
        is_ascending: whether to take the oldest points.
    """
    if len(names) == 1:
        return {names[0]: _take_one(device, names[0], known, bounds, count, is_ascending=is_ascending)}
    taken: dict[str, list[Taken]] = {name: [] for name in names}
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
        page = first_page(count * len(missing))
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
    device: Doc, name: str, known: Mapping[str, Span], bounds: Filter, count: int, *, is_ascending: bool
) -> list[Run]:
    """Take ``count`` points of one variable, which the walk yields in order."""
    span = known.get(name)
    if span is None:
        return []
    low = max(bounds.start_ms, span.first * keys.HOUR_MS)
    high = min(bounds.end_ms, (span.newest + 1) * keys.HOUR_MS - 1)
    wanted = Filter(low, high, frozenset((name,)), bounds.kinds, bounds.accepts)
    runs = scan.walk(device["id"], wanted, is_ascending=is_ascending, first_page=first_page(count))
    return take(runs, 0, count)


def _fill(
    runs: Iterator[Run],
    taken: dict[str, list[Taken]],
    missing: dict[str, int],
    known: Mapping[str, Span],
    is_ascending: bool,
) -> int | None:
    """Add points to their variables until all have enough, or until an hour comes that no missing variable covers.

    Returns:
        The time from which the walk must resume, at the edge of an hour. None if it is done.
    """
    hour = None
    for segment, indices in runs:
        for index in indices:
            at_ms = segment.time_ms - segment.offsets[index]
            point_hour = keys.hour_of(at_ms)
            if hour is not None and point_hour != hour and not _any_near(missing, known, point_hour, is_ascending):
                return point_hour * keys.HOUR_MS if is_ascending else (point_hour + 1) * keys.HOUR_MS - 1
            hour = point_hour
            name = segment.names[segment.variables[index]]
            missing_count = missing.get(name)
            if missing_count is None:
                continue
            runs_taken = taken[name]
            if runs_taken and runs_taken[-1][0] is segment:
                runs_taken[-1][1].append(index)
            else:
                runs_taken.append((segment, [index]))
            if missing_count > 1:
                missing[name] = missing_count - 1
                continue
            del missing[name]
            if not missing:
                return None
    return None


def _any_near(missing: dict[str, int], known: Mapping[str, Span], hour: int, is_ascending: bool) -> bool:
    if is_ascending:
        return any(known[name].first <= hour for name in missing)
    return any(known[name].newest >= hour for name in missing)
