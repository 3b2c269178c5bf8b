"""Counters on SQLite: gathered in memory, and written in the same transaction as the points that they count.

The table of hours has the totals of each owner before its first change in an hour. So a change costs nothing more, and
the totals at the beginning of any hour are those of the next row.
"""

import sqlite3

from chalicelib.codec import hours
from chalicelib.store import Counters, names

SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (
    owner TEXT PRIMARY KEY, input INTEGER NOT NULL, records INTEGER NOT NULL, last_input_ms INTEGER,
    output INTEGER NOT NULL DEFAULT 0, last_output_ms INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hours (
    owner TEXT NOT NULL, hour INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
    records INTEGER NOT NULL, PRIMARY KEY (owner, hour)) WITHOUT ROWID;
"""
_LATER = {"output": "INTEGER NOT NULL DEFAULT 0", "last_output_ms": "INTEGER"}
"""Columns that the table of counters of an early version lacks."""
_NEWEST = "COALESCE(MAX({0}, excluded.{0}), excluded.{0}, {0})"
_ADD = (
    "INSERT INTO counters (owner, input, records, last_input_ms, output, last_output_ms) "
    "VALUES (?, ?, ?, NULLIF(?, 0), ?, NULLIF(?, 0)) ON CONFLICT DO UPDATE "
    "SET input = input + excluded.input, records = records + excluded.records, output = output + excluded.output, "
    f"last_input_ms = {_NEWEST.format('last_input_ms')}, last_output_ms = {_NEWEST.format('last_output_ms')}"
)
_BEGIN_HOUR = (
    "INSERT OR IGNORE INTO hours (owner, hour, input, output, records) "
    "SELECT ?, ?, COALESCE(SUM(input), 0), COALESCE(SUM(output), 0), COALESCE(SUM(records), 0) "
    "FROM counters WHERE owner = ?"
)
_Sums = tuple[int, int, int, int, int]


def upgrade(db: sqlite3.Connection) -> None:
    """Add the columns that a table of an early version lacks. Raises sqlite3.Error."""
    existing = {row[1] for row in db.execute("PRAGMA table_info(counters)")}
    for name, kind in _LATER.items():
        if name not in existing:
            db.execute(f"ALTER TABLE counters ADD COLUMN {name} {kind}")


class PendingCounters:
    """What the current transaction adds to counters. One statement writes it for all requests of the transaction."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}
        """By owner: points sent, points that exist, last input, points read, last output."""
        self._before: dict[str, list[int] | None] = {}
        """What the owners that the current request touched had before it."""
        self._hour = 0
        self._begun: set[str] = set()
        """The owners that have a row of the current hour."""
        self.changed: set[str] = set()
        """The owners whose counters were written. Whoever looks at them clears it."""

    def remember(self) -> None:
        """Note that a request begins, whose additions ``undo`` can drop."""
        self._before = {}

    def undo(self) -> None:
        """Drop the additions of the current request only."""
        for owner, sums in self._before.items():
            if sums is None:
                self._sums.pop(owner, None)
            else:
                self._sums[owner] = sums

    def add(self, device: str, profile: str, points_in: int, records: int, now_ms: int = 0) -> None:
        """Add sent points and existing points (``records``) to a device and its profile. Time 0: nothing was sent."""
        self.add_to(names.device(device), points_in, records, now_ms)
        self.add_to(names.profile(profile), points_in, records, now_ms)

    def add_to(self, owner: str, points_in: int, records: int, now_ms: int) -> None:
        """Add to the counters of one owner; see ``add``."""
        sums = self._sums_of(owner)
        sums[0] += points_in
        sums[1] += records
        sums[2] = max(sums[2], now_ms)

    def add_output(self, owner: str, points: int, last_ms: int) -> None:
        """Add points that were read, the last of them at a time in milliseconds since 1970."""
        sums = self._sums_of(owner)
        sums[3] += points
        sums[4] = max(sums[4], last_ms)

    def _sums_of(self, owner: str) -> list[int]:
        """Return the pending additions of an owner, to be changed for the current request."""
        sums = self._sums.get(owner)
        if owner not in self._before:
            self._before[owner] = None if sums is None else [*sums]
        if sums is None:
            sums = self._sums[owner] = [0, 0, 0, 0, 0]
        return sums

    def added(self, owner: str, stored: tuple[int, int, int | None]) -> Counters:
        """Return an owner's counters: those that are stored, and the pending additions."""
        points_in, records, last_ms = stored
        sums = self._sums.get(owner, (0, 0, 0))
        return Counters(points_in + sums[0], records + sums[1], max(last_ms or 0, sums[2]) or None)

    def sums(self, owner: str, stored: _Sums) -> _Sums:
        """Return all of an owner's sums: those that are stored, and the pending additions."""
        added = self._sums.get(owner)
        if added is None:
            return stored
        points_in, records, last_in, points_out, last_out = stored
        newest_in, newest_out = max(last_in, added[2]), max(last_out, added[4])
        return points_in + added[0], records + added[1], newest_in, points_out + added[3], newest_out

    def forget(self, db: sqlite3.Connection, owner: str) -> None:
        """Delete an owner's counters. Raises sqlite3.Error."""
        self._before.setdefault(owner, self._sums.pop(owner, None))
        self._begun.discard(owner)
        db.execute("DELETE FROM counters WHERE owner = ?", (owner,))
        db.execute("DELETE FROM hours WHERE owner = ?", (owner,))

    def flush(self, db: sqlite3.Connection) -> int:
        """Write the pending additions; return how many points devices have sent. Raises sqlite3.Error."""
        sent = sum(sums[0] for owner, sums in self._sums.items() if owner.startswith(names.DEVICES))
        if self._sums:
            self._begin_hours(db)
            db.executemany(_ADD, [(owner, *sums) for owner, sums in self._sums.items()])
            self.changed.update(self._sums)
            self._sums.clear()
            self._before.clear()
        return sent

    def _begin_hours(self, db: sqlite3.Connection) -> None:
        """Keep the totals of each owner that changes for the first time in this hour, and remove what is too old."""
        hour = max(hours.now(), self._hour)
        if hour != self._hour:
            self._hour, self._begun = hour, set()
        fresh = [owner for owner in self._sums if owner not in self._begun]
        if fresh:
            db.executemany(_BEGIN_HOUR, [(owner, hour, owner) for owner in fresh])
            oldest = hour - hours.KEPT
            db.executemany("DELETE FROM hours WHERE owner = ? AND hour < ?", [(owner, oldest) for owner in fresh])
            self._begun.update(fresh)

    def clear(self) -> None:
        """Forget the pending additions: their transaction was undone."""
        self._sums.clear()
        self._before.clear()
        self._begun.clear()
