"""Hashes passwords, with argon2id.

Source: OWASP, Password Storage Cheat Sheet: argon2id with 19 MiB, two passes and one thread.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from chalicelib import settings

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SECONDS = 0.05
"""About how long a hash takes. The embedded mode does not do it in its loop."""


def hashed(password: str) -> str:
    """Return the hash of a password, with its salt and parameters."""
    return _hasher().hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Return whether a password has this hash. It takes as long if there is no hash."""
    from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415 - costs 45 ms, and few requests need it

    try:
        return _hasher().verify(stored or _nobody(), password) and stored is not None
    except (Argon2Error, InvalidHashError):
        return False


def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # noqa: PLC0415 - as above

    options = settings.current()
    return PasswordHasher(time_cost=options.password_passes, memory_cost=options.password_memory_kib, parallelism=1)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """Return a hash of no password, for accounts that do not exist."""
    return hashed("")
