"""What a token stands for. Apart from the other token services, so that an authorizer loads nothing else."""

from typing import Any, NamedTuple

from chalicelib import store
from chalicelib.codec import tokens
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.settings import CACHE_S


class Grant(NamedTuple):
    """Whom a token speaks for and what it may do."""

    kind: str
    """device or profile."""
    profile: str
    device: str
    """Empty for a profile token."""
    permission: str
    """full, write or read."""
    expires_ms: int | None
    fingerprint: str


_grants: Cache[Grant] = Cache(ttl_s=CACHE_S)


def resolve(*, text: str) -> Grant | None:
    """Return what a token stands for, or None: not a token, unknown or expired.

    Cost: no read within 60 s of the last time, else one; none when the text has not the shape of a token.
    """
    bare = tokens.bare(text) if len(text) < 64 else None
    if bare is None:
        return None
    fingerprint = tokens.fingerprint(bare)
    grant = _grants.get(fingerprint)
    if grant is None:
        entity = store.current().get(f"token#{fingerprint}", "token")
        if entity is None:
            return None
        doc = entity.doc
        grant = Grant(doc["kind"], doc["profile"], doc["device"], doc["permission"], doc["expires_ms"], fingerprint)
        _grants.put(fingerprint, grant)
    if grant.expires_ms is not None and grant.expires_ms <= clock.now_ms():
        return None
    return grant


def forget(*, fingerprint: str) -> None:
    """Look again the next time."""
    _grants.drop(fingerprint)


def to_context(grant: Grant) -> dict[str, str]:
    """Write a grant as the context of an authorizer: texts only."""
    return {name: "" if value is None else str(value) for name, value in grant._asdict().items()}


def from_context(context: dict[str, Any]) -> Grant:
    """Read back what ``to_context`` wrote, as API Gateway hands it on."""
    expires = context["expires_ms"]
    return Grant(
        context["kind"],
        context["profile"],
        context["device"],
        context["permission"],
        int(expires) if expires else None,
        context["fingerprint"],
    )
