"""Who is calling, and whether they may."""

from typing import Literal

from chalice.app import Request

from chalicelib import errors, http, log
from chalicelib.services import devices, tokens
from chalicelib.services.tokens import Grant
from chalicelib.store import Doc

HEADERS = (
    "account-token",
    "profile-token",
    "device-token",
    "analysis-token",
    "network-token",
    "token",
    "authorization",
    "authorized",
)
"""The first of these that is there decides; a bad one is not rescued by a good one after it."""

Need = Literal["read", "write", "full"]


def token_text(request: Request) -> str | None:
    """Return the token as sent, without ``Bearer``, or None. The text ``null`` counts as absent."""
    sent = http.headers(request)
    for name in HEADERS:
        text = sent.get(name)
        if text and text != "null":
            return text[7:] if text[:7].lower() == "bearer " else text
    return None


def require_device(request: Request, need: Need) -> Doc:
    """Return the device whose token was sent.

    Raises:
        errors.Denied: no token, not a device's, or without the permission.
        errors.BadRequest: the device is deactivated.
    """
    grant = _require(request, "device", need)
    try:
        device = devices.get_or_raise(profile=grant.profile, device=grant.device)
    except errors.NotFound:
        raise errors.Denied from None
    log.note(request, device=device["id"])
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    return device


def require_profile(request: Request, need: Need) -> str:
    """Return the id of the profile whose token was sent.

    Raises:
        errors.Denied: no token, not a profile's, or without the permission.
    """
    return _require(request, "profile", need).profile


def require_any(request: Request) -> Grant:
    """Return what the token that was sent stands for, of whatever kind, if it may read.

    Raises:
        errors.Denied: no good token.
    """
    return _require(request, None, "read")


def _require(request: Request, kind: str | None, need: Need) -> Grant:
    text = token_text(request)
    grant = tokens.resolve(text=text) if text else None
    if grant is None or (kind is not None and grant.kind != kind) or grant.permission not in ("full", need):
        raise errors.Denied
    log.note(request, profile=grant.profile)
    return grant
