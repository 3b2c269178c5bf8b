"""The directory of a device: its variables, each with the first and the newest UTC hour in which it has points.

The directory is widened before a segment is written, and it never shrinks. So it may cover hours whose points were
removed, but it never misses an hour that holds points. A stale directory costs reads, never a wrong answer.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.store import Doc, names

MAX_BYTES = 380_000
"""How many bytes fit into one item of DynamoDB beside its key."""


class Span(NamedTuple):
    """A range of hours since 1970, both inclusive."""

    first: int
    newest: int


_CONFLICT = "Too many requests of this device at once, try again"
_cache: Cache[dict[str, Span]] = Cache(ttl_s=3_600)


def read(*, device: str) -> dict[str, Span]:
    """Return the variables of a device. Cost: one read; none if they are cached and no other process writes."""
    known = _cache.get(device) if store.current().is_exclusive else None
    if known is not None:
        return known
    entity = store.current().get(names.device(device), names.DIRECTORY)
    spans = _spans(entity.doc if entity else None)
    _cache.put(device, spans)
    return spans


def widen(*, device: str, spans: Mapping[str, Span]) -> None:
    """Make the directory cover ``spans``.

    Cost: nothing if this process knows that it does. Else one read and one conditional write, about once an hour for
    each device that sends steadily.

    Raises:
        errors.BadRequest: the device has more variables than fit into a directory.
        errors.Conflict: others kept widening it at the same time.
    """
    known = _cache.get(device)
    if known is not None and _covers(known, spans):
        return

    def widened(doc: Doc | None) -> Doc:
        merged = _spans(doc)
        if doc is not None and _covers(merged, spans):
            return doc
        for variable, span in spans.items():
            span_before = merged.get(variable, span)
            merged[variable] = Span(min(span_before.first, span.first), max(span_before.newest, span.newest))
        if len(json.dumps(merged, ensure_ascii=False).encode()) > MAX_BYTES:
            raise errors.BadRequest("The device has too many different variables")
        return {"variables": {variable: [*span] for variable, span in merged.items()}}

    doc = entities.update(owner=names.device(device), name=names.DIRECTORY, revise=widened, conflict=_CONFLICT)
    _cache.put(device, _spans(doc))


def _covers(known: Mapping[str, Span], spans: Mapping[str, Span]) -> bool:
    for variable, span in spans.items():
        old = known.get(variable)
        if old is None or span.first < old.first or span.newest > old.newest:
            return False
    return True


def _spans(doc: Doc | None) -> dict[str, Span]:
    return {} if doc is None else {variable: Span(*span) for variable, span in doc["variables"].items()}
