"""Creates, reads, changes, deletes and lists the policies of access management, and keeps them ready to decide."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from chalicelib import errors
from chalicelib.codec import keys, times
from chalicelib.host import clock, log
from chalicelib.host.cache import Cache
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.policies import PolicyEditIn, PolicyIn
from chalicelib.services import entities
from chalicelib.services.access import catalogue, permissions
from chalicelib.services.access.permissions import Policy
from chalicelib.services.entities import Kind
from chalicelib.services.usage import resources
from chalicelib.settings import CACHE_S
from chalicelib.store import Doc, names

POLICY = Kind("Access Management", names.POLICIES)
PROTECTION_TAG = "_deletion_protection"
_LOGGED = 20
"""How much of what matches nothing is logged of a policy."""
_active: Cache[tuple[Policy, ...]] = Cache(ttl_s=CACHE_S, size=1_000)
"""The active policies of a profile."""


def create(*, profile: str, sent: PolicyIn) -> str:
    """Create a policy; return its id. What of it matches nothing is logged.

    Raises:
        errors.BadRequest: the policy names something unknown; nothing was stored.
        errors.PaymentRequired: the plan allows no more.

    Cost: that of ``resources.check``, and one conditional write.
    """
    _check(sent)
    resources.check(profile=profile, resource="am")
    now_ms, policy = clock.now_ms(), keys.new_id()
    doc: Doc = {"active": True, "tags": [], **sent, "id": policy, "profile": profile}
    doc |= {"created_ms": now_ms, "updated_ms": now_ms}
    entities.create(POLICY, owner=names.profile(profile), doc=doc)
    _changed(doc)
    return policy


def list_page(*, profile: str, query: ListQuery, may_see: Callable[[Doc], bool] | None) -> list[dict[str, Any]]:
    """Return a page of the profile's policies that the caller may see, with the fields that the client asked for."""
    docs = entities.list_all(POLICY, owner=names.profile(profile), may_see=may_see)
    return entities.page([_show(doc) for doc in docs], query)


def get_or_raise(*, profile: str, policy: str) -> Doc:
    """Return a policy as stored.

    Raises:
        errors.NotFound: the profile has no such policy.
    """
    with _naming():
        return entities.get_or_raise(POLICY, owner=names.profile(profile), doc_id=policy)


def info(*, profile: str, policy: str) -> dict[str, Any]:
    """Return a policy.

    Raises:
        errors.NotFound: the profile has no such policy.
    """
    return _show(get_or_raise(profile=profile, policy=policy))


def edit(*, profile: str, policy: str, sent: PolicyEditIn) -> None:
    """Change a policy. Fields that are not sent keep their value. What of it matches nothing is logged.

    Raises:
        errors.NotFound: the profile has no such policy.
        errors.BadRequest: the policy names something unknown; nothing was changed.
        errors.Conflict: others kept changing it.
    """
    _check(sent)
    changes = {**sent, "updated_ms": clock.now_ms()}
    with _naming():
        doc = entities.change(POLICY, owner=names.profile(profile), doc_id=policy, revise=lambda _: changes)
    _changed(doc)


def delete(*, profile: str, policy: str) -> None:
    """Delete a policy.

    Raises:
        errors.NotFound: the profile has no such policy.
        errors.BadRequest: the policy's tag ``_deletion_protection`` forbids it.
    """
    doc = get_or_raise(profile=profile, policy=policy)
    if any(tag["key"] == PROTECTION_TAG for tag in doc["tags"]):
        raise errors.BadRequest(f"The policy is protected: remove its tag {PROTECTION_TAG} before you delete it")
    entities.delete(POLICY, owner=names.profile(profile), doc_id=policy)
    _active.drop(profile)


def active(*, profile: str) -> tuple[Policy, ...]:
    """Return the active policies of a profile, ready to decide.

    Cost: one query a minute. A change counts within a minute; in the process that made it, at once.
    """
    found = _active.get(profile)
    if found is None:
        docs = entities.list_all(POLICY, owner=names.profile(profile))
        found = tuple(permissions.read(doc) for doc in docs if doc["active"])
        _active.put(profile, found)
    return found


@contextlib.contextmanager
def _naming() -> Iterator[None]:
    """Spell the error that there is no such policy as TagoIO does."""
    try:
        yield
    except errors.NotFound:
        raise errors.NotFound("Access Management Not Found") from None


def _changed(doc: Doc) -> None:
    """Note that a policy was stored: log what of it matches nothing, and let the rest count."""
    faults = permissions.faults(doc)
    if faults:
        log.line("warning", profile=doc["profile"], policy=doc["id"], ignored=faults[:_LOGGED])
    _active.drop(doc["profile"])


def _check(sent: PolicyIn | PolicyEditIn) -> None:
    """Check the names in a policy. Raises errors.BadRequest: one is unknown."""
    for index, permission in enumerate(sent.get("permissions", ())):
        _known("permissions", index, "resource", permission["resource"][0], catalogue.RESOURCES)
        for action in permission["action"]:
            _known("permissions", index, "action", action, catalogue.ACTIONS)
    for index, target in enumerate(sent.get("targets", ())):
        _known("targets", index, "kind", target[0], catalogue.CATALOGUE.keys())


def _known(field: str, index: int, what: str, name: Any, known: Any) -> None:
    if not isinstance(name, str) or name not in known:
        shown = name[:50] if isinstance(name, str) else "something that is not a text"
        reason = f"{field} {index} names the {what} {shown}, which is not one of {', '.join(sorted(known))}"
        raise errors.BadRequest.field(field, reason)


def _show(doc: Doc) -> dict[str, Any]:
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return shown | {"created_at": times.to_iso(doc["created_ms"]), "updated_at": times.to_iso(doc["updated_ms"])}
