"""Keeps room on the disk, so that deleting works when the disk is full: SQLite writes what it deletes to its log first.

A file of ``reserve_bytes`` takes room that nothing else can use. Once less than half as much is free on the disk, the
file is removed, and new points and entities are refused, unless deletions have left room inside the database.
"""

import contextlib
import math
import os
import sqlite3
from pathlib import Path

from chalicelib import errors
from chalicelib.host import clock

RESERVE_BYTES = 32_000_000
"""Several times what SQLite's log grows to before it is merged into the database, 8 MB."""
_LOOK_S = 1.0
_MIN_INSIDE_BYTES = 500_000
"""How much room inside the database is enough for a further request."""


class Room:
    """The room on the disk of one database.

    Args:
        db: the connection that writes.
        path: the file of the reserve, beside the database.
        reserve_bytes: its size. 0: nothing is kept and nothing refused.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, reserve_bytes: int) -> None:
        self._db, self._path, self._reserve_bytes = db, path, reserve_bytes
        self._next_look_s = -math.inf
        self.is_short = False
        """Whether less than half of the reserve is free."""

    def look(self) -> None:
        """Remove the reserve if the disk is nearly full; make it if there is room. At most once a second."""
        now_s = clock.monotonic_s()
        if not self._reserve_bytes or now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_S
        disk = os.statvfs(self._path.parent)
        free_bytes = disk.f_bavail * disk.f_frsize
        self.is_short = free_bytes < self._reserve_bytes // 2
        if self.is_short:
            self._path.unlink(missing_ok=True)
        elif free_bytes >= 2 * self._reserve_bytes and not self._path.exists():
            self._make()

    def _make(self) -> None:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return
        with contextlib.suppress(OSError):
            os.posix_fallocate(fd, 0, self._reserve_bytes)
        os.close(fd)

    def note(self, error: sqlite3.Error) -> None:
        """Look at once if a write failed because the disk is full, so that the next one finds the reserve's room."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            self._next_look_s = -math.inf
            self.look()

    def is_enough(self) -> bool:
        """Return whether something new finds room, on the disk or inside the database."""
        if not self.is_short:
            return True
        (pages,), (page_bytes,) = (
            self._db.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size")
        )
        return bool(pages * page_bytes >= _MIN_INSIDE_BYTES)

    def admit(self) -> None:
        """Raise errors.Unavailable if something new finds no room."""
        if not self.is_enough():
            raise errors.Unavailable("The disk is full: delete points, or make room on it")
