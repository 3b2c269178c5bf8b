"""Computes one thing of many points, from the summaries of sealed segments as far as these suffice."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from chalicelib.codec import numbers, segments, summaries
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.segment import Item, SealedItem, Segment
from chalicelib.codec.summaries import Facts
from chalicelib.services.points import filters, scan
from chalicelib.services.points.filters import Filter
from chalicelib.store import Doc

_PAGE = 100


class Fold(Protocol):
    """What is computed. Points come in any order."""

    counts_all: bool
    """Whether points without a number count, too. Then the values are None."""
    is_fine: bool
    """Whether few sealed segments fit into one of its parts. Then their bodies are read at once."""

    def holds(self, oldest_ms: int, newest_ms: int) -> bool:
        """Return whether facts of all points from ``oldest_ms`` to ``newest_ms`` can be added."""

    def add_facts(self, time_ms: int, facts: Mapping[str, Facts]) -> None:
        """Add the facts of some points, by variable. One of these points is at ``time_ms``."""

    def add(self, name: str, times: Sequence[int], values: Sequence[Any]) -> None:
        """Add points of a variable, in rising order of time."""


class Count:
    """Counts points."""

    counts_all, is_fine = True, False

    def __init__(self) -> None:
        self.points = 0

    def holds(self, oldest_ms: int, newest_ms: int) -> bool:
        """See Fold."""
        return True

    def add_facts(self, time_ms: int, facts: Mapping[str, Facts]) -> None:
        """See Fold."""
        self.points += sum([of.records for of in facts.values()])

    def add(self, name: str, times: Sequence[int], values: Sequence[Any]) -> None:
        """See Fold."""
        self.points += len(times)


class Total:
    """Adds up numbers."""

    counts_all = is_fine = False

    def __init__(self) -> None:
        self.sum = numbers.Sum()

    def holds(self, oldest_ms: int, newest_ms: int) -> bool:
        """See Fold."""
        return True

    def add_facts(self, time_ms: int, facts: Mapping[str, Facts]) -> None:
        """See Fold."""
        for of in facts.values():
            self.sum.add_sums(of.numbers, of.whole, of.partials)

    def add(self, name: str, times: Sequence[int], values: Sequence[Any]) -> None:
        """See Fold."""
        self.sum.extend(values)


def fold(device: Doc, wanted: Filter, into: Fold) -> None:
    """Add all wanted points of a device.

    Cost: the summaries of the sealed segments in range, and the bodies of those that ``into`` does not hold; the
    headers of small segments, or all of them if values are needed.

    Raises:
        errors.Unavailable, deadline.TooLong: as ``deadline.check``.
    """
    bounds = scan.Bounds(wanted.start_ms, wanted.end_ms, False, _PAGE, has_bodies=into.is_fine)
    for item in scan.items(device, bounds):
        if isinstance(item, SealedItem):
            _add_sealed(item, wanted, into)
        else:
            segment = small(item, wanted, needs_lines=not into.counts_all)
            _add_each(segment, wanted.select(segment), into)


def small(item: Item, wanted: Filter, *, needs_lines: bool) -> Segment:
    """Read as much of a small segment as is needed."""
    return segments.decode(item) if needs_lines or wanted.needs_lines else segments.decode_header(item)


def _add_sealed(item: SealedItem, wanted: Filter, into: Fold) -> None:
    summary = summaries.decode(item.summary)
    if wanted.excludes(summary):
        return
    if is_whole(item, summary, wanted) and into.holds(item.oldest_ms, summary.newest_ms):
        facts = summary.facts
        if wanted.variables is not None:
            facts = {name: facts[name] for name in facts.keys() & wanted.variables}
        into.add_facts(item.oldest_ms, facts)
        left = frozenset(summary.unknown)
        if wanted.variables is not None:
            left &= wanted.variables
        if not left:
            return
        wanted = replace(wanted, variables=left)
    segment = scan.load(item)
    if segment is not None:
        _add_columns(segment, wanted, into)


def is_whole(item: SealedItem, summary: summaries.Summary, wanted: Filter) -> bool:
    """Return whether all points of a sealed segment are within bounds and only their variables are asked for."""
    is_within = item.oldest_ms >= wanted.start_ms and summary.newest_ms <= wanted.end_ms
    return is_within and not wanted.needs_lines


def _add_columns(segment: Sealed, wanted: Filter, into: Fold) -> None:
    """Add the points of a sealed segment, a variable at a time if its values are plain numbers."""
    rest = []
    for name in segment.names:
        if wanted.variables is not None and name not in wanted.variables:
            continue
        found = None if wanted.needs_lines or into.counts_all else segment.numbers_of(name)
        if found is None:
            rest.append(name)
            continue
        times, values = found
        first, end = bisect_left(times, wanted.start_ms), bisect_right(times, wanted.end_ms)
        into.add(name, times[first:end], values[first:end])
    if rest:
        _add_each(segment, replace(wanted, variables=frozenset(rest)).select(segment), into)


def _add_each(segment: Segment, indices: Sequence[int], into: Fold) -> None:
    names, variables, newest_ms, offsets = segment.names, segment.variables, segment.time_ms, segment.offsets
    for index in indices:
        value = None
        if not into.counts_all:
            value = segment.value(index)
            if not filters.is_number(value):
                continue
        into.add(names[variables[index]], (newest_ms - offsets[index],), (value,))
