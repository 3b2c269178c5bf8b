"""Changes and removes points. A segment is written only if it still has the version that was read, else read again."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, segments
from chalicelib.codec.segments import Draft, Moved, Segment
from chalicelib.host import clock, deadline
from chalicelib.schemas.points import EditIn
from chalicelib.schemas.queries import PointQuery
from chalicelib.services.points import by_id, directory, fullness, read, rules
from chalicelib.services.points.directory import Span
from chalicelib.services.points.scan import Run
from chalicelib.store import Doc

_ATTEMPTS = 10


def edit(*, device: Doc, items: Sequence[EditIn]) -> int:
    """Change points by id. Fields that are not sent keep their value, and ``null`` clears a field.

    Args:
        device: a mutable device.
        items: at most 25. If two have the same id, the later one wins. It is no error if no point has an id.

    Returns:
        How many points were changed.

    Raises:
        errors.BadRequest: the device is immutable, or an item breaks a rule; nothing was changed.
        errors.Conflict: others kept changing the same points.

    Cost: one read and one write a point. A point that moves to another hour, or past its segment's time, or grows out
    of its segment, costs two writes more.
    """
    if device["type"] == "immutable":
        raise errors.BadRequest("You cannot edit data on immutable device")
    for index, item in enumerate(items):
        _checked(index, item, {"variable": "x", "time": "2000-01-01T00:00:00.000Z"})
    changed = set()
    for index, item in enumerate(items):
        if _retry(lambda index=index, item=item: _edit_one(device, index, item)):  # type: ignore[misc]
            changed.add(item["id"])
    return len(changed)


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
    places = by_id.find_all(device=device["id"], ids=[item["id"]])
    if not places:
        return False
    segment, at = places[0]
    draft = _checked(index, item, segment.point(at))
    newest_ms = segment.time_ms
    if keys.hour_of(draft.time_ms) == keys.hour_of(newest_ms) and draft.time_ms <= newest_ms:
        segment.put(at, draft)
        with contextlib.suppress(ValueError):  # too large for its segment, it gets one of its own
            return _replace(device, segment) or None
    return _move(device, segment, at, draft, item["id"])


def _move(device: Doc, old: Segment, at: int, draft: Draft, point_id: str) -> bool | None:
    """Move a point to a segment of its own: put that, forward to it from the segment of the id, remove the old point.

    After a crash between these steps, the point is still readable, and a retry of the edit completes the move.
    """
    created_us = old.point_created_us(at)
    digest = hashlib.sha256(f"{point_id}{draft.time_ms}{draft.line}".encode()).digest()
    key = keys.segment_key(draft.time_ms, keys.digest_suffix(digest))
    new = segments.build(device["id"], [draft], key, clock.now_us(), digest=digest)
    new.moved = {0: Moved(point_id, created_us)}
    hour = keys.hour_of(draft.time_ms)
    directory.widen(device=device["id"], spans={draft.variable: Span(hour, hour)})
    if not _claim(device, new):
        return None
    home = _home(old, point_id)
    if home is not None:
        home.kill(int(point_id[20:], 16), forward=key)
    if home is None or not _replace(device, home):
        store.current().delete_segment(segments.encode(new), profile=device["profile"])
        return None
    if old.key != home.key:
        _retry(lambda: _remove(device, old.key, [at]))
    return True


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
    return _replace(device, new)


def _home(segment: Segment, point_id: str) -> Segment | None:
    """Return the segment that the id names, in which the point was first stored. It may be ``segment`` itself."""
    if segment.key == point_id[:20]:
        return segment
    item = store.current().get_segment(segment.device, point_id[:20])
    return segments.decode(item) if item else None


class Removal:
    """Points that are being removed.

    Args:
        runs: the points, from ``read.select``.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self.left: dict[str, list[int]] = {}
        """By the key of its segment, the indices of the points that are still to be removed."""
        self.removed = 0
        for segment, indices in runs:
            self.left.setdefault(segment.key, []).extend(indices)


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
        deadline.TooLong: some are left; the next call goes on.
        errors.Conflict: others kept changing the same points.

    Cost: one read and one write a segment.
    """
    try:
        with deadline.sharing(device["profile"]):
            while removal.left:
                key, indices = removal.left.popitem()
                removal.removed += _retry(lambda key=key, indices=indices: _remove(device, key, indices))  # type: ignore[misc]
                deadline.check()
    finally:
        fullness.forget(device["id"])
    return removal.removed


def _remove(device: Doc, key: str, indices: Iterable[int]) -> int | None:
    item = store.current().get_segment(device["id"], key)
    if item is None:
        return 0
    segment = segments.decode(item)
    existing = [index for index in indices if index not in segment.dead]
    for index in existing:
        segment.kill(index)
    if not existing:
        return 0
    if segment.points or segment.forwards:
        return len(existing) if _replace(device, segment) else None
    return len(existing) if store.current().delete_segment(item, profile=device["profile"]) else None


def _replace(device: Doc, segment: Segment) -> bool:
    """Store the changed segment as its next version. Raises ValueError: it does not fit; the version stays."""
    segment.expires_at = None  # an edited device is mutable now, whatever it was when the segment was stored
    item = segments.encode(segment)
    segment.version += 1
    return store.current().replace_segment(item._replace(version=segment.version), profile=device["profile"])


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
        deadline.TooLong: some are left; the next call goes on.

    Cost: one read a page, and one batch write for 25 segments.
    """
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    try:
        with deadline.sharing(device["profile"]):
            store.current().drop_segments(device["id"], low, high, profile=device["profile"])
    finally:
        fullness.forget(device["id"])
