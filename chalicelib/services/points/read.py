"""Answers queries: points as JSON text, or numbers. Two tables here say which function answers each kind of query."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from chalicelib import errors, settings
from chalicelib.codec import jsontext, sealed, times
from chalicelib.codec.segment import SealedItem
from chalicelib.host import clock
from chalicelib.schemas.queries import SCALARS, PointQuery
from chalicelib.services.points import aggregates, by_id, directory, filters, folds, per_variable, scan, totals
from chalicelib.services.points.scan import Run, Stored
from chalicelib.store import Doc

AsList = Literal["never", "nothing", "fractions", "always"]
"""Which numbers are answered as lists; ``nothing`` is null alone, and ``fractions`` includes it."""


class Answer(NamedTuple):
    """The answer to a query."""

    text: str
    """The answer as JSON."""
    points: int
    """How many points it holds; 0 if it is a number or buckets."""
    output: int
    """How many points it counts as in the output quota: its points or buckets, and 1 for a number."""


def answer(*, device: Doc, query: PointQuery, as_list: AsList = "never") -> Answer:
    """Answer a query.

    Args:
        device: the device.
        query: what is asked for.
        as_list: which answers to count, avg and sum have the shape ``[{"time", "value"}]``, or ``[]`` for null.

    Raises:
        errors.BadRequest: the query names ids of an immutable device, or has too many buckets.
        errors.TooLarge: the answer would be over 5 MB.
        errors.Unavailable: the query took longer than its deadline.

    Cost: docs/architecture.md lists it by kind of query.
    """
    if query.kind in COMPUTED:
        result = COMPUTED[query.kind](device=device, query=query)
        if query.kind in SCALARS:
            return Answer(jsontext.dumps(_shape(result, as_list)), 0, 1)
        return Answer(jsontext.dumps(result), 0, len(result))
    return _splice(select(device=device, query=query, room=settings.MAX_ANSWER_BYTES), details=query.details)


def select(*, device: Doc, query: PointQuery, room: float = math.inf) -> Iterable[Run]:
    """Return the points that a query names, in the order of the answer, as far as possible one run after the other.

    Args:
        device: the device.
        query: the query.
        room: how many characters of lines may be kept at once.

    Raises:
        errors.BadRequest: the query names ids of an immutable device, or is of a kind that names no points.
        errors.TooLarge: the points need more room.
    """
    take = _POINTS.get(query.kind)
    if take is None:
        reason = f"{query.kind} computes a number and names no points"
        raise errors.BadRequest("Invalid query", {"query": [reason]})
    return by_id.select(device, query) if query.ids else take(device=device, query=query, room=room)


def _ordered(*, device: Doc, query: PointQuery, room: float) -> Iterable[Run]:
    """Take ``qty`` points after the first ``skip``, of each variable or, if none is named, of all together."""
    wanted, count = filters.of(device, query), query.skip + query.qty
    if not query.variables:
        page = per_variable.first_page(count)
        runs = scan.walk(device, wanted, is_ascending=query.is_ascending, first_page=page)
        return per_variable.take(runs, query.skip, query.qty)
    known = directory.read(device=device["id"])
    taken = per_variable.take_each(
        device, query.variables, known, wanted, query.qty,
        is_ascending=query.is_ascending, skip=query.skip, room=room,
    )  # fmt: skip
    return (run for name in query.variables for run in taken[name])


def _edge(*, device: Doc, query: PointQuery, room: float) -> Iterable[Run]:
    """Take each variable's last or first point, value or location."""
    edge, _, what = query.kind.partition("_")
    known = directory.read(device=device["id"])
    names = query.variables or sorted(known)
    wanted = filters.of(device, query, filters.KINDS[what])
    taken = per_variable.take_each(device, names, known, wanted, 1, is_ascending=edge == "first", room=room)
    return (run for name in names for run in taken[name])


def _by_creation(*, device: Doc, query: PointQuery, **_: object) -> Iterable[Run]:
    """Take the first or last stored point of each variable. Reads every header in range: no key sorts by creation."""
    is_first = query.kind == "first_insert"
    best: dict[str, tuple[tuple[int, str], Stored, int]] = {}
    wanted = filters.of(device, query)
    for item in scan.items(device, scan.Bounds(wanted.start_ms, wanted.end_ms, False, 100)):
        segment = sealed.decode(item) if isinstance(item, SealedItem) else folds.small(item, wanted, needs_lines=False)
        for index in wanted.select(segment):
            name = segment.names[segment.variables[index]]
            rank = (segment.point_created_us(index), segment.point_id(index))
            if name not in best or (rank < best[name][0] if is_first else rank > best[name][0]):
                best[name] = (rank, item, index)
    order = query.variables or sorted(best)
    return ((scan.decode(best[name][1]), [best[name][2]]) for name in order if name in best)


def _extremes(*, device: Doc, query: PointQuery, **_: object) -> Iterable[Run]:
    return totals.extremes(device=device, query=query)


def _shape(number: int | float | None, as_list: AsList) -> Any:
    """Return a number, or null, in the shape that the client can read."""
    if number is None:
        return None if as_list == "never" else []
    if as_list == "always" or (as_list == "fractions" and isinstance(number, float)):
        return [{"time": times.to_iso(clock.now_ms()), "value": number}]
    return number


_POINTS: dict[str, Callable[..., Iterable[Run]]] = {
    "default": _ordered,
    "conditional": _ordered,
    **{f"{edge}_{what}": _edge for edge in ("last", "first") for what in ("item", "value", "location")},
    **{f"{edge}_insert": _by_creation for edge in ("last", "first")},
    "min": _extremes,
    "max": _extremes,
}
"""The function of each kind of query that names points."""
COMPUTED: dict[str, Callable[..., Any]] = {
    "count": totals.count,
    "avg": totals.total,
    "sum": totals.total,
    "aggregate": aggregates.aggregate,
}
"""The function of each kind of query that computes numbers."""


_JOINED_AT_ONCE = 100
"""After how many points the size is looked at."""


def _splice(runs: Iterable[Run], *, details: bool) -> Answer:
    """Join points into the text of a JSON array. Nothing more is read once the text is too large.

    Raises:
        errors.TooLarge: the text would be over 5 MB.
    """
    joined: list[str] = []
    parts: list[str] = []
    points = size_bytes = 0
    for segment, indices in runs:
        parts += segment.splice(indices, details=details)
        if len(parts) >= _JOINED_AT_ONCE:
            points, size_bytes = points + len(parts), size_bytes + _join(parts, joined)
            if size_bytes > settings.MAX_ANSWER_BYTES:
                break
    points, size_bytes = points + len(parts), size_bytes + _join(parts, joined)
    if size_bytes > settings.MAX_ANSWER_BYTES:
        raise errors.TooLarge(per_variable.TOO_LARGE)
    return Answer("[" + ",".join(joined) + "]", points, points)


def _join(parts: list[str], joined: list[str]) -> int:
    """Move parts, as one text, to what is joined already. Return the bytes that this adds to the answer."""
    if not parts:
        return 0
    text = ",".join(parts)
    parts.clear()
    joined.append(text)
    return 1 + (len(text) if text.isascii() else len(text.encode()))
