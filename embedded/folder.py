"""The data folder: its lock, its secret, and the check of its database before anything is written."""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

DATABASE, SECRET, LOCK = "decant.db", "secret", "lock"
CHECK_S = 60.0
"""For how long the database is checked after a stop that was not clean."""
BACKUP_TABLE = "backup"
"""The table that holds the secret in a backup, until the backup is restored."""
_MIN_SECRET_BYTES = 32
_RESTORE = "restore a backup with `python -m embedded restore FILE --force`"
_OURS = "SELECT s.device, s.key, s.body, e.owner, e.name, e.doc FROM segments s, entities e LIMIT 0"


class Unusable(Exception):
    """The folder, or a file in it, cannot be used. The text says which, and what to do."""


def lock(directory: Path) -> IO[str]:
    """Create the directory, accessible to this user only, and lock it until the returned file is closed.

    Raises:
        Unusable: another process holds the lock, or this user may not write to the directory.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock_file = (directory / LOCK).open("w")
    except (FileExistsError, NotADirectoryError):
        raise Unusable(
            f"{directory} is not a folder: set DECANT_DATA_DIR to one, or to the name of a new one"
        ) from None
    except OSError as error:
        reason = f"{directory} cannot be written ({error}): give it to this user, or set DECANT_DATA_DIR"
        raise Unusable(reason) from None
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock_file.close()
        raise Unusable(f"Another process serves {directory}: stop it, or set DECANT_DATA_DIR") from None
    return lock_file


def check(directory: Path) -> None:
    """Check the database, as far as that is quick. After a stop that was not clean, check all of it for up to 60 s.

    A clean stop leaves no write-ahead log behind. The caller has the lock, so what an interrupted command has left is
    removed.

    Raises:
        Unusable: the database is missing although there is a secret, damaged, cut off, or of another program.
    """
    path = directory / DATABASE
    remove_parts(directory, f"{DATABASE}.part")
    log_path = directory / f"{DATABASE}-wal"
    was_cut = log_path.exists() and log_path.stat().st_size > 0
    if not was_cut and (not path.exists() or not path.stat().st_size):
        if (directory / SECRET).exists():
            raise Unusable(f"{path} is missing or empty: {_RESTORE}, or remove {directory / SECRET} to begin anew")
        return
    with opened(path) as db:
        require_ours(db, path)
        if was_cut:
            _tell(f"The last stop was not clean: checking {path} for up to {CHECK_S:.0f} s")
            quick_check(db, path, CHECK_S)


@contextlib.contextmanager
def opened(path: Path, mode: str = "rw", advice: str = "") -> Iterator[sqlite3.Connection]:
    """Open a database that exists, and close it at the end.

    Args:
        path: its file.
        mode: ``rw`` or ``ro``.
        advice: what to do if it is damaged. Empty: restore a backup, or recover what can be read.

    Raises:
        Unusable: the block meets damage, or cannot use the file.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        ) as db:
            yield db
    except sqlite3.Error as error:
        raise Unusable(explain(path, error, advice)) from None


def explain(path: Path, error: sqlite3.Error, advice: str = "") -> str:
    """Return what an error of SQLite means for the database, and what to do; see ``opened``."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"{path} is damaged, or not a database of SQLite ({error}): {advice or _rescue(path)}"
    return f"{path} cannot be used: {error}"


def _rescue(path: Path) -> str:
    return f"{_RESTORE}, or try `sqlite3 {path} .recover`"


def require_ours(db: sqlite3.Connection, path: Path, advice: str = "set DECANT_DATA_DIR to another folder") -> None:
    """Raise Unusable if the database belongs to another program. An empty one belongs to nobody yet."""
    if db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        try:
            db.execute(_OURS)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise Unusable(f"{path} is another program's database ({error}): {advice}") from None


def quick_check(db: sqlite3.Connection, path: Path, limit_s: float | None = None, advice: str = "") -> None:
    """Check the structure of the whole database: it reads every page.

    Args:
        db: an open connection.
        path: the file, for the message.
        limit_s: after how many seconds to give up, with a warning. None: never.
        advice: see ``opened``.

    Raises:
        Unusable: it is damaged.
    """
    timer = threading.Timer(limit_s or threading.TIMEOUT_MAX, db.interrupt)
    timer.daemon = True
    timer.start()
    try:
        (problem,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        _tell(f"Not all of it was checked; if in doubt, stop and run `sqlite3 {path} 'PRAGMA quick_check'`")
        return
    finally:
        timer.cancel()
    if problem != "ok":
        raise Unusable(f"{path} is damaged ({problem}): {advice or _rescue(path)}")


def remove_parts(directory: Path, name: str) -> None:
    """Remove a file that was not completed, and what SQLite keeps beside it: else it would belong to the next one."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        (directory / (name + suffix)).unlink(missing_ok=True)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read_secret(directory: Path) -> bytes:
    """Return the secret that tokens are derived from. Call it once the database exists.

    If the database is a restored backup, the secret moves from the database to the file. If there is no secret yet, it
    is made, readable by this user only.

    Raises:
        Unusable: the file cannot be read, is too short, or is missing although there are tokens.
    """
    path = directory / SECRET
    with opened(directory / DATABASE) as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (BACKUP_TABLE,)).fetchone():
            _write_secret(path, db.execute(f"SELECT secret FROM {BACKUP_TABLE}").fetchone()[0])  # noqa: S608 - fixed
            db.execute(f"DROP TABLE {BACKUP_TABLE}")
        elif not path.exists():
            if db.execute("SELECT 1 FROM entities LIMIT 1").fetchone():
                raise Unusable(f"{path} is missing, so no token can work: put it back, or {_RESTORE}")
            _write_secret(path, secrets.token_hex(32))
    return stored_secret(directory)


def stored_secret(directory: Path) -> bytes:
    """Return the secret from its file. Raises Unusable: there is none, or it cannot be read or is too short."""
    path = directory / SECRET
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise Unusable(f"{path} cannot be read ({error}): put it back, readable for this user, or {_RESTORE}") from None
    if len(secret) < _MIN_SECRET_BYTES:
        raise Unusable(f"{path} is empty or cut off, so no token can work: put it back, or {_RESTORE}")
    return secret


def _write_secret(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_folder(path.parent)


def sync_folder(directory: Path) -> None:
    """Make renames in a folder survive a power cut."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
