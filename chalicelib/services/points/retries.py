"""Recognises a retry point by point: what was deleted since is stored again; what was edited or moved is there."""

from collections.abc import Sequence

from chalicelib import errors, store
from chalicelib.codec import segments
from chalicelib.codec.segments import Draft, Item, Moved, Segment
from chalicelib.services.points import by_id
from chalicelib.store import Doc


def missing(item: Item, points: Sequence[Draft]) -> list[int]:
    """Return which points of a retry are not there, by their rising indices in ``points``.

    Args:
        item: the segment in which the request was stored.
        points: what the retry has for that segment.

    Cost: nothing if all are in the segment; else one read for each point that an edit moved.
    """
    if item.points == len(points):
        return []
    segment = segments.decode(item)
    if not is_alike(segment, points):
        return [index for index, point in enumerate(points) if point.line not in segment.lines]
    ids = [segment.point_id(index) for index in segment.forwards]
    places = by_id.find_all(device=segment.device, ids=ids, known=segment)
    moved = {holder.point_id(index) for holder, index in places}
    return sorted(index for index in segment.dead if segment.point_id(index) not in moved)


def is_alike(segment: Segment, points: Sequence[Draft]) -> bool:
    """Return whether each point has its place in the segment.

    It has not if the same body is read in another way now: by a later version, with another setting, or with an
    ``Idempotency-Key`` that was forgotten meanwhile.
    """
    return [segment.names[number] for number in segment.variables] == [point.variable for point in points]


def restore(*, device: Doc, segment: Segment, points: Sequence[Draft], indices: Sequence[int]) -> Item | None:
    """Store points again that were deleted. They keep their ids and their places in the order of arrival.

    Args:
        device: the owner of the points.
        segment: the one in which the request was stored.
        points: what the retry has for that segment; each has its place in it.
        indices: of the points to store again.

    Returns:
        The restored points alone, as a segment to show. None: the segment was changed meanwhile; nothing was stored.

    Raises:
        errors.TooLarge: the segment has no room for them, as edits have made its other points larger.

    Cost: one conditional write.
    """
    for index in indices:
        segment.put(index, points[index])
    segment.version += 1
    try:
        changed = segments.encode(segment)
    except ValueError as error:
        raise errors.TooLarge(f"The points that were deleted have no room: {error}. Send them alone") from None
    if not store.current().replace_segment(changed, profile=device["profile"]):
        return None
    shown = segments.build(device["id"], [points[index] for index in indices], segment.key, segment.created_us)
    shown.moved = {at: Moved(segment.point_id(index), segment.created_us) for at, index in enumerate(indices)}
    return segments.encode(shown)
