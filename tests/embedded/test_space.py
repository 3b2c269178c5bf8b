"""Room that deleted points leave goes back to the disk, a slice at a time and never inside a commit of others."""

import asyncio
import itertools
import os
import sqlite3
import threading

import pytest

from chalicelib import errors, store
from chalicelib.store import sqlite_space
from chalicelib.store.sqlite import SqliteStore
from embedded import chores
from embedded.chores import shrink
from embedded.commits import GroupCommit
from tests.embedded.test_commits import HeldDisk, post, turns
from tests.kit.world import World, point

FILL = """
INSERT INTO segments (device, key, points, version, expires_at, digest, body)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {0})
SELECT '{1}' || (i % 10), printf('%020x', i), 1, 1, NULL, x'00', randomblob(900) FROM n
"""


def fill(sqlite, rows):
    """Store so many segments, and delete all but a few."""
    sqlite._db.execute(FILL.format(rows - 1, "d"))
    sqlite._db.execute("DELETE FROM segments WHERE substr(key, -2) != '00'")


def free_pages(sqlite):
    return sqlite._db.execute("PRAGMA freelist_count").fetchone()[0]


def size(sqlite):
    return os.path.getsize(sqlite.path)


@pytest.fixture
def world(sqlite):
    return World()


def test_a_new_file_gives_back_what_is_free_in_slices(serve, sqlite):
    fill(sqlite, 6_000)
    sqlite.checkpoint()
    before = size(sqlite)
    kept = sqlite._db.execute("SELECT device, key, body FROM segments ORDER BY device, key").fetchall()
    left = [free_pages(sqlite)]
    assert left[0] > 5 * sqlite_space.SLICE_PAGES and sqlite.space.is_worth_it()

    async def scenario(gateway):
        commits = gateway._commits
        give_back = sqlite.space.give_back
        sqlite.space.give_back = lambda: (give_back(), left.append(free_pages(sqlite)))[0]
        await shrink(sqlite, commits)

    serve(scenario)
    assert left[-1] == 0 and not sqlite.space.is_worth_it()
    assert all(more - less <= sqlite_space.SLICE_PAGES for more, less in itertools.pairwise(left))
    assert size(sqlite) < before / 20
    assert sqlite._db.execute("SELECT device, key, body FROM segments ORDER BY device, key").fetchall() == kept
    assert sqlite._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_slice_ends_when_its_time_is_over(sqlite, monkeypatch, clock):
    fill(sqlite, 6_000)
    before = free_pages(sqlite)
    monkeypatch.setattr(sqlite_space.clock, "monotonic_s", iter(range(9)).__next__)
    assert sqlite.space.give_back() and free_pages(sqlite) == before - 1


def test_little_free_room_is_kept(sqlite):
    fill(sqlite, 1_000)
    assert 0 < free_pages(sqlite) * 8192 < sqlite_space.WORTH_BYTES and not sqlite.space.is_worth_it()
    sqlite._db.execute("DELETE FROM segments")
    sqlite._db.execute(FILL.format(29_999, "e"))
    sqlite._db.execute("DELETE FROM segments WHERE device = 'e0'")
    assert free_pages(sqlite) * 8192 > sqlite_space.WORTH_BYTES and not sqlite.space.is_worth_it(), "below an eighth"


def test_free_room_is_kept_if_the_disk_is_short(sqlite):
    fill(sqlite, 6_000)
    assert sqlite.space.is_worth_it()
    sqlite.room.is_short = True
    assert not sqlite.space.is_worth_it()


def test_a_file_of_an_early_version_stays_as_it_is(tmp_path):
    with sqlite3.connect(tmp_path / "old.db", isolation_level=None) as db:
        db.execute("PRAGMA page_size=8192")
        db.execute("CREATE TABLE notes (text TEXT)")
    db.close()
    old = SqliteStore(tmp_path / "old.db")
    fill(old, 6_000)
    assert free_pages(old) > 256 and not old.space.is_incremental and not old.space.is_worth_it()
    old.close()


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1)])
@pytest.mark.parametrize("is_left", [True, False])
def test_a_slice_neither_syncs_nor_merges_the_log_and_later_commits_do_as_before(
    tmp_path, synchronous, number, is_left
):
    sqlite = SqliteStore(tmp_path / "decant.db", synchronous=synchronous)
    if is_left:
        sqlite.leave_checkpoints()
    fill(sqlite, 6_000)
    seen = []
    sqlite._db.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" or "=" in sql else None)
    sqlite.space.give_back()
    sqlite._db.set_trace_callback(None)
    before = ["PRAGMA synchronous=NORMAL", "PRAGMA wal_autocheckpoint=0"]
    after = [f"PRAGMA synchronous={number}", f"PRAGMA wal_autocheckpoint={0 if is_left else 1000}"]
    assert seen == [*before, "COMMIT", *after]
    sqlite.close()


def test_the_log_is_merged_in_a_thread_from_time_to_time(serve, sqlite, monkeypatch):
    fill(sqlite, 6_000)
    monkeypatch.setattr(chores, "_MERGED_AFTER", 2)
    did, give_back, checkpoint = [], sqlite.space.give_back, sqlite.checkpoint
    monkeypatch.setattr(sqlite.space, "give_back", lambda: (did.append("slice"), give_back())[1])
    monkeypatch.setattr(
        sqlite, "checkpoint", lambda: (did.append(threading.current_thread() is threading.main_thread()), checkpoint())
    )
    serve(lambda gateway: shrink(sqlite, gateway._commits))
    assert did[:6] == ["slice", "slice", False] * 2 and did[-1] is False and True not in did


def test_a_slice_waits_for_the_commit_and_the_sync_of_others(serve, sqlite, world):
    disk = HeldDisk()
    fill(sqlite, 6_000)

    async def scenario(gateway):
        before = free_pages(sqlite)
        sent = post(gateway, world.token, 1)
        while not sqlite.in_transaction:
            await asyncio.sleep(0)
        shrinking = asyncio.ensure_future(shrink(sqlite, gateway._commits))
        await turns()
        assert disk.syncs == 1 and free_pages(sqlite) == before, "the group syncs"
        disk.end()
        assert (await sent).status == 200
        await shrinking
        return free_pages(sqlite)

    assert serve(scenario, disk) == 0 and [one["value"] for one in world.read()] == [1]


def test_points_sent_meanwhile_are_all_there(serve, sqlite, world):
    fill(sqlite, 6_000)

    async def scenario(gateway):
        shrinking = asyncio.ensure_future(shrink(sqlite, gateway._commits))
        answers = [await post(gateway, world.token, number) for number in range(60)]
        await shrinking
        return [answer.status for answer in answers]

    assert serve(scenario) == [200] * 60
    assert world.read(query="count") == 60 and sqlite._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_slice_that_fails_changes_nothing(sqlite, world):
    fill(sqlite, 6_000)
    before = free_pages(sqlite)
    other = sqlite3.connect(sqlite.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.Unavailable):
        sqlite.space.give_back()
    other.close()
    assert free_pages(sqlite) == before and not sqlite.in_transaction
    assert sqlite.space.give_back() and world.send(point("a", 1)) == "1 Data Added"


def test_the_chore_looks_again_and_again_and_survives_a_failure(sqlite, monkeypatch):
    fill(sqlite, 6_000)
    monkeypatch.setattr(chores, "_SHRINK_S", 0.001)
    monkeypatch.setattr(chores, "_REST_S", 0)
    give_back, calls = sqlite.space.give_back, []

    def failing():
        calls.append(1)
        if len(calls) == 1:
            raise errors.Unavailable
        return give_back()

    monkeypatch.setattr(sqlite.space, "give_back", failing)

    async def run():
        commits = GroupCommit(sqlite)
        chore = asyncio.create_task(chores.shrink_often(sqlite, commits))
        while free_pages(sqlite):
            await asyncio.sleep(0.001)
        chore.cancel()

    asyncio.run(run())
    sqlite.grouped, sqlite.on_begin = False, lambda: None
    assert len(calls) > 2 and store.current() is sqlite


def test_the_server_starts_the_chores(sqlite):
    started = chores.of(sqlite, None, None)
    assert {"purge_daily", "erase_soon", "account_often", "shrink_often"} <= {chore.__name__ for chore in started}
    for chore in started:
        chore.close()
