"""Counters on SQLite: gathered in memory, and written in the same transaction as the points that they count."""

import sqlite3

from chalicelib.store import Counters, names

SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (
    owner TEXT PRIMARY KEY, input INTEGER NOT NULL, records INTEGER NOT NULL, last_input_ms INTEGER) WITHOUT ROWID;
"""
_ADD = (
    "INSERT INTO counters (owner, input, records, last_input_ms) VALUES (?, ?, ?, NULLIF(?, 0)) ON CONFLICT DO UPDATE "
    "SET input = input + excluded.input, records = records + excluded.records, last_input_ms = "
    "COALESCE(MAX(last_input_ms, excluded.last_input_ms), excluded.last_input_ms, last_input_ms)"
)


class PendingCounters:
    """What the current transaction adds to counters. One statement writes it for all requests of the transaction."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}
        self._before: dict[str, list[int] | None] = {}
        """What the owners that the current request touched had before it."""

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
        sums = self._sums.get(owner)
        if owner not in self._before:
            self._before[owner] = None if sums is None else [*sums]
        if sums is None:
            self._sums[owner] = [points_in, records, now_ms]
        else:
            sums[0] += points_in
            sums[1] += records
            sums[2] = max(sums[2], now_ms)

    def added(self, owner: str, stored: tuple[int, int, int | None]) -> Counters:
        """Return an owner's counters: those that are stored, and the pending additions."""
        points_in, records, last_ms = stored
        sums = self._sums.get(owner, (0, 0, 0))
        return Counters(points_in + sums[0], records + sums[1], max(last_ms or 0, sums[2]) or None)

    def forget(self, db: sqlite3.Connection, owner: str) -> None:
        """Delete an owner's counters. Raises sqlite3.Error."""
        self._before.setdefault(owner, self._sums.pop(owner, None))
        db.execute("DELETE FROM counters WHERE owner = ?", (owner,))

    def flush(self, db: sqlite3.Connection) -> None:
        """Write the pending additions. Raises sqlite3.Error."""
        if self._sums:
            db.executemany(_ADD, [(owner, *sums) for owner, sums in self._sums.items()])
            self.clear()

    def clear(self) -> None:
        """Forget the pending additions: they were written, or their transaction was undone."""
        self._sums.clear()
        self._before.clear()
