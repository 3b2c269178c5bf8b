"""Prepares the first start: locks the data directory and creates the secret, the first profile and the first device."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO, NamedTuple

from chalicelib import errors, store
from chalicelib.services.access import callers, tokens
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.store import Entity, names


class Seed(NamedTuple):
    """The tokens to print at the start."""

    profile_token: str
    device_token: str


class InUse(Exception):
    """Another process serves this data directory."""


def lock(directory: Path) -> IO[str]:
    """Create the directory, accessible to this user only, and lock it until the returned file is closed.

    Raises:
        InUse: another process holds the lock.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock_file = (directory / "lock").open("w")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock_file.close()
        raise InUse(f"Another process serves {directory}") from None
    return lock_file


def read_secret(directory: Path) -> bytes:
    """Return the secret that tokens are derived from. The first call creates its file, readable by this user only."""
    path = directory / "secret"
    if not path.exists():
        fresh = directory / "secret.new"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return path.read_text().strip().encode()


def seed(*, profile_token: str | None, device_token: str | None) -> Seed:
    """Create the first profile and device unless they exist, and make the wanted tokens work.

    Args:
        profile_token: the wanted text of a token of the profile. If no token has it, one is added. None: any text.
        device_token: the same for the first device.

    Raises:
        errors.ApiError: a text does not have the shape of a token, or belongs to another device or profile.
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


def _token(kind: str, profile: str, device: str, wanted: str | None) -> str:
    if wanted is None:
        listed = tokens.list_all(owner=names.device(device) if device else names.profile(profile))
        usable = [token for token in listed if token["permission"] == "full" and callers.resolve(text=token["token"])]
        usable.sort(key=lambda token: str(token["created_at"]))
        return str(usable[0]["token"]) if usable else "(none is left: create one with the profile token)"
    caller = callers.resolve(text=wanted)
    if caller is None:
        created = tokens.create(
            kind=kind, profile=profile, device=device, sent={"name": "Set", "permission": "full"}, chosen=wanted
        )
        return str(created["token"])
    if (caller.kind, caller.profile, caller.device) != (kind, profile, device):
        raise errors.BadRequest(f"DECANT_{kind.upper()}_TOKEN already belongs to another device or profile")
    return wanted
