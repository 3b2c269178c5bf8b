"""What a sealed segment says of its points beside its body: enough for counts, sums, averages and extremes.

A summary is exact. A variable whose numbers a float would round, or with few points, has none: then its points are
decoded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from chalicelib.codec import numbers

LEAST_POINTS = 8
"""A variable with fewer points in a segment has no summary: to decode them costs no more."""
_MAX_WHOLE = 2**53


class Facts(NamedTuple):
    """The summary of one variable in one segment."""

    records: int
    """How many points it has."""
    numbers: int
    """How many of them have a number as value."""
    whole: int
    """The sum of the whole numbers."""
    partials: list[float]
    """A few floats whose exact sum is that of all fractions; empty if there are none."""
    least: Any
    """The lowest number; None without numbers."""
    greatest: Any


class Summary(NamedTuple):
    """The summary of a segment."""

    newest_ms: int
    """The time of its newest point."""
    unknown: list[str]
    """The variables that have points in it and no facts."""
    facts: Mapping[str, Facts]

    def knows(self, variables: "frozenset[str] | None") -> bool:
        """Return whether it has the facts of all these variables that have points in the segment. None: of all."""
        if not self.unknown:
            return True
        return variables is not None and variables.isdisjoint(self.unknown)

    def has_any(self, variables: frozenset[str]) -> bool:
        """Return whether one of these variables has points in the segment."""
        return not variables.isdisjoint(self.facts) or not variables.isdisjoint(self.unknown)


def facts_of(records: int, values: Sequence[Any]) -> Facts | None:
    """Return the facts of a variable, or None if it gets none.

    Args:
        records: how many points it has.
        values: their numbers, decoded, in any order.
    """
    if records < LEAST_POINTS:
        return None
    whole, fractions, least, greatest = 0, [], None, None
    for value in values:
        if type(value) is float:
            fractions.append(value)
        elif type(value) is int and -_MAX_WHOLE <= value <= _MAX_WHOLE:
            whole += value
        else:
            return None
        least, greatest = numbers.lesser(least, value), numbers.greater(greatest, value)
    partials = numbers.partials(fractions) if fractions else []
    return Facts(records, len(values), whole, partials, least, greatest)


def encode(newest_ms: int, facts: Mapping[str, Facts | None]) -> bytes:
    """Write a summary. The facts are by variable; None: the variable has none."""
    unknown = [name for name, known in facts.items() if known is None]
    known = {name: [*of] for name, of in facts.items() if of is not None}
    return orjson.dumps([newest_ms, unknown, known])


def decode(raw: bytes) -> Summary:
    """Read a summary."""
    newest_ms, unknown, facts = orjson.loads(raw)
    return Summary(newest_ms, unknown, {name: Facts(*of) for name, of in facts.items()})
