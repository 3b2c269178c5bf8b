"""Erasing a device: it is gone at once, and all that is stored of it is removed, even if the removal is interrupted.

A marker is written before anything is removed and deleted when no late write can arrive. Any process that finds it
resumes.
"""

import contextlib

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import clock
from chalicelib.services import entities
from chalicelib.services.access import client_ids, reach, tokens
from chalicelib.services.points import fullness
from chalicelib.store import Doc, Entity, names

SETTLED_S = 3_600
"""After this, no process remembers the device, and the stream has reported its end."""


def begin(*, device: Doc) -> None:
    """Erase a device: tokens first, then the device itself, then what it holds.

    Raises:
        errors.Unavailable: the device is still there; a retry resumes. Once the device is hidden nothing is raised:
            ``resume`` removes the rest.
    """
    marker = {"device": device["id"], "profile": device["profile"], "since_ms": clock.now_ms()}
    store.current().put(Entity(names.ERASURES, names.device(device["id"]), marker))
    _hide(marker)
    with contextlib.suppress(errors.Unavailable):
        _clear(marker)


def resume() -> int:
    """Resume every erasure that was begun; return how many were finished. To be called now and then.

    Raises:
        errors.Unavailable: the deadline passed; the next call resumes.
    """
    finished = 0
    for marker in store.current().list(names.ERASURES, names.DEVICES):
        _hide(marker.doc)
        finished += _clear(marker.doc)
    return finished


def _hide(marker: Doc) -> None:
    device, owner = marker["device"], names.profile(marker["profile"])
    tokens.delete_all(device=device)
    client_ids.end_sessions(device=device)
    store.current().delete(owner, [names.device(device)])
    entities.forget(reach.DEVICE, owner=owner, doc_id=device)


def _clear(marker: Doc) -> bool:
    """Remove what the device holds; return whether no late write can arrive any more."""
    device, profile = marker["device"], marker["profile"]
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    store.current().drop_segments(device, low, high, profile=profile)
    fullness.forget(device)
    owner = names.device(device)
    store.current().delete(owner, [entity.name for entity in store.current().list(owner, names.ANY)])
    if not store.current().is_exclusive and clock.now_ms() - marker["since_ms"] < SETTLED_S * 1000:
        return False
    store.current().forget_counters(device, profile=profile)
    store.current().delete(names.ERASURES, [names.device(device)])
    return True
