"""Computes count, sum and average of points, and finds the points with the lowest or highest value."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib import store
from chalicelib.codec import keys, summaries
from chalicelib.codec.segment import HAS_VALUE, SealedItem, Segment
from chalicelib.host import deadline
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import by_id, filters, folds, scan
from chalicelib.services.points.filters import Filter
from chalicelib.services.points.scan import Bounds, Run
from chalicelib.store import Doc

_PAGE = 100


@dataclass(slots=True)
class _Best:
    """The lowest or highest number of a variable, and where it is."""

    value: Any
    place: tuple[Segment, int] | None = None
    """The newest point with this value that was looked at."""
    items: list[SealedItem] = field(default_factory=list)
    """Sealed segments with this value, the newest first, that were not looked into."""

    def take(self, segment: Segment, index: int) -> None:
        """Take a point with this value if it is newer."""
        if self.place is None or segment.order(index) > self.place[0].order(self.place[1]):
            self.place = segment, index


def extremes(*, device: Doc, query: PointQuery) -> list[Run]:
    """Take the point of each variable with the lowest or highest number. Of equal ones, take the newest.

    Cost: the summaries of the sealed segments in range, and the bodies of those with a best value; the small segments
    in range.
    """
    wanted, is_least = filters.of(device, query, kinds=HAS_VALUE), query.kind == "min"
    best: dict[str, _Best] = {}
    for item in scan.items(device, Bounds(wanted.start_ms, wanted.end_ms, False, _PAGE, has_bodies=False)):
        if not isinstance(item, SealedItem):
            segment = folds.small(item, wanted, needs_lines=True)
            _compare(segment, wanted.select(segment), best, is_least)
            continue
        summary = summaries.decode(item.summary)
        if wanted.excludes(summary):
            continue
        if folds.is_whole(item, summary, wanted) and summary.knows(wanted.variables):
            for name, facts in summary.facts.items():
                if facts.numbers and (wanted.variables is None or name in wanted.variables):
                    known = _better(best, name, facts.least if is_least else facts.greatest, is_least)
                    if known is not None:
                        known.items.append(item)
        elif (opened := scan.load(item)) is not None:
            _compare(opened, wanted.select(opened), best, is_least)
    for name, known in best.items():
        _look_into(name, known)
    order = query.variables or sorted(best)
    return [(place[0], [place[1]]) for name in order if name in best and (place := best[name].place) is not None]


def _better(best: dict[str, _Best], name: str, value: Any, is_least: bool) -> _Best | None:
    """Return the best of a variable if ``value`` equals it or is better now; None if it is worse."""
    known = best.get(name)
    if known is None or (value < known.value if is_least else value > known.value):
        known = best[name] = _Best(value)
    return known if value == known.value else None


def _compare(segment: Segment, indices: Iterable[int], best: dict[str, _Best], is_least: bool) -> None:
    for index in indices:
        value = segment.value(index)
        if filters.is_number(value):
            known = _better(best, segment.names[segment.variables[index]], value, is_least)
            if known is not None:
                known.take(segment, index)


def _look_into(name: str, known: _Best) -> None:
    """Find the newest point with the best value in sealed segments. The newest of them nearly always has it."""
    for item in known.items:
        if known.place is not None and known.place[0].order(known.place[1])[0] > keys.key_time_ms(item.key):
            return
        segment = scan.load(item)
        if segment is not None:
            for index in segment.indices_of(name):
                value = segment.value(index)
                if filters.is_number(value) and value == known.value:
                    known.take(segment, index)


def count(*, device: Doc, query: PointQuery) -> int:
    """Count the points that match a query.

    Cost: without variables, values or groups, the store adds up the segments. Only those that the range cuts are
    decoded. With variables, the summaries of sealed segments and the headers of small ones are decoded; with values or
    groups, the complete segments.
    """
    if query.ids:
        return sum(
            len(indices)
            for _, indices in by_id.select(device, replace(query, qty=len(query.ids), skip=0, kind="default"))
        )
    wanted = filters.of(device, query)
    if wanted.variables is None and not wanted.needs_lines:
        points = _count_sealed(device, wanted)
        if points is not None:
            return points + _count_small(device, wanted)
    counted = folds.Count()
    folds.fold(device, wanted, counted)
    return counted.points


def _count_sealed(device: Doc, wanted: Filter) -> int | None:
    """Count the points in sealed segments. None: there are small segments that are sealed and not deleted yet."""
    start_ms, end_ms, current = wanted.start_ms, wanted.end_ms, store.current()
    device_id, low = device["id"], keys.segment_key(start_ms, 0)
    high = keys.segment_key(max(start_ms, end_ms), keys.SUFFIX_COUNT - 1)
    if scan.sealed_to(device) < low or end_ms < start_ms:
        return 0
    points = current.count_sealed(device_id, low, high, oldest_from_ms=start_ms)
    if points is None:
        return None
    # Those that the range cuts are of the days of its bounds.
    first = _straddling(device, low, keys.end_of_day(start_ms), start_ms - 1)
    last = _straddling(device, keys.key_after(high), keys.end_of_day(end_ms), end_ms)
    for item in {item.key: item for item in (*first, *last)}.values():
        if current.keeps_originals and item.counted != item.points:
            return None
        points += len(wanted.select(scan.decode_shared(item)))
        deadline.check()
    return points


def _straddling(device: Doc, low: str, high: str, oldest_to_ms: int) -> Iterator[SealedItem]:
    """Yield the sealed segments with low <= key <= high that hold a point of a time or before."""
    if low > high:
        return iter(())
    return store.current().scan_sealed(
        device["id"], low, high, newest_first=False, first_page=2, oldest_to_ms=oldest_to_ms
    )


def _count_small(device: Doc, wanted: Filter) -> int:
    first_ms = -(-wanted.start_ms // keys.HOUR_MS) * keys.HOUR_MS
    if first_ms > wanted.end_ms:
        return _count_walking(device, wanted)
    # These segments begin at a whole hour. One whose newest point is in the range lies in it completely.
    low, high = keys.segment_key(first_ms, 0), keys.segment_key(wanted.end_ms, keys.SUFFIX_COUNT - 1)
    whole = store.current().count_points(device["id"], low, high)
    before, after = replace(wanted, end_ms=first_ms - 1), replace(wanted, start_ms=first_ms)
    return whole + _count_walking(device, before) + _count_walking(device, after, newest_from_ms=wanted.end_ms + 1)


def _count_walking(device: Doc, wanted: Filter, newest_from_ms: int = keys.EARLIEST_MS) -> int:
    bounds = Bounds(wanted.start_ms, wanted.end_ms, False, _PAGE)
    points = 0
    for item in scan.small_items(device, bounds, newest_from_ms):
        points += len(wanted.select(folds.small(item, wanted, needs_lines=False)))
        deadline.check()
    return points


def total(*, device: Doc, query: PointQuery) -> int | float | None:
    """Return the average or the sum of the numbers that match, over all variables together; None if none match.

    Whole numbers add up exactly; with fractions among them, the sum is rounded once.
    """
    added = folds.Total()
    folds.fold(device, filters.of(device, query, kinds=HAS_VALUE), added)
    if not added.sum.count:
        return None
    return added.sum.total() if query.kind == "sum" else added.sum.mean()
