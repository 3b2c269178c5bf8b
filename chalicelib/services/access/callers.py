"""Finds the caller behind a token. Apart from ``tokens``, so that the authorizer loads only what it needs."""

from typing import Any, NamedTuple

from chalicelib import errors, store
from chalicelib.codec import tokens
from chalicelib.codec.tokens import Kind, Permission
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.services.usage import limits
from chalicelib.settings import CACHE_S
from chalicelib.store import Doc, names


def includes(permission: str, need: str) -> bool:
    """Return whether a permission includes another one: read, write or full. Full includes the others."""
    return permission in ("full", need)


class Caller(NamedTuple):
    """Who makes a request, and with which permission."""

    kind: Kind
    profile: str
    subject: str
    """The id of the device, analysis, run user or network; empty for a profile token and a service authorization."""
    permission: Permission
    """full, write or read."""
    expires_ms: int | None
    """When the token stops working; None: never."""
    fingerprint: str
    """The fingerprint of the token."""
    account: str = ""
    """The account that made the token; empty: the profile's owner, an operator, or an earlier version."""

    @property
    def is_governed(self) -> bool:
        """Whether policies of access management say what it may do."""
        return self.kind in ("analysis", "run_user")

    def may(self, need: str) -> bool:
        """Return whether the token has a permission: read, write or full. Full includes the others."""
        return includes(self.permission, need)


class Reader(NamedTuple):
    """Who reads a list of tokens, which decides whose texts it shows."""

    permission: Permission
    """The permission of the token that asks."""
    account: str
    """The account for which it acts; empty if the profile has no owner yet."""
    is_owner: bool
    """Whether that account owns the profile."""

    def sees(self, doc: Doc) -> bool:
        """Return whether the text of a token is shown: it gives no more than the reader has, and is not another's.

        The owner is shown every text but those of profile tokens that others made with their passwords.
        """
        made_by = of_doc(doc).account
        if not includes(self.permission, doc["permission"]):
            return False
        if self.is_owner:
            return doc["kind"] != "profile" or made_by in ("", self.account)
        return made_by != "" and made_by == self.account


_callers: Cache[Caller] = Cache(ttl_s=CACHE_S)


def resolve(*, text: str, is_fresh: bool = False) -> Caller | None:
    """Return the caller behind a token, or None if the text is no token, or the token is unknown, expired or erased.

    A token is erased with its profile, before it is removed from the store.

    Args:
        text: what the client sent.
        is_fresh: whether the token must be read now. If not, it may be a minute old.

    Cost: one read, and that of ``limits.of``. None if the text does not have a token's shape or, if not fresh, if the
        token was read within the last minute.
    """
    bare = tokens.bare(text) if len(text) < 64 else None
    if bare is None:
        return None
    fingerprint = tokens.fingerprint(bare)
    caller = None if is_fresh else _callers.get(fingerprint)
    if caller is None:
        _callers.drop(fingerprint)
        entity = store.current().get(names.token(fingerprint), names.TOKEN)
        if entity is None:
            return None
        caller = of_doc(entity.doc)
        _callers.put(fingerprint, caller)
    if caller.expires_ms is not None and caller.expires_ms <= clock.now_ms():
        return None
    return None if _is_erased(caller) else caller


def _is_erased(caller: Caller) -> bool:
    try:
        return limits.of(caller.profile).is_erased
    except errors.Unavailable:
        if caller.kind != "device":
            raise
        return False  # the data of a device is let through


def of_doc(doc: Doc) -> Caller:
    """Return the caller of a stored token. Earlier versions wrote ``device`` for ``subject``, and no account."""
    subject = doc["subject"] if "subject" in doc else doc["device"]
    return Caller(
        doc["kind"],
        doc["profile"],
        subject,
        doc["permission"],
        doc["expires_ms"],
        doc["fingerprint"],
        doc.get("account", ""),
    )


def forget(*, fingerprint: str) -> None:
    """Drop the cached caller of a token, so that the next call reads it from the store."""
    _callers.drop(fingerprint)


def to_context(caller: Caller) -> dict[str, str]:
    """Return a caller as the context of an authorizer, which can hold only texts."""
    return {name: "" if value is None else str(value) for name, value in caller._asdict().items()}


def from_context(context: dict[str, Any]) -> Caller:
    """Return the caller of a context from ``to_context``, which API Gateway passes on."""
    expires_ms = context["expires_ms"]
    return Caller(
        context["kind"],
        context["profile"],
        context["subject"],
        context["permission"],
        int(expires_ms) if expires_ms else None,
        context["fingerprint"],
        context["account"],
    )
