"""Returns the devices that a caller may reach, and who the caller is."""

from collections.abc import Mapping
from typing import Literal

from chalicelib import errors, settings, store
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.services.access.callers import Caller
from chalicelib.services.entities import Kind
from chalicelib.store import Doc, names

MAX_INTEGRATIONS = 128
"""How many networks, and connectors, a process keeps: at most 26 MB each."""
DEVICE = Kind("Device", names.DEVICES, Cache(ttl_s=settings.CACHE_S))
ANALYSIS = Kind("Analysis", names.ANALYSES, Cache(ttl_s=settings.CACHE_S))
RUN_USER = Kind("Run user", names.RUN_USERS, Cache(ttl_s=settings.CACHE_S))
NETWORK = Kind("Network", names.NETWORKS, Cache(ttl_s=settings.CACHE_S, size=MAX_INTEGRATIONS))
CONNECTOR = Kind("Connector", names.CONNECTORS, Cache(ttl_s=settings.CACHE_S, size=MAX_INTEGRATIONS))
_SUBJECTS: Mapping[str, Kind] = {"analysis": ANALYSIS, "run_user": RUN_USER, "network": NETWORK}
"""By the kind of caller."""
Role = Literal["owner", "member"]
OWNER: Role = "owner"
MEMBER: Role = "member"
"""The roles of an account in a profile."""


def role_of(*, account: str, profile: str) -> Role | None:
    """Return the role of an account in a profile, or None if the account has none. Cost: one read."""
    entity = store.current().get(names.account(account), names.profile(profile)) if account else None
    return entity.doc["role"] if entity else None


def device_or_raise(*, profile: str, device: str, is_fresh: bool = False) -> Doc:
    """Return a device of the profile.

    Raises:
        errors.NotFound: the profile has no such device.

    Cost: one read if fresh. If not: no read within a minute of the last one, else half a read.
    """
    return entities.get_or_raise(DEVICE, owner=names.profile(profile), doc_id=device, is_fresh=is_fresh)


def own_device_or_raise(caller: Caller) -> Doc:
    """Return the device of a device token.

    Raises:
        errors.Denied: the device does not exist any more.
        errors.BadRequest: the device is deactivated.
    """
    try:
        device = device_or_raise(profile=caller.profile, device=caller.subject)
    except errors.NotFound:
        raise errors.Denied from None
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    return device


def subject_or_raise(caller: Caller) -> Doc:
    """Return the analysis, run user or network behind a token. Cost: half a read a minute.

    Raises:
        errors.Denied: it does not exist any more, or is inactive.
    """
    kind = _SUBJECTS[caller.kind]
    owner = names.profile(caller.profile)
    try:
        subject = entities.get_or_raise(kind, owner=owner, doc_id=caller.subject, is_fresh=False)
    except errors.NotFound:
        raise errors.Denied from None
    if not subject.get("active", True):
        raise errors.Denied
    return subject
