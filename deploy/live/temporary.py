"""What the checks make in a stage and remove in the end: profiles with API keys, devices, a token that is damaged."""

import functools
import secrets
import uuid
from collections.abc import Callable
from typing import NamedTuple

from chalicelib import store
from chalicelib.codec import tokens
from chalicelib.host import clock
from chalicelib.services import entities
from chalicelib.services.access import reach
from chalicelib.services.access import tokens as token_service
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import keys
from chalicelib.services.usage.keys import Request
from chalicelib.store import Doc, Entity, names
from deploy.gateway import use_gateway
from deploy.live.api import Api
from deploy.parts import Cloud

NAME = "Temporary, of check --live"
"""How the names of the profiles begin."""
_LEFTOVER_MS = 600_000
"""A profile of another run that is older was left by a run that was killed."""
_DAMAGED_FOR_S = 3_600
"""After this time DynamoDB removes the damaged token, if nothing else does."""


class Visitor(NamedTuple):
    """A profile with a full token, or a device with one."""

    id: str
    token: str


class Temporary:
    """Makes things and knows how to remove them, even if making them was interrupted.

    Args:
        cloud: the account and stage. Its store must be in use.
        api: removes devices, as clients do.
    """

    def __init__(self, cloud: Cloud, api: Api) -> None:
        use_gateway(cloud)
        self._api = api
        self._name = f"{NAME} {secrets.token_hex(4)}"
        self._damaged: list[str] = []

    def profile(self, plan: str) -> Visitor:
        """Make a profile with an API key in the usage plan of a price plan. API Gateway may know it a minute later.

        Raises:
            errors.Unavailable: API Gateway failed.
            errors.NotFound: the usage plan does not exist.
        """
        profile, token = profiles.create(name=self._name, plan=plan)
        keys.make_at_once(Request(profile, plan))
        return Visitor(profile, token)

    def device(self, owner: Visitor) -> Visitor:
        """Make a device of a profile, over the API. Raises api.Refused: the API does not make it."""
        made = self._api.ask("POST", "/device", owner.token, {"name": self._name}).result
        return Visitor(made["device_id"], made["token"])

    def damaged_token(self) -> str:
        """Make a token whose row lacks what the authorizer reads, so that its function raises for this token alone."""
        text = str(uuid.uuid4())
        owner = names.token(tokens.fingerprint(text))
        self._damaged.append(owner)
        expires_at = clock.now_ms() // 1000 + _DAMAGED_FOR_S
        store.current().put(Entity(owner, names.TOKEN, {"damaged_by": self._name}, 1, expires_at))
        return text

    def remove(self) -> list[str]:
        """Remove everything, also what an earlier run left. Return what could not be removed, each with the reason."""
        left: list[str] = []
        for owner in self._damaged:
            self._try(left, "a damaged token, which expires in an hour", functools.partial(_remove_token, owner))
        self._try(left, "temporary profiles", lambda: self._remove_profiles(left))
        return left

    def _remove_profiles(self, left: list[str]) -> None:
        for doc in profiles.list_all():
            if self._is_temporary(doc):
                self._try(left, f"profile {doc['id']}", functools.partial(self._remove_profile, doc["id"]))

    def _is_temporary(self, doc: Doc) -> bool:
        name = str(doc.get("name", ""))
        is_leftover = name.startswith(NAME) and doc["created_ms"] < clock.now_ms() - _LEFTOVER_MS
        return name == self._name or is_leftover

    def _remove_profile(self, profile: str) -> None:
        """Remove the devices first: that needs the profile's token and key."""
        owner = names.profile(profile)
        for device in entities.list_all(reach.DEVICE, owner=owner):
            token = token_service.list_all(owner=owner)[0]["token"]
            _ = self._api.ask("DELETE", f"/device/{device['id']}", token).result
        keys.delete(profile)
        profiles.delete(profile=profile)

    @staticmethod
    def _try(left: list[str], what: str, remove: Callable[[], None]) -> None:
        try:
            remove()
        except Exception as error:  # the rest must be removed all the same
            left.append(f"{what}: {type(error).__name__}: {error}")


def _remove_token(owner: str) -> None:
    store.current().delete(owner, [names.TOKEN])
