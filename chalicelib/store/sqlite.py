"""The store of the embedded mode: one SQLite file, and one connection that writes.

With ``grouped`` off, each call is a transaction. With it on, the first write opens a transaction and calls
``on_begin``. The group commit that set this callback commits later, and answers no request before.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from chalicelib import errors
from chalicelib.codec.segments import Item
from chalicelib.host import cache, clock
from chalicelib.store import ABSENT, Conflict, Counters, Entity, names, sqlite_counters

SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
    device TEXT NOT NULL, key TEXT NOT NULL, points INTEGER NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, digest BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (device, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    owner TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, PRIMARY KEY (owner, name)) WITHOUT ROWID;
"""
_COLUMNS = "device, key, body, digest, points, version, expires_at"
_INSERT = f"INSERT INTO segments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_ALIVE = "(expires_at IS NULL OR expires_at > ?)"
_UPSERT = (
    "INSERT INTO entities (owner, name, doc, version, expires_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET doc = excluded.doc, version = excluded.version, expires_at = excluded.expires_at"
)
_FIRST_PAGE = 2
_PAGE = 128
_MAX_CODE_POINT = "\U0010ffff"


class _Write:
    """Wraps a call that writes. It opens a transaction if none is open. A failure undoes only this call.

    Without grouping, each call is a transaction: it is committed at the end, or undone if the call fails.
    """

    def __init__(self, store: "SqliteStore", db: sqlite3.Connection) -> None:
        self._store, self._db = store, db

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        store.writes += 1
        if not self._db.in_transaction:
            store.note_loss()
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise errors.Unavailable from error
            store.has_begun = True
            if store.grouped:
                store.on_begin()
        return self._db

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            if not self._store.grouped:
                self._store.commit()
            return
        if not self._store.grouped:
            self._store.rollback()
        if isinstance(error, sqlite3.Error):
            raise errors.Unavailable from error


class SqliteStore:
    """Implements Store on the file ``path``.

    Args:
        path: the database file. It is created if it does not exist.
        synchronous: FULL (an acknowledged point survives a power cut) or NORMAL (it survives the process).
    """

    is_exclusive = True

    def __init__(self, path: Path | str, *, synchronous: str = "FULL") -> None:
        self.grouped = False
        self.writes = 0
        """How many calls have written. The group commit compares it with an earlier number to notice further writes."""
        self.on_begin: Callable[[], None] = lambda: None
        self.has_begun = False
        """Whether this object has begun a transaction and neither committed nor undone it."""
        self._is_lost = False
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        self._db.execute("PRAGMA page_size=8192")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL" if synchronous == "FULL" else "PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-16000")
        self._db.executescript(SCHEMA + sqlite_counters.SCHEMA)
        self._counters = sqlite_counters.PendingCounters(self._db)
        self._write = _Write(self, self._db)

    @property
    def in_transaction(self) -> bool:
        """Whether there are writes that are not committed yet."""
        return self._db.in_transaction

    def commit(self) -> None:
        """Commit all writes since ``on_begin``.

        Raises:
            errors.Unavailable: SQLite cannot keep them, for example because the disk is full. All of them are undone.
        """
        try:
            self.note_loss()
            if self._is_lost:
                raise sqlite3.OperationalError("SQLite undid this transaction by itself")
            self._counters.flush()
            self._db.execute("COMMIT")
            self.has_begun = False
        except sqlite3.Error as error:
            self.rollback()
            raise errors.Unavailable from error

    def note_loss(self) -> None:
        """Note if SQLite undid the open transaction by itself, with the writes of other requests in it.

        SQLite does so in any statement, even in one that only reads, if the disk is full or fails.
        """
        if self.has_begun and not self._db.in_transaction:
            self._is_lost = True

    def rollback(self) -> None:
        """Undo all writes since ``on_begin``."""
        self._counters.clear()
        self.has_begun = self._is_lost = False
        cache.clear_all()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Commit, then close the database, which merges the write-ahead log into the file."""
        if self._db.in_transaction:
            self.commit()
        self._db.close()

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise errors.Unavailable from error

    def put_segments(self, items: Sequence[Item], *, profile: str, now_ms: int) -> Mapping[int, Item]:
        """See Store. If an error occurs, no item is put."""
        conflicts: dict[int, Item] = {}
        stored = 0
        with self._write as db:
            if len(items) > 1:
                db.execute("SAVEPOINT request")
            try:
                for index, item in enumerate(items):
                    if db.execute(_INSERT, item).rowcount:
                        stored += item.points
                    else:
                        conflicts[index] = self._existing(item) or item
            except BaseException:
                if len(items) > 1:
                    db.execute("ROLLBACK TO request")
                raise
            finally:
                if len(items) > 1:
                    db.execute("RELEASE request")
            self._counters.add(items[0].device, profile, stored, stored, now_ms)
        return conflicts

    def _existing(self, item: Item) -> Item | None:
        """Return the item that has this key already, expired or not: the key is taken either way."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM segments WHERE device = ? AND key = ?", (item.device, item.key)
        ).fetchone()
        return Item(*row) if row else None

    def get_segment(self, device: str, key: str) -> Item | None:
        """See Store."""
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM segments WHERE device = ? AND key = ? AND {_ALIVE}", device, key, _now_s()
        )
        return Item(*rows[0]) if rows else None

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """See Store. Each page is a statement of its own, so writes in between do no harm. The first page is small."""
        order, size = ("DESC" if newest_first else "ASC"), min(first_page, _FIRST_PAGE)
        while True:
            rows = self._rows(
                f"SELECT {_COLUMNS} FROM segments WHERE device = ? AND key >= ? AND key <= ? AND {_ALIVE} "
                f"ORDER BY key {order} LIMIT ?",
                device, low, high, _now_s(), size,
            )  # fmt: skip
            for row in rows:
                yield Item(*row)
            if len(rows) < size:
                return
            last = rows[-1][1]
            low, high = (low, _before(last)) if newest_first else (last + "0", high)
            size = min(size * 4, _PAGE)

    def count_points(self, device: str, low: str, high: str) -> int:
        """See Store."""
        rows = self._rows(
            f"SELECT COALESCE(SUM(points), 0) FROM segments WHERE device = ? AND key >= ? AND key <= ? AND {_ALIVE}",
            device, low, high, _now_s(),
        )  # fmt: skip
        points: int = rows[0][0]
        return points

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        with self._write as db:
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
        with self._write as db:
            row = db.execute(
                "DELETE FROM segments WHERE device = ? AND key = ? AND version = ? RETURNING points",
                (item.device, item.key, item.version),
            ).fetchone()
            if row is None:
                return self._existing(item) is None
            self._counters.add(item.device, profile, 0, -row[0])
        return True

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """See Store. One statement."""
        with self._write as db:
            where = "WHERE device = ? AND key >= ? AND key <= ?"
            points: int = db.execute(
                f"SELECT COALESCE(SUM(points), 0) FROM segments {where}", (device, low, high)
            ).fetchone()[0]
            db.execute(f"DELETE FROM segments {where}", (device, low, high))
            self._counters.add(device, profile, 0, -points)
        return points

    def get(self, owner: str, name: str, *, is_consistent: bool = True) -> Entity | None:
        """See Store. Every read is consistent."""
        rows = self._rows(
            f"SELECT owner, name, doc, version, expires_at FROM entities WHERE owner = ? AND name = ? AND {_ALIVE}",
            owner, name, _now_s(),
        )  # fmt: skip
        return _entity(rows[0]) if rows else None

    def put(self, entity: Entity) -> None:
        """See Store."""
        with self._write as db:
            db.execute(_UPSERT, _row(entity))

    def put_if(self, entity: Entity, *, version: int) -> Conflict | None:
        """See Store."""
        with self._write as db:
            existing = self.get(entity.owner, entity.name)
            if version != (existing.version if existing else ABSENT):
                return None if existing == entity else Conflict(existing)
            db.execute(_UPSERT, _row(entity))
        return None

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """See Store."""
        with self._write as db:
            for name in names:
                db.execute("DELETE FROM entities WHERE owner = ? AND name = ?", (owner, name))

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """See Store."""
        rows = self._rows(
            "SELECT owner, name, doc, version, expires_at FROM entities "
            f"WHERE owner = ? AND name >= ? AND name < ? AND {_ALIVE} ORDER BY name",
            owner, prefix, prefix + _MAX_CODE_POINT, _now_s(),
        )  # fmt: skip
        return [_entity(row) for row in rows]

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """See Store. Exact: the counters are written in the same transaction as the points."""
        try:
            return self._counters.read(names.profile(profile) if device is None else names.device(device))
        except sqlite3.Error as error:
            raise errors.Unavailable from error

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """See Store."""
        with self._write:
            self._counters.add(device, profile, 0, 0, now_ms)

    def forget_counters(self, device: str, *, profile: str) -> None:
        """See Store."""
        with self._write:
            self._counters.forget(names.device(device))

    def purge(self) -> int:
        """Remove expired segments and entities; return how many segments. The embedded mode calls it daily."""
        with self._write as db:
            expired = db.execute(
                "DELETE FROM segments WHERE expires_at <= ? RETURNING device, points", (_now_s(),)
            ).fetchall()
            for device, points in expired:
                self._counters.add_to(names.device(device), 0, -points, 0)
            db.execute("DELETE FROM entities WHERE expires_at <= ?", (_now_s(),))
        return len(expired)


def _row(entity: Entity) -> tuple[object, ...]:
    return (entity.owner, entity.name, orjson.dumps(entity.doc).decode(), entity.version, entity.expires_at)


def _entity(row: Any) -> Entity:
    return Entity(row[0], row[1], orjson.loads(row[2]), row[3], row[4])


def _now_s() -> int:
    return clock.now_ms() // 1000


def _before(key: str) -> str:
    """Return the key that sorts directly below ``key``. Keys have 20 hex digits."""
    return f"{int(key, 16) - 1:020x}"
