"""Stores points."""

import hashlib
import secrets
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from chalicelib import errors, settings, store
from chalicelib.codec import keys, segments, times
from chalicelib.codec.segment import Draft, Item
from chalicelib.host import clock, events
from chalicelib.schemas.points import PointIn, Sent
from chalicelib.services.points import directory, expiry, fullness, retries, rules
from chalicelib.services.points.directory import Span
from chalicelib.services.points.retries import Known
from chalicelib.services.usage import quotas
from chalicelib.store import ABSENT, Doc, Entity, names

_KEY_KEPT_S, _MAX_KEY_CHARS = 86_400, 255
_MAX_STEPS = 64
SERVICES = ("input", "data_records")
"""The services of a profile that points use. Those of a file use only the second."""


class Arrival(NamedTuple):
    """When and from whom a message first arrived that may be delivered again."""

    time_ms: int
    origin: str
    """Distinguishes the message from others of the same time and body, for example by the client."""
    is_import: bool = False  # whether it is a part of a file, whose points do not count as input


class Now(NamedTuple):
    """When a request arrived; ``time_ms`` is the time of points that have none."""

    time_ms: int
    arrival_us: int
    """From ``clock.arrival_us``: its place among the requests of this process."""


class _Request(NamedTuple):
    """The facts that all segments of a request share."""

    device: Doc
    items: list[PointIn]
    is_deduplicated: bool
    """Whether points that are equal are one point."""
    digest: bytes | None
    """Equal for a retry; None if retries cannot be recognised."""
    arrival_us: int
    is_import: bool
    noise: bytes
    """Random, 32 bytes: tells the request from others if it has no digest. Empty if it has one."""

    def place_of(self, hour: int, newest_ms: int) -> "_Place":
        """Return the place of its points of an hour, of which the newest is at ``newest_ms``."""
        if self.digest is None:
            return self.noise, keys.segment_key(newest_ms, keys.arrival_suffix(self.arrival_us, self.noise))
        digest = hashlib.sha256(self.digest + str(hour).encode()).digest()
        return digest, keys.segment_key(newest_ms, keys.digest_suffix(digest))

    def first_place(self, times_ms: Sequence[int]) -> "_Place":
        """Return the place of its points of the first hour, from the times of all points in milliseconds since 1970."""
        hour, newest_ms = keys.hour_of(min(times_ms)), max(times_ms)
        if keys.hour_of(newest_ms) != hour:
            newest_ms = max(time_ms for time_ms in times_ms if keys.hour_of(time_ms) == hour)
        return self.place_of(hour, newest_ms)


_Place = tuple[bytes, str]
"""Digest and key of a segment."""
_Part = tuple[int, Sequence[Draft], Item]
"""An hour, the points of a request that lie in it, and their segment."""


class Prepared(NamedTuple):
    """A checked request, ready to be stored."""

    request: _Request
    now_ms: int
    """The time of points that have none."""
    parts: list[_Part]
    key_name: str | None
    """The name of the entity of its ``Idempotency-Key``."""
    is_of_clock: bool = False
    """Whether other values than the times of points without one may depend on ``now_ms``, as a payload parser made
    them."""


def store_points(*, device: Doc, sent: Sent, idempotency_key: str | None = None, arrival: Arrival | None = None) -> int:
    """Store points: ``prepare`` and ``put`` in one step."""
    now, key = Now(clock.now_ms(), clock.arrival_us()), idempotency_key
    return put(prepare(device=device, sent=sent, now=now, idempotency_key=key, arrival=arrival))


def prepare(
    *, device: Doc, sent: Sent, now: Now, idempotency_key: str | None = None, arrival: Arrival | None = None
) -> Prepared:
    """Check points and make their segments. This uses no store, so it can run in any thread.

    A retry is recognised if every point has its own time, or if the request has an ``Idempotency-Key`` or an
    ``arrival``.

    Args:
        device: the device that the points belong to.
        sent: what the client sent.
        now: when the request arrived.
        idempotency_key: at most 255 characters; valid for 24 hours.
        arrival: the first arrival, if the message may be delivered again.

    Raises:
        errors.BadRequest: an item breaks a rule.
        errors.TooLarge: the points of one hour do not fit into a segment.

    Source: TagoIO, "Sending Data". Recognising retries is ours.
    """
    now_ms = now.time_ms if arrival is None else arrival.time_ms
    key_name = None if idempotency_key is None else _name_of(idempotency_key)
    is_deduplicated = settings.current().dedupe and all(item.get("time") not in (None, "") for item in sent.items)
    digest = None
    if is_deduplicated or idempotency_key is not None or arrival is not None:
        origin = idempotency_key or ""
        if arrival is not None and not is_deduplicated:
            origin = f"{arrival.time_ms} {arrival.origin}"
        digest = sent.digest(device=device["id"], origin=origin)
    noise = secrets.token_bytes(32) if digest is None else b""
    is_import = arrival is not None and arrival.is_import
    request = _Request(device, sent.items, is_deduplicated, digest, now.arrival_us, is_import, noise)
    return Prepared(request, now_ms, _parts(request, now_ms) if sent.items else [], key_name)


def first_seen_ms(*, device: Doc, raw: bytes, idempotency_key: str | None) -> int | None:
    """Return when a request first arrived, in milliseconds since 1970; None if it did not, or has no key.

    Args:
        device: the device that it is for.
        raw: its body.
        idempotency_key: at most 255 characters.

    Raises:
        errors.BadRequest: the key is too long, or was used with another body before.

    Cost: one read if there is a key.
    """
    if idempotency_key is None:
        return None
    digest = Sent([], raw).digest(device=device["id"], origin=idempotency_key).hex()
    existing = store.current().get(names.device(device["id"]), _name_of(idempotency_key))
    return None if existing is None else _same_or_raise(existing, digest)


def renewed(prepared: Prepared, *, device: Doc) -> Prepared:
    """Return what was prepared, for the device as it is now.

    Raises:
        errors.ApiError: the device does not take it any more; see ``prepare``.
    """
    if prepared.request.device is device or prepared.request.device == device:
        return prepared
    request = prepared.request._replace(device=device)
    return prepared._replace(request=request, parts=_parts(request, prepared.now_ms) if request.items else [])


def put(prepared: Prepared) -> int:
    """Store what was prepared.

    A retry stores only those of its points that were deleted since. An edited point counts as there.

    Returns:
        How many points of the request are there now. A point that occurs twice counts once.

    Raises:
        errors.BadRequest: the device is full, and this is no retry that stores nothing; or the key was used with
            another body before. A refused request does not use up its key.
        errors.PaymentRequired: the profile's quota is used up. A retry of what is stored is refused as well.

    Cost: one conditional write and no read, if the process is warm and the points are of one hour and of known
    variables. An ``Idempotency-Key`` costs one write more.
    """
    request, now_ms, parts, key_name, is_of_clock = prepared
    device = request.device
    quotas.check(profile=device["profile"], services=SERVICES[request.is_import :])
    if not parts:
        store.current().touch(device["id"], profile=device["profile"], now_ms=now_ms)
        return 0
    amount = [0] if device["type"] == "immutable" else fullness.amount_of(device)
    is_full = amount[0] >= fullness.MAX_POINTS
    if not is_full:
        _widen(device, parts)
    if key_name is not None and request.digest is not None:  # last, as a refused request does not use up its key
        first_ms = _claimed_ms(device["id"], key_name, request.digest.hex(), now_ms, may_claim=not is_full)
        if first_ms != now_ms:
            if is_of_clock:
                raise errors.Unavailable("The same request is being stored, try again")
            now_ms, parts = first_ms, _parts(request, first_ms)
            _widen(device, parts)
    if not is_full:
        amount[0] += _put(request, parts, now_ms)
    elif request.digest is None or not all(_is_there(device, part) for part in parts):
        raise fullness.refusal()
    return sum([len(points) for _, points, _ in parts])


def _parts(request: _Request, now_ms: int) -> list[_Part]:
    """Check the points, and make a segment for each UTC hour, in rising order.

    Args:
        request: the request.
        now_ms: the time of points that have none.
    """
    places: list[_Place] = []

    def group_of(times_ms: Sequence[int]) -> str:
        """Return the id of the first point, so that sealed segments need not keep the group."""
        places.append(request.first_place(times_ms))
        return places[0][1] + keys.HEX4[0]

    points = rules.draft_all(items=request.items, now_ms=now_ms, group_of=group_of)
    if request.is_deduplicated and len(points) > 1:
        points = [*{point.line: point for point in points}.values()]
    _check_window(request.device, points, now_ms)
    hour = keys.hour_of(points[0].time_ms)
    if hour == keys.hour_of(points[-1].time_ms):
        return [(hour, points, _item(request, points, places[0]))]
    by_hour: dict[int, list[Draft]] = {}
    for point in points:
        by_hour.setdefault(keys.hour_of(point.time_ms), []).append(point)
    return [(hour, own, _item(request, own)) for hour, own in by_hour.items()]


def _check_window(device: Doc, points: Sequence[Draft], now_ms: int) -> None:
    window = expiry.accepted_ms(device, now_ms)
    if window and (points[0].time_ms < window[0] or points[-1].time_ms > window[1]):
        first, last = (times.to_iso(bound)[:10] for bound in window)
        raise errors.BadRequest(f"Time must be between {first} and {last}")


def _name_of(key: str) -> str:
    if not 0 < len(key) <= _MAX_KEY_CHARS:
        raise errors.BadRequest(f"Idempotency-Key must have 1 to {_MAX_KEY_CHARS} characters")
    return names.request(hashlib.sha256(key.encode()).hexdigest())


def _claimed_ms(device_id: str, name: str, digest: str, now_ms: int, *, may_claim: bool) -> int:
    """Return when a request with this Idempotency-Key first arrived, in milliseconds since 1970.

    If none did, the key now belongs to this request, provided that it ``may_claim`` it.
    """
    doc = {"digest": digest, "now_ms": now_ms}
    entity = Entity(names.device(device_id), name, doc, 1, now_ms // 1000 + _KEY_KEPT_S)
    if may_claim:
        conflict = store.current().put_if(entity, version=ABSENT)
        existing = conflict.existing if conflict else None
    else:
        existing = store.current().get(entity.owner, name)
    return now_ms if existing is None else _same_or_raise(existing, digest)


def _same_or_raise(existing: Entity, digest: str) -> int:
    """Return when a key was first used, if it was with the same body. Raises errors.BadRequest."""
    if existing.doc["digest"] != digest:
        raise errors.BadRequest("Idempotency-Key was used with another body before")
    first_ms: int = existing.doc["now_ms"]
    return first_ms


def _widen(device: Doc, parts: Sequence[_Part]) -> None:
    """Make the directory cover the parts, which are in rising order of their hours."""
    spans: dict[str, Span] = {}
    for hour, points, _ in parts:
        for variable in {point.variable for point in points}:
            old = spans.get(variable)
            spans[variable] = Span(hour, hour) if old is None else Span(old.first, hour)
    directory.widen(device=device["id"], spans=spans)


def _put(request: _Request, parts: list[_Part], now_ms: int) -> int:
    """Put the segments, and restore what is missing in those of a retry. Return how many points were inserted."""
    device = request.device
    stored: list[Item] = []
    for _ in range(_MAX_STEPS):
        known, fresh = retries.sealed_among(device, [item for _, _, item in parts])
        items = [parts[index][2] for index in fresh]
        if items:
            put_all = partial(store.current().put_segments, profile=device["profile"], is_import=request.is_import)
            existing = put_all(items, now_ms=now_ms)
            stored += [item for at, item in enumerate(items) if at not in existing] if existing else items
            for at, item in existing.items():
                known[fresh[at]] = retries.of_small(item)
        waiting: list[_Part] = []
        for index, of in known.items():
            restored, left = _meet(request, parts[index], of)
            stored += [restored] if restored else []
            waiting += [left] if left else []
        if not waiting:
            events.current().stored(device["id"], stored)
            return sum([item.points for item in stored])
        parts = waiting
    raise errors.Conflict(directory.CONFLICT)


def _meet(request: _Request, part: _Part, known: Known) -> tuple[Item | None, _Part | None]:
    """Handle a part whose key is taken. Return what was restored, and the part that is still to be put."""
    hour, points, item = part
    if not known.is_of(item.digest):
        return None, (hour, points, _step(item))
    indices = retries.missing(known, points)
    if not indices:
        return None, None
    if not retries.is_alike(known, points):
        left = [points[index] for index in indices]
        rest = _item(request, left)
        return None, (hour, left, _step(rest._replace(key=item.key) if rest.key[:12] == item.key[:12] else rest))
    restored = retries.restore(device=request.device, known=known, points=points, indices=indices)
    return restored, None if restored else part


def _is_there(device: Doc, part: _Part) -> bool:
    """Return whether all points of a retry are there. Cost: one read, and one for each request of the same key."""
    _, points, item = part
    for _ in range(_MAX_STEPS):
        known = retries.of_sealed(device, item.key)
        if known is None:
            existing = store.current().get_segment(item.device, item.key)
            if existing is None:
                return False
            known = retries.of_small(existing)
        if known.is_of(item.digest):
            return not retries.missing(known, points)
        item = _step(item)
    return False


def _item(request: _Request, points: Sequence[Draft], place: _Place | None = None) -> Item:
    """Return the segment of points of one hour."""
    device, newest_ms = request.device, points[-1].time_ms
    expires_at = expiry.expires_at(device, points[0].time_ms)
    digest, key = place or request.place_of(keys.hour_of(newest_ms), newest_ms)
    try:
        return segments.pack(device["id"], points, key, request.arrival_us, digest=digest, expires_at=expires_at)
    except ValueError as error:
        raise errors.TooLarge(f"Too much to store: {error}: send about 2,000 points a request") from None


def _step(item: Item) -> Item:
    """Return the item with the next suffix, as another request has its key."""
    suffix = (keys.key_suffix(item.key) + 1) % keys.SUFFIX_COUNT
    return item._replace(key=item.key[:12] + f"{suffix:08x}")
