"""Changes and removes points. A segment is written only if it still has the version that was read, else read again."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, segments
from chalicelib.codec.segment import Draft, Moved, Segment
from chalicelib.host import clock, deadline
from chalicelib.schemas.points import EditIn
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import by_id, directory, fullness, read, rules
from chalicelib.services.points.changes import Change
from chalicelib.services.points.directory import Span
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc

_ATTEMPTS = 10
_SLICE = 256
"""How many points are removed between two looks at the clock, or a few more."""


def edit(*, device: Doc, items: Sequence[EditIn], done: dict[int, bool]) -> int:
    """Change points by id. Fields that are not sent keep their value, and ``null`` clears a field.

    Args:
        device: a mutable device.
        items: at most 25. If two have the same id, the later one wins. It is no error if no point has an id.
        done: empty at first. By index, whether a point was changed; for the next call.

    Returns:
        How many points were changed.

    Raises:
        errors.BadRequest: the device is immutable, or an item breaks a rule; nothing was changed.
        errors.Conflict: others kept changing the same points.
        deadline.TooLong: some are left; the next call resumes.

    Cost: one read and one write a point. A point that moves to another hour, or past its segment's time, or grows out
    of its segment, costs two writes more.
    """
    if device["type"] == "immutable":
        raise errors.BadRequest("You cannot edit data on immutable device")
    for index, item in enumerate(items):
        _checked(index, item, {"variable": "x", "time": "2000-01-01T00:00:00.000Z"})
    with deadline.sharing(device["profile"]):
        for index, item in enumerate(items):
            if index not in done:
                done[index] = _retry(lambda index=index, item=item: _edit_one(device, index, item)) > 0  # type: ignore[misc]
                deadline.check()
    return len({items[index]["id"] for index, is_changed in done.items() if is_changed})


def _checked(index: int, item: EditIn, old: dict[str, Any]) -> Draft:
    """Return the edited point. Raises errors.BadRequest: the edit breaks a rule."""
    sent: dict[str, Any] = {name: value for name, value in item.items() if name not in ("id", "variable")}
    if "group" not in sent and sent.get("serie") is not None:
        sent["group"] = str(sent["serie"])
    for name in ("time", "group"):
        if sent.get(name) in (None, ""):
            sent.pop(name, None)
    try:
        return rules.draft({**old, **sent}, now_ms=0, group="")
    except ValueError as error:
        raise errors.BadRequest.item(index, str(error)) from None


def _edit_one(device: Doc, index: int, item: EditIn) -> bool | None:
    reader = by_id.Reader(device["id"])
    place = reader.find(item["id"]) if keys.is_id(item["id"]) else None
    if place is None:
        return False
    segment, at = place
    draft = _checked(index, item, segment.point(at))
    home = segment.home(at)
    newest_ms = keys.key_time_ms(home[:20])
    if keys.hour_of(draft.time_ms) == keys.hour_of(newest_ms) and draft.time_ms <= newest_ms:
        change = Change(segment)
        change.put(home, draft)
        with contextlib.suppress(ValueError):  # too large for its segment, it gets one of its own
            return change.store(device) or None
    moved = Moved(item["id"], segment.point_created_us(at))
    return _move(device, reader, home, moved, draft)


def _move(device: Doc, reader: by_id.Reader, old: str, moved: Moved, draft: Draft) -> bool | None:
    """Move a point to a segment of its own: put that, forward to it from the segment of the id, remove the old point.

    After a crash between these steps, the point is still readable, and a retry of the edit completes the move.

    Args:
        device: the owner.
        reader: has found the point.
        old: the place of the point, where it is removed.
        moved: its id and arrival.
        draft: the edited point.
    """
    point_id = moved.id
    digest = hashlib.sha256(f"{point_id}{draft.time_ms}{draft.line}".encode()).digest()
    key = keys.segment_key(draft.time_ms, keys.digest_suffix(digest))
    new = segments.build(device["id"], [draft], key, clock.now_us(), digest=digest)
    new.moved = {0: moved}
    hour = keys.hour_of(draft.time_ms)
    directory.widen(device=device["id"], spans={draft.variable: Span(hour, hour)})
    if not _claim(device, new):
        return None
    home = reader.load(point_id[:20])
    if home is None or not _forward(device, home, point_id, key):
        store.current().delete_segment(segments.encode(new), profile=device["profile"])
        return None
    if old != point_id:
        _retry(lambda: _remove_at(device, old))
    return True


def _forward(device: Doc, home: Segment, point_id: str, key: str) -> bool:
    change = Change(home)
    change.move(point_id, key)
    return change.store(device)


def _remove_at(device: Doc, home: str) -> int | None:
    """Remove the point at a place, from which it was moved away."""
    segment = by_id.Reader(device["id"]).load(home[:20])
    if segment is None:
        return 0
    change = Change(segment)
    change.kill(home)
    return int(change.store(device)) or None


def _claim(device: Doc, new: Segment) -> bool:
    """Put the segment of a moved point, or take over the segment that an earlier try of the same edit has put.

    Taking over raises the version, so that the earlier try cannot delete the segment any more.
    """
    item = segments.encode(new)
    existing = store.current().put_segments([item], profile=device["profile"], now_ms=clock.now_ms()).get(0)
    if existing is None:
        return True
    if existing.digest != new.digest:
        raise errors.Conflict("The new time of the point is taken, send another millisecond")
    new.version = existing.version
    return Change(new).store(device)


class Removal:
    """Points that are being removed.

    Args:
        runs: the points, from ``read.select``.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.left: dict[str, list[str]] = {}
        """By the key of the request that they name, the ids of the points that are still to be removed."""
        self.removed = 0
        for segment, indices in runs:
            for index in indices:
                point_id = segment.point_id(index)
                self.left.setdefault(point_id[:20], []).append(point_id)

    def take(self) -> list[str]:
        """Return the next ids, those of one request together. They stay in ``left`` until ``drop``."""
        ids: list[str] = []
        for own in self.left.values():
            ids += own
            if len(ids) >= _SLICE:
                break
        return ids

    def drop(self, ids: Iterable[str]) -> None:
        """Note that no point has one of these ids any more."""
        for point_id in ids:
            self.left.pop(point_id[:20], None)


def find(*, device: Doc, query: PointQuery) -> Removal:
    """Find the points that a query names, to remove them.

    Raises:
        errors.BadRequest: the device is immutable, or the query names no points.

    Cost: that of the query.
    """
    if device["type"] == "immutable":
        raise errors.BadRequest("Data in immutable devices cannot be deleted")
    return Removal(read.select(device=device, query=query))


def remove(*, device: Doc, removal: Removal) -> int:
    """Remove the points that ``find`` has found.

    Returns:
        How many points were removed, in all calls.

    Raises:
        deadline.TooLong: some are left; the next call resumes.
        errors.Conflict: others kept changing the same points.

    Cost: one read and one write a segment.
    """
    try:
        with deadline.sharing(device["profile"]):
            while removal.left:
                ids = removal.take()
                _retry(lambda ids=ids: _remove(device, ids, removal))  # type: ignore[misc]
                removal.drop(ids)
                deadline.check()
    finally:
        fullness.forget(device["id"])
    return removal.removed


def _remove(device: Doc, ids: Sequence[str], removal: Removal) -> int | None:
    """Remove points by id, one segment after the other, and count them in ``removal``.

    Returns:
        None: others changed a segment, and some are left.

    Raises:
        deadline.TooLong: some are left.
    """
    reader = by_id.Reader(device["id"])
    found: Segment | None = None
    homes: list[str] = []
    for point_id in [*ids, ""]:
        place = reader.find(point_id) if keys.is_id(point_id) else None
        if found is not None and homes and (not point_id or (place is not None and place[0] is not found)):
            change = Change(found)
            for home in homes:
                change.kill(home)
            if not change.store(device):
                return None
            removal.removed += len(homes)
            reader, homes = by_id.Reader(device["id"]), []
            deadline.check()
            place = reader.find(point_id) if place else None
        if place is not None:
            found = place[0]
            homes.append(found.home(place[1]))
    return 0


def _retry(attempt: Callable[[], int | None]) -> int:
    """Call ``attempt`` until it returns a number. None means that it lost a race."""
    for _ in range(_ATTEMPTS):
        count = attempt()
        if count is not None:
            return count
    raise errors.Conflict("The points are being changed by others, try again")


def empty(*, device: Doc) -> None:
    """Remove all points of a device, in batches. A retry resumes.

    Raises:
        deadline.TooLong: some are left; the next call resumes.

    Cost: one read a page, and one batch write for 25 segments.
    """
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    try:
        with deadline.sharing(device["profile"]):
            store.current().drop_segments(device["id"], low, high, profile=device["profile"])
    finally:
        fullness.forget(device["id"])
