"""Token texts: their shape, their hash, and how to derive one from an id and the deployment's secret.

The table holds a token's hash, by which it is looked up, and the random id from which its text is derived. The table
alone is useless to a thief. With the secret as well, the API can show the text again, which clients need.
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping
from typing import Literal

Permission = Literal["full", "write", "read"]
"""What a token may do."""
Kind = Literal["device", "profile", "analysis", "run_user", "service", "network"]
"""Whose token it is. ``service`` is a service authorization, which lets a network act for a profile."""
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
"""The first of these headers that a request has decides. If its token is bad, the headers after it do not count."""
_SHAPE = re.compile(r"(?:[a-z]-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|(at[0-9a-f]{32})", re.IGNORECASE)
"""A UUID with or without a prefix, or a service authorization."""
_PREFIXES: dict[Kind, str] = {
    "device": "", "profile": "p-", "analysis": "a-", "run_user": "u-", "service": "at", "network": "n-",
}  # fmt: skip


def from_headers(headers: Mapping[str, str]) -> str | None:
    """Return the token as sent, without ``Bearer``, or None. The text ``null`` counts as absent.

    Args:
        headers: texts by lower-case name.
    """
    for name in HEADERS:
        text = headers.get(name)
        if text and text != "null":
            return text[7:] if text[:7].lower() == "bearer " else text
    return None


def masked(text: str) -> str:
    """Return a text for the log, without the tokens in it.

    >>> masked("my p-00000000-0000-4000-8000-000000000000")
    'my (a token)'
    """
    return _SHAPE.sub("(a token)", text)


def bare(text: str) -> str | None:
    """Return a token without its prefix, in lower case, or None if the text does not have the shape of a token.

    >>> bare("p-00112233-4455-4677-8899-AABBCCDDEEFF")
    '00112233-4455-4677-8899-aabbccddeeff'
    """
    match = _SHAPE.fullmatch(text)
    return (match[1] or match[2]).lower() if match else None


def fingerprint(bare_text: str) -> str:
    """Return the key by which a token, a mailed link or an invitation is looked up: the SHA-256 of its text, in hex."""
    return hashlib.sha256(bare_text.encode()).hexdigest()


def new_token_id() -> str:
    """Return a new id from which a token can be derived: 128 random bits in hex."""
    return secrets.token_hex(16)


def derive(secret: bytes, token_id: str, kind: Kind, mask: str = "") -> str:
    """Return the text of a token.

    Args:
        secret: the deployment's secret.
        token_id: from ``new_token_id``.
        kind: whose token it is.
        mask: from ``mask_for``, if the text of the token was chosen and not derived.

    >>> derive(b"s", "00", "profile")
    'p-d91ec3e7-15fa-4dda-aba7-aa09cb77de76'
    """
    stream = _stream(secret, token_id)
    if mask:
        value = uuid.UUID(bytes=bytes(a ^ b for a, b in zip(stream, bytes.fromhex(mask), strict=True)))
    else:
        value = uuid.UUID(bytes=stream, version=4)
    return _PREFIXES[kind] + (value.hex if kind == "service" else str(value))


def invitation(secret: bytes, token_id: str) -> str:
    """Return the text of an invitation: 40 hex digits."""
    return hmac.digest(secret, f"invitation {token_id}".encode(), "sha256").hex()[:40]


def api_key(secret: bytes, profile: str, plan: str) -> str:
    """Return the value of a profile's API key for a price plan. API Gateway's usage plans recognise the profile by it.

    Args:
        secret: the deployment's secret.
        profile: its id. Empty for a key that profiles share.
        plan: the name of the price plan, or of the shared key.
    """
    return hmac.digest(secret, f"api key of {profile} for {plan}".encode(), "sha256").hex()[:40]


def mask_for(secret: bytes, token_id: str, bare_text: str) -> str:
    """Return the mask that turns the derived text into a chosen one. Without the secret it reveals nothing."""
    return bytes(a ^ b for a, b in zip(_stream(secret, token_id), uuid.UUID(bare_text).bytes, strict=True)).hex()


def _stream(secret: bytes, token_id: str) -> bytes:
    return hmac.digest(secret, token_id.encode(), "sha256")[:16]
