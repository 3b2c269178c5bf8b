"""Creates, reads, changes, deletes and lists run users, and gives them tokens.

A run user is a person who may see some devices of a profile. Policies say which.
"""

from collections.abc import Callable
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import emails, keys, times
from chalicelib.host import clock
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.run_users import UserEditIn, UserIn
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import entities
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.access.reach import RUN_USER
from chalicelib.services.usage import resources
from chalicelib.store import Doc, Entity, names

DEFAULT_LOGIN, LONGEST_LOGIN = "8 hours", "3 month"
_UNSET: Doc = {
    "timezone": "UTC", "company": None, "phone": None, "language": None, "newsletter": False, "active": False,
    "tags": [], "options": None, "custom_preferences": None, "force_password_change": False,
}  # fmt: skip


def create(*, profile: str, sent: UserIn, password_hash: str) -> str:
    """Create a run user; return its id.

    Args:
        profile: the owner.
        sent: as the schema read it.
        password_hash: from ``passwords.hashed``. The password itself is not stored.

    Raises:
        errors.BadRequest: another run user of the profile has the e-mail address; nothing was stored.
        errors.PaymentRequired: the plan allows no more.

    Cost: that of ``resources.check``, and one transaction of two entities.
    """
    resources.check(profile=profile, resource="run_users")
    now_ms, user, owner = clock.now_ms(), keys.new_id(), names.profile(profile)
    doc: Doc = {
        **_UNSET, **sent, "password": password_hash, "id": user, "profile": profile, "created_ms": now_ms,
        "updated_ms": now_ms,
    }  # fmt: skip
    by_email = Entity(owner, names.run_email(emails.key_hash(sent["email"])), {"run_user": user})
    if not store.current().write_all([Entity(owner, names.run_user(user), doc), by_email]):
        raise errors.BadRequest.field("email", "email is the address of another run user")
    return user


def list_page(*, profile: str, query: ListQuery, may_see: Callable[[Doc], bool] | None) -> list[dict[str, Any]]:
    """Return a page of the profile's run users that the caller may see, with the fields that the client asked for."""
    docs = entities.list_all(RUN_USER, owner=names.profile(profile), may_see=may_see)
    return entities.page([show(doc) for doc in docs], query)


def get_or_raise(*, profile: str, user: str, is_fresh: bool = False) -> Doc:
    """Return a run user as stored.

    Raises:
        errors.NotFound: the profile has no such run user.

    Cost: one read if fresh. If not: no read within a minute of the last one, else half a read.
    """
    return entities.get_or_raise(RUN_USER, owner=names.profile(profile), doc_id=user, is_fresh=is_fresh)


def info(*, profile: str, user: str) -> dict[str, Any]:
    """Return a run user.

    Raises:
        errors.NotFound: the profile has no such run user.
    """
    return show(get_or_raise(profile=profile, user=user, is_fresh=True))


def edit(*, profile: str, user: str, sent: UserEditIn, password_hash: str | None) -> None:
    """Change a run user. A new password, or ``logout_sessions``, ends all its tokens.

    Args:
        profile: the owner.
        user: the id.
        sent: as the schema read it. Fields that are not sent keep their value.
        password_hash: of the new password; None: it stays.

    Raises:
        errors.NotFound: the profile has no such run user.
        errors.Conflict: others kept changing it.
    """
    changes = {name: value for name, value in sent.items() if name not in ("logout_sessions", "password")}
    if password_hash is not None:
        changes["password"] = password_hash
    changes["updated_ms"] = clock.now_ms()
    entities.change(RUN_USER, owner=names.profile(profile), doc_id=user, revise=lambda _: changes)
    if password_hash is not None or sent.get("logout_sessions"):
        tokens.delete_all(owner=names.run_user(user))


def delete(*, profile: str, user: str) -> None:
    """Delete a run user: first its tokens, then the user with its e-mail address.

    Raises:
        errors.NotFound: the profile has no such run user.
        errors.Conflict: others are changing it; a retry resumes.
    """
    doc, owner = get_or_raise(profile=profile, user=user, is_fresh=True), names.profile(profile)
    tokens.delete_all(owner=names.run_user(user))
    deletes = [(owner, names.run_user(user)), (owner, names.run_email(emails.key_hash(doc["email"])))]
    if not store.current().write_all((), deletes):
        raise errors.Conflict("The run user is being changed by others, try again")
    entities.forget(RUN_USER, owner=owner, doc_id=user)


def login(*, profile: str, user: str, expire_time: str | None, giver: Caller) -> dict[str, Any]:
    """Make a token with which to call as a run user.

    Args:
        profile: the owner.
        user: the id.
        expire_time: a span such as ``3 month``, which is the longest, or a date. None: 8 hours.
        giver: who asks. Its token must be full.

    Raises:
        errors.NotFound: the profile has no such run user.
        errors.BadRequest: the run user is inactive, or ``expire_time`` is too late or no time; nothing was stored.
    """
    doc = get_or_raise(profile=profile, user=user, is_fresh=True)
    if not doc["active"]:
        raise errors.BadRequest("The run user is inactive")
    now_ms = clock.now_ms()
    sent: TokenIn = {"name": "Login as run user", "permission": "full", "expire_time": expire_time or DEFAULT_LOGIN}
    created = tokens.new(kind="run_user", profile=profile, subject=user, sent=sent, account=giver.account)
    expires_ms = created.entities[0].doc["expires_ms"]
    if expires_ms is None or expires_ms > times.parse_span(LONGEST_LOGIN, now_ms, 1):
        raise errors.BadRequest.field("expire_time", f"expire_time must be within {LONGEST_LOGIN}")
    tokens.store_all(created.entities)
    shown = {name: created.shown[name] for name in ("token", "expire_time", "expire_date")}
    return {**shown, "name": sent["name"], "run_user": user, "created_at": times.to_iso(now_ms)}


def show(doc: Doc) -> dict[str, Any]:
    """Return a run user as clients see it, without its password."""
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms") and name != "password"}
    return shown | {
        "last_login": None,
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc["updated_ms"]),
    }
