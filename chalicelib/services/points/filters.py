"""Decides which points a query wants."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chalicelib.codec import keys, numbers
from chalicelib.codec.segments import HAS_LOCATION, HAS_VALUE, Segment
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
class Filter:
    """The points that a query wants. None means all."""

    start_ms: int
    end_ms: int
    variables: frozenset[str] | None = None
    kinds: int = 0
    """HAS_VALUE or HAS_LOCATION if points must have it; 0: points need neither."""
    accepts: Callable[[Segment, int], bool] | None = None
    """The last test of a point. It may decode the point."""

    def select(self, segment: Segment) -> Sequence[int]:
        """Return the rising indices of the wanted points. It reads only columns unless ``accepts`` is given."""
        indices = self._named(segment)
        if not indices or not self._is_within(segment):
            low, high = segment.time_ms - self.end_ms, segment.time_ms - self.start_ms
            offsets = segment.offsets
            indices = [index for index in indices if low <= offsets[index] <= high]
        if segment.dead:
            indices = [index for index in indices if index not in segment.dead]
        if self.kinds and not segment.all_have(self.kinds):
            indices = [index for index in indices if segment.kinds[index] & self.kinds]
        if self.accepts is not None:
            indices = [index for index in indices if self.accepts(segment, index)]
        return indices

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
        offsets, newest_ms = segment.offsets, segment.time_ms
        oldest_ms = newest_ms - (offsets[0] if segment.is_sorted else max(offsets))
        return oldest_ms >= self.start_ms and newest_ms <= self.end_ms


def of(device: Doc, query: PointQuery, kinds: int = 0) -> Filter:
    """Return the filter of a query. It excludes points that an immutable device does not keep any more."""
    variables = frozenset(query.variables) or None
    start_ms = expiry.kept_from_ms(device)
    if query.start_ms is not None:
        start_ms = max(start_ms, query.start_ms)
    end_ms = keys.LATEST_MS if query.end_ms is None else query.end_ms
    return Filter(start_ms, end_ms, variables, kinds, _last_test(query))


def _last_test(query: PointQuery) -> Any:
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
        return not is_conditional or _passes_threshold(value, query)

    return accepts


def _passes_threshold(value: object, query: PointQuery) -> bool:
    if not is_number(value):
        return False
    return bool(_COMPARISONS[query.function](value, query.threshold))


def is_number(value: object) -> bool:
    """Return whether a value counts as a number. Text and booleans do not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
