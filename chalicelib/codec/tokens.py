"""Token texts: their shape, their hash, and how one is made from an id and the deployment's secret.

The table holds the hash that a token is looked up by, and the random id that its text is derived from. Whoever has
the table alone can do nothing with either; whoever has the secret too can show the text again, as clients need.
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping

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
_SHAPE = re.compile(r"(?:[a-z]-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
_PREFIXES = {"device": "", "profile": "p-"}


def from_headers(headers: Mapping[str, str]) -> str | None:
    """Return the token as sent, without ``Bearer``, or None. The text ``null`` counts as absent.

    Args:
        headers: by lower-case name.
    """
    for name in HEADERS:
        text = headers.get(name)
        if text and text != "null":
            return text[7:] if text[:7].lower() == "bearer " else text
    return None


def bare(text: str) -> str | None:
    """Return a token without its prefix, in lower case, or None when it has not the shape of one.

    >>> bare("p-00112233-4455-4677-8899-AABBCCDDEEFF")
    '00112233-4455-4677-8899-aabbccddeeff'
    """
    match = _SHAPE.fullmatch(text)
    return match[1].lower() if match else None


def fingerprint(bare_text: str) -> str:
    """Return what a token is looked up by: the SHA-256 of its bare text, in hex."""
    return hashlib.sha256(bare_text.encode()).hexdigest()


def new_token_id() -> str:
    """Return a fresh id to derive a token from: 128 random bits in hex."""
    return secrets.token_hex(16)


def derive(secret: bytes, token_id: str, kind: str, mask: str = "") -> str:
    """Return the text of a token.

    Args:
        secret: the deployment's.
        token_id: from ``new_token_id``.
        kind: device or profile.
        mask: what ``mask_for`` gave, for a token whose text was chosen from outside.

    >>> derive(b"s", "00", "profile")
    'p-d91ec3e7-15fa-4dda-aba7-aa09cb77de76'
    """
    stream = _stream(secret, token_id)
    if mask:
        value = uuid.UUID(bytes=bytes(a ^ b for a, b in zip(stream, bytes.fromhex(mask), strict=True)))
    else:
        value = uuid.UUID(bytes=stream, version=4)
    return _PREFIXES[kind] + str(value)


def api_key(secret: bytes, profile: str) -> str:
    """Return the value of a profile's API key, by which API Gateway's usage plans tell profiles apart."""
    return hmac.digest(secret, f"api key of {profile}".encode(), "sha256").hex()[:40]


def mask_for(secret: bytes, token_id: str, bare_text: str) -> str:
    """Return what turns the derived text into a chosen one; as random as the secret to whoever has not got it."""
    return bytes(a ^ b for a, b in zip(_stream(secret, token_id), uuid.UUID(bare_text).bytes, strict=True)).hex()


def _stream(secret: bytes, token_id: str) -> bytes:
    return hmac.digest(secret, token_id.encode(), "sha256")[:16]
