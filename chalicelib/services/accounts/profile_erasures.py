"""Erases profiles. A profile is gone at once, and all it owns is removed, even if the removal is interrupted.

A marker is written before anything is removed, and deleted when no late write can arrive. Until then the profile's
limits say that it is erased, so its tokens are refused. Housekeeping, or a chore of the embedded mode, does the work.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.host import clock, deadline
from chalicelib.host import keys as api_keys
from chalicelib.services.access import tokens
from chalicelib.services.accounts import invitations, profiles
from chalicelib.services.devices import erasures, files
from chalicelib.services.usage import limits
from chalicelib.store import Doc, Entity, names

_BATCH = 100


class Remains(NamedTuple):
    """What is left of a profile that is being erased."""

    marker: Doc
    rows: list[Entity]
    """What the profile owns."""


def erase(*, profile: str, account: str) -> None:
    """Erase a profile of an account that has others; see ``begin``.

    Raises:
        errors.BadRequest: it is the only profile that the account owns. Without a profile, it could have no token.
    """
    if all(doc["id"] == profile for doc in profiles.owned_by(account)):
        raise errors.BadRequest("This is your only profile: create another one before you delete it")
    begin(profile=profile)


def begin(*, profile: str) -> None:
    """Erase a profile: its tokens are refused and no list shows it when this returns. The rest is removed later.

    Raises:
        errors.Unavailable: some of it may be there still; a retry or ``resume`` does the rest.

    Cost: two reads and three writes, and a write a member.
    """
    marker = {"profile": profile, "since_ms": clock.now_ms()}
    store.current().put(Entity(names.ERASURES, names.profile(profile), marker))
    _hide(profile)
    api_keys.request(profile, limits.of(profile).plan)


def _hide(profile: str) -> None:
    limits.change(profile, is_erased=True)
    owner = names.profile(profile)
    members = [entity.name.removeprefix(names.MEMBERS) for entity in store.current().list(owner, names.MEMBERS)]
    for account in (profiles.owner_of(profile), *members):
        if account:
            store.current().delete(names.account(account), [owner])
    store.current().delete(names.PROFILES, [owner])


def resume() -> int:
    """Remove what is left of every erased profile; return how many were finished. It must be called from time to time.

    Call it after ``erasures.resume``, which removes the devices' data.

    Raises:
        errors.Unavailable, deadline.TooLong: there was too little time; the next call resumes.
    """
    finished = 0
    for remains in found():
        for is_finished in clear(remains):
            finished += is_finished
            deadline.check()
    return finished


def found() -> list[Remains]:
    """Return what is left of each erased profile. It reads all of it."""
    markers = store.current().list(names.ERASURES, names.profile(""))
    return [Remains(marker.doc, store.current().list(marker.name, names.ANY)) for marker in markers]


def clear(remains: Remains) -> Iterator[bool]:
    """Remove what is left of a profile, a piece at each step. The last step yields True if the profile is finished.

    It is not finished as long as one of its devices is being erased, or late writes may arrive.
    """
    profile = remains.marker["profile"]
    _hide(profile)
    for row in remains.rows:
        remove = _REMOVERS.get(row.name.partition("#")[0])
        if remove is not None:
            remove(row)
            yield False
    if _is_settled(remains.marker) and not _is_erasing_devices(profile):
        yield from _finish(profile)
        yield True


def _is_settled(marker: Doc) -> bool:
    return store.current().is_exclusive or clock.now_ms() - marker["since_ms"] >= erasures.SETTLED_S * 1000


def _is_erasing_devices(profile: str) -> bool:
    markers = store.current().list(names.ERASURES, names.DEVICES)
    return any(marker.doc["profile"] == profile for marker in markers)


def _finish(profile: str) -> Iterator[bool]:
    """Remove the rest: the limits after all that they protect, and the marker last."""
    owner = names.profile(profile)
    files.delete_all(profile=profile)
    for holder in (names.audit(profile), owner):
        left = [entity.name for entity in store.current().list(holder, names.ANY) if entity.name != names.LIMITS]
        for start in range(0, len(left), _BATCH):
            store.current().delete(holder, left[start : start + _BATCH])
            yield False
    store.current().forget_counters("", profile=profile)
    store.current().delete(owner, [names.LIMITS])
    seed = store.current().get(names.EMBEDDED, names.SEED)
    if seed is not None and seed.doc["profile"] == profile:
        store.current().delete(names.EMBEDDED, [names.SEED])
    store.current().delete(names.ERASURES, [owner])


def _remove_with_tokens(row: Entity) -> None:
    """Remove an analysis, a run user or a network, with its tokens."""
    tokens.delete_all(owner=row.name)
    below = [entity.name for entity in store.current().list(row.name, names.ANY)]
    store.current().delete(row.name, below)
    store.current().delete(row.owner, [row.name])


_REMOVERS: dict[str, Callable[[Entity], object]] = {
    "device": lambda row: erasures.announce(device=row.doc),
    "token": lambda row: tokens.remove(row.doc),
    "invitation": lambda row: invitations.end(row.doc),
    "analysis": _remove_with_tokens,
    "run_user": _remove_with_tokens,
    "network": _remove_with_tokens,
}
"""How to remove what is stored elsewhere too, by the first part of its name."""
