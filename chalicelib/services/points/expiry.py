"""Says which points a device still keeps. An immutable device keeps as many chunks as its present settings say.

Readers go by the settings. What a segment carries as ``expires_at`` only tells DynamoDB when to remove it.
"""

from itertools import islice

from chalicelib import store
from chalicelib.codec import keys, periods
from chalicelib.host import clock, deadline
from chalicelib.store import Doc


def kept_from_ms(device: Doc) -> int:
    """Return the oldest time whose points the device keeps now, in milliseconds since 1970. A mutable one keeps all."""
    if device["type"] != "immutable":
        return keys.EARLIEST_MS
    return periods.window(clock.now_ms(), device["chunk_period"], device["chunk_retention"])[0]


def accepted_ms(device: Doc, now_ms: int) -> tuple[int, int] | None:
    """Return the first and last time of points that the device takes, in milliseconds since 1970; None: any."""
    if device["type"] != "immutable":
        return None
    return periods.window(now_ms, device["chunk_period"], device["chunk_retention"])


def expires_at(device: Doc, time_ms: int) -> int | None:
    """Return when a point at ``time_ms`` expires, in seconds since 1970; None: never."""
    if device["type"] != "immutable":
        return None
    return periods.expiry_ms(time_ms, device["chunk_period"], device["chunk_retention"]) // 1000


def amount(device: Doc) -> int:
    """Return how many points the device holds, without those that have expired and are not removed yet.

    Cost: one read; for an immutable device, a count of what has expired more.
    """
    records = store.current().counters(device["profile"], device["id"]).records
    if device["type"] != "immutable":
        return records
    current, (low, high) = store.current(), _expired(device)
    sealed = current.scan_sealed(device["id"], low, high, newest_first=False, first_page=100, has_bodies=False)
    expired = 0
    for item in sealed:
        expired += item.counted if current.keeps_originals else item.points
        deadline.check()
    return max(0, records - expired - current.count_points(device["id"], low, high))


def drop(device: Doc) -> None:
    """Remove what has expired, in batches. A retry resumes.

    Raises:
        errors.Unavailable, deadline.TooLong: there was too little time.
    """
    if device["type"] == "immutable":
        with deadline.sharing(device["profile"]):
            store.current().drop_segments(device["id"], *_expired(device), profile=device["profile"])


def drop_oldest(device: Doc) -> bool:
    """Remove the oldest hour that has expired; return whether there was one. Cost: two small reads, a delete."""
    if device["type"] != "immutable":
        return False
    low, high = _expired(device)
    current, device_id = store.current(), device["id"]
    small = current.scan_segments(device_id, low, high, newest_first=False, first_page=1)
    sealed = current.scan_sealed(device_id, low, high, newest_first=False, first_page=1, has_bodies=False)
    found = [*(item.key for item in islice(small, 1)), *(item.key for item in islice(sealed, 1))]
    if not found:
        return False
    time_ms = keys.key_time_ms(min(found))
    with deadline.sharing(device["profile"]):
        current.drop_segments(device_id, *keys.key_bounds(time_ms, time_ms), profile=device["profile"])
    return True


def _expired(device: Doc) -> tuple[str, str]:
    """Return the lowest and highest key of what has expired. A chunk begins with an hour, so no segment is in both."""
    return keys.key_bounds(keys.EARLIEST_MS, kept_from_ms(device) - 1)
