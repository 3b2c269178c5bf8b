"""Profiles: whose devices these are. For now one is made at the first start; there is no route to make another."""

from chalicelib import clock, store
from chalicelib.codec import keys
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import tokens
from chalicelib.store import ABSENT, Entity


def create(*, name: str, token: str | None = None) -> tuple[str, str]:
    """Make a profile with one full token.

    Args:
        name: for people.
        token: the text that the token shall have, instead of a derived one.

    Returns:
        The profile's id and the token.
    """
    profile = keys.new_id()
    doc = {"id": profile, "name": name, "created_ms": clock.now_ms()}
    store.current().put(Entity(f"profile#{profile}", "profile", doc), expected=ABSENT)
    first: TokenIn = {"name": "Default", "permission": "full"}
    made = tokens.create(kind="profile", profile=profile, device="", sent=first, chosen=token)
    text: str = made["token"]
    return profile, text
