"""Caches how many points a mutable device holds, so that storing points needs no read."""

from chalicelib import errors, settings, store
from chalicelib.host.cache import Cache
from chalicelib.store import Doc

MAX_POINTS = 50_000
_NEARLY_FULL = 45_000
_FAR_FROM_FULL_S = 3_600
_amounts: Cache[list[int]] = Cache(ttl_s=settings.CACHE_S)


def amount_of(device: Doc) -> list[int]:
    """Return how many points the device holds, as a list of one number. A caller adds to it what it inserts.

    Cost: one read an hour; one a minute if the device is nearly full.
    """
    amount = _amounts.get(device["id"])
    if amount is None:
        amount = [store.current().counters(device["profile"], device["id"]).records]
        _amounts.put(device["id"], amount, _FAR_FROM_FULL_S if amount[0] < _NEARLY_FULL else settings.CACHE_S)
    return amount


def refusal() -> errors.BadRequest:
    """Return the error for points that a full device does not accept."""
    limit = f"The device has reached the limit of {MAX_POINTS} data registers"
    return errors.BadRequest(f"{limit}: delete points, or use an immutable device")


def forget(device_id: str) -> None:
    """Drop the cached number, as points were removed. The next check reads it."""
    _amounts.drop(device_id)
