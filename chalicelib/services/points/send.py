"""Stores points."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from chalicelib import errors, settings, store
from chalicelib.codec import keys, periods, segments, times
from chalicelib.codec.segments import Draft, Item
from chalicelib.host import clock, events
from chalicelib.schemas.points import Sent
from chalicelib.services.points import directory, expiry, fullness, rules
from chalicelib.services.points.directory import Span
from chalicelib.store import ABSENT, Doc, Entity, names

_KEY_KEPT_S = 86_400
_MAX_KEY_CHARS = 255
_MAX_STEPS = 64


class Arrival(NamedTuple):
    """When and from whom a message first arrived that may be delivered again."""

    time_ms: int
    origin: str
    """Distinguishes the message from others of the same time and body, for example by the client."""


class _Request(NamedTuple):
    """The facts that all segments of a request share."""

    device: Doc
    digest: bytes | None
    """Equal for a retry; None if retries cannot be recognised."""
    now_ms: int
    """The time of points that have none. A retry has the same."""
    arrival_us: int


def store_points(*, device: Doc, sent: Sent, idempotency_key: str | None = None, arrival: Arrival | None = None) -> int:
    """Store points.

    A retry is not stored again and gets the same answer, if it can be recognised: if every point has its own time, or
    if the request has an ``Idempotency-Key`` or an ``arrival``.

    Args:
        device: the device that the points belong to.
        sent: what the client sent.
        idempotency_key: at most 255 characters; valid for 24 hours.
        arrival: the first arrival, if the message may be delivered again.

    Returns:
        How many points the request holds. A point that occurs twice counts once.

    Raises:
        errors.BadRequest: an item breaks a rule, the device is full, or the key was used with another body before.
        errors.Unavailable: the store failed; the client may retry.

    Cost: one conditional write and no read, if the process is warm and the points are of one hour and of known
    variables. An ``Idempotency-Key`` costs one write more.

    Source: TagoIO, "Sending Data". Recognising retries is ours.
    """
    arrival_us = clock.arrival_us()
    now_ms = clock.now_ms() if arrival is None else arrival.time_ms
    if not sent.items:
        store.current().touch(device["id"], profile=device["profile"], now_ms=now_ms)
        return 0
    is_deduplicated = settings.current().dedupe and all(item.get("time") not in (None, "") for item in sent.items)
    digest = None
    if is_deduplicated or idempotency_key is not None or arrival is not None:
        origin = idempotency_key or ""
        if arrival is not None and not is_deduplicated:
            origin = f"{arrival.time_ms} {arrival.origin}"
        digest = sent.digest(device=device["id"], origin=origin)
    group = keys.new_id() if digest is None else digest.hex()[:24]
    points = rules.draft_all(items=sent.items, now_ms=now_ms, group=group)
    if device["type"] == "immutable":
        _check_window(device, points, now_ms)
    else:
        fullness.check(device)
    items = _widened(_Request(device, digest, now_ms, arrival_us), points, is_deduplicated)
    if idempotency_key is not None and digest is not None:  # only now: a refused request does not use up its key
        first_ms = _first_seen_ms(device["id"], idempotency_key, digest.hex(), now_ms)
        if first_ms != now_ms:
            now_ms, points = first_ms, rules.draft_all(items=sent.items, now_ms=first_ms, group=group)
            items = _widened(_Request(device, digest, now_ms, arrival_us), points, is_deduplicated)
    _put(device, items, now_ms)
    count = sum(item.points for item in items)
    fullness.add(device["id"], count)
    return count


def _first_seen_ms(device_id: str, key: str, digest: str, now_ms: int) -> int:
    """Return when a request with this Idempotency-Key first arrived, in milliseconds since 1970."""
    if not 0 < len(key) <= _MAX_KEY_CHARS:
        raise errors.BadRequest(f"Idempotency-Key must have 1 to {_MAX_KEY_CHARS} characters")
    name = names.request(hashlib.sha256(key.encode()).hexdigest())
    doc = {"digest": digest, "now_ms": now_ms}
    entity = Entity(names.device(device_id), name, doc, 1, now_ms // 1000 + _KEY_KEPT_S)
    conflict = store.current().put_if(entity, version=ABSENT)
    if conflict is None or conflict.existing is None:
        return now_ms
    if conflict.existing.doc["digest"] != digest:
        raise errors.BadRequest("Idempotency-Key was used with another body before")
    first_ms: int = conflict.existing.doc["now_ms"]
    return first_ms


def _check_window(device: Doc, points: Sequence[Draft], now_ms: int) -> None:
    start_ms, end_ms = periods.window(now_ms, device["chunk_period"], device["chunk_retention"])
    if points[0].time_ms < start_ms or points[-1].time_ms > end_ms:
        first, last = (times.to_iso(bound)[:10] for bound in (start_ms, end_ms))
        raise errors.BadRequest(f"Time must be between {first} and {last}")


def _widened(request: _Request, points: Sequence[Draft], is_deduplicated: bool) -> list[Item]:
    """Return a segment for each hour, after the directory was made to cover them."""
    device = request.device
    if is_deduplicated and len(points) > 1:
        points = [*{point.line: point for point in points}.values()]
    spans: dict[str, Span] = {}
    items = []
    for hour_points in _hours(points):
        hour = keys.hour_of(hour_points[0].time_ms)
        for variable in {point.variable for point in hour_points}:
            old = spans.get(variable)
            spans[variable] = Span(hour, hour) if old is None else Span(old.first, hour)
        items.append(_item(request, hour_points, hour))
    directory.widen(device=device["id"], spans=spans)
    return items


def _put(device: Doc, items: Sequence[Item], now_ms: int) -> None:
    """Put segments. If another request has a segment's key, the segment takes the next suffix."""
    stored: list[Item] = []
    for _ in range(_MAX_STEPS):
        existing = store.current().put_segments(items, profile=device["profile"], now_ms=now_ms)
        stored += [item for index, item in enumerate(items) if index not in existing] if existing else items
        items = [_step(items[index]) for index, item in existing.items() if item.digest != items[index].digest]
        if not items:
            events.current().stored(device["id"], stored)
            return
    raise errors.Conflict("Too many requests of this device at once, try again")


def _hours(points: Sequence[Draft]) -> list[Sequence[Draft]]:
    """Split points, which are in rising order of time, by their UTC hour."""
    if keys.hour_of(points[0].time_ms) == keys.hour_of(points[-1].time_ms):
        return [points]
    by_hour: dict[int, list[Draft]] = {}
    for point in points:
        by_hour.setdefault(keys.hour_of(point.time_ms), []).append(point)
    return [*by_hour.values()]


def _item(request: _Request, points: Sequence[Draft], hour: int) -> Item:
    device = request.device
    hour_digest = request.digest and hashlib.sha256(request.digest + str(hour).encode()).digest()
    digest = hour_digest or secrets.token_bytes(32)
    suffix = keys.digest_suffix(digest) if hour_digest else keys.arrival_suffix(request.arrival_us, digest)
    expires_at = expiry.expires_at(device, points[0].time_ms)
    key = keys.segment_key(points[-1].time_ms, suffix)
    try:
        return segments.pack(device["id"], points, key, request.arrival_us, digest=digest, expires_at=expires_at)
    except ValueError as error:
        raise errors.TooLarge(f"Too much to store: {error}: send about 2,000 points a request") from None


def _step(item: Item) -> Item:
    """Return the item with the next suffix, as another request has its key."""
    suffix = (keys.key_suffix(item.key) + 1) % keys.SUFFIX_COUNT
    return item._replace(key=item.key[:12] + f"{suffix:08x}")
