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
    """What the current transaction adds to counters. One statement writes it for all requests of the transaction.

    Args:
        db: the store's connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._sums: dict[str, list[int]] = {}

    def add(self, device: str, profile: str, points_in: int, records: int, now_ms: int = 0) -> None:
        """Add sent points and existing points (``records``) to a device and its profile. Time 0: nothing was sent."""
        self.add_to(names.device(device), points_in, records, now_ms)
        self.add_to(names.profile(profile), points_in, records, now_ms)

    def add_to(self, owner: str, points_in: int, records: int, now_ms: int) -> None:
        """Add to the counters of one owner; see ``add``."""
        sums = self._sums.get(owner)
        if sums is None:
            self._sums[owner] = [points_in, records, now_ms]
        else:
            sums[0] += points_in
            sums[1] += records
            sums[2] = max(sums[2], now_ms)

    def read(self, owner: str) -> Counters:
        """Return an owner's counters, pending additions included. Raises sqlite3.Error."""
        row = self._db.execute(
            "SELECT input, records, last_input_ms FROM counters WHERE owner = ?", (owner,)
        ).fetchone()
        points_in, records, last_ms = row or (0, 0, None)
        sums = self._sums.get(owner, (0, 0, 0))
        return Counters(points_in + sums[0], records + sums[1], max(last_ms or 0, sums[2]) or None)

    def forget(self, owner: str) -> None:
        """Delete an owner's counters. Raises sqlite3.Error."""
        self._sums.pop(owner, None)
        self._db.execute("DELETE FROM counters WHERE owner = ?", (owner,))

    def flush(self) -> None:
        """Write the pending additions. Raises sqlite3.Error."""
        if self._sums:
            self._db.executemany(_ADD, [(owner, *sums) for owner, sums in self._sums.items()])
            self._sums.clear()

    def clear(self) -> None:
        """Drop the pending additions, as their transaction is undone."""
        self._sums.clear()
