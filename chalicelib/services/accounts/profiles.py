"""Profiles: whose devices these are. For now one is made at the first start; there is no route to make another."""

from chalicelib import store
from chalicelib.codec import keys
from chalicelib.host import clock
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services.access import tokens
from chalicelib.services.usage import plans
from chalicelib.store import ABSENT, Doc, Entity

_ALL = "profiles"


def create(*, name: str, token: str | None = None) -> tuple[str, str]:
    """Make a profile with one full token.

    Args:
        name: for people.
        token: the text that the token shall have, instead of a derived one.

    Returns:
        The profile's id and the token.
    """
    profile = keys.new_id()
    doc = {"id": profile, "name": name, "plan": plans.DEFAULT, "created_ms": clock.now_ms()}
    here = store.current()
    here.put(Entity(_ALL, f"profile#{profile}", {}))
    here.put(Entity(f"profile#{profile}", "profile", doc), expected=ABSENT)
    first: TokenIn = {"name": "Default", "permission": "full"}
    made = tokens.create(kind="profile", profile=profile, device="", sent=first, chosen=token)
    text: str = made["token"]
    return profile, text


def list_all() -> list[Doc]:
    """Return every profile of the deployment, with ``id``, ``name`` and ``plan``. Cost: one read a profile."""
    here = store.current()
    names = [entity.name for entity in here.list(_ALL, "profile#")]
    found = [here.get(name, "profile") for name in names]
    return [entity.doc for entity in found if entity is not None]
