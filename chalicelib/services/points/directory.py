"""The directory of a device: its variables, each with the first and the newest UTC hour in which it has points.

The directory is widened before a segment is written, and it never shrinks. So it may cover hours whose points were
removed, but it never misses an hour that holds points. A stale directory costs reads, never a wrong answer.

It is kept in parts of a limited size, so that a change writes only the parts of the variables that it concerns. If a
variable stands in several parts, because processes wrote at the same time, the union of its spans counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.store import Doc, names

MAX_VARIABLES = 10_000
"""How many different variables a device may have. It bounds what a read of the directory costs."""
PART_SIZE = 128
"""How many variables a part holds. Only the part 0 of an earlier version may hold more, until it is split."""


class Span(NamedTuple):
    """A range of hours since 1970, both inclusive."""

    first: int
    newest: int


@dataclass(slots=True)
class _Directory:
    """The directory of a device as this process knows it. It only grows."""

    spans: dict[str, Span] = field(default_factory=dict)
    homes: dict[str, int] = field(default_factory=dict)
    """By variable: the number of a part that holds it."""
    last: int = 0
    """The number of the last part."""
    unsplit: list[str] = field(default_factory=list)
    """The variables of a part 0 that is larger than a part may be."""

    def add(self, number: int, doc: Doc) -> None:
        """Add what a part says."""
        spans = {name: Span(first, newest) for name, (first, newest) in doc["variables"].items()}
        if number == 0 and len(spans) > PART_SIZE:
            number, self.unsplit = 1, [*spans]
        else:
            self.homes.update(dict.fromkeys(spans, number))
        self.last = max(self.last, number)
        for name in spans.keys() & self.spans.keys():
            spans[name] = _union(self.spans[name], spans[name])
        self.spans.update(spans)


CONFLICT = "Too many requests of this device at once, try again"
_cache: Cache[_Directory] = Cache(ttl_s=3_600)


def read(*, device: str) -> Mapping[str, Span]:
    """Return the variables of a device. A later ``widen`` may add to the answer, so copy what you iterate in a thread.

    Cost: one query; none if they are cached and no other process writes.
    """
    known = _cache.get(device) if store.current().is_exclusive else None
    return (known or _load(device)).spans


def _load(device: str) -> _Directory:
    known = _Directory()
    for part in store.current().list(names.device(device), names.DIRECTORY):
        known.add(int(part.name.partition("#")[2] or 0), part.doc)
    _cache.put(device, known)
    return known


def widen(*, device: str, spans: Mapping[str, Span]) -> None:
    """Make the directory cover ``spans``.

    Cost: nothing if this process knows that it does. Else one read and one conditional write a part that changes,
    about once an hour for each device that sends steadily. A new variable changes one part.

    Raises:
        errors.BadRequest: the device would have more than MAX_VARIABLES variables.
        errors.Conflict: others kept widening it at the same time.
    """
    known = _cache.get(device)
    if known is not None and _covers(known.spans, spans):
        return
    known = known or _load(device)
    missing = {name: span for name, span in spans.items() if not _covers(known.spans, {name: span})}
    if not missing:
        return
    new = sum(name not in known.spans for name in missing)
    if new and len(known.spans) + new > MAX_VARIABLES:
        raise errors.BadRequest(
            f"The device has too many different variables, the limit is {MAX_VARIABLES}: send points under fewer names "
            "and tell them apart by group or metadata, or use more devices"
        )
    moved = {name: known.spans[name] for name in known.unsplit}
    _spread(device, known, moved | {name: _union(moved.get(name), span) for name, span in missing.items()})
    if moved:
        _empty_first(device, moved)
        known.unsplit = []


def _spread(device: str, known: _Directory, spans: Mapping[str, Span]) -> None:
    """Write each span to the part that holds its variable; new variables go to the last part, then to further ones."""
    waiting: dict[int, dict[str, Span]] = {}
    for name, span in spans.items():
        waiting.setdefault(known.homes.get(name, known.last), {})[name] = span
    while waiting:
        number, own = waiting.popitem()
        left = _widen_part(device, known, number, own)
        if left:
            waiting.setdefault(max(number + 1, known.last), {}).update(left)


def _widen_part(device: str, known: _Directory, number: int, spans: Mapping[str, Span]) -> dict[str, Span]:
    """Make a part cover ``spans``; return those of new variables for which it has no room."""
    left: dict[str, Span] = {}

    def widened(doc: Doc | None) -> Doc:
        variables = doc["variables"] if doc else {}
        room, changed = PART_SIZE - len(variables), {}
        left.clear()
        for name, span in spans.items():
            old = Span(*variables[name]) if name in variables else None
            if old is None and room <= 0:
                left[name] = span
            elif old is None or _union(old, span) != old:
                changed[name] = [*_union(old, span)]
                room -= old is None
        return {"variables": variables | changed} if changed or doc is None else doc

    owner, name = names.device(device), names.directory(number)
    known.add(number, entities.update(owner=owner, name=name, revise=widened, conflict=CONFLICT))
    return left


def _empty_first(device: str, moved: Mapping[str, Span]) -> None:
    """Remove from part 0 what was written to other parts before.

    So whoever reads meanwhile or after a crash finds each variable: a list of the parts begins with part 0.
    """

    def emptied(doc: Doc | None) -> Doc:
        variables = doc["variables"] if doc else {}
        left = {name: span for name, span in variables.items() if not _covers(moved, {name: Span(*span)})}
        return {"variables": left}

    entities.update(owner=names.device(device), name=names.DIRECTORY, revise=emptied, conflict=CONFLICT)


def _covers(known: Mapping[str, Span], spans: Mapping[str, Span]) -> bool:
    for variable, span in spans.items():
        old = known.get(variable)
        if old is None or span.first < old.first or span.newest > old.newest:
            return False
    return True


def _union(old: Span | None, span: Span) -> Span:
    return span if old is None else Span(min(old.first, span.first), max(old.newest, span.newest))
