"""Finds points by id. The id names a request, and so its segment.

If an edit moved the point, a forwarding mark there names the new one.
"""

from collections.abc import Callable, Iterable

from chalicelib import errors, store
from chalicelib.codec import keys, sealed, segments
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.segment import Segment
from chalicelib.host import deadline
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import filters
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc


class Reader:
    """Reads segments by the keys of requests, each once.

    Args:
        device: the owner of the points.
        known: a segment that was read already.
    """

    def __init__(self, device: str, known: Segment | None = None) -> None:
        self._device = device
        self._read: dict[str, Segment | None] = {known.key: known} if known else {}
        self._sealed: list[Sealed] = []

    def find(self, point_id: str) -> tuple[Segment, int] | None:
        """Return the segment and index of a point; None: it does not exist.

        Cost: one read, one more if the request is sealed, and as much again if an edit moved the point.
        """
        segment = self.load(point_id[:20])
        place = segment.locate(point_id) if segment else None
        if isinstance(place, str):
            segment = self.load(place)
            place = segment.locate_moved(point_id) if segment else None
        return None if segment is None or place is None else (segment, place)

    def load(self, key: str) -> Segment | None:
        """Return the segment that holds the request ``key``: its own, or else a sealed one; None: there is none."""
        if key not in self._read:
            item = store.current().get_segment(self._device, key)
            self._read[key] = segments.decode(item) if item else self._sealed_at(key)
        return self._read[key]

    def _sealed_at(self, key: str) -> Sealed | None:
        current = store.current()
        if current.keeps_originals or key > current.sealed_to(self._device):
            return None
        for known in self._sealed:
            if known.low < key <= known.key:
                return known
        item = current.sealed_at(self._device, key)
        if item is None:
            return None
        self._sealed.append(sealed.decode(item))
        return self._sealed[-1]


def find_all(
    *, device: str, ids: Iterable[str], known: Segment | None = None, on_each: Callable[[], None] = lambda: None
) -> list[tuple[Segment, int]]:
    """Return the points among ``ids`` that exist, each once, as pairs of segment and index.

    Args:
        device: the owner of the points. If the store keeps originals, it is a mutable one, which has nothing sealed.
        ids: any texts.
        known: a segment that was read already.
        on_each: called after each id.

    Cost: see ``Reader.find``; each segment is read once.
    """
    reader, places = Reader(device, known), []
    for point_id in dict.fromkeys(ids):
        place = reader.find(point_id) if keys.is_id(point_id) else None
        if place is not None:
            places.append(place)
        on_each()
    return places


def select(device: Doc, query: PointQuery) -> list[Run]:
    """Return the points that a query names by id and that pass its other filters, in the query's order.

    Raises:
        errors.BadRequest: the device is immutable.
    """
    if device["type"] == "immutable":
        raise errors.BadRequest("Filter using ID(s) is not supported on Immutable Storage Type")
    wanted = filters.of(device, query, filters.KINDS.get(query.kind.partition("_")[2], 0))
    places = find_all(device=device["id"], ids=query.ids, on_each=deadline.check)
    places = [(segment, index) for segment, index in places if index in wanted.select(segment)]
    places.sort(key=lambda place: place[0].order(place[1]), reverse=not query.is_ascending)
    qty = query.qty if query.kind in ("default", "conditional") else 1
    return [(segment, [index]) for segment, index in places[query.skip : query.skip + qty]]
