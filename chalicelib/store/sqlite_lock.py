"""Begins transactions beside other processes that may write, such as a shell that is left open in a transaction."""

import sqlite3

from chalicelib import errors

BUSY_MS = 50
"""How long a write waits for another process that writes. All requests wait as long, as they share one thread."""


class WriteLock:
    """SQLite's lock for writing, which one connection at a time can have.

    Args:
        db: the connection that writes.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._may_wait = False
        self._wait(True)

    def take(self) -> None:
        """Begin a transaction. While another process has the lock, only the first try waits for it.

        Raises:
            errors.Unavailable: another process writes, or the database cannot be used.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._wait(False)
            raise errors.Unavailable from error
        self._wait(True)

    def is_free(self) -> bool:
        """Return whether a transaction could begin. None may be open."""
        try:
            self.take()
        except errors.Unavailable:
            return False
        self._db.execute("ROLLBACK")
        return True

    def _wait(self, may_wait: bool) -> None:
        if self._may_wait != may_wait:
            self._may_wait = may_wait
            self._db.execute(f"PRAGMA busy_timeout={BUSY_MS if may_wait else 0}")
