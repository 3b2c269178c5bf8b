"""Who is calling, and whether they may."""

from typing import Literal

from chalice.app import Request

from chalicelib import errors, http
from chalicelib.codec import tokens
from chalicelib.host import log
from chalicelib.services.access import callers
from chalicelib.services.access.callers import Grant
from chalicelib.services.devices import devices
from chalicelib.store import Doc

Need = Literal["read", "write", "full"]


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
    grant = _grant(request)
    if grant is None or (kind is not None and grant.kind != kind) or grant.permission not in ("full", need):
        raise errors.Denied
    log.note(request, profile=grant.profile)
    return grant


def _grant(request: Request) -> Grant | None:
    """Return what API Gateway's authorizer found, or, where none runs, look for it here."""
    handed = request.context.get("authorizer")
    if handed:
        return callers.from_context(handed)
    text = tokens.from_headers(http.headers(request))
    return callers.resolve(text=text) if text else None
