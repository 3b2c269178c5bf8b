"""Storing points."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from chalicelib import errors, settings, store
from chalicelib.codec import keys, periods, segments, times
from chalicelib.codec.segments import Draft, Item
from chalicelib.host import clock, events
from chalicelib.host.cache import Cache
from chalicelib.schemas.points import PointIn
from chalicelib.services.points import directory, rules
from chalicelib.services.points.directory import Span
from chalicelib.store import ABSENT, Doc, Entity

MAX_MUTABLE_POINTS = 50_000
_KEY_KEPT_S = 86_400
_MAX_KEY_CHARS = 255
_MAX_STEPS = 64
_NEARLY_FULL = 45_000
_amounts: Cache[list[int]] = Cache(ttl_s=settings.CACHE_S)


class Arrival(NamedTuple):
    """The first delivery of a message that may be delivered again."""

    time_ms: int
    origin: str
    """What else tells it from others of the same time and body, such as the client."""


def send(
    *,
    device: Doc,
    items: Sequence[PointIn],
    raw: bytes,
    idempotency_key: str | None = None,
    arrival: Arrival | None = None,
) -> int:
    """Store points.

    A request that can be told to be a repetition, since each point carries its own time or the request an
    ``Idempotency-Key``, is stored once however often it is sent, and answered alike each time.

    Args:
        device: the device they belong to.
        items: as the schema read them.
        raw: the body as sent: what a repetition is told by.
        idempotency_key: at most 255 characters; good for 24 hours.
        arrival: where and when it first arrived, if it may be delivered again with the same.

    Returns:
        How many points the request holds, each counted once.

    Raises:
        errors.BadRequest: an item breaks a rule, the device is full, or the key came with another body before.
        errors.Unavailable: the store failed; the request may be repeated.

    Cost: one conditional write and no read, warm, for points of one hour with known variables; one more write with
    an ``Idempotency-Key``.

    Source: TagoIO, "Sending Data"; telling repetitions apart is ours.
    """
    now_us = clock.now_us()
    now_ms = now_us // 1000 if arrival is None else arrival.time_ms
    if not items:
        store.current().touch(device["id"], profile=device["profile"], now_ms=now_ms)
        return 0
    has_times = all(item.get("time") for item in items)
    is_repeatable = arrival is not None or idempotency_key is not None or (has_times and settings.current().dedupe)
    mark = idempotency_key or ""
    if arrival is not None and not (has_times and settings.current().dedupe):
        mark = f"{arrival.time_ms} {arrival.origin}"
    seed = hashlib.sha256(b"\0".join((device["id"].encode(), mark.encode(), raw)))
    group = seed.hexdigest()[:24] if is_repeatable else keys.new_id()
    if idempotency_key is not None:
        now_ms = _first_seen_ms(device["id"], idempotency_key, seed.hexdigest(), now_ms)
    points = rules.draft_all(items=items, now_ms=now_ms, group=group)
    if has_times and settings.current().dedupe and len({point.line for point in points}) < len(points):
        points = list({point.line: point for point in points}.values())
    _check_device(device, points, now_ms)
    _store(device, points, seed.digest() if is_repeatable else None, now_ms, now_us)
    amount = _amounts.get(device["id"])
    if amount is not None:
        amount[0] += len(points)
    return len(points)


def forget_amount(device_id: str) -> None:
    """Look again how full a device is, after points went."""
    _amounts.drop(device_id)


def _first_seen_ms(device_id: str, key: str, digest: str, now_ms: int) -> int:
    if not 0 < len(key) <= _MAX_KEY_CHARS:
        raise errors.BadRequest(f"Idempotency-Key must have 1 to {_MAX_KEY_CHARS} characters")
    name = "request#" + hashlib.sha256(key.encode()).hexdigest()
    doc = {"digest": digest, "now_ms": now_ms}
    entity = Entity(f"device#{device_id}", name, doc, 1, now_ms // 1000 + _KEY_KEPT_S)
    standing = store.current().put(entity, expected=ABSENT)
    if standing is None:
        return now_ms
    if standing.doc["digest"] != digest:
        raise errors.BadRequest("Idempotency-Key was used with another body before")
    first_ms: int = standing.doc["now_ms"]
    return first_ms


def _check_device(device: Doc, points: Sequence[Draft], now_ms: int) -> None:
    if device["type"] == "immutable":
        start_ms, end_ms = periods.window(now_ms, device["chunk_period"], device["chunk_retention"])
        if points[0].time_ms < start_ms or points[-1].time_ms > end_ms:
            first, last = (times.to_iso(bound)[:10] for bound in (start_ms, end_ms))
            raise errors.BadRequest(f"Time must be between {first} and {last}")
        return
    amount = _amounts.get(device["id"])
    if amount is None:
        amount = [store.current().counters(device["profile"], device["id"]).records]
        _amounts.put(device["id"], amount, 3_600 if amount[0] < _NEARLY_FULL else settings.CACHE_S)
    if amount[0] >= MAX_MUTABLE_POINTS:
        raise errors.BadRequest(f"The device has reached the limit of {MAX_MUTABLE_POINTS} data registers")


def _store(device: Doc, points: Sequence[Draft], seed: bytes | None, now_ms: int, now_us: int) -> None:
    spans: dict[str, Span] = {}
    items = []
    for chunk in segments.hours(points):
        hour = keys.hour_of(chunk[0].time_ms)
        for variable in {point.variable for point in chunk}:
            old = spans.get(variable)
            spans[variable] = Span(hour, hour) if old is None else Span(old.first, hour)
        items.append(_item(device, chunk, seed, now_ms, now_us, hour))
    directory.widen(device=device["id"], spans=spans)
    for _ in range(_MAX_STEPS):
        found = store.current().put_segments(items, profile=device["profile"], now_ms=now_ms)
        events.stored(device["id"], [item for item, standing in zip(items, found, strict=True) if standing is None])
        items = [
            _step(item)
            for item, standing in zip(items, found, strict=True)
            if standing is not None and standing.digest != item.digest
        ]
        if not items:
            return
    raise errors.Conflict("Too many requests of this device at once, try again")


def _item(device: Doc, chunk: list[Draft], seed: bytes | None, now_ms: int, now_us: int, hour: int) -> Item:
    if seed is None:
        digest = secrets.token_bytes(32)
        suffix = keys.arrival_suffix(now_us)
    else:
        digest = hashlib.sha256(seed + str(hour).encode()).digest()
        suffix = int.from_bytes(digest[:4], "big")
    segment = segments.build(device["id"], chunk, keys.segment_key(chunk[-1].time_ms, suffix), now_ms)
    segment.digest = digest
    if device["type"] == "immutable":
        expires_ms = periods.expiry_ms(chunk[0].time_ms, device["chunk_period"], device["chunk_retention"])
        segment.expires_at = expires_ms // 1000
    try:
        return segments.encode(segment)
    except ValueError as error:
        raise errors.TooLarge(f"Too much to store: {error}") from None


def _step(item: Item) -> Item:
    """Move an item that met another request in its key to the next suffix."""
    suffix = (keys.key_suffix(item.key) + 1) % keys.SUFFIX_COUNT
    return item._replace(key=item.key[:12] + f"{suffix:08x}")
