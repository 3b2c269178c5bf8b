"""``python -m embedded vacuum``: makes the database as small as it can be, and lets it give back room by itself.

It writes a new file beside the database, and renames it at the end. So whatever interrupts it, the database is whole:
the old one before the rename, the new one after it.
"""

import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from embedded import backup, folder
from embedded.folder import Unusable

_STEPS = 1_000
"""How many steps of SQLite's machine lie between two looks at the progress: some hundred rows."""
_SPARE_BYTES = 1_000_000
_WAIT_S = 5.0
"""How long it waits for another program that reads or writes."""
_IN_USE = "Another program uses {}: end it, and try again"


class _Progress:
    """Shows how much is written, and stops at a signal. SQLite calls it from time to time.

    Args:
        part: the file that grows.
        total_bytes: how large it will be, about.
    """

    def __init__(self, part: Path, total_bytes: int) -> None:
        self._part, self._total_bytes = part, total_bytes
        self._shown = -1
        self.is_stopped = False

    def __call__(self) -> bool:
        self.show(min(self._part.stat().st_size, self._total_bytes))
        return self.is_stopped

    def show(self, done_bytes: int) -> None:
        percent = 100 * done_bytes // max(self._total_bytes, 1)
        if percent // 10 > self._shown // 10 or self._shown < 0:
            self._shown = percent
            print(f"Vacuuming: {done_bytes:,} of {self._total_bytes:,} bytes", file=sys.stderr, flush=True)

    def stop(self, *_: object) -> None:
        """Take note of a signal."""
        self.is_stopped = True

    def check(self) -> None:
        """Raise Unusable if a signal came."""
        if self.is_stopped:
            raise Unusable("it was stopped. Nothing has changed")


def vacuum(directory: Path) -> None:
    """Write the database anew, without free pages, and with ``auto_vacuum=INCREMENTAL``.

    Raises:
        Unusable: there is no database, it is damaged or in use, the disk has too little room, or a signal came. Nothing
            has changed.
    """
    path = directory / folder.DATABASE
    if not path.exists():
        raise Unusable(f"{directory} holds no data: start the server once, or set DECANT_DATA_DIR")
    with folder.lock(directory):
        folder.check(directory)
        before_bytes = path.stat().st_size
        part = path.with_name(f"{path.name}.part")
        with backup.new_file(part):
            progress = _write(path, part)
            progress.check()
            # The log is empty. It must not be applied to the new database.
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        backup.give_name(part, path)
    print(f"{path} had {before_bytes:,} bytes and has {path.stat().st_size:,} now")


def _write(path: Path, part: Path) -> _Progress:
    """Write the new file and check it."""
    with folder.opened(path) as db:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        _merge_log(db, path)
        progress = _Progress(part, _require_room(db, path))
        with _noting(progress.stop), _interruptible(db, progress):
            version = db.execute("PRAGMA data_version").fetchone()
            db.execute("VACUUM INTO ?", (str(part),))
            if db.execute("PRAGMA data_version").fetchone() != version:
                raise Unusable(_IN_USE.format(path))
            progress.show(part.stat().st_size)
            with folder.opened(part) as copy, _interruptible(copy, progress):
                (problem,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise Unusable(f"what was written is damaged ({problem}): check the disk. Nothing has changed")
    return progress


def _merge_log(db: sqlite3.Connection, path: Path) -> None:
    """Empty the write-ahead log, so that the file alone is the whole database."""
    db.execute(f"PRAGMA busy_timeout={round(_WAIT_S * 1000)}")
    if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise Unusable(_IN_USE.format(path))


def _require_room(db: sqlite3.Connection, path: Path) -> int:
    """Return how many bytes the new file will have, about. Raises Unusable: the disk has no room for it."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    needed_bytes = (pages - free) * size
    disk = os.statvfs(path.parent)
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < needed_bytes + _SPARE_BYTES:
        raise Unusable(
            f"the disk of {path.parent} has {free_bytes:,} bytes free, and the new file needs "
            f"{needed_bytes + _SPARE_BYTES:,}: make room on it"
        )
    return int(needed_bytes)


@contextlib.contextmanager
def _noting(stop: Callable[..., None]) -> Iterator[None]:
    """Call ``stop`` on SIGINT and SIGTERM while the block runs."""
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _interruptible(db: sqlite3.Connection, progress: _Progress) -> Iterator[None]:
    """Let ``progress`` interrupt a long statement."""
    db.set_progress_handler(progress, _STEPS)
    try:
        yield
    except sqlite3.OperationalError:
        progress.check()
        raise
    finally:
        db.set_progress_handler(None, 0)
