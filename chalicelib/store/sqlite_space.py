"""Gives free pages of the database back to the disk, a slice at a time.

SQLite keeps what was deleted as free pages inside the file. With ``auto_vacuum=INCREMENTAL``, which only a new file or
VACUUM can get, pages from the end of the file move into free ones, and the file ends earlier after the next merge of
the write-ahead log.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.store.sqlite_lock import WriteLock
from chalicelib.store.sqlite_room import Room

WORTH_BYTES = 2_000_000
"""Less free room than this is kept: new points soon take it again."""
WORTH_SHARE = 1 / 8
"""So is a smaller part of the file."""
SLICE_PAGES = 64
SLICE_S = 0.001
"""How long a slice may take, besides its commit, which takes 0.2 ms. A page takes 12 to 60 µs."""
_INCREMENTAL = 2


class Space:
    """The free pages of one database.

    Args:
        db: the connection that writes.
        lock: begins its transactions.
        room: the room on the disk. If it is short, free pages are kept for what must be written.
    """

    def __init__(self, db: sqlite3.Connection, lock: WriteLock, room: Room) -> None:
        self._db, self._lock, self._room = db, lock, room
        self.is_incremental = self._number("auto_vacuum") == _INCREMENTAL
        """Whether pages can be given back. A file of an early version cannot, until ``python -m embedded vacuum``."""

    def _number(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def is_worth_it(self) -> bool:
        """Return whether enough is free. Cost: a few microseconds. Raises errors.Unavailable."""
        try:
            free, pages = self._number("freelist_count"), self._number("page_count")
            is_much = free * self._number("page_size") >= WORTH_BYTES and free >= pages * WORTH_SHARE
        except sqlite3.Error as error:
            raise errors.Unavailable from error
        return self.is_incremental and is_much and not self._room.is_short

    def give_back(self) -> bool:
        """Give back a slice, in a transaction of its own; return whether more is free. None may be open.

        Its commit does not wait for the disk, as a slice need not survive a power cut, and does not merge the
        write-ahead log: the caller does so in a thread.

        Raises:
            errors.Unavailable: another program writes, or the disk is full. Nothing has changed.
        """
        with self._quick_commits():
            try:
                self._lock.take()
                is_more = self._free_slice()
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                self._room.note(error)
                raise errors.Unavailable from error
        return is_more

    @contextlib.contextmanager
    def _quick_commits(self) -> Iterator[None]:
        settings = {name: self._number(name) for name in ("synchronous", "wal_autocheckpoint")}
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        try:
            yield
        finally:
            for name, number in settings.items():
                self._db.execute(f"PRAGMA {name}={number}")

    def _free_slice(self) -> bool:
        end_s = clock.monotonic_s() + SLICE_S
        for _ in range(SLICE_PAGES):
            if not self._number("freelist_count"):
                return False
            # Python's sqlite3 makes only the first step of this statement, which frees one page.
            self._db.execute("PRAGMA incremental_vacuum(1)").fetchall()
            if clock.monotonic_s() >= end_s:
                break
        return True
