"""Erases devices. A device is gone at once, and all its data is removed, even if the removal is interrupted.

A marker is written before anything is removed, and deleted when no late write can arrive. Any process that finds it
resumes the erasure.
"""

import contextlib

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import clock, deadline, mqtt
from chalicelib.services import entities
from chalicelib.services.access import client_ids, reach, tokens
from chalicelib.services.devices import files, jobs
from chalicelib.services.points import fullness
from chalicelib.store import Doc, Entity, names

SETTLED_S = 3_600
"""After this time, no process has the device in its cache, and the stream has delivered all its changes."""


def begin(*, device: Doc) -> None:
    """Erase a device: first its tokens, then the device itself, then its data.

    Raises:
        errors.Unavailable: the device still exists; a retry resumes. Once the device is gone, this is not raised, and
            ``resume`` removes the rest.
    """
    marker = announce(device=device)
    with contextlib.suppress(errors.Unavailable, deadline.TooLong):
        _clear(marker)


def announce(*, device: Doc) -> Doc:
    """Begin to erase a device: its tokens, then the device itself. ``resume`` removes its data. Return the marker.

    Raises:
        errors.Unavailable: the device still exists; a retry or ``resume`` does the rest.
    """
    marker = {"device": device["id"], "profile": device["profile"], "since_ms": clock.now_ms()}
    store.current().put(Entity(names.ERASURES, names.device(device["id"]), marker))
    _hide(marker)
    return marker


def resume() -> int:
    """Resume every erasure that has begun; return how many were finished. It must be called from time to time.

    Raises:
        errors.Unavailable, deadline.TooLong: there was too little time; the next call resumes.
    """
    finished = 0
    for marker in store.current().list(names.ERASURES, names.DEVICES):
        _hide(marker.doc)
        finished += _clear(marker.doc)
    return finished


def _hide(marker: Doc) -> None:
    device, owner = marker["device"], names.profile(marker["profile"])
    tokens.delete_all(owner=names.device(device))
    client_ids.end_sessions(device=device)
    store.current().delete(owner, [names.device(device)])
    entities.forget(reach.DEVICE, owner=owner, doc_id=device)


def _clear(marker: Doc) -> bool:
    """Remove the device's data; return whether the erasure is finished, as no late write can arrive any more."""
    device, profile = marker["device"], marker["profile"]
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    with deadline.sharing():
        store.current().drop_segments(device, low, high, profile=profile)
        mqtt.current().forget(device=device)
    jobs.drop(device=device)
    files.delete_of_device(profile=profile, device=device)
    fullness.forget(device)
    owner = names.device(device)
    store.current().delete(owner, [entity.name for entity in store.current().list(owner, names.ANY)])
    if not store.current().is_exclusive and clock.now_ms() - marker["since_ms"] < SETTLED_S * 1000:
        return False
    store.current().forget_counters(device, profile=profile)
    store.current().delete(names.ERASURES, [names.device(device)])
    return True
