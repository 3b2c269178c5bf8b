"""Caches how many points a mutable device holds, so that storing points needs no read."""

from chalicelib import errors, settings, store
from chalicelib.host.cache import Cache
from chalicelib.store import Doc

MAX_POINTS = 50_000
_NEARLY_FULL = 45_000
_FAR_FROM_FULL_S = 3_600
_amounts: Cache[list[int]] = Cache(ttl_s=settings.CACHE_S)


def check(device: Doc) -> None:
    """Check that the device accepts more points.

    Raises:
        errors.BadRequest: it is full.

    Cost: one read an hour; one a minute if the device is nearly full.
    """
    amount = _amounts.get(device["id"])
    if amount is None:
        amount = [store.current().counters(device["profile"], device["id"]).records]
        _amounts.put(device["id"], amount, _FAR_FROM_FULL_S if amount[0] < _NEARLY_FULL else settings.CACHE_S)
    if amount[0] >= MAX_POINTS:
        raise errors.BadRequest(f"The device has reached the limit of {MAX_POINTS} data registers")


def add(device_id: str, points: int) -> None:
    """Add stored points to the cached number."""
    amount = _amounts.get(device_id)
    if amount is not None:
        amount[0] += points


def forget(device_id: str) -> None:
    """Drop the cached number, as points were removed. The next check reads it."""
    _amounts.drop(device_id)
