"""Removing what has expired holds the event loop only for a few rows at a time, however much is stored."""

import asyncio
import itertools
import math
import re

import pytest

from chalicelib import store
from chalicelib.codec import keys
from chalicelib.host import clock as app_clock
from chalicelib.host import deadline
from chalicelib.services.devices import retention
from chalicelib.store import Entity, sqlite_reads, sqlite_slices
from embedded.chores import remove_expired
from embedded.workers import Workers
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point
from tests.services.test_retention import DAY_S, stored

ROWS = 200_000
NOW_S = NOW_MS // 1000
FILL = f"""
INSERT INTO entities (owner, name, doc, version, expires_at)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS - 1})
SELECT printf('device#%024x', i / 7), printf('name#%06d', i), '{{"a":1}}', 1,
    CASE i % 100 WHEN 0 THEN {NOW_S} WHEN 1 THEN {NOW_S + 1} END
FROM n
"""


class Turns:
    """Notes what a connection does in each turn of the event loop."""

    def __init__(self, db):
        self._db, self.statements = db, [[]]
        self._changes = [db.total_changes]
        db.set_trace_callback(self._note)

    def _note(self, sql):
        self.statements[-1].append(sql)

    def next(self):
        self._changes.append(self._db.total_changes)
        self.statements.append([])

    def end(self):
        self._db.set_trace_callback(None)

    @property
    def most_changes(self):
        return max(after - before for before, after in itertools.pairwise(self._changes))

    @property
    def most_statements(self):
        return max(map(len, self.statements))

    def scans(self):
        """Return the statements that read a table from its beginning."""
        kinds = {re.sub(r"'[^']*'|\d+", "0", sql): sql for turn in self.statements for sql in turn}
        plans = {
            sql: self._db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
            for sql in kinds.values()
            if sql.startswith(("SELECT", "DELETE", "UPDATE"))
        }
        assert plans
        return [sql for sql, plan in plans.items() if any("SCAN entities" in row[3] for row in plan)]


def run(chore, sqlite):
    """Run a chore; return what each turn of the loop did on the connection that the loop uses."""
    turns = Turns(sqlite._db)

    async def turn():
        workers = Workers(sqlite.path)
        task = asyncio.create_task(chore(sqlite, workers))
        while not task.done():
            await asyncio.sleep(0)
            turns.next()
        workers.close()
        await task

    asyncio.run(turn())
    turns.end()
    return turns


def test_removing_expired_entities_among_many_never_holds_the_loop(clock, sqlite):
    sqlite._db.execute(FILL)
    turns = run(remove_expired, sqlite)
    left = [row[0] for row in sqlite._db.execute("SELECT expires_at FROM entities WHERE expires_at IS NOT NULL")]
    assert left == [NOW_S + 1] * (ROWS // 100)
    assert sqlite._db.execute("SELECT COUNT(*) FROM entities").fetchone() == (ROWS - ROWS // 100,)
    assert turns.most_changes <= 32 and turns.most_statements <= 34, "32 removals, BEGIN and COMMIT"
    assert turns.scans() == []


@pytest.mark.parametrize("looked_at", [1, 2, 3, 100])
def test_no_expired_entity_is_missed_at_the_edge_of_a_range(clock, sqlite, monkeypatch, looked_at):
    monkeypatch.setattr(sqlite_reads, "_LOOKED_AT", looked_at)
    for number in range(7):
        store.current().put(Entity("b" if number > 3 else "a", f"n{number}", {}, 1, NOW_S + 10 * (number % 3 == 0)))
    run(remove_expired, sqlite)
    assert sqlite._db.execute("SELECT owner, name FROM entities").fetchall() == [("a", "n0"), ("a", "n3"), ("b", "n6")]


def test_entity_that_got_another_time_meanwhile_is_kept(clock, sqlite):
    for name in ("gone", "renewed"):
        store.current().put(Entity("a", name, {}, 1, NOW_S))
    found, end = sqlite.expired(("", ""))
    assert found == [("a", "gone"), ("a", "renewed")] and end is None
    store.current().put(Entity("a", "renewed", {}, 2, NOW_S + 60))
    sqlite.remove_expired(found)
    assert [one.name for one in store.current().list("a", "")] == ["renewed"]


def test_an_hour_of_many_expired_segments_is_removed_a_share_of_time_in_each_turn(clock, sqlite, monkeypatch):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", time=NOW_MS))
    clock.advance(9 * DAY_S)
    first = keys.segment_key(NOW_MS, 0)[:12]
    copy = f"SELECT device, printf('{first}%08x', value), points, version, NULL, digest, body FROM segments, numbers"
    numbers = "WITH RECURSIVE numbers(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < 3000)"
    sqlite._db.execute(
        f"{numbers} INSERT INTO segments (device, key, points, version, expires_at, digest, body) {copy}"
    )
    ticks = itertools.count()
    monkeypatch.setattr(app_clock, "monotonic_s", lambda: next(ticks) / 2_000)

    async def purge(sqlite, workers):
        for _ in retention.purge(await workers.read(retention.immutable_devices)):
            await asyncio.sleep(0)

    deadline.set_share(0.003)
    try:
        turns = run(purge, sqlite)
    finally:
        deadline.set_share(math.inf)
    assert stored(world) == [] and turns.most_changes <= 6 * 32 + 20, "the clock is looked at after each 32"
    assert turns.scans() == []


def test_long_segments_are_removed_few_at_a_time(clock, sqlite, monkeypatch):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    for number in range(9):
        world.send(*[point("a", f"{number}{index}" * 100, time=NOW_MS + index) for index in range(9)])
    sizes = [len(item.body) for item in stored(world)]
    monkeypatch.setattr(sqlite_slices, "MAX_BYTES", max(sizes) + 1)
    deletes = []
    sqlite._db.set_trace_callback(lambda sql: deletes.append(sql) if sql.startswith("DELETE FROM segments") else None)
    assert store.current().drop_segments(world.device, "0", "g", profile=world.profile) == 81
    sqlite._db.set_trace_callback(None)
    assert stored(world) == [] and len(deletes) == 5, "two at a time"
