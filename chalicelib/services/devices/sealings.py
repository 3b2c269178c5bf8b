"""Seals the past days of immutable devices on DynamoDB, and deletes the small segments that are sealed.

A device's sealing entity lists the days at work. Day by day: the day is noted, which begins a new epoch; its small
segments are read; sealed ones that hold them are put, if it is still that epoch. A later run deletes the small ones,
when no function lives any more that has read them and not the sealed ones. The work may stop between any two calls: the
next run resumes. Two runs at once do no harm.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import chain, islice
from typing import TypeVar

from chalicelib import errors, settings, store
from chalicelib.codec import keys, sealed, segments
from chalicelib.codec.keys import DAY_MS
from chalicelib.codec.rows import Request
from chalicelib.codec.sealing import DoesNotFitError
from chalicelib.codec.segment import Item, SealedItem
from chalicelib.host import clock, deadline, sealer
from chalicelib.services.points import directory, expiry, sealable, sealing
from chalicelib.store import ABSENT, Doc, Entity, names

WAIT_MS = 3_600_000
"""How long after the first call of ``waits_s`` a deployment begins to seal."""
KEPT_MS = 1_500_000
"""How long after a day was noted its small segments are deleted: 20 minutes, and 5 in which a function may put them."""
LEAST = 64
"""How many small segments of a day are worth sealing."""
PER_S = 200
"""How many small segments of a device are deleted in a second."""
_AGAIN_S = 60
"""When to come again if something was changed meanwhile."""
_SLICE, _SLICE_BYTES = 4_096, 2_000_000
"""How many small segments are sealed in one transaction, if the sealed ones are not too many."""
_ITEMS, _BYTES = 90, 3_000_000
"""How much goes into a transaction. DynamoDB takes 100 items and 4 MB."""
_ATTEMPTS = 10
Pause = Callable[[float], None]
_Stored = TypeVar("_Stored", Item, SealedItem)


def has_ended(day: int) -> bool:
    """Return whether a day, in days since 1970, ended long enough ago to be sealed."""
    return sealing.is_over(day * DAY_MS, clock.now_ms())


def note(*, profile: str, device: str, days: Iterable[int]) -> None:
    """Note days that are to be sealed, if those of the device are worth it. Cost: two reads and a write.

    Args:
        profile: the profile of the device.
        device: its id.
        days: since 1970. They must have ended.
    """
    if _worth(profile, device) is None:
        return

    def noted(known: dict[str, int]) -> dict[str, int]:
        return {str(day): 0 for day in days} | known

    _change(device, noted)


def advance(*, profile: str, device: str, pause: Pause | None = None) -> int | None:
    """Seal the days that were noted, and delete the small segments of those that were sealed long enough ago.

    Args:
        profile: the profile of the device.
        device: its id.
        pause: waits between two deletes.

    Returns:
        After how many seconds there is more to do; None: no day is left.

    Raises:
        errors.Unavailable: the store failed; another call resumes.

    Cost: for each day its segments are read twice; two write units for 1 kB that is sealed, twice, and one a small
        segment.
    """
    for text, put_ms in sorted(_days(_entity(device)).items()):
        if deadline.has_passed():
            return 0
        if not put_ms:
            _seal_day(profile, device, int(text))
        elif clock.now_ms() - put_ms >= KEPT_MS:
            _tidy_day(profile, device, int(text), put_ms, pause or clock.sleep)
    left = _days(_entity(device)).values()
    if not left:
        return None
    due_s = [max(0, put_ms + KEPT_MS - clock.now_ms()) // 1000 for put_ms in left if put_ms]
    return max(_AGAIN_S, min(due_s)) if len(due_s) == len(left) else _AGAIN_S


def _seal_day(profile: str, device: str, day: int) -> None:
    """Seal a day. If something was changed meanwhile, the day stays noted."""
    noted = _change(device, lambda known: known | {str(day): clock.now_ms()})
    doc = _worth(profile, device)
    existing = {item.key: item for item in _sealed(device, day)}
    listed = {key for item in existing.values() for key in sealed.decode(item).keys}
    is_kept = doc is not None and day * DAY_MS >= expiry.kept_from_ms(doc)
    smalls = _unsealed(_smalls(device, day), listed) if is_kept else iter(())
    first = [*islice(smalls, LEAST)]
    if doc is None or len(first) < LEAST:
        if not existing:
            _forget(device, day, noted)
        return
    parts = _parts(chain(first, smalls), _SLICE, _SLICE_BYTES)
    own = next(parts)
    while own:
        later = next(parts, [])
        is_put = _seal(profile, doc, own, existing, noted.version, closes_day=not later)
        if not is_put or (later and deadline.has_passed()):
            _change(device, lambda known: known | {str(day): 0} if str(day) in known else known)
            return
        own = later


def _seal(
    profile: str, device: Doc, smalls: Sequence[Item], existing: dict[str, SealedItem], epoch: int, *, closes_day: bool
) -> bool:
    """Seal some segments of a day, and bring ``existing`` up to date. False: something was changed meanwhile.

    If they are too much for a transaction, one half comes after the other. One that does not fit at all stays small.
    """
    expires_at = expiry.expires_at(device, keys.key_time_ms(smalls[0].key))
    try:
        puts, gone = sealing.merged(smalls, sorted(existing.values()), expires_at=expires_at, closes_day=closes_day)
    except DoesNotFitError:
        puts, gone = [], []
    if not puts or len(puts) + len(gone) > _ITEMS or sum(map(_bytes, puts)) > _BYTES:
        if len(smalls) == 1:
            return True
        half = len(smalls) // 2
        return _seal(profile, device, smalls[:half], existing, epoch, closes_day=False) and _seal(
            profile, device, smalls[half:], existing, epoch, closes_day=closes_day
        )
    replaced = {item.key: item for item in gone} | {
        item.key: existing[item.key] for item in puts if item.key in existing
    }
    versions = {key: item.version for key, item in replaced.items()}
    puts = [item._replace(version=versions.pop(item.key, 0) + 1) for item in puts]
    puts = _counting(puts, replaced.values(), smalls)
    originals = [(item.key, item.version) for item in smalls]
    is_put = store.current().seal(puts, originals, profile=profile, gone=[*versions.items()], epoch=epoch)
    for key in versions if is_put else ():
        del existing[key]
    existing |= {item.key: item for item in puts}
    return is_put


def _tidy_day(profile: str, device: str, day: int, put_ms: int, pause: Pause) -> None:
    """Delete the small segments of a day that its sealed ones list, and then count these instead.

    What is removed and put again meanwhile is another request: it has another arrival.
    """
    noted = _entity(device)
    if _days(noted).get(str(day)) != put_ms:  # another run has sealed it again
        return
    existing = [*_sealed(device, day)]
    listed = {key: request for item in existing for key, request in sealed.decode(item).requests().items()}
    left = 0
    for item in _smalls(device, day):
        request = listed.get(item.key)
        if request is None:
            left += sealing.is_small(item.points)
            continue
        if request != Request(item.digest[4:8], segments.decode_header(item).created_us):
            continue
        started_s = clock.monotonic_s()
        if deadline.has_passed() or not store.current().delete_segment(item, profile=profile):
            return
        pause(max(0.0, 1 / PER_S - (clock.monotonic_s() - started_s)))
    changed = [
        item._replace(counted=item.points, version=item.version + 1) for item in existing if item.counted != item.points
    ]
    for part in _parts(changed, _ITEMS, _BYTES):
        if not store.current().seal(part, [], profile=profile, epoch=noted.version):
            return
    if left >= LEAST:
        _change(device, lambda known: known | {str(day): 0})
    else:
        _forget(device, day, noted)


def _worth(profile: str, device: str) -> Doc | None:
    """Return a device as it is now; None: it does not exist, or its days are not worth sealing."""
    entity = store.current().get(names.profile(profile), names.device(device))
    return entity.doc if entity and sealable.is_worth(entity.doc) else None


def _bounds(day: int) -> tuple[str, str]:
    return keys.key_bounds(day * DAY_MS, (day + 1) * DAY_MS - 1)


def _smalls(device: str, day: int) -> Iterator[Item]:
    """Yield the small segments of a day, a page at a time, also those that are sealed."""
    return store.current().scan_segments(device, *_bounds(day), newest_first=False, first_page=_SLICE)


def _sealed(device: str, day: int) -> Iterator[SealedItem]:
    return store.current().scan_sealed(device, *_bounds(day), newest_first=False, first_page=_SLICE)


def _unsealed(smalls: Iterable[Item], listed: Set[str]) -> Iterator[Item]:
    """Yield the small segments that are not sealed yet."""
    return (item for item in smalls if sealing.is_small(item.points) and item.key not in listed)


def _bytes(item: Item | SealedItem) -> int:
    """Return about how many bytes a segment takes in a request."""
    return len(item.body) + (len(item.summary) if isinstance(item, SealedItem) else 0)


def _parts(items: Iterable[_Stored], most: int, most_bytes: int) -> Iterator[list[_Stored]]:
    """Cut segments into parts of at most so many and, unless it is a single one, so many bytes."""
    part: list[_Stored] = []
    size = 0
    for item in items:
        if part and (len(part) == most or size + _bytes(item) > most_bytes):
            yield part
            part, size = [], 0
        part.append(item)
        size += _bytes(item)
    if part:
        yield part


def _counting(puts: Sequence[SealedItem], replaced: Iterable[SealedItem], smalls: Iterable[Item]) -> list[SealedItem]:
    """Let sealed segments count what those counted that they replace. Small segments count the new points."""
    waiting = {item.key: sum(one.points for one in smalls if item.low < one.key <= item.key) for item in puts}
    counted = dict.fromkeys(waiting, 0)
    for old in replaced:
        left = old.counted
        for item in puts:
            if item.low < old.key and old.low < item.key:
                own = min(left, item.points - waiting[item.key] - counted[item.key])
                counted[item.key] += own
                left -= own
    return [item._replace(counted=counted[item.key]) for item in puts]


def _entity(device: str) -> Entity:
    owner = names.device(device)
    return store.current().get(owner, names.SEALING) or Entity(owner, names.SEALING, {}, ABSENT)


def _days(entity: Entity) -> dict[str, int]:
    """Return the days at work, with when each was last noted to be sealed, in milliseconds; 0: it is to be sealed."""
    return dict(entity.doc.get("days", {}))


def _change(device: str, revise: Callable[[dict[str, int]], dict[str, int]]) -> Entity:
    """Change the days at work, which begins a new epoch unless nothing changes; return the entity.

    The first epoch is the time: an entity that was deleted and made again does not have the same.
    """
    for _ in range(_ATTEMPTS):
        entity = _entity(device)
        revised = revise(_days(entity))
        if revised == _days(entity):
            return entity
        version = entity.version + 1 if entity.version else clock.now_us()
        changed = entity._replace(doc={"days": revised}, version=version)
        if store.current().put_if(changed, version=entity.version) is None:
            return changed
    raise errors.Unavailable


def _forget(device: str, day: int, noted: Entity) -> None:
    """Forget a day, unless it was noted again since ``noted``."""
    put_ms = _days(noted).get(str(day))
    _change(device, lambda known: {name: ms for name, ms in known.items() if name != str(day) or ms != put_ms})


def waits_s() -> int:
    """Return in how many seconds days may be sealed in this deployment; 0: now. Cost: one read.

    When an earlier version is upgraded, all functions must know sealed segments before there are any.
    """
    return _waits_s(_begun())


def find() -> int:
    """Ask once for the sealing of what was stored before this deployment seals; return for how many devices.

    Call it once an hour until all devices were looked at.

    Raises:
        errors.Unavailable: the time is up, or the store or the queue failed; the next call resumes.

    Cost: one read when all is done. Before, it reads all devices, and the directories of those that are worth it.
    """
    begun = _begun()
    if begun.doc["is_done"] or _waits_s(begun) or not settings.current().sealing:
        return 0
    asked, after = 0, begun.doc["after"]
    try:
        for profile, device in _devices_after(*after):
            if deadline.has_passed():
                raise errors.Unavailable
            asked += _ask(device)
            after = [profile, names.device(device["id"])]
    finally:
        store.current().put(begun._replace(doc=begun.doc | {"after": after}))
    store.current().put(begun._replace(doc=begun.doc | {"is_done": True}))
    return asked


def _devices_after(profile: str, device: str) -> Iterator[tuple[str, Doc]]:
    """Yield the owner and the document of each device, in order of their names, after one of them."""
    for row in store.current().list(names.PROFILES, names.profile("")):
        if row.name < profile:
            continue
        for entity in store.current().list(row.name, names.DEVICES):
            if (row.name, entity.name) > (profile, device):
                yield row.name, entity.doc


def _ask(device: Doc) -> bool:
    """Ask for the sealing of all days of a device that have ended. Return whether there are any."""
    spans = directory.read(device=device["id"]).values() if sealable.is_worth(device) else ()
    first = max(min((span.first // 24 for span in spans), default=0), expiry.kept_from_ms(device) // DAY_MS)
    last = (clock.now_ms() - sealing.SETTLED_MS) // DAY_MS - 1
    if not spans or first > last:
        return False
    sealer.ask(profile=device["profile"], device=device["id"], days=(first, last))
    return True


def _waits_s(begun: Entity) -> int:
    passed_ms = clock.now_ms() - int(begun.doc["since_ms"])
    return max(0, WAIT_MS - passed_ms + 999) // 1000


def _begun() -> Entity:
    """Return the entity that says since when this deployment seals. The first call makes it."""
    entity = store.current().get(names.DEPLOYMENT, names.SEALING)
    if entity is None:
        doc = {"since_ms": clock.now_ms(), "after": ["", ""], "is_done": False}
        entity = Entity(names.DEPLOYMENT, names.SEALING, doc)
        store.current().put_if(entity, version=ABSENT)
    return entity
