"""Prepares the first start: creates the first profile and the first device, and makes the wanted tokens work."""

from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.codec.tokens import Kind
from chalicelib.services.access import callers, tokens
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.store import Entity, names


class Seed(NamedTuple):
    """The tokens to print at the start."""

    profile_token: str
    device_token: str


def seed(*, profile_token: str | None, device_token: str | None) -> Seed:
    """Create the first profile and device unless they exist, and make the wanted tokens work.

    Args:
        profile_token: the wanted text of a token of the profile. If no token has it, one is added. None: any text.
        device_token: the same for the first device.

    Raises:
        errors.ApiError: a text does not have the shape of a token, or belongs to another device or profile. The message
            names the setting.
    """
    seeded = store.current().get(names.EMBEDDED, names.SEED)
    if seeded is None:
        profile, first = profiles.create(name="Default", token=profile_token)
        created = devices.create(profile=profile, sent={"name": "First device"}, token=device_token)
        doc = {"profile": profile, "device": created["device_id"]}
        store.current().put(Entity(names.EMBEDDED, names.SEED, doc))
        return Seed(first, created["token"])
    profile, device = seeded.doc["profile"], seeded.doc["device"]
    return Seed(
        _token("profile", profile, "", profile_token),
        _token("device", profile, device, device_token),
    )


def _token(kind: Kind, profile: str, device: str, wanted: str | None) -> str:
    if wanted is None:
        listed = tokens.list_all(owner=names.device(device) if device else names.profile(profile))
        usable = [token for token in listed if token["permission"] == "full" and callers.resolve(text=token["token"])]
        usable.sort(key=lambda token: str(token["created_at"]))
        return str(usable[0]["token"]) if usable else "(none is left: create one with the profile token)"
    caller = callers.resolve(text=wanted)
    if caller is None:
        created = tokens.create(
            kind=kind, profile=profile, subject=device, sent={"name": "Set", "permission": "full"}, chosen=wanted
        )
        return str(created["token"])
    if (caller.kind, caller.profile, caller.subject) != (kind, profile, device):
        raise errors.BadRequest(f"DECANT_{kind.upper()}_TOKEN already belongs to another device or profile")
    return wanted
