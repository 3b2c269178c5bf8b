"""Creates accounts, finds them, and tells for which account a caller acts.

An account is a person, known by an e-mail address. It owns profiles and is a member of others.
"""

import hashlib
import unicodedata
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import clock
from chalicelib.services import entities
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import profiles
from chalicelib.store import Doc, Entity, names


def email_key(email: str) -> str:
    """Return the text by which an e-mail address is known, however it was typed.

    >>> email_key(" A@x.org ")
    'a@x.org'
    """
    return unicodedata.normalize("NFKC", email.strip()).casefold()


def create(*, name: str, email: str, password_hash: str, is_active: bool = True, **more: Any) -> str | None:
    """Create an account; return its id, or None if another account has the e-mail address.

    Args:
        name: a name for people.
        email: shown as given; known by its ``email_key``.
        password_hash: from ``passwords.hashed``.
        is_active: whether it may log in: its e-mail address needs no confirmation.
        more: further fields.

    Cost: one transaction of three entities.
    """
    account, now_ms = keys.new_id(), clock.now_ms()
    doc: Doc = {
        **more,
        "id": account,
        "name": name,
        "email": email.strip(),
        "password": password_hash,
        "active": is_active,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    owner = names.account(account)
    stored = [
        Entity(names.ACCOUNTS, owner, {}),
        Entity(owner, names.ACCOUNT, doc),
        Entity(_email_owner(email), names.ACCOUNT, {"account": account}),
    ]
    return account if store.current().write_all(stored) else None


def _email_owner(email: str) -> str:
    return names.email(hashlib.sha256(email_key(email).encode()).hexdigest())


def find(email: str) -> Doc | None:
    """Return the account with an e-mail address. Cost: two reads, one if there is none."""
    entry = store.current().get(_email_owner(email), names.ACCOUNT)
    account = store.current().get(names.account(entry.doc["account"]), names.ACCOUNT) if entry else None
    return account.doc if account else None


def get_or_raise(account: str) -> Doc:
    """Return an account. Cost: one read.

    Raises:
        errors.NotFound: there is none with this id.
    """
    entity = store.current().get(names.account(account), names.ACCOUNT) if keys.is_id(account) else None
    if entity is None:
        raise errors.NotFound("Account not found")
    return entity.doc


def change(account: str, **changes: Any) -> Doc:
    """Change some fields of an account; return the new document.

    Raises:
        errors.NotFound: there is none with this id.
        errors.Conflict: others kept changing it.
    """

    def revised(doc: Doc | None) -> Doc:
        if doc is None:
            raise errors.NotFound("Account not found")
        return {**doc, **changes, "updated_ms": clock.now_ms()}

    conflict = "The account is being changed by others, try again"
    return entities.update(owner=names.account(account), name=names.ACCOUNT, revise=revised, conflict=conflict)


def list_all() -> list[Doc]:
    """Return every account of the deployment, the oldest first. Cost: one read an account."""
    owners = [entity.name for entity in store.current().list(names.ACCOUNTS, names.account(""))]
    found = [store.current().get(owner, names.ACCOUNT) for owner in owners]
    return sorted(
        (entity.doc for entity in found if entity is not None), key=lambda doc: (doc["created_ms"], doc["id"])
    )


def acting_for(caller: Caller) -> str:
    """Return the id of the account for which a profile token acts: the one that made it, else the profile's owner.

    Returns:
        An empty text if the deployment has no account that owns the profile yet.

    Cost: no read if the token names its account; else one.
    """
    return caller.account or profiles.owner_of(caller.profile)
