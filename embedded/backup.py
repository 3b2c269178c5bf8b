"""``python -m embedded backup FILE`` and ``restore FILE``: the database and the secret as one file."""

import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from embedded import folder
from embedded.folder import Unusable

_ANOTHER = "use what `python -m embedded backup` wrote"
_PAGES = 1_000
"""How many pages are copied in one step, between two looks at the progress."""


def save(directory: Path, file: Path) -> None:
    """Copy the database and the secret into one new file, readable by this user only. The server may go on meanwhile.

    The copy is what was committed when it began: all steps read the same snapshot. It is checked before it gets its
    name.

    Raises:
        Unusable: there is no usable database or secret, or the file exists already or cannot be written.
    """
    if not file.parent.is_dir():
        raise Unusable(f"{file.parent} is not a folder: name a file in one that exists")
    source, part = directory / folder.DATABASE, file.with_name(f"{file.name}.part")
    if not source.exists():
        raise Unusable(f"{source} does not exist: set DECANT_DATA_DIR to the data folder of the server")
    if file.exists():
        raise Unusable(f"{file} exists already: name another file")
    secret = folder.stored_secret(directory)
    with folder.opened(source, "ro") as db:
        folder.require_ours(db, source)
        # A read transaction holds the snapshot. Without it, each write of the server would start the copy again.
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
        with new_file(part), folder.opened(part) as copy:
            db.backup(copy, pages=_PAGES, progress=_progress("Saving"))
            folder.quick_check(copy, source)
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.execute(f"CREATE TABLE {folder.BACKUP_TABLE} (secret TEXT NOT NULL)")
            copy.execute(f"INSERT INTO {folder.BACKUP_TABLE} VALUES (?)", (secret.decode(),))  # noqa: S608 - fixed
    give_name(part, file)


def restore(file: Path, directory: Path, *, force: bool) -> None:
    """Make a backup the content of a data folder. What the folder holds stays until the new database is complete.

    Args:
        file: what ``save`` wrote.
        directory: the data folder. It is created if it does not exist.
        force: replace what is in the folder.

    Raises:
        Unusable: the file is no complete backup, the folder is in use, or it holds something and ``force`` is False.
    """
    if not file.is_file():
        raise Unusable(f"{file} is not a file: {_ANOTHER}")
    with folder.lock(directory):
        held = sorted(path.name for path in directory.iterdir() if path.name != folder.LOCK)
        if held and not force:
            raise Unusable(f"{directory} is not empty ({', '.join(held[:5])}): --force replaces what it holds")
        path = directory / folder.DATABASE
        part = path.with_name(f"{path.name}.part")
        with folder.opened(file, "ro", _ANOTHER) as db:
            _require_backup(db, file)
            folder.quick_check(db, file, advice=_ANOTHER)
            with new_file(part), folder.opened(part) as copy:
                db.backup(copy, pages=_PAGES, progress=_progress("Restoring"))
        with contextlib.suppress(Unusable), folder.opened(path) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # A log of the old database must not be applied to the new one.
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        give_name(part, path)
        folder.read_secret(directory)


def _require_backup(db: sqlite3.Connection, file: Path) -> None:
    folder.require_ours(db, file, _ANOTHER)
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (folder.BACKUP_TABLE,)).fetchone():
        raise Unusable(f"{file} is no backup, as it does not hold the secret: {_ANOTHER}")


@contextlib.contextmanager
def new_file(part: Path) -> Iterator[None]:
    """Make an empty file that only this user can read. Remove it if the block fails."""
    try:
        folder.remove_parts(part.parent, part.name)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise Unusable(f"{part} cannot be written: {error}") from None
    try:
        yield
    except BaseException:
        folder.remove_parts(part.parent, part.name)
        raise


def give_name(part: Path, path: Path) -> None:
    """Give a complete file its name. Both survive a power cut from then on."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(path)
    folder.sync_folder(path.parent)


def _progress(doing: str) -> Callable[[int, int, int], None]:
    shown = -1

    def show(_status: int, remaining: int, total: int) -> None:
        nonlocal shown
        percent = 100 * (total - remaining) // max(total, 1)
        if percent // 10 > shown // 10 or shown < 0:
            shown = percent
            print(f"{doing}: {percent} % of {total} pages", file=sys.stderr, flush=True)

    return show
