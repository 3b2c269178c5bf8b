"""One-time links that are mailed. Only the SHA-256 of a link's token is stored, in the account that it belongs to.

A token is the account's id and 128 random bits, in hex. It works for one purpose, until it is used or expires. An
account has at most five links of a purpose; a sixth ends the oldest one.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal

from chalicelib import errors
from chalicelib.codec import tokens
from chalicelib.host import clock
from chalicelib.services.accounts import accounts
from chalicelib.store import Doc

Purpose = Literal["confirm", "reset"]
LASTS_MS: dict[Purpose, int] = {"confirm": 86_400_000, "reset": 1_800_000}
"""A day to confirm an address, 30 minutes to reset a password."""
PAUSE_MS = 60_000
"""How long no further link is mailed to an account: nobody can fill its mailbox."""
MAX_A_DAY = 20
_KEPT = 5
_DAY_MS = 86_400_000
_SHAPE = re.compile(r"([0-9a-f]{24})[0-9a-f]{32}")


def issue(account: str, purpose: Purpose, chosen: Doc | None = None) -> str | None:
    """Make a token that is about to be mailed; return None if the account got enough mails.

    Args:
        account: the id of the account.
        purpose: what the token is for.
        chosen: fields of the account that were chosen with the request for the mail, for ``chosen``.

    Cost: one read and one conditional write.
    """
    text = account + secrets.token_hex(16)
    link = {"hash": tokens.fingerprint(text), "expires_ms": clock.now_ms() + LASTS_MS[purpose], "chosen": chosen or {}}

    def changes(doc: Doc) -> Mapping[str, Any]:
        links = {**(doc.get("links") or {}), purpose: [*_valid(doc, purpose), link][-_KEPT:]}
        return _one_more_mail(doc, {"links": links})

    doc = accounts.revise(account, changes)
    return text if link in _valid(doc, purpose) else None


def may_mail(account: str) -> bool:
    """Count a mail without a link; return whether it may be sent. Cost: one read and one conditional write."""
    counted = False

    def changes(doc: Doc) -> Mapping[str, Any]:
        nonlocal counted
        changed = _one_more_mail(doc, {})
        counted = bool(changed)
        return changed

    accounts.revise(account, changes)
    return counted


def _one_more_mail(account: Doc, changes: Doc) -> Doc:
    """Return the changes, with the mail counted; none if the account got enough mails."""
    now_ms = clock.now_ms()
    mailed = [at_ms for at_ms in account.get("mailed_ms", ()) if at_ms > now_ms - _DAY_MS]
    if len(mailed) >= MAX_A_DAY or (mailed and mailed[-1] > now_ms - PAUSE_MS):
        return {}
    return {**changes, "mailed_ms": [*mailed, now_ms]}


def use(text: str, purpose: Purpose, changes_of: Callable[[Doc], Mapping[str, Any]]) -> Doc:
    """Use a token up and change its account, both at once; return the account.

    Args:
        text: the token, as the client sent it.
        purpose: what it must be for.
        changes_of: gets the account and returns the changed fields.

    Raises:
        errors.BadRequest: the token is unknown, used, expired or for another purpose.
        errors.Conflict: others kept changing the account.

    Cost: one read and one conditional write.
    """

    def changes(doc: Doc) -> Mapping[str, Any]:
        _require(doc, text, purpose)
        return {**changes_of(doc), "links": {**doc["links"], purpose: []}, "updated_ms": clock.now_ms()}

    return accounts.revise(account_or_raise(text, purpose)["id"], changes)


def account_or_raise(text: str, purpose: Purpose) -> Doc:
    """Return the account of a token that works. Raises errors.BadRequest. Cost: one read, none without its shape."""
    match = _SHAPE.fullmatch(text)
    try:
        account = accounts.get_or_raise(match[1] if match else "")
    except errors.NotFound:
        raise _refusal() from None
    _require(account, text, purpose)
    return account


def chosen(account: Doc, purpose: Purpose, text: str | None = None) -> Doc:
    """Return the fields that were chosen with a link: that of a token, or without one the newest that works."""
    found = [link for link in _valid(account, purpose) if text is None or link["hash"] == tokens.fingerprint(text)]
    return found[-1].get("chosen", {}) if found else {}


def has_shape(text: str) -> bool:
    """Return whether a text has the shape of a token."""
    return _SHAPE.fullmatch(text) is not None


def _require(account: Doc, text: str, purpose: Purpose) -> None:
    hashed = tokens.fingerprint(text)
    if not any(hmac.compare_digest(link["hash"], hashed) for link in _valid(account, purpose)):
        raise _refusal()


def _valid(account: Doc, purpose: Purpose) -> list[Doc]:
    links = (account.get("links") or {}).get(purpose, ())
    return [link for link in links if link["expires_ms"] > clock.now_ms()]


def _refusal() -> errors.BadRequest:
    return errors.BadRequest("The link was used, has expired, or is not complete: ask for another one")
