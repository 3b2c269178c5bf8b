"""The part of the SQLite store that writes sealed segments, and counts the small ones that wait to be sealed."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from chalicelib.codec.keys import LATEST_MS, key_before
from chalicelib.codec.segment import SMALL_POINTS, Item, SealedItem
from chalicelib.host.cache import Cache
from chalicelib.store import ABSENT, names
from chalicelib.store.sqlite_counters import PendingCounters
from chalicelib.store.sqlite_reads import BETWEEN, SEALED, Reads, sealed_between
from chalicelib.store.sqlite_slices import Row
from chalicelib.store.sqlite_units import Unit, Write
from chalicelib.store.sqlite_waiting import Waiting

SCHEMA = """
CREATE TABLE IF NOT EXISTS sealed (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, key TEXT NOT NULL, low TEXT NOT NULL, oldest_ms INTEGER NOT NULL,
    points INTEGER NOT NULL, version INTEGER NOT NULL, expires_at INTEGER, summary BLOB NOT NULL, body BLOB NOT NULL,
    UNIQUE (device, key));
"""
_INSERT = f"INSERT INTO sealed ({SEALED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM sealed WHERE device = ? AND key = ? AND version = ? RETURNING points"
_PAGE = 64
SLICE = 8
"""How many sealed segments are removed together."""
RIPE = 64
"""How many small segments of a device and span are worth sealing at once."""


class _Changed(Exception):
    """Something that was read has another version now."""


class SealedWrites(Reads):
    """Implements the calls of Store that write sealed segments."""

    _write: Write
    _counters: PendingCounters
    own_unit: Unit

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db)
        self.waiting = Waiting(RIPE)
        self._sealed_to: Cache[str] = Cache(ttl_s=3_600)

    def unit(self) -> AbstractContextManager[object]:
        """See Store."""
        raise NotImplementedError

    def sealed_to(self, device: str) -> str:
        """See Store. No other process writes, so the answer is kept."""
        key = self._sealed_to.get(device)
        if key is None:
            key = super().sealed_to(device)
            self._sealed_to.put(device, key)
        return key

    def scan_sealed(
        self,
        device: str,
        low: str,
        high: str,
        *,
        newest_first: bool,
        first_page: int,
        oldest_to_ms: int = LATEST_MS,
        has_bodies: bool = True,
    ) -> Iterator[SealedItem]:
        """See Store. Each page is a statement of its own, so writes in between do no harm."""
        self.note_read(names.device(device))
        sql, size = f"{sealed_between(newest_first, has_bodies)} LIMIT ?", first_page
        while True:
            rows = self._rows(sql, device, low, high, oldest_to_ms, size)
            for row in rows:
                yield SealedItem(*row)
            if len(rows) < size:
                return
            low, high = (low, key_before(rows[-1][1])) if newest_first else (rows[-1][1] + "0", high)
            size = _PAGE if has_bodies else _PAGE * 2

    def seal(
        self,
        items: Sequence[SealedItem],
        originals: Sequence[tuple[str, int]],
        *,
        profile: str,
        gone: Sequence[tuple[str, int]] = (),
        epoch: int = ABSENT,
    ) -> bool:
        """See Store. One transaction. It deletes exactly what was read, else it gives up.

        It may not be part of a unit, which would not be undone.
        """
        assert not self.own_unit.is_open  # noqa: S101 - only a chore calls this
        device = items[0].device
        try:
            with self.unit(), self._write.to(names.device(device)) as db:
                for key, version in [*gone, *((item.key, item.version - 1) for item in items if item.version > 1)]:
                    if db.execute(_DELETE, (device, key, version)).fetchone() is None:
                        raise _Changed
                self._delete_originals(db, device, originals)
                db.executemany(_INSERT, [item[:9] for item in items])
        except _Changed:
            return False
        self._sealed_to.put(device, max(self.sealed_to(device), *(item.key for item in items)))
        return True

    def _delete_originals(self, db: sqlite3.Connection, device: str, originals: Sequence[tuple[str, int]]) -> None:
        """Delete small segments by key and version. Neighbours go by one statement."""
        if not originals:
            return
        bounds = (device, originals[0][0], originals[-1][0])
        existing = db.execute(f"SELECT key, version {BETWEEN}", bounds).fetchall()
        if existing == [*originals]:
            db.execute(f"DELETE {BETWEEN}", bounds)
            return
        if not {*originals} <= {*existing}:
            raise _Changed
        db.executemany("DELETE FROM segments WHERE device = ? AND key = ?", [(device, key) for key, _ in originals])

    def raise_epoch(self, device: str) -> None:
        """See Store."""

    def replace_sealed(self, item: SealedItem, *, profile: str) -> bool:
        """See Store."""
        with self._write.to(names.device(item.device)) as db:
            old = db.execute(
                "SELECT points FROM sealed WHERE device = ? AND key = ? AND version = ?",
                (item.device, item.key, item.version - 1),
            ).fetchone()
            if old is None:
                return False
            db.execute(
                "UPDATE sealed SET oldest_ms = ?, points = ?, version = ?, expires_at = ?, summary = ?, body = ? "
                "WHERE device = ? AND key = ?",
                (*item[3:9], item.device, item.key),
            )
            self._counters.add(item.device, profile, 0, item.points - old[0])
        return True

    def delete_sealed(self, item: SealedItem, *, profile: str) -> bool:
        """See Store."""
        with self._write.to(names.device(item.device)) as db:
            row = db.execute(_DELETE, (item.device, item.key, item.version)).fetchone()
            if row is None:
                return False
            self._counters.add(item.device, profile, 0, -row[0])
        return True

    def drop_sealed(self, db: sqlite3.Connection, device: str, low: str, high: str) -> Sequence[Row]:
        """Delete some sealed segments with low <= key <= high, and return them. Raises sqlite3.Error."""
        return db.execute(
            "DELETE FROM sealed WHERE id IN (SELECT id FROM sealed WHERE device = ? AND key >= ? AND key <= ? "
            f"LIMIT {SLICE}) RETURNING key, points, length(body)",
            (device, low, high),
        ).fetchall()

    def note_waiting(self, item: Item) -> None:
        """Note that a segment was put, if it is one that is sealed."""
        if item.points < SMALL_POINTS:
            self.waiting.note(item.device, item.key)
