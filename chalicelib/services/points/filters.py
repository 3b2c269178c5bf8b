"""Decides which points a query wants."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import compress, repeat
from typing import Any

from chalicelib.codec import keys, numbers
from chalicelib.codec.segment import HAS_LOCATION, HAS_VALUE, Segment
from chalicelib.codec.summaries import Facts, Summary
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import expiry
from chalicelib.store import Doc

Number = int | float | Decimal
KINDS = {"item": 0, "insert": 0, "value": HAS_VALUE, "location": HAS_LOCATION}
"""What a point must have, by the second part of the query's name, as in last_value or first_location."""
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}


@dataclass(frozen=True, slots=True)
class Values:
    """What a query wants of a point's value."""

    texts: tuple[str, ...] = ()
    """It equals one of these; empty: it may be any."""
    comparison: str | None = None
    """It is a number that compares so to ``threshold``."""
    threshold: Number = 0

    def accepts(self, value: object) -> bool:
        """Return whether it wants a value."""
        if self.texts and not any(numbers.matches(value, wanted) for wanted in self.texts):
            return False
        return self.comparison is None or (
            is_number(value) and bool(_COMPARISONS[self.comparison](value, self.threshold))
        )

    def select(self, segment: Segment, indices: Sequence[int]) -> Sequence[int]:
        """Return those of the points at ``indices`` whose values it wants."""
        values = segment.values_at_once()
        if values is None:
            return [index for index in indices if self.accepts(segment.value(index))]
        if self.comparison is not None and not self.texts and {*map(type, values)} <= {int, float}:
            found = values if len(indices) == len(values) else map(values.__getitem__, indices)
            return [*compress(indices, map(_COMPARISONS[self.comparison], found, repeat(self.threshold)))]
        return [index for index in indices if self.accepts(values[index])]

    def may_accept(self, facts: Facts) -> bool:
        """Return whether it may want one of the values with these facts."""
        if self.comparison is not None:
            return facts.numbers > 0 and self._is_reached(facts.least, facts.greatest)
        if facts.numbers < facts.records:
            return True
        wanted = [number for number in map(numbers.parse, self.texts) if number is not None]
        return any(facts.least <= number <= facts.greatest for number in wanted)

    def _is_reached(self, least: Number, greatest: Number) -> bool:
        """Return whether a number from ``least`` to ``greatest`` may compare so to the threshold."""
        if self.comparison == "eq":
            return least <= self.threshold <= greatest
        if self.comparison == "ne":
            return not least == self.threshold == greatest
        compare = _COMPARISONS[str(self.comparison)]
        return bool(compare(least, self.threshold) or compare(greatest, self.threshold))


@dataclass(frozen=True, slots=True)
class Filter:
    """The points that a query wants. None means all."""

    start_ms: int
    end_ms: int
    variables: frozenset[str] | None = None
    kinds: int = 0
    """HAS_VALUE or HAS_LOCATION if points must have it; 0: points need neither."""
    values: Values | None = None
    groups: frozenset[str] | None = None

    @property
    def needs_lines(self) -> bool:
        """Whether it looks at more of a point than its variable, time and kinds."""
        return self.values is not None or self.groups is not None

    def select(self, segment: Segment) -> Sequence[int]:
        """Return the rising indices of the wanted points. It reads only columns unless it ``needs_lines``."""
        indices = self._named(segment)
        if not indices or not self._is_within(segment):
            low, high = segment.time_ms - self.end_ms, segment.time_ms - self.start_ms
            offsets = segment.offsets
            indices = [index for index in indices if low <= offsets[index] <= high]
        if segment.dead:
            indices = [index for index in indices if index not in segment.dead]
        if self.kinds and not segment.all_have(self.kinds):
            indices = [index for index in indices if segment.kinds[index] & self.kinds]
        if self.groups is not None:
            indices = [index for index in indices if segment.group(index) in self.groups]
        if self.values is not None:
            indices = self.values.select(segment, indices)
        return indices

    def excludes(self, summary: Summary) -> bool:
        """Return whether a sealed segment with this summary surely holds no wanted point."""
        if self.variables is not None and not summary.has_any(self.variables):
            return True
        if self.values is None or not summary.knows(self.variables):
            return False
        names = summary.facts if self.variables is None else self.variables & summary.facts.keys()
        return not any(self.values.may_accept(summary.facts[name]) for name in names)

    def _named(self, segment: Segment) -> Sequence[int]:
        names = segment.names
        if self.variables is not None:
            present = [name for name in names if name in self.variables]
            if not present:
                return ()
            if len(present) == 1 < len(names):
                return segment.indices_of(present[0])
            if len(present) < len(names):
                return sorted(index for name in present for index in segment.indices_of(name))
        return range(len(segment.offsets))

    def _is_within(self, segment: Segment) -> bool:
        """Return whether all points of the segment lie within the bounds."""
        offsets = segment.offsets
        oldest_ms = segment.time_ms - (offsets[0] if segment.is_sorted else max(offsets))
        return oldest_ms >= self.start_ms and segment.newest_ms <= self.end_ms


def of(device: Doc, query: PointQuery, kinds: int = 0) -> Filter:
    """Return the filter of a query. It excludes points that an immutable device does not keep any more."""
    variables = frozenset(query.variables) or None
    start_ms = expiry.kept_from_ms(device)
    if query.start_ms is not None:
        start_ms = max(start_ms, query.start_ms)
    end_ms = keys.LATEST_MS if query.end_ms is None else query.end_ms
    groups = frozenset(query.groups) or None
    return Filter(start_ms, end_ms, variables, kinds, _values(query), groups)


def _values(query: PointQuery) -> Values | None:
    if query.kind == "conditional":
        return Values(tuple(query.values), query.function, query.threshold)
    return Values(tuple(query.values)) if query.values else None


def is_number(value: object) -> bool:
    """Return whether a value counts as a number. Text and booleans do not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
