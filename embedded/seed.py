"""Prepares the first start: the first account, profile and device. Makes the wanted tokens work."""

from typing import NamedTuple

from chalicelib import errors, store
from chalicelib.codec.tokens import Kind
from chalicelib.services.access import callers, tokens
from chalicelib.services.accounts import first, profile_erasures, profiles
from chalicelib.services.devices import devices, erasures
from chalicelib.services.usage import limits
from chalicelib.store import Entity, names


class Seed(NamedTuple):
    """What to print at the start."""

    profile_token: str
    device_token: str
    email: str
    """The address of the first account."""
    password: str
    """Its password if it is random and was made now, else empty."""


def seed(
    *, profile_token: str | None, device_token: str | None, email: str = first.EMAIL, password: str | None = None
) -> Seed:
    """Create the first account, profile and device unless they exist, and make the wanted tokens work.

    Args:
        email: the address of a new first account.
        password: the password of a new first account. None: a random one.
        profile_token: the wanted text of a token of the profile. If no token has it, one is added. None: any text.
        device_token: the same for the first device.

    Raises:
        errors.ApiError: a text does not have the shape of a token, or belongs to another device or profile. The message
            names the setting.
    """
    account = first.ensure(email=email, password=password)
    seeded = store.current().get(names.EMBEDDED, names.SEED)
    if seeded is not None and limits.of(seeded.doc["profile"]).is_erased:
        _finish_erasures()  # else its tokens would still be there, although they do not work any more
        seeded = None
    if seeded is None:
        owned = profiles.owned_by(account.id)
        if owned:  # the one that was seeded is deleted
            profile = owned[0]["id"]
            token = _token("profile", profile, "", profile_token)
        else:
            profile, token = profiles.create(name="Default", token=profile_token, account=account.id)
        created = devices.create(profile=profile, sent={"name": "First device"}, token=device_token)
        doc = {"profile": profile, "device": created["device_id"]}
        store.current().put(Entity(names.EMBEDDED, names.SEED, doc))
        return Seed(token, created["token"], account.email, account.password)
    profile, device = seeded.doc["profile"], seeded.doc["device"]
    return Seed(
        _token("profile", profile, "", profile_token),
        _token("device", profile, device, device_token),
        account.email,
        account.password,
    )


def _finish_erasures() -> None:
    erasures.resume()
    profile_erasures.resume()


def _is_operators(text: str) -> bool:
    """Return whether a token works, and no account made it: whose it is, only he may see it."""
    caller = callers.resolve(text=text)
    return caller is not None and not caller.account


def _token(kind: Kind, profile: str, device: str, wanted: str | None) -> str:
    if wanted is None:
        listed = tokens.list_all(owner=names.device(device) if device else names.profile(profile))
        usable = [token for token in listed if token["permission"] == "full" and _is_operators(token["token"])]
        usable.sort(key=lambda token: str(token["created_at"]))
        return str(usable[0]["token"]) if usable else "(none is left: run python -m embedded token)"
    caller = callers.resolve(text=wanted)
    if caller is None:
        created = tokens.create(
            kind=kind, profile=profile, subject=device, sent={"name": "Set", "permission": "full"}, chosen=wanted
        )
        return str(created["token"])
    if (caller.kind, caller.profile, caller.subject) != (kind, profile, device):
        raise errors.BadRequest(f"DECANT_{kind.upper()}_TOKEN already belongs to another device or profile")
    return wanted
