"""Decides which small segments are sealed together, and makes the sealed segments."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from chalicelib.codec import keys, sealed, sealing
from chalicelib.codec.rows import Row
from chalicelib.codec.sealing import Contents
from chalicelib.codec.segment import SMALL_POINTS, Item, SealedItem

MAX_POINTS = 512
"""How many points a sealed segment may hold. Late ones may make it twice as large before it is divided."""
MAX_BYTES = 131_072
"""How many bytes the lines of its points may have; twice as many before late points make it be divided."""
SETTLED_MS = keys.HOUR_MS
"""How long after its end a UTC day is sealed as a whole."""


def is_small(points: int) -> bool:
    """Return whether a segment with so many points is to be sealed."""
    return points < SMALL_POINTS


def is_over(time_ms: int, now_ms: int) -> bool:
    """Return whether the UTC day of ``time_ms`` ended long enough ago to be sealed as a whole."""
    return time_ms - time_ms % keys.DAY_MS + keys.DAY_MS + SETTLED_MS <= now_ms


def merged(
    smalls: Sequence[Item],
    existing: Sequence[SealedItem],
    *,
    expires_at: int | None,
    closes_day: bool,
    load: Callable[[SealedItem], SealedItem] = lambda item: item,
) -> tuple[list[SealedItem], list[SealedItem]]:
    """Return the sealed segments that hold small ones besides what is sealed already. It uses no store.

    Args:
        smalls: of one device and UTC day, in rising order of key; at least one.
        existing: all sealed segments of that day, in rising order of key. Their bodies may be missing.
        expires_at: when the points expire, in seconds since 1970; None: never.
        closes_day: whether the day is over and these are all that is left of it. Then the last range ends with the day,
            so that late points fall inside.
        load: returns an existing segment with its body.

    Returns:
        What is to be put, and the existing segments that this replaces under other keys. Ranges never overlap. A
        segment that changes under its own key has the next version, a new one has version 1.

    Raises:
        DoesNotFitError: a request does not fit into a sealed segment.
    """
    time_ms = keys.key_time_ms(smalls[0].key)
    ends, floor = [item.key for item in existing], keys.key_before(keys.segment_key(time_ms - time_ms % keys.DAY_MS, 0))
    has_tail = not existing or smalls[-1].key > ends[-1]
    last = existing[-1] if existing and has_tail and existing[-1].points < MAX_POINTS else None
    puts: list[SealedItem] = []
    gone: list[SealedItem] = []

    def place(item: Item) -> tuple[int, bool]:
        """Return the number of the range that holds a segment, or would be the next, and whether one holds it."""
        at = len(ends) if last and item.key > last.low else bisect_left(ends, item.key)
        return at, at < len(ends) and existing[at].low < item.key

    for (at, is_within), group in groupby(smalls, place):
        own, below = [*group], ends[at - 1] if at else floor
        if is_within:
            puts += _within(load(existing[at]), own, expires_at)
        elif at < len(ends):  # a gap, which a removed segment has left
            parts = _divided(sealing.contents(own), MAX_POINTS, MAX_BYTES)
            puts += _new(own[0].device, below, own[-1].key, parts, expires_at)
        else:
            held = sealing.contents(own, sealed.decode(load(last)) if last else None)
            end = keys.end_of_day(time_ms) if closes_day else own[-1].key
            parts = _divided(held, MAX_POINTS, MAX_BYTES)
            puts += _new(own[0].device, last.low if last else below, end, parts, expires_at)
            gone += [last] if last else []
    return puts, gone


def _within(old: SealedItem, smalls: Sequence[Item], expires_at: int | None) -> list[SealedItem]:
    """Return a sealed segment with late requests in it. One that grows too large is divided."""
    held = sealing.contents(smalls, sealed.decode(old))
    points, size = len(held.rows), _size(held.rows.values())
    parts = [held]
    if points > 2 * MAX_POINTS or size > 2 * MAX_BYTES:
        count = max(points // MAX_POINTS, size // MAX_BYTES, 2)
        parts = _divided(held, points // count + 1, size // count + size // 10)
    *firsts, last = _new(old.device, old.low, old.key, parts, expires_at)
    return [*firsts, last._replace(version=old.version + 1)]


def _new(device: str, low: str, end: str, parts: Sequence[Contents], expires_at: int | None) -> list[SealedItem]:
    """Return the sealed segments of parts of a range, in rising order of their keys, each of version 1."""
    items: list[SealedItem] = []
    for number, held in enumerate(parts, 1):
        key = end if number == len(parts) else max(held.requests)
        items.append(sealing.encode(device, low, key, held, version=1, expires_at=expires_at))
        low = key
    return items


def _divided(held: Contents, max_points: int, max_bytes: int) -> list[Contents]:
    """Divide contents between requests into parts that hold at most so much, in rising order of key."""
    if len(held.rows) <= max_points and _size(held.rows.values()) <= max_bytes:
        return [held]
    by_request: dict[str, list[Row]] = {key: [] for key in sorted(held.requests)}
    for row in held.rows.values():
        by_request[row.home[:20]].append(row)
    parts: list[Contents] = []
    points = size = 0
    for key, rows in by_request.items():
        own_size = _size(rows)
        if not parts or points + len(rows) > max_points or size + own_size > max_bytes:
            parts.append(Contents({}, {}, {}))
            points = size = 0
        points, size = points + len(rows), size + own_size
        parts[-1].requests[key] = held.requests[key]
        parts[-1].rows.update({row.home: row for row in rows})
    for point_id, target in held.moves.items():
        part = next(part for part in parts if point_id[:20] in part.requests)
        part.moves[point_id] = target
    return parts


def _size(rows: Iterable[Row]) -> int:
    """Return how many bytes the lines of rows have."""
    return sum([len(row.line) if row.line.isascii() else len(row.line.encode()) for row in rows])
