"""Creates accounts, finds them, and tells for which account a caller acts.

An account is a person, known by an e-mail address. It owns profiles and is a member of others.
"""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import emails, keys, times
from chalicelib.host import clock
from chalicelib.services import entities
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import limits, plans
from chalicelib.services.usage.plans import Plan
from chalicelib.store import Doc, Entity, names

_DEFAULTS: Doc = {
    "blocked": False, "timezone": "UTC", "language": "en", "company": None, "phone": None, "newsletter": False,
    "developer": False, "send_invoice": False, "stripe_id": None, "options": {},
}  # fmt: skip
"""What clients see of an account that never said anything about it."""


def create(*, name: str, email: str, password_hash: str, is_active: bool = True, **more: Any) -> str | None:
    """Create an account; return its id, or None if another account has the e-mail address.

    Args:
        name: a name for people.
        email: shown as given; known by its ``emails.key``.
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
        Entity(email_owner(email), names.ACCOUNT, {"account": account}),
    ]
    return account if store.current().write_all(stored) else None


def email_owner(email: str) -> str:
    """Return the owner of the entry by which an account is found, and of its invitations."""
    return names.email(emails.key_hash(email))


def find(email: str) -> Doc | None:
    """Return the account with an e-mail address. Cost: two reads, one if there is none."""
    entry = store.current().get(email_owner(email), names.ACCOUNT)
    account = store.current().get(names.account(entry.doc["account"]), names.ACCOUNT) if entry else None
    return account.doc if account else None


def get(account: str) -> Doc | None:
    """Return an account, or None if there is none with this id. Cost: one read."""
    entity = store.current().get(names.account(account), names.ACCOUNT) if keys.is_id(account) else None
    return entity.doc if entity else None


def get_or_raise(account: str) -> Doc:
    """Return an account. Cost: one read.

    Raises:
        errors.NotFound: there is none with this id.
    """
    doc = get(account)
    if doc is None:
        raise errors.NotFound("Account not found")
    return doc


def change(account: str, **changes: Any) -> Doc:
    """Change some fields of an account; return the new document. Raises as ``revise``."""
    return revise(account, lambda _: {**changes, "updated_ms": clock.now_ms()})


def revise(account: str, changes_of: Callable[[Doc], Mapping[str, Any]]) -> Doc:
    """Change some fields of an account; return the new document.

    Args:
        account: its id.
        changes_of: gets the document and returns the changed fields. It is called again after each lost race, and may
            raise. If it returns nothing, nothing is written.

    Raises:
        errors.NotFound: there is none with this id.
        errors.Conflict: others kept changing it.

    Cost: one read and one conditional write.
    """

    def revised(doc: Doc | None) -> Doc:
        if doc is None:
            raise errors.NotFound("Account not found")
        changes = changes_of(doc)
        return {**doc, **changes} if changes else doc

    conflict = "The account is being changed by others, try again"
    return entities.update(owner=names.account(account), name=names.ACCOUNT, revise=revised, conflict=conflict)


def show(account: Doc) -> dict[str, Any]:
    """Return an account as clients see it. Nothing of its password, pins and links is in it."""
    shown = {name: account.get(name, value) for name, value in _DEFAULTS.items()}
    last_login_ms = account.get("last_login_ms")
    return shown | {
        "id": account["id"],
        "name": account["name"],
        "email": account["email"],
        "active": account["active"],
        "type": "user",
        "plan": plan_of(account["id"]).name,
        "last_login": None if last_login_ms is None else times.to_iso(last_login_ms),
        "otp": {"authenticator": bool((account.get("otp") or {}).get("is_on")), "sms": False, "email": False},
        "created_at": times.to_iso(account["created_ms"]),
        "updated_at": times.to_iso(account["updated_ms"]),
    }


def show_plan(account: str) -> dict[str, Any]:
    """Return the price plan of an account as clients see it, with the requests a minute and a month."""
    plan = plan_of(account)
    return {
        "plan": plan.name,
        "requests_per_minute": plan.others_per_minute or plans.UNLIMITED,
        "requests_per_month": plan.requests_per_month or plans.UNLIMITED,
    }


def edit(account: str, sent: Mapping[str, Any]) -> None:
    """Change what a client may change of an account.

    Raises:
        errors.BadRequest: the e-mail address is another one.
        errors.NotFound: there is none with this id.
    """
    changes = {name: value for name, value in sent.items() if name != "email"}

    def revised(doc: Doc) -> Doc:
        if "email" in sent and emails.key(sent["email"]) != emails.key(doc["email"]):
            raise errors.BadRequest.field("email", "email cannot be changed")
        options = {**(doc.get("options") or {}), **(changes.get("options") or {})}
        return {**changes, "options": options, "updated_ms": clock.now_ms()}

    revise(account, revised)


def remove(account: Doc) -> None:
    """Remove an account and its e-mail address. What it owns must have been removed before. Cost: one transaction.

    Raises:
        errors.Conflict: others are changing it.
    """
    owner = names.account(account["id"])
    parts = [(names.ACCOUNTS, owner), (owner, names.ACCOUNT), (email_owner(account["email"]), names.ACCOUNT)]
    if not store.current().write_all((), parts):
        raise errors.Conflict("The account is being changed by others, try again")


def plan_of(account: str) -> Plan:
    """Return the price plan of an account: that of its oldest profile. Cost: one read, and one a profile."""
    owned = profiles.owned_by(account)
    return limits.of(owned[0]["id"]).figures if owned else plans.load()[plans.default()]


def list_all() -> list[Doc]:
    """Return every account of the deployment, the oldest first. Cost: one read an account."""
    owners = [entity.name for entity in store.current().list(names.ACCOUNTS, names.account(""))]
    found = [store.current().get(owner, names.ACCOUNT) for owner in owners]
    return sorted(
        (entity.doc for entity in found if entity is not None), key=lambda doc: (doc["created_ms"], doc["id"])
    )


def acting_for(caller: Caller) -> str:
    """Return the id of the account for which a caller acts: the one that made its profile token, else the owner.

    Returns:
        An empty text if the deployment has no account that owns the profile yet.

    Cost: no read if the token names its account; else one.
    """
    own = caller.account if caller.kind == "profile" else ""
    return own or profiles.owner_of(caller.profile)
