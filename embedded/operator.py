"""``python -m embedded token``, ``… password EMAIL`` and ``… plan PROFILE PLAN``: what an operator does.

They change the data folder, which belongs to one process at a time, so they refuse to work while the server runs.
"""

import contextlib
import getpass
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from chalicelib import errors, settings, store
from chalicelib.host import keys, secret
from chalicelib.schemas.accounts import check_password
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services.access import tokens
from chalicelib.services.accounts import first, profiles
from chalicelib.store.sqlite import SqliteStore
from chalicelib.store.sqlite_room import RESERVE_BYTES
from embedded import folder


@contextlib.contextmanager
def opened(directory: Path, synchronous: str) -> Iterator[SqliteStore]:
    """Open the store of a data folder whose lock the caller holds, and use it.

    Args:
        directory: the folder.
        synchronous: SQLite's setting, ``FULL`` or ``NORMAL``.

    Raises:
        folder.Unusable: the folder, or a file in it, cannot be used.
    """
    folder.check(directory)
    path = directory / folder.DATABASE
    try:
        sqlite = SqliteStore(path, synchronous=synchronous, reserve_bytes=RESERVE_BYTES)
    except sqlite3.Error as error:
        raise folder.Unusable(folder.explain(path, error)) from None
    store.use(sqlite)
    secret.use(folder.read_secret(directory))
    keys.use(keys.nobody)
    try:
        yield sqlite
    finally:
        sqlite.close()


@contextlib.contextmanager
def _changing(directory: Path) -> Iterator[None]:
    """Open an existing data folder for one change. Raises folder.Unusable: also if the server runs."""
    if not (directory / folder.DATABASE).exists():
        raise folder.Unusable(f"{directory} holds no data: start the server once, or set DECANT_DATA_DIR")
    settings.use(settings.load())
    with folder.lock(directory), opened(directory, "FULL") as sqlite:
        try:
            with sqlite.unit():
                yield
        except errors.ApiError as error:
            raise folder.Unusable(error.message) from None


def print_token(directory: Path) -> None:
    """Make a full token of the oldest profile, and print it. Raises folder.Unusable."""
    with _changing(directory):
        oldest = min(profiles.list_all(), key=lambda doc: int(doc["created_ms"]), default=None)
        if oldest is None:
            raise folder.Unusable(f"{directory} holds no profile: start the server once")
        sent: TokenIn = {"name": "Operator", "permission": "full"}
        text = tokens.create(kind="profile", profile=oldest["id"], sent=sent)["token"]
    print(text)


def set_plan(directory: Path, profile: str, plan: str) -> None:
    """Give a profile another price plan. Raises folder.Unusable: also if there is no such profile or plan."""
    with _changing(directory):
        profiles.set_plan(profile=profile, plan=plan)
    print(f"Profile {profile} has the plan {plan}")


def set_password(directory: Path, email: str) -> None:
    """Ask for a new password of an account, and set it. Raises folder.Unusable, and ValueError: it is too short."""
    with _changing(directory):
        first.set_password(email=email, password=check_password(_ask()))
    print(f"The password of {email} is set. Its authenticator is off, and the tokens that it made have ended.")


def _ask() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("New password: ")
    return sys.stdin.readline().rstrip("\r\n")
