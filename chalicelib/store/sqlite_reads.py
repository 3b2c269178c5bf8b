"""The reading half of the SQLite store, on any connection, and read-only snapshots for other threads."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from chalicelib import errors
from chalicelib.codec import hours
from chalicelib.codec.keys import LATEST_MS
from chalicelib.codec.segment import Item, SealedItem
from chalicelib.host import clock, deadline
from chalicelib.store import Counters, Entity, Totals, Usage, names

COLUMNS = "device, key, body, digest, points, version, expires_at"
SELECT = f"SELECT {COLUMNS} FROM segments WHERE device = ? AND key = ?"
BETWEEN = "FROM segments WHERE device = ? AND key >= ? AND key <= ?"
SEALED = "device, key, low, oldest_ms, points, version, expires_at, summary, body"
_WITHOUT_BODY = SEALED.replace("body", "X''")
EntityKey = tuple[str, str]
"""Owner and name of an entity."""
_TOTALS = "hour, input, output, records"
_ALIVE = "(expires_at IS NULL OR expires_at > ?)"
CACHE_KB = 16_000
_AFTER = "FROM entities WHERE (owner, name) > (?, ?)"
_LOOKED_AT = 10_000
_MAX_CODE_POINT = "\U0010ffff"
_STEPS = 4_000
"""How many steps of SQLite's machine lie between two looks at the clock: about 0.2 ms."""
_ROWS = 64
"""How many rows lie between two looks at the clock."""


class Reads:
    """Implements the reading calls of Store.

    Args:
        db: a connection. A long statement on it is interrupted when ``deadline`` is over.
    """

    kind, keeps_originals = "sqlite", False

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._open: set[sqlite3.Cursor] = set()
        """The statements that may take long and have begun."""
        db.set_progress_handler(lambda: bool(self._open) and deadline.is_over(), _STEPS)

    def note_read(self, owner: str) -> None:
        """Note that a call reads what belongs to ``owner``."""

    def _rows(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise errors.Unavailable from error

    def _long_rows(self, sql: str, *parameters: object) -> Iterator[Any]:
        """Yield the rows of a statement that may take long. Raises as ``deadline.check``."""
        cursor = self._db.cursor()
        self._open.add(cursor)
        try:
            for number, row in enumerate(cursor.execute(sql, parameters), 1):
                yield row
                if number % _ROWS == 0:
                    deadline.check()
        except sqlite3.Error as error:
            deadline.check()
            raise errors.Unavailable from error
        finally:
            self._close(cursor)

    def _close(self, cursor: sqlite3.Cursor) -> None:
        self._open.discard(cursor)
        with contextlib.suppress(sqlite3.Error):  # it reports an interruption again
            cursor.close()

    def get_segment(self, device: str, key: str) -> Item | None:
        """See Store."""
        self.note_read(names.device(device))
        rows = self._rows(SELECT, device, key)
        return Item(*rows[0]) if rows else None

    def sealed_to(self, device: str) -> str:
        """See Store."""
        ((key,),) = self._rows("SELECT COALESCE(MAX(key), '') FROM sealed WHERE device = ?", device)
        return str(key)

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
        """See Store. One statement, whose rows are read as they are needed."""
        self.note_read(names.device(device))
        for row in self._long_rows(sealed_between(newest_first, has_bodies), device, low, high, oldest_to_ms):
            yield SealedItem(*row)

    def count_sealed(self, device: str, low: str, high: str, *, oldest_from_ms: int) -> int | None:
        """See Store."""
        self.note_read(names.device(device))
        ((points,),) = self._long_rows(
            "SELECT COALESCE(SUM(points), 0) FROM sealed WHERE device = ? AND key >= ? AND key <= ? AND oldest_ms >= ?",
            device, low, high, oldest_from_ms,
        )  # fmt: skip
        return int(points)

    def sealed_at(self, device: str, key: str) -> SealedItem | None:
        """See Store."""
        self.note_read(names.device(device))
        rows = self._rows(
            f"SELECT {SEALED} FROM sealed WHERE device = ? AND key >= ? ORDER BY key LIMIT 1", device, key
        )
        return SealedItem(*rows[0]) if rows and rows[0][2] < key else None

    def count_points(self, device: str, low: str, high: str) -> int:
        """See Store."""
        self.note_read(names.device(device))
        ((points,),) = self._long_rows(f"SELECT COALESCE(SUM(points), 0) {BETWEEN}", device, low, high)
        return int(points)

    def get(self, owner: str, name: str, *, is_consistent: bool = True) -> Entity | None:
        """See Store. Every read is consistent."""
        self.note_read(owner)
        rows = self._rows(
            f"SELECT owner, name, doc, version, expires_at FROM entities WHERE owner = ? AND name = ? AND {_ALIVE}",
            owner, name, now_s(),
        )  # fmt: skip
        return _entity(rows[0]) if rows else None

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """See Store."""
        self.note_read(owner)
        rows = self._long_rows(
            "SELECT owner, name, doc, version, expires_at FROM entities "
            f"WHERE owner = ? AND name >= ? AND name < ? AND {_ALIVE} ORDER BY name",
            owner, prefix, prefix + _MAX_CODE_POINT, now_s(),
        )  # fmt: skip
        return [_entity(row) for row in rows]

    def count(self, owner: str, prefix: str) -> int:
        """See Store."""
        self.note_read(owner)
        ((entities,),) = self._long_rows(
            f"SELECT COUNT(*) FROM entities WHERE owner = ? AND name >= ? AND name < ? AND {_ALIVE}",
            owner, prefix, prefix + _MAX_CODE_POINT, now_s(),
        )  # fmt: skip
        return int(entities)

    def newest(self, owner: str, low: str, high: str, *, first_page: int) -> Iterator[Entity]:
        """See Store. One statement, whose rows are read as they are needed."""
        self.note_read(owner)
        rows = self._long_rows(
            "SELECT owner, name, doc, version, expires_at FROM entities "
            f"WHERE owner = ? AND name >= ? AND name <= ? AND {_ALIVE} ORDER BY name DESC",
            owner, low, high, now_s(),
        )  # fmt: skip
        yield from map(_entity, rows)

    def expired(self, after: EntityKey) -> tuple[Sequence[EntityKey], EntityKey | None]:
        """Look at the next 10,000 entities in order of key, and return the keys of those that have expired.

        It has no index to go by, which would make each write dearer. Call it in a thread: it takes up to 10 ms.

        Args:
            after: owner and name of the last entity that was looked at. Two empty texts: begin.

        Returns:
            Owners and names; and where the next call resumes, None if all were looked at.
        """
        ends = self._rows(f"SELECT owner, name {_AFTER} ORDER BY owner, name LIMIT 1 OFFSET {_LOOKED_AT - 1}", *after)
        end: EntityKey | None = ends[0] if ends else None
        found = self._rows(
            f"SELECT owner, name {_AFTER} AND (owner, name) <= (?, ?) AND expires_at <= ?",
            *after, *(end or (_MAX_CODE_POINT, "")), now_s(),
        )  # fmt: skip
        return found, end

    def read_counters(self, owner: str) -> tuple[int, int, int | None]:
        """Return the committed counters of an owner: points sent, points that exist, last input in milliseconds."""
        rows = self._rows("SELECT input, records, last_input_ms FROM counters WHERE owner = ?", owner)
        return rows[0] if rows else (0, 0, None)

    def _sums(self, owner: str) -> tuple[int, int, int, int, int]:
        """Return what was added since ever: points sent, points that exist, last input, points read, last output."""
        rows = self._rows(
            "SELECT input, records, COALESCE(last_input_ms, 0), output, COALESCE(last_output_ms, 0) FROM counters "
            "WHERE owner = ?", owner,
        )  # fmt: skip
        return rows[0] if rows else (0, 0, 0, 0, 0)

    def usage(self, profile: str, device: str | None = None) -> Usage:
        """See Store."""
        owner = names.profile(profile) if device is None else names.device(device)
        self.note_read(owner)
        points_in, records, last_in, points_out, last_out = self._sums(owner)
        month_start = hours.of_month(hours.now())
        first = self._rows(f"SELECT {_TOTALS} FROM hours WHERE owner = ? AND hour >= ? LIMIT 1", owner, month_start)
        base = Totals(*first[0]) if first else _totals(Reads._sums(self, owner))  # what is pending is of this month
        return Usage(
            points_in - base.points_in, points_out - base.points_out, records, last_in or None, last_out or None
        )

    def history(self, profile: str, device: str | None, low: int, high: int) -> Sequence[Totals]:
        """See Store."""
        owner = names.profile(profile) if device is None else names.device(device)
        self.note_read(owner)
        rows = [
            *self._long_rows(f"SELECT {_TOTALS} FROM hours WHERE owner = ? AND hour BETWEEN ? AND ?", owner, low, high),
            *self._rows(f"SELECT {_TOTALS} FROM hours WHERE owner = ? AND hour > ? LIMIT 1", owner, high),
        ]
        found = [Totals(*row) for row in rows]
        return found if found and found[-1].hour > high else [*found, _totals(self._sums(owner))]


class Snapshot(Reads):
    """Implements the reading calls of Store on a connection of its own that cannot write.

    Within ``opened``, all calls see the same state of the database: what was committed before the first of them.

    Args:
        path: the database file, which must exist.

    Raises:
        errors.Unavailable: the file cannot be read.
    """

    is_exclusive = False

    def __init__(self, path: Path) -> None:
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise errors.Unavailable from error
        super().__init__(db)

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Hold one state of the database. Raises errors.Unavailable: it cannot be used."""
        try:
            self._db.execute("BEGIN")
        except sqlite3.Error as error:
            raise errors.Unavailable from error
        try:
            yield
        finally:
            # A read that was given up leaves a generator, which lives until the garbage collector finds it. While its
            # statement is open, ROLLBACK would keep the state, and the write-ahead log could never begin again.
            for cursor in [*self._open]:
                self._close(cursor)
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def devices_after(self, device: str, count: int) -> list[str]:
        """Return the next devices that have small segments, in order. Cost: a search a device."""
        found: list[str] = []
        while len(found) < count:
            rows = self._rows("SELECT device FROM segments WHERE device > ? ORDER BY device LIMIT 1", device)
            if not rows:
                break
            device = rows[0][0]
            found.append(device)
        return found

    def key_after(self, device: str, key: str) -> str | None:
        """Return the key of the device's next small segment; None: there is none. Cost: a search."""
        rows = self._rows("SELECT key FROM segments WHERE device = ? AND key > ? ORDER BY key LIMIT 1", device, key)
        return rows[0][0] if rows else None

    def smaller_segments(self, device: str, low: str, high: str, points: int) -> Iterator[Item]:
        """Yield the small segments with low <= key <= high and fewer than so many points, in order of key."""
        for row in self._long_rows(
            f"SELECT {COLUMNS} {BETWEEN} AND points < ? ORDER BY key", device, low, high, points
        ):
            yield Item(*row)

    def can_write(self) -> bool:
        """See Store. A snapshot knows only that the database can be read."""
        self._rows("SELECT 1 FROM entities LIMIT 1")
        return True

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """See Store. One statement, whose rows are read as they are needed."""
        order = "DESC" if newest_first else "ASC"
        for row in self._long_rows(f"SELECT {COLUMNS} {BETWEEN} ORDER BY key {order}", device, low, high):
            yield Item(*row)

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """See Store."""
        return Counters(*self.read_counters(names.profile(profile) if device is None else names.device(device)))


def _totals(sums: tuple[int, int, int, int, int]) -> Totals:
    """Return an owner's sums as totals at the end of the current hour."""
    points_in, records, _, points_out, _ = sums
    return Totals(hours.now() + 1, points_in, points_out, records)


def sealed_between(newest_first: bool, has_bodies: bool) -> str:
    """Return the statement for sealed segments by device, lowest key, highest key, and highest time of the oldest."""
    return (
        f"SELECT {SEALED if has_bodies else _WITHOUT_BODY} FROM sealed WHERE device = ? AND key >= ? AND key <= ? "
        f"AND oldest_ms <= ? ORDER BY key {'DESC' if newest_first else 'ASC'}"
    )


def row_of(entity: Entity) -> Sequence[object]:
    """Return an entity as a row of its table."""
    return (entity.owner, entity.name, orjson.dumps(entity.doc).decode(), entity.version, entity.expires_at)


def _entity(row: Any) -> Entity:
    return Entity(row[0], row[1], orjson.loads(row[2]), row[3], row[4])


def now_s() -> int:
    """Return seconds since 1970."""
    return clock.now_ms() // 1000
