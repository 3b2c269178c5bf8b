"""Finding points by id: the id names the segment, and a forwarding mark there names the one an edit moved it to."""

from collections.abc import Iterable

from chalicelib import store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import Segment


def find_all(*, device: str, ids: Iterable[str]) -> list[tuple[Segment, int]]:
    """Return the living points among ``ids``, each once, as segment and index.

    Cost: one read a segment, one more for each point that an edit moved.
    """
    read: dict[str, Segment | None] = {}
    found = []
    for point_id in dict.fromkeys(ids):
        if keys.is_id(point_id):
            place = _find(device, point_id, read)
            if place is not None:
                found.append(place)
    return found


def _find(device: str, point_id: str, read: dict[str, Segment | None]) -> tuple[Segment, int] | None:
    segment = _load(device, point_id[:20], read)
    index = int(point_id[20:], 16)
    if segment is None or index >= len(segment.offsets):
        return None
    if index in segment.forwards:
        segment = _load(device, segment.forwards[index], read)
        if segment is None:
            return None
        moved = [there for there, origin in segment.moved.items() if origin.id == point_id]
        if not moved:
            return None
        index = moved[0]
    elif index in segment.moved:
        return None
    return None if index in segment.dead else (segment, index)


def _load(device: str, key: str, read: dict[str, Segment | None]) -> Segment | None:
    if key not in read:
        item = store.current().get_segment(device, key)
        read[key] = segments.decode(item) if item else None
    return read[key]
