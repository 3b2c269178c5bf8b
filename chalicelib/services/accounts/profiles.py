"""Creates, lists and deletes profiles, the owners of devices.

The first start creates one. No route creates or deletes another yet.
"""

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import clock
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services.access import tokens
from chalicelib.services.usage import limits, plans
from chalicelib.store import Doc, Entity, names

OWNER, MEMBER = "owner", "member"
"""The roles of an account in a profile."""


def create(*, name: str, token: str | None = None, plan: str = plans.DEFAULT, account: str = "") -> tuple[str, str]:
    """Create a profile with one full token.

    Args:
        name: a name for people.
        token: the text of the token. None: it is derived.
        plan: the name of its price plan.
        account: the id of the account that owns it. Empty: the first account, once there is one.

    Returns:
        The profile's id and the token.

    Raises:
        errors.BadRequest: ``token`` does not have the shape of a token; nothing was stored.
        errors.Conflict: a token with the text ``token`` exists already; nothing was stored.
    """
    profile = keys.new_id()
    doc = {"id": profile, "name": name, "plan": plan, "account": account, "created_ms": clock.now_ms()}
    first: TokenIn = {"name": "Default", "permission": "full"}
    created = tokens.new(kind="profile", profile=profile, subject="", sent=first, chosen=token)
    listed = Entity(names.PROFILES, names.profile(profile), {})
    stored = Entity(names.profile(profile), names.PROFILE, doc)
    owned = [Entity(names.account(account), names.profile(profile), {"role": OWNER})] if account else []
    tokens.store_all([listed, stored, limits.new(profile, plan), *owned, *created.entities])
    text: str = created.shown["token"]
    return profile, text


def owner_of(profile: str) -> str:
    """Return the id of the account that owns a profile; empty if no account does yet. Cost: one read."""
    entity = store.current().get(names.profile(profile), names.PROFILE)
    return str(entity.doc.get("account", "")) if entity else ""


def of_account(account: str) -> dict[str, str]:
    """Return the role of an account in its profiles, ``owner`` or ``member``, by the profile's id. Cost: one read."""
    rows = store.current().list(names.account(account), names.profile(""))
    return {row.name.removeprefix(names.profile("")): row.doc["role"] for row in rows}


def list_all() -> list[Doc]:
    """Return every profile of the deployment, with ``id``, ``name`` and ``plan``. Cost: one read a profile."""
    owners = [entity.name for entity in store.current().list(names.PROFILES, names.profile(""))]
    profiles = [store.current().get(owner, names.PROFILE) for owner in owners]
    return [entity.doc for entity in profiles if entity is not None]


def delete(*, profile: str) -> None:
    """Delete a profile with its tokens and all that it owns. Its devices must have been deleted before.

    Raises:
        errors.Conflict: a device exists, or others are changing the profile; nothing was deleted.
    """
    owner = names.profile(profile)
    rows = store.current().list(owner, names.ANY)
    if any(row.name.startswith(names.DEVICES) for row in rows):
        raise errors.Conflict("The profile has devices: delete them first")
    callers = [(row.name, names.TOKEN) for row in rows if row.name.startswith(names.TOKENS)]
    if not store.current().write_all((), [(names.PROFILES, owner), (owner, names.PROFILE), *callers]):
        raise errors.Conflict("The profile is being changed by others, try again")
    store.current().delete(owner, [row.name for row in rows])
