"""Says how many segments are removed between two looks at the clock, so that nobody waits long for it."""

import sqlite3
from collections.abc import Sequence

from chalicelib.store.sqlite_reads import BETWEEN

ROWS = 32
MAX_BYTES = 1_000_000
"""SQLite reads a long body to remove it: a megabyte takes a millisecond."""
Row = tuple[str, int, int]
"""Key, points and bytes of the body of a segment."""


def next_of(db: sqlite3.Connection, device: str, low: str, high: str) -> tuple[Sequence[Row], bool]:
    """Return the first segments with low <= key <= high, as many as are removed together, and whether these are all.

    Cost: it reads no body.
    """
    sql = f"SELECT key, points, length(body) {BETWEEN} ORDER BY key LIMIT {ROWS}"
    rows = db.execute(sql, (device, low, high)).fetchall()
    taken = first(rows)
    return taken, len(taken) == len(rows) < ROWS


def first(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the first rows, until their bodies have MAX_BYTES.

    >>> first([("1", 5, 900_000), ("2", 6, 900_000), ("3", 7, 1)])
    [('1', 5, 900000), ('2', 6, 900000)]
    """
    size_bytes = 0
    for number, row in enumerate(rows, 1):
        size_bytes += row[2]
        if size_bytes >= MAX_BYTES:
            return rows[:number]
    return rows
