"""People who own profiles, share them, and make tokens of every permission there."""

from typing import Any

from chalicelib import store
from chalicelib.services.access import tokens
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import limits
from chalicelib.store import Entity, names
from tests.kit import accounts
from tests.kit.accounts import PASSWORD
from tests.kit.api import Api
from tests.kit.world import World


class Person(accounts.Person):
    """An account with a profile, and callers with tokens that it made.

    Args:
        email: its address.
        plan: the plan of its profile.
    """

    def __init__(self, email="a@x.org", plan=None):
        super().__init__(email)
        if plan is not None:
            limits.change(self.profile, plan=plan)
        self.account = self.id
        self.admin = Api(self.owner_token)
        """Calls with a full token of the profile that no account made."""

    def token(self, profile=None, permission="full", name="made"):
        """Return a token of a profile that this account made by its password."""
        sent: Any = {"name": name, "permission": permission}
        made = tokens.new(
            kind="profile", profile=profile or self.profile, subject="", sent=sent, account=self.account, is_login=True
        )
        tokens.store_all(made.entities)
        return made.shown["token"]

    def api(self, profile=None, permission="full"):
        """Return a caller with such a token."""
        return Api(self.token(profile, permission))

    def sign_in(self, **more):
        """Return the fields of a body that prove who this is."""
        return {"email": self.email, "password": PASSWORD, **more}


def share(profile, person):
    """Make a person a member of a profile."""
    member = {"account": person.account, "role": "member", "created_ms": 0}
    store.current().put(Entity(names.account(person.account), names.profile(profile), {"role": "member"}))
    store.current().put(Entity(names.profile(profile), names.member(person.account), member))


def world_of(person, **sent):
    """Return a world whose profile belongs to a person."""
    world = World(**sent)
    profiles.adopt(profiles.get_or_raise(world.profile), person.account)
    return world
