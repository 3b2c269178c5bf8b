"""Takes the newest or oldest points of each variable in one walk over a device's segments."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from chalicelib import errors
from chalicelib.codec import keys
from chalicelib.codec.segment import Segment
from chalicelib.services.points import scan
from chalicelib.services.points.directory import Span
from chalicelib.services.points.filters import Filter
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc

Taken = tuple[Segment, list[int]]
TOO_LARGE = "The answer is over 5 MB: ask for less with qty, or narrow start_date and end_date"


class _Kept:
    """The points of several variables that wait for their place in the answer."""

    def __init__(self, taken: dict[str, list[Taken]], count: int, room: float) -> None:
        self.taken, self.count, self._room = taken, count, room

    def add(self, name: str, segment: Segment, index: int) -> None:
        """Keep a point. Raises errors.TooLarge: there is no room for its line."""
        self._room -= len(segment.line(index))
        if self._room < 0:
            raise errors.TooLarge(TOO_LARGE)
        runs = self.taken[name]
        if runs and runs[-1][0] is segment:
            runs[-1][1].append(index)
        else:
            runs.append((segment, [index]))


def first_page(count: int) -> int:
    """Return how many segments to fetch at first for ``count`` points."""
    return min(max(count + 1, 4), 100)


def take(runs: Iterable[Run], skip: int, qty: int) -> Iterator[Run]:
    """Yield ``qty`` points after the first ``skip``, one run after the other, so that none need be kept."""
    for segment, indices in runs:
        if skip >= len(indices):
            skip -= len(indices)
            continue
        part = indices[skip : skip + qty]
        skip = 0
        yield segment, part
        qty -= len(part)
        if qty == 0:
            break


def take_each(
    device: Doc,
    names: Sequence[str],
    known: Mapping[str, Span],
    bounds: Filter,
    count: int,
    *,
    is_ascending: bool,
    skip: int = 0,
    room: float = math.inf,
) -> Mapping[str, Iterable[Run]]:
    """Take ``count`` points after the first ``skip`` of each variable in one walk.

    The directory bounds the walk. The walk covers only the hours of variables that still lack points, from the newest
    hour to the oldest or the other way round, and skips hours that hold none of them.

    Args:
        device: the owner of the points.
        names: the variables.
        known: the device's directory.
        bounds: the filter for the points of all variables.
        count: how many points of each variable.
        is_ascending: whether to take the oldest points.
        skip: how many points of each variable to leave out.
        room: how many characters of lines may be kept. The points of one variable are not kept.

    Raises:
        errors.TooLarge: the points of several variables do not fit into ``room``.
    """
    if len(names) == 1:
        runs = _walk_one(device, names[0], known, bounds, skip + count, is_ascending=is_ascending)
        return {names[0]: take(runs, skip, count)}
    kept = _Kept({name: [] for name in names}, count, room)
    missing = {name: skip + count for name in names if name in known}
    start_ms, end_ms = bounds.start_ms, bounds.end_ms
    while missing:
        first_hour = min([known[name].first for name in missing])
        newest_hour = max([known[name].newest for name in missing])
        low = max(start_ms, first_hour * keys.HOUR_MS)
        high = min(end_ms, (newest_hour + 1) * keys.HOUR_MS - 1)
        if low > high:
            break
        wanted = replace(bounds, start_ms=low, end_ms=high, variables=frozenset(missing))
        page = first_page((skip + count) * len(missing))
        runs = scan.walk(device, wanted, is_ascending=is_ascending, first_page=page)
        reached_ms = _fill(runs, kept, missing, known, is_ascending)
        if reached_ms is None:
            break
        if is_ascending:
            start_ms = reached_ms
            missing = {name: left for name, left in missing.items() if known[name].newest * keys.HOUR_MS >= start_ms}
        else:
            end_ms = reached_ms
            missing = {name: left for name, left in missing.items() if known[name].first * keys.HOUR_MS <= end_ms}
    return kept.taken


def _walk_one(
    device: Doc, name: str, known: Mapping[str, Span], bounds: Filter, count: int, *, is_ascending: bool
) -> Iterator[Run]:
    """Walk over the points of one variable, of which ``count`` will be needed."""
    span = known.get(name)
    if span is None:
        return iter(())
    low = max(bounds.start_ms, span.first * keys.HOUR_MS)
    high = min(bounds.end_ms, (span.newest + 1) * keys.HOUR_MS - 1)
    wanted = replace(bounds, start_ms=low, end_ms=high, variables=frozenset((name,)))
    return scan.walk(device, wanted, is_ascending=is_ascending, first_page=first_page(count))


def _fill(
    runs: Iterator[Run],
    kept: _Kept,
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
            if missing_count <= kept.count:
                kept.add(name, segment, index)
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
