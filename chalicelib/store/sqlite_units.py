"""How calls that write share a transaction on SQLite: each can fail alone, and each request can be undone alone."""

import sqlite3
from typing import TYPE_CHECKING

from chalicelib import errors
from chalicelib.codec.segment import Item
from chalicelib.host import cache, deadline
from chalicelib.store import sqlite_counters

if TYPE_CHECKING:
    from chalicelib.store.sqlite import SqliteStore


class Write:
    """Wraps a call that writes. It opens a transaction if none is open.

    Without grouping, each call outside of a unit is a transaction: it is committed at the end, or undone if it fails.
    With grouping, a call of several statements must be in a unit, which undoes all of them.

    Args:
        store: the store.
        db: its connection.
        grows: whether the call stores something new. It is refused if the disk is full.
        is_marked: whether the unit needs a savepoint before this write.
    """

    def __init__(
        self, store: "SqliteStore", db: sqlite3.Connection, *, grows: bool = False, is_marked: bool = True
    ) -> None:
        self._store, self._db, self._grows, self._is_marked = store, db, grows, is_marked
        self._owner = ""

    def to(self, owner: str) -> "Write":
        """Return this object, for a call that changes what belongs to ``owner``."""
        self._owner = owner
        return self

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        store.writes += 1
        is_first = not self._db.in_transaction
        if is_first:
            store.room.look()
        if self._grows:
            store.room.admit()
        if is_first:
            store.note_loss()
            store.lock.take()
            store.has_begun = True
            store.group += 1
            if store.grouped:
                store.on_begin()
        store.note_write(self._owner)
        if self._is_marked and store.own_unit.needs_mark:
            store.own_unit.mark()
        return self._db

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        is_alone = not self._store.grouped and not self._store.own_unit.is_open
        if error is None:
            if is_alone:
                self._store.commit()
            return
        if is_alone:
            self._store.rollback()
        if isinstance(error, sqlite3.Error):
            self._store.room.note(error)
            raise errors.Unavailable from error


class Unit:
    """Undoes what one request wrote if it fails, and nothing of the other requests in the transaction.

    A request that goes on later (``deadline.TooLong``) keeps what it wrote.

    A savepoint costs more than the INSERT of a point, so it is set before the first write that may need it. If the
    first write of a unit is the INSERT of one segment, it needs none: to undo it, the row is deleted.
    """

    def __init__(self, store: "SqliteStore", db: sqlite3.Connection, counters: sqlite_counters.PendingCounters) -> None:
        self._store, self._db, self._counters = store, db, counters
        self._first = 0
        self.is_open = self.needs_mark = self._is_marked = False
        self.inserted: Item | None = None
        """The segment that was the unit's first write."""

    @property
    def is_fresh(self) -> bool:
        """Whether the unit is open and nothing was written in it yet."""
        return self.is_open and self._store.writes == self._first

    def mark(self) -> None:
        """Set the savepoint."""
        try:
            self._db.execute("SAVEPOINT unit")
        except sqlite3.Error as error:
            raise errors.Unavailable from error
        self.needs_mark, self._is_marked = False, True

    def __enter__(self) -> None:
        self.is_open = self.needs_mark = True
        self._first = self._store.writes
        self._counters.remember()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        store, is_written = self._store, self._store.writes != self._first
        is_undone = error is not None and not isinstance(error, deadline.TooLong)
        if self._is_marked or (is_undone and self.inserted is not None):
            self._end(is_undone=is_undone)
        if is_undone and is_written:
            self._counters.undo()
            cache.clear_all()
        self.is_open = self.needs_mark = self._is_marked = False
        self.inserted = None
        if is_written and not store.grouped and store.has_begun:
            store.commit()

    def _end(self, *, is_undone: bool) -> None:
        """End the savepoint. If that fails, the whole transaction cannot be kept."""
        store = self._store
        if store.is_lost:
            return
        try:
            if self._is_marked:
                if is_undone:
                    self._db.execute("ROLLBACK TO unit")
                self._db.execute("RELEASE unit")
            if is_undone and self.inserted is not None:
                self._db.execute("DELETE FROM segments WHERE device = ? AND key = ?", self.inserted[:2])
        except sqlite3.Error:
            store.is_lost = True
