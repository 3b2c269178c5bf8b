"""Lists and removes chunks, the calendar periods by which an immutable device keeps and removes points."""

from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, periods, times
from chalicelib.host import deadline
from chalicelib.services.points import expiry, scan
from chalicelib.store import Doc


def list_all(*, device: Doc) -> list[dict[str, Any]]:
    """Return the chunks that hold points, newest first. A mutable device has none.

    Returns:
        ``{"id", "amount", "from", "to"}`` objects. The id is ``<from>_<to>``: the chunk's first and last second.

    Cost: it reads every segment of the device.
    """
    if device["type"] != "immutable":
        return []
    period = device["chunk_period"]
    amounts: dict[int, int] = {}
    kept = scan.Bounds(expiry.kept_from_ms(device), keys.LATEST_MS, False, 100, has_bodies=False)
    for item in scan.items(device, kept):
        first_ms = periods.period_start(keys.key_time_ms(item.key), period)
        amounts[first_ms] = amounts.get(first_ms, 0) + item.points
    return [_show(first_ms, period, amount) for first_ms, amount in amounts.items()]


def _show(first_ms: int, period: str, amount: int) -> dict[str, Any]:
    last_ms = periods.shift(first_ms, period, 1) - 1
    shown = {name: times.to_iso(at_ms).replace("Z", "+00:00") for name, at_ms in (("from", first_ms), ("to", last_ms))}
    return {"id": f"{first_ms // 1000}_{last_ms // 1000}", "amount": amount, **shown}


def delete(*, device: Doc, chunk: str) -> None:
    """Remove all points of a chunk. A retry resumes.

    Raises:
        errors.NotFound: as ``bounds_or_raise``.
        deadline.TooLong: some are left; the next call resumes.
    """
    low, high = keys.key_bounds(*bounds_or_raise(device=device, chunk=chunk))
    with deadline.sharing(device["profile"]):
        store.current().drop_segments(device["id"], low, high, profile=device["profile"])


def bounds_or_raise(*, device: Doc, chunk: str) -> tuple[int, int]:
    """Return the first and last time of a chunk, in milliseconds since 1970.

    Raises:
        errors.NotFound: the device has no chunk with this id.
    """
    first, _, last = chunk.partition("_")
    period = device["chunk_period"]
    if period is None or not (first + last).isdecimal() or len(chunk) > 23:
        raise errors.NotFound("Chunk not found")
    first_ms, last_ms = int(first or "0") * 1000, int(last or "0") * 1000 + 999
    is_whole = (
        first_ms <= last_ms <= keys.LATEST_MS
        and first_ms == periods.period_start(first_ms, period)
        and last_ms == periods.shift(first_ms, period, 1) - 1
    )
    if not is_whole:
        raise errors.NotFound("Chunk not found")
    return first_ms, last_ms
