"""Recognises a retry point by point: what was deleted since is stored again; what was edited or moved is there.

A point counts as there exactly when a GET by its id finds it.
"""

from collections.abc import Mapping, Sequence

from chalicelib import errors, store
from chalicelib.codec import segments
from chalicelib.codec.keys import HEX4
from chalicelib.codec.sealed import Sealed
from chalicelib.codec.segment import Draft, Item, Moved, Segment
from chalicelib.services.points import by_id, expiry, scan
from chalicelib.services.points.changes import Change
from chalicelib.store import Doc


class Known:
    """A stored request that has the key of a new one: a small segment, or a part of a sealed one."""

    def __init__(self, segment: Segment, key: str) -> None:
        self.segment, self.key = segment, key

    def is_of(self, digest: bytes) -> bool:
        """Return whether it is the request with this digest. A sealed segment keeps 4 bytes of it beside the key."""
        segment = self.segment
        if isinstance(segment, Sealed):
            return segment.request_or_raise(self.key).check == digest[4:8]
        return segment.digest == digest

    def present(self) -> Mapping[int, int]:
        """Return the points that are in their place: by index in the request, the index in the segment."""
        segment = self.segment
        if isinstance(segment, Sealed):
            return {int(home[20:], 16): index for home, index in segment.homes_of(self.key)}
        return {index: index for index in range(len(segment.offsets)) if index not in segment.dead}

    def forwards(self) -> Sequence[str]:
        """Return the ids of the points that edits have moved away."""
        segment = self.segment
        if isinstance(segment, Sealed):
            return [point_id for point_id in segment.moves if point_id[:20] == self.key]
        return [segment.point_id(index) for index in segment.forwards]


def of_small(item: Item) -> Known:
    """Return a request that has a segment of its own."""
    return Known(segments.decode(item), item.key)


def of_sealed(device: Doc, key: str) -> Known | None:
    """Return the request with this key if it is sealed. Cost: one read if its key may be sealed."""
    if key > scan.sealed_to(device):
        return None
    item = store.current().sealed_at(device["id"], key)
    try:
        segment = scan.decode_shared(item) if item else None
    except Exception:  # a damaged row must not keep a device from sending
        return None
    return Known(segment, key) if isinstance(segment, Sealed) and segment.number_of(key) is not None else None


def sealed_among(device: Doc, items: Sequence[Item]) -> tuple[dict[int, Known], Sequence[int]]:
    """Return the sealed requests that have the keys of new ones, by index in ``items``, and the indices of the others.

    Cost: one read for each that may be sealed.
    """
    highest = scan.sealed_to(device)
    if len(items) == 1 and items[0].key > highest:
        return {}, (0,)
    found = {index: of_sealed(device, item.key) for index, item in enumerate(items) if item.key <= highest}
    known = {index: of for index, of in found.items() if of is not None}
    return known, [index for index in range(len(items)) if index not in known]


def missing(known: Known, points: Sequence[Draft]) -> list[int]:
    """Return which points of a retry are not there, by their rising indices in ``points``.

    Args:
        known: the stored request.
        points: what the retry has for that segment.

    Cost: nothing if all are in the segment; else one read for each point that an edit moved.
    """
    present = known.present()
    if len(present) == len(points):
        return []
    segment = known.segment
    if not is_alike(known, points):
        lines = {segment.line(index) for index in present.values()}
        return [index for index, point in enumerate(points) if point.line not in lines]
    places = by_id.find_all(device=segment.device, ids=known.forwards(), known=segment)
    moved = {holder.point_id(index) for holder, index in places}
    return [index for index in range(len(points)) if index not in present and known.key + HEX4[index] not in moved]


def is_alike(known: Known, points: Sequence[Draft]) -> bool:
    """Return whether each point has its place in the segment.

    It has not if the same body is read in another way now: by a later version, with another setting, or with an
    ``Idempotency-Key`` that was forgotten meanwhile. A sealed segment tells this only of the points that are there.
    """
    segment, variables = known.segment, [point.variable for point in points]
    if not isinstance(segment, Sealed):
        return [segment.names[number] for number in segment.variables] == variables
    return all(
        at < len(variables) and segment.names[segment.variables[index]] == variables[at]
        for at, index in known.present().items()
    )


def restore(*, device: Doc, known: Known, points: Sequence[Draft], indices: Sequence[int]) -> Item | None:
    """Store points again that were deleted. They keep their ids and their places in the order of arrival.

    Args:
        device: the owner of the points.
        known: the stored request.
        points: what the retry has for that segment; each has its place in it.
        indices: of the points to store again.

    Returns:
        The restored points alone, as a segment to show. None: the segment was changed meanwhile; nothing was stored.

    Raises:
        errors.TooLarge: the segment has no room for them, as edits have made its other points larger.

    Cost: one conditional write.
    """
    segment, key = known.segment, known.key
    created_us = segment.request_or_raise(key).created_us if isinstance(segment, Sealed) else segment.created_us
    change = Change(segment)
    for index in indices:
        change.put(key + HEX4[index], points[index])
    try:
        is_stored = change.store(device, expires_at=expiry.expires_at(device, points[0].time_ms))
    except ValueError as error:
        raise errors.TooLarge(f"The points that were deleted have no room: {error}. Send them alone") from None
    if not is_stored:
        return None
    shown = segments.build(device["id"], [points[index] for index in indices], key, created_us)
    shown.moved = {at: Moved(key + HEX4[index], created_us) for at, index in enumerate(indices)}
    return segments.encode(shown)
