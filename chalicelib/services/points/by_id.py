"""Finds points by id. The id names a segment. If an edit moved the point, a forwarding mark there names the new one."""

from collections.abc import Iterable

from chalicelib import errors, store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import Segment
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import filters
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc


def find_all(*, device: str, ids: Iterable[str], known: Segment | None = None) -> list[tuple[Segment, int]]:
    """Return the points among ``ids`` that exist, each once, as pairs of segment and index.

    Args:
        device: the owner of the points.
        ids: any texts.
        known: a segment that was read already.

    Cost: one read a segment, and one more for each point that an edit moved.
    """
    read: dict[str, Segment | None] = {known.key: known} if known else {}
    places = []
    for point_id in dict.fromkeys(ids):
        if keys.is_id(point_id):
            place = _find(device, point_id, read)
            if place is not None:
                places.append(place)
    return places


def _find(device: str, point_id: str, read: dict[str, Segment | None]) -> tuple[Segment, int] | None:
    segment = _load(device, point_id[:20], read)
    index = int(point_id[20:], 16)
    if segment is None or index >= len(segment.offsets):
        return None
    if index in segment.forwards:
        segment = _load(device, segment.forwards[index], read)
        if segment is None:
            return None
        indices = [new_index for new_index, origin in segment.moved.items() if origin.id == point_id]
        if not indices:
            return None
        index = indices[0]
    elif index in segment.moved:
        return None
    return None if index in segment.dead else (segment, index)


def _load(device: str, key: str, read: dict[str, Segment | None]) -> Segment | None:
    if key not in read:
        item = store.current().get_segment(device, key)
        read[key] = segments.decode(item) if item else None
    return read[key]


def select(device: Doc, query: PointQuery) -> list[Run]:
    """Return the points that a query names by id and that pass its other filters, in the query's order.

    Raises:
        errors.BadRequest: the device is immutable.
    """
    if device["type"] == "immutable":
        raise errors.BadRequest("Filter using ID(s) is not supported on Immutable Storage Type")
    wanted = filters.of(device, query, filters.KINDS.get(query.kind.partition("_")[2], 0))
    places = find_all(device=device["id"], ids=query.ids)
    places = [(segment, index) for segment, index in places if index in wanted.select(segment)]
    places.sort(key=lambda place: place[0].order(place[1]), reverse=not query.is_ascending)
    qty = query.qty if query.kind in ("default", "conditional") else 1
    return [(segment, [index]) for segment, index in places[query.skip : query.skip + qty]]
