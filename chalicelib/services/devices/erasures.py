"""Erasing a device: it is gone at once, and all that is stored of it goes too, however often that is cut short.

A mark stands from before the first thing is removed until nothing can come any more; whoever finds it goes on.
"""

import contextlib

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import clock
from chalicelib.services.access import client_ids, tokens
from chalicelib.services.points import send
from chalicelib.store import Doc, Entity

_OWNER = "erasures"
SETTLED_S = 3_600
"""By then every process has forgotten the device, and the stream has told of its end."""


def begin(*, device: Doc) -> None:
    """Erase a device: tokens first, then the device itself, then what it holds.

    Raises:
        errors.Unavailable: the device is still there; a repetition goes on. Once it is hidden nothing is raised any
            more: what is left is removed by ``resume``.
    """
    doc = {"device": device["id"], "profile": device["profile"], "since_ms": clock.now_ms()}
    store.current().put(Entity(_OWNER, f"device#{device['id']}", doc))
    _hide(doc)
    with contextlib.suppress(errors.Unavailable):
        _clear(doc)


def resume() -> int:
    """Go on with every erasure that was begun; return how many were finished. To be called now and then.

    Raises:
        errors.Unavailable: the deadline passed; the next call goes on.
    """
    finished = 0
    for mark in store.current().list(_OWNER, "device#"):
        _hide(mark.doc)
        finished += _clear(mark.doc)
    return finished


def _hide(doc: Doc) -> None:
    tokens.delete_all(device=doc["device"])
    client_ids.end_sessions(device=doc["device"])
    store.current().delete(f"profile#{doc['profile']}", [f"device#{doc['device']}"])


def _clear(doc: Doc) -> bool:
    """Remove what the device holds; return whether nothing can come any more."""
    here, device, profile = store.current(), doc["device"], doc["profile"]
    low, high = keys.key_bounds(keys.EARLIEST_MS, keys.LATEST_MS)
    here.drop_segments(device, low, high, profile=profile)
    send.forget_amount(device)
    here.delete(f"device#{device}", [entity.name for entity in here.list(f"device#{device}", "")])
    if not here.is_exclusive and clock.now_ms() - doc["since_ms"] < SETTLED_S * 1000:
        return False
    here.forget_counters(device, profile=profile)
    here.delete(_OWNER, [f"device#{device}"])
    return True
