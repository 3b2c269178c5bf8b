"""The store of the embedded mode: one SQLite file, and one connection that writes.

With ``grouped`` off, each call is a transaction. With it on, the first write opens a transaction and calls
``on_begin``. The group commit that set this callback commits later, and answers no request before.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from chalicelib import errors
from chalicelib.codec.keys import key_before
from chalicelib.codec.segment import Item
from chalicelib.host import cache, deadline
from chalicelib.store import ABSENT, Conflict, Counters, Entity, names, sqlite_counters, sqlite_sealed, sqlite_slices
from chalicelib.store.sqlite_lock import WriteLock
from chalicelib.store.sqlite_mqtt import MQTT_SCHEMA, MqttTables
from chalicelib.store.sqlite_reads import BETWEEN, CACHE_KB, COLUMNS, SELECT, EntityKey, now_s, row_of
from chalicelib.store.sqlite_room import Room
from chalicelib.store.sqlite_sealed import SealedWrites
from chalicelib.store.sqlite_space import Space
from chalicelib.store.sqlite_units import Unit, Write

SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
    device TEXT NOT NULL, key TEXT NOT NULL, points INTEGER NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, digest BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (device, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    owner TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, PRIMARY KEY (owner, name)) WITHOUT ROWID;
"""
_INSERT = f"INSERT INTO segments ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_UPSERT = (
    "INSERT INTO entities (owner, name, doc, version, expires_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET doc = excluded.doc, version = excluded.version, expires_at = excluded.expires_at"
)
_FIRST_PAGE = 2
_PAGE = 128


class SqliteStore(SealedWrites):
    """Implements Store on the file ``path``.

    Args:
        path: the database file. It is created if it does not exist.
        synchronous: FULL (an acknowledged point survives a power cut) or NORMAL (it survives the process).
        reserve_bytes: how much room to keep on the disk for deletes; see ``sqlite_room``.
    """

    is_exclusive = True

    def __init__(self, path: Path | str, *, synchronous: str = "FULL", reserve_bytes: int = 0) -> None:
        self.grouped = False
        self.writes = 0
        """How many calls have written. The group commit compares it with an earlier number to notice further writes."""
        self.on_begin: Callable[[], None] = lambda: None
        self.has_begun = False
        """Whether this object has begun a transaction and neither committed nor undone it."""
        self.group = 0
        """The number of the newest transaction, open or not."""
        self.touched: dict[str, int] = {}
        """With grouping: each owner whose documents or points were changed, and the newest transaction that did so. The
        group commit removes owners as soon as their changes are safe."""
        self.read_of = 0
        """The newest transaction of ``touched`` whose changes a call may have read. A request sets it to 0 before."""
        self.is_lost = False
        """Whether the open transaction cannot be kept any more."""
        self.points_stored = 0
        """How many points of devices this object has stored and committed. Those of files are not among them."""
        self.path = Path(path)
        db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        super().__init__(db)
        db.execute("PRAGMA page_size=8192")
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # a new file only: it must come before the first table
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL" if synchronous == "FULL" else "PRAGMA synchronous=NORMAL")
        db.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        db.executescript(SCHEMA + sqlite_sealed.SCHEMA + sqlite_counters.SCHEMA + MQTT_SCHEMA)
        sqlite_counters.upgrade(db)
        self._counters = sqlite_counters.PendingCounters()
        self.lock = WriteLock(db)
        self.room = Room(db, self.path.with_name("reserve"), reserve_bytes)
        self.space = Space(db, self.lock, self.room)
        self._write, self._add = Write(self, db), Write(self, db, grows=True)
        self._insert = Write(self, db, grows=True, is_marked=False)
        self.own_unit = Unit(self, db, self._counters)
        self.mqtt = MqttTables(self, db)

    def leave_checkpoints(self) -> None:
        """Let the caller merge the write-ahead log into the database. The log is written only at a commit then."""
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self._db.execute("PRAGMA journal_size_limit=0")  # the size of the log's file is that of the log
        self._db.execute("PRAGMA cache_spill=OFF")

    def checkpoint(self) -> None:
        """Merge the write-ahead log into the database, from any thread. What is committed meanwhile stays in the log.

        Raises:
            sqlite3.Error: it failed; nothing is lost.
        """
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    @property
    def in_transaction(self) -> bool:
        """Whether there are writes that are not committed yet."""
        return self._db.in_transaction

    def unit(self) -> AbstractContextManager[object]:
        """See Store. A unit within another is part of it. Cost: below 1 µs, and a savepoint if more is written."""
        return nullcontext() if self.own_unit.is_open else self.own_unit

    def commit(self) -> None:
        """Commit all writes since ``on_begin``.

        Raises:
            errors.Unavailable: SQLite cannot keep them, for example because the disk is full. All of them are undone.
        """
        try:
            self.note_loss()
            if self.is_lost:
                raise sqlite3.OperationalError("SQLite undid this transaction by itself")
            sent = self._counters.flush(self._db)
            self._db.execute("COMMIT")
            self.has_begun = False
            self.points_stored += sent
        except sqlite3.Error as error:
            self.rollback()
            self.room.note(error)
            raise errors.Unavailable from error

    def note_loss(self) -> None:
        """Note if SQLite undid the open transaction by itself, with the writes of other requests in it.

        SQLite does so in any statement, even in one that only reads, if the disk is full or fails.
        """
        if self.has_begun and not self._db.in_transaction:
            self.is_lost = True

    def rollback(self) -> None:
        """Undo all writes since ``on_begin``."""
        self._counters.clear()
        self.has_begun = self.is_lost = False
        cache.clear_all()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Commit, then close the database, which merges the write-ahead log into the file."""
        if self._db.in_transaction:
            self.commit()
        self._db.close()

    def note_write(self, owner: str) -> None:
        """Note in ``touched`` that the open transaction changes what belongs to ``owner``."""
        if self.grouped:
            self.touched[owner] = self.group

    def note_read(self, owner: str) -> None:
        """Note in ``read_of`` if what belongs to ``owner`` is not safe yet."""
        self.read_of = max(self.read_of, self.touched.get(owner, 0))

    def can_write(self) -> bool:
        """See Store."""
        self._rows("SELECT 1 FROM entities LIMIT 1")
        return (self._db.in_transaction or self.lock.is_free()) and self.room.is_enough()

    def put_segments(
        self, items: Sequence[Item], *, profile: str, now_ms: int, is_import: bool = False
    ) -> Mapping[int, Item]:
        """See Store. If an error occurs, no item is put."""
        if len(items) > 1 or is_import:
            with self.unit(), self._add.to(names.device(items[0].device)) as db:
                return self._put_segments(db, items, profile, now_ms, is_import=is_import)
        is_first = self.own_unit.is_fresh
        with (self._insert if is_first else self._add).to(names.device(items[0].device)) as db:
            conflicts = self._put_segments(db, items, profile, now_ms)
            if is_first and not conflicts:
                self.own_unit.inserted = items[0]
        return conflicts

    def _put_segments(
        self, db: sqlite3.Connection, items: Sequence[Item], profile: str, now_ms: int, *, is_import: bool = False
    ) -> Mapping[int, Item]:
        conflicts: dict[int, Item] = {}
        stored = 0
        for index, item in enumerate(items):
            if db.execute(_INSERT, item).rowcount:
                stored += item.points
                self.note_waiting(item)
            else:
                conflicts[index] = self._existing(item) or item
        self._counters.add(items[0].device, profile, 0 if is_import else stored, stored, now_ms)
        return conflicts

    def _existing(self, item: Item) -> Item | None:
        """Return the item that has this key already."""
        row = self._db.execute(SELECT, (item.device, item.key)).fetchone()
        return Item(*row) if row else None

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """See Store. Each page is a statement of its own, so writes in between do no harm. The first page is small."""
        self.note_read(names.device(device))
        order, size = ("DESC" if newest_first else "ASC"), min(first_page, _FIRST_PAGE)
        while True:
            rows = self._rows(f"SELECT {COLUMNS} {BETWEEN} ORDER BY key {order} LIMIT ?", device, low, high, size)
            for row in rows:
                yield Item(*row)
            if len(rows) < size:
                return
            last = rows[-1][1]
            low, high = (low, key_before(last)) if newest_first else (last + "0", high)
            size = min(size * 4, _PAGE)

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        with self._write.to(names.device(item.device)) as db:
            old = db.execute(
                "SELECT points FROM segments WHERE device = ? AND key = ? AND version = ?",
                (item.device, item.key, item.version - 1),
            ).fetchone()
            if old is None:
                return self._existing(item) == item
            db.execute(
                "UPDATE segments SET body = ?, digest = ?, points = ?, version = ?, expires_at = ? "
                "WHERE device = ? AND key = ?",
                (item.body, item.digest, item.points, item.version, item.expires_at, item.device, item.key),
            )
            self._counters.add(item.device, profile, 0, item.points - old[0])
        return True

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        with self._write.to(names.device(item.device)) as db:
            row = db.execute(
                "DELETE FROM segments WHERE device = ? AND key = ? AND version = ? RETURNING points",
                (item.device, item.key, item.version),
            ).fetchone()
            if row is None:
                return self._existing(item) is None
            self._counters.add(item.device, profile, 0, -row[0])
        return True

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """See Store.

        Raises:
            deadline.TooLong: some are gone; a retry resumes.
        """
        dropped = 0
        while True:
            with self._write.to(names.device(device)) as db:
                rows, is_last = sqlite_slices.next_of(db, device, low, high)
                if rows:
                    db.execute(f"DELETE {BETWEEN}", (device, low, rows[-1][0]))
                sealed = self.drop_sealed(db, device, low, high) if is_last else ()
                points = sum(row[1] for row in (*rows, *sealed))
                dropped += points
                if points:
                    self._counters.add(device, profile, 0, -points)
            if is_last and len(sealed) < sqlite_sealed.SLICE:
                return dropped
            deadline.check()

    def set_expiry(self, device: str, key: str, expires_at: int | None, *, is_sealed: bool = False) -> None:
        """See Store."""
        with self._write.to(names.device(device)) as db:
            table = "sealed" if is_sealed else "segments"
            db.execute(f"UPDATE {table} SET expires_at = ? WHERE device = ? AND key = ?", (expires_at, device, key))

    def put(self, entity: Entity) -> None:
        """See Store."""
        with self._write.to(entity.owner) as db:
            db.execute(_UPSERT, row_of(entity))

    def put_if(self, entity: Entity, *, version: int) -> Conflict | None:
        """See Store."""
        with (self._add if version == ABSENT else self._write).to(entity.owner) as db:
            existing = self.get(entity.owner, entity.name)
            if version != (existing.version if existing else ABSENT):
                return None if existing == entity else Conflict(existing)
            db.execute(_UPSERT, row_of(entity))
        return None

    def write_all(self, puts: Sequence[Entity], deletes: Sequence[tuple[str, str]] = ()) -> bool:
        """See Store."""
        with self.unit(), self._add.to("") as db:
            for owner in {entity.owner for entity in puts} | {owner for owner, _ in deletes}:
                self.note_write(owner)
            for entity in puts:
                existing = self.get(entity.owner, entity.name)
                if entity.version != (existing.version if existing else ABSENT) + 1:
                    return False
            db.executemany(_UPSERT, map(row_of, puts))
            db.executemany("DELETE FROM entities WHERE owner = ? AND name = ?", deletes)
        return True

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """See Store."""
        with self._write.to(owner) as db:
            for name in names:
                db.execute("DELETE FROM entities WHERE owner = ? AND name = ?", (owner, name))

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """See Store. Exact: the counters are written in the same transaction as the points."""
        owner = names.profile(profile) if device is None else names.device(device)
        self.read_of = max(self.read_of, max(self.touched.values(), default=0) if device is None else 0)
        self.note_read(owner)
        return self._counters.added(owner, self.read_counters(owner))

    def _sums(self, owner: str) -> tuple[int, int, int, int, int]:
        """Return what was added since ever, also by the open transaction."""
        return self._counters.sums(owner, super()._sums(owner))

    def take_changed(self) -> list[str]:
        """Return the profiles whose counters were written since the last call."""
        prefix = names.profile("")
        owners, self._counters.changed = self._counters.changed, set()
        return [owner.removeprefix(prefix) for owner in owners if owner.startswith(prefix)]

    def add_output(self, profile: str, device: str | None, points: int, last_ms: int) -> None:
        """See Store."""
        owner = names.profile(profile) if device is None else names.device(device)
        with self._write.to(owner):
            self._counters.add_output(owner, points, last_ms)

    def balance(self, profile: str) -> bool:
        """See Store."""
        return False

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """See Store."""
        with self._write.to(names.device(device)):
            self._counters.add(device, profile, 0, 0, now_ms)

    def forget_counters(self, device: str, *, profile: str) -> None:
        """See Store."""
        owner = names.device(device) if device else names.profile(profile)
        with self._write.to(owner) as db:
            self._counters.forget(db, owner)

    def remove_expired(self, keys: Sequence[EntityKey]) -> None:
        """Remove the entities with these owners and names that have expired by now. About 4 µs for each."""
        with self._write.to("") as db:
            db.executemany(
                "DELETE FROM entities WHERE owner = ? AND name = ? AND expires_at <= ?",
                [(owner, name, now_s()) for owner, name in keys],
            )
