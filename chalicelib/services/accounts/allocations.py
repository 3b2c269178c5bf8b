"""What each profile may use of each service. Its plan decides, so an allocation cannot change it."""

from collections.abc import Mapping
from typing import Any

from chalicelib import errors
from chalicelib.codec import times
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import limits


def list_of(*, account: str, profile: str) -> list[dict[str, Any]]:
    """Return what each profile of an account may use. Cost: one read, and two a profile.

    Args:
        account: whose. Empty: no account owns anything yet, so only ``profile`` is returned.
        profile: the caller's profile.
    """
    docs = profiles.owned_by(account) if account else [profiles.get_or_raise(profile)]
    return [
        {"profile": doc["id"], **profiles.allocation(limits.of(doc["id"]).figures), "updated_at": _changed_at(doc)}
        for doc in docs
    ]


def _changed_at(doc: Mapping[str, Any]) -> str:
    return times.to_iso(doc.get("updated_ms", doc["created_ms"]))


def check(*, profile: str, sent: Mapping[str, Any]) -> None:
    """Return if a profile has what an allocation wants.

    Raises:
        errors.BadRequest: it has another amount of a service.
    """
    plan = limits.of(profile).figures
    for service, amount in profiles.allocation(plan).items():
        if sent.get(service, amount) != amount:
            reason = f"{service} of this profile is {amount}, as its plan {plan.name} says, and cannot be allocated"
            raise errors.BadRequest.field(service, reason)
