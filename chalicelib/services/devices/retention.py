"""Lets the stored points follow the present retention of their device.

Readers go by the present settings at once. What has expired by them is removed later: on SQLite by ``purge``, on
DynamoDB by the table's own expiry, which goes by the ``expires_at`` that each segment carries. So a change of retention
writes a marker there, and ``resume`` brings ``expires_at`` up to date.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import clock, deadline
from chalicelib.services.points import expiry
from chalicelib.store import Doc, Entity, names

_SETTLED_S = 600
"""After this time no process stores points by the former settings, which it may have cached for a minute (CACHE_S)."""
_PAGE = 1_000
_SETTINGS = ("type", "chunk_period", "chunk_retention")
"""The fields of a device that decide how long it keeps its points."""


def announce(device: Doc, changes: Mapping[str, Any]) -> None:
    """Write a marker if ``changes`` of a device change how long its points are kept. It comes before the change.

    A seal that has begun under the former settings fails.

    Cost: none, or two writes on DynamoDB.
    """
    is_same = all(changes.get(name, device[name]) == device[name] for name in _SETTINGS)
    if is_same or store.current().is_exclusive:
        return
    now_ms = clock.now_ms()
    marker = {"device": device["id"], "profile": device["profile"], "since_ms": now_ms, "from": ""}
    store.current().put(Entity(names.RETENTIONS, names.retention(device["id"], now_ms), marker))
    store.current().raise_epoch(device["id"])


def resume() -> int:
    """Follow every change of retention that has settled; return how many. It must be called from time to time.

    The order is random, so that one large device does not keep the others waiting each time.

    Raises:
        errors.Unavailable: the deadline passed; the next call resumes.
    """
    finished = 0
    markers = store.current().list(names.RETENTIONS, names.DEVICES)
    for marker in random.sample(markers, len(markers)):
        device = _device(names.profile(marker.doc["profile"]), names.device(marker.doc["device"]))
        if device is not None:
            if clock.now_ms() - marker.doc["since_ms"] < _SETTLED_S * 1000:
                continue
            _follow(device, marker)
            expiry.drop(device)
        store.current().delete(names.RETENTIONS, [marker.name])
        finished += 1
    return finished


def _follow(device: Doc, marker: Entity) -> None:
    """Give each segment that the device keeps the ``expires_at`` of the present settings, the oldest first."""
    low, high = keys.key_bounds(expiry.kept_from_ms(device), keys.LATEST_MS)
    for sealed in store.current().scan_sealed(
        device["id"], low, high, newest_first=False, first_page=_PAGE, has_bodies=False
    ):
        if deadline.has_passed():
            raise errors.Unavailable  # what is done already is not done again
        expires_at = expiry.expires_at(device, keys.key_time_ms(sealed.key))
        if sealed.expires_at != expires_at:
            store.current().set_expiry(device["id"], sealed.key, expires_at, is_sealed=True)
    low = max(low, marker.doc["from"])
    for item in store.current().scan_segments(device["id"], low, high, newest_first=False, first_page=_PAGE):
        if deadline.has_passed():
            store.current().put(marker._replace(doc={**marker.doc, "from": item.key}))
            raise errors.Unavailable
        expires_at = expiry.expires_at(device, keys.key_time_ms(item.key))
        if item.expires_at != expires_at:
            store.current().set_expiry(device["id"], item.key, expires_at)


def immutable_devices() -> list[tuple[str, str]]:
    """Return the owner and name of every immutable device of the store. It reads all devices."""
    return [
        (profile.name, entity.name)
        for profile in store.current().list(names.PROFILES, names.profile(""))
        for entity in store.current().list(profile.name, names.DEVICES)
        if entity.doc["type"] == "immutable"
    ]


def purge(devices: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Remove the points that devices do not keep any more. Each step removes at most one hour of one device.

    The settings are read again for each step, as they may change between two steps.

    Args:
        devices: from ``immutable_devices``.
    """
    for owner, name in devices:
        has_more = True
        while has_more:
            device = _device(owner, name)
            try:
                has_more = device is not None and expiry.drop_oldest(device)
            except deadline.TooLong:
                has_more = True
            yield


def _device(profile: str, name: str) -> Doc | None:
    entity = store.current().get(profile, name)
    return entity.doc if entity else None
