"""E-mail addresses: the text by which one is known, however it was typed."""

import hashlib
import unicodedata


def key(email: str) -> str:
    """Return the text by which an e-mail address is known.

    >>> key(" A@x.org ")
    'a@x.org'
    """
    return unicodedata.normalize("NFKC", email.strip()).casefold()


def key_hash(email: str) -> str:
    """Return the SHA-256 of an address's key, in hex. It is a name in the store."""
    return hashlib.sha256(key(email).encode()).hexdigest()
