"""The store of the embedded mode: one SQLite file, one connection that writes.

With ``grouped`` off, each call is a transaction of its own. With it on, the first write opens a transaction and
calls ``on_begin``; whoever set that commits later, and must not answer anybody before (group commit).
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from chalicelib import errors
from chalicelib.codec.segments import Item
from chalicelib.host import cache, clock
from chalicelib.store import ABSENT, Conflict, Counters, Entity, names

SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
    device TEXT NOT NULL, key TEXT NOT NULL, points INTEGER NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, digest BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (device, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    owner TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL, version INTEGER NOT NULL,
    expires_at INTEGER, PRIMARY KEY (owner, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    owner TEXT PRIMARY KEY, input INTEGER NOT NULL, records INTEGER NOT NULL, last_input_ms INTEGER) WITHOUT ROWID;
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


class SqliteStore:
    """Answers the Store protocol from the file ``path``.

    Args:
        path: the database file; made when absent.
        synchronous: FULL (an acknowledged point survives a power cut) or NORMAL (it survives the process).
    """

    is_exclusive = True

    def __init__(self, path: Path | str, *, synchronous: str = "FULL") -> None:
        self.grouped = False
        self.writes = 0
        """How many calls have written; whoever groups them looks whether there are more."""
        self.on_begin: Callable[[], None] = lambda: None
        self._pending: dict[str, list[int]] = {}
        self._is_lost = False
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        self._db.execute("PRAGMA page_size=8192")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL" if synchronous == "FULL" else "PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-16000")
        self._db.executescript(SCHEMA)

    @property
    def in_transaction(self) -> bool:
        """Whether something was written that is not committed yet."""
        return self._db.in_transaction

    def commit(self) -> None:
        """Make what was written since ``on_begin`` last.

        Raises:
            errors.Unavailable: it could not be kept (a full disk, say); all of it is undone.
        """
        try:
            if self._is_lost:
                raise sqlite3.OperationalError("SQLite undid this transaction by itself")
            self._flush_counters()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self.rollback()
            raise errors.Unavailable from error

    def rollback(self) -> None:
        """Undo what was written since ``on_begin``."""
        self._pending.clear()
        self._is_lost = False
        cache.clear_all()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Commit, fold the log into the file and close it."""
        if self._db.in_transaction:
            self.commit()
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction if none is open; a failing call is undone alone, and without grouping it commits."""
        begins = not self._db.in_transaction
        self.writes += 1
        try:
            if begins:
                self._db.execute("BEGIN IMMEDIATE")
                if self.grouped:
                    self.on_begin()
            yield self._db
        except sqlite3.Error as error:
            if not self.grouped:
                self.rollback()
            elif not self._db.in_transaction:
                # A full disk makes SQLite undo everything, the others' writes of this turn too.
                self._is_lost = True
            raise errors.Unavailable from error
        except BaseException:
            if not self.grouped:
                self.rollback()
            raise
        if not self.grouped:
            self.commit()

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise errors.Unavailable from error

    def put_segments(self, items: Sequence[Item], *, profile: str, now_ms: int) -> Mapping[int, Item]:
        """See Store. All items go in together or not at all."""
        conflicts: dict[int, Item] = {}
        stored = 0
        with self._writing() as db:
            if len(items) > 1:
                db.execute("SAVEPOINT request")
            try:
                for index, item in enumerate(items):
                    if db.execute(_INSERT, item).rowcount:
                        stored += item.points
                    else:
                        conflicts[index] = self._existing(item)
            except BaseException:
                if len(items) > 1:
                    db.execute("ROLLBACK TO request")
                raise
            finally:
                if len(items) > 1:
                    db.execute("RELEASE request")
            self._add(items[0].device, profile, stored, stored, now_ms)
        return conflicts

    def _existing(self, item: Item) -> Item:
        """Return the item that has this key already, expired or not: the key is taken either way."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM segments WHERE device = ? AND key = ?", (item.device, item.key)
        ).fetchone()
        return Item(*row)

    def get_segment(self, device: str, key: str) -> Item | None:
        """See Store."""
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM segments WHERE device = ? AND key = ? AND {_ALIVE}", device, key, _now_s()
        )
        return Item(*rows[0]) if rows else None

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """See Store. Each page is a statement of its own, so that writes in between do no harm; they grow from two."""
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
        with self._writing() as db:
            old = db.execute(
                "SELECT points FROM segments WHERE device = ? AND key = ? AND version = ?",
                (item.device, item.key, item.version - 1),
            ).fetchone()
            if old is None:
                return False
            db.execute(
                "UPDATE segments SET body = ?, digest = ?, points = ?, version = ?, expires_at = ? "
                "WHERE device = ? AND key = ?",
                (item.body, item.digest, item.points, item.version, item.expires_at, item.device, item.key),
            )
            self._add(item.device, profile, 0, item.points - old[0])
        return True

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        with self._writing() as db:
            row = db.execute(
                "DELETE FROM segments WHERE device = ? AND key = ? AND version = ? RETURNING points",
                (item.device, item.key, item.version),
            ).fetchone()
            if row is None:
                return False
            self._add(item.device, profile, 0, -row[0])
        return True

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """See Store. One statement."""
        with self._writing() as db:
            where = "WHERE device = ? AND key >= ? AND key <= ?"
            points: int = db.execute(
                f"SELECT COALESCE(SUM(points), 0) FROM segments {where}", (device, low, high)
            ).fetchone()[0]
            db.execute(f"DELETE FROM segments {where}", (device, low, high))
            self._add(device, profile, 0, -points)
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
        with self._writing() as db:
            db.execute(_UPSERT, _row(entity))

    def put_if(self, entity: Entity, *, version: int) -> Conflict | None:
        """See Store."""
        with self._writing() as db:
            existing = self.get(entity.owner, entity.name)
            if version != (existing.version if existing else ABSENT):
                return Conflict(existing)
            db.execute(_UPSERT, _row(entity))
        return None

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """See Store."""
        with self._writing() as db:
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
        """See Store. Exact: kept in the transaction of what they count."""
        owner = names.profile(profile) if device is None else names.device(device)
        rows = self._rows("SELECT input, records, last_input_ms FROM counters WHERE owner = ?", owner)
        points_in, records, last_ms = rows[0] if rows else (0, 0, None)
        pending = self._pending.get(owner, (0, 0, 0))
        return Counters(points_in + pending[0], records + pending[1], max(last_ms or 0, pending[2]) or None)

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """See Store."""
        with self._writing():
            self._add(device, profile, 0, 0, now_ms)

    def forget_counters(self, device: str, *, profile: str) -> None:
        """See Store."""
        with self._writing() as db:
            self._pending.pop(names.device(device), None)
            db.execute("DELETE FROM counters WHERE owner = ?", (names.device(device),))

    def purge(self) -> int:
        """Remove what has expired; return how many segments went. For the embedded mode's daily run."""
        with self._writing() as db:
            gone = db.execute(
                "DELETE FROM segments WHERE expires_at <= ? RETURNING device, points", (_now_s(),)
            ).fetchall()
            for device, points in gone:
                self._sum(names.device(device), 0, -points, 0)
            db.execute("DELETE FROM entities WHERE expires_at <= ?", (_now_s(),))
        return len(gone)

    def _add(self, device: str, profile: str, points_in: int, records: int, now_ms: int = 0) -> None:
        self._sum(names.device(device), points_in, records, now_ms)
        self._sum(names.profile(profile), points_in, records, now_ms)

    def _sum(self, owner: str, points_in: int, records: int, now_ms: int) -> None:
        pending = self._pending.get(owner)
        if pending is None:
            self._pending[owner] = [points_in, records, now_ms]
        else:
            pending[0] += points_in
            pending[1] += records
            pending[2] = max(pending[2], now_ms)

    def _flush_counters(self) -> None:
        if self._pending:
            self._db.executemany(
                "INSERT INTO counters (owner, input, records, last_input_ms) VALUES (?, ?, ?, NULLIF(?, 0)) "
                "ON CONFLICT DO UPDATE SET input = input + excluded.input, records = records + excluded.records, "
                "last_input_ms = COALESCE(MAX(last_input_ms, excluded.last_input_ms), "
                "excluded.last_input_ms, last_input_ms)",
                [(owner, *sums) for owner, sums in self._pending.items()],
            )
            self._pending.clear()


def _row(entity: Entity) -> tuple[object, ...]:
    return (entity.owner, entity.name, orjson.dumps(entity.doc).decode(), entity.version, entity.expires_at)


def _entity(row: Any) -> Entity:
    return Entity(row[0], row[1], orjson.loads(row[2]), row[3], row[4])


def _now_s() -> int:
    return clock.now_ms() // 1000


def _before(key: str) -> str:
    """Return a key that sorts right below ``key`` and above every other key: keys are 20 hex digits."""
    return f"{int(key, 16) - 1:020x}"
