"""Faults of SQLite: a full disk and a failing COMMIT, with and without group commit."""

import asyncio
import json
import sqlite3

import pytest

from app import app
from chalicelib import errors
from chalicelib.store import ABSENT, Entity
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from tests.kit.asgi import asgi
from tests.kit.world import World, point, values


@pytest.fixture
def world(sqlite):
    return World()


def fill_disk(store):
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")


def free_disk(store):
    store._db.execute("PRAGMA max_page_count = 1000000")


def big(number):
    return [point("a", "x" * 5_000 + str(number * 1000 + index)) for index in range(12)]


def break_commit(store):
    """Make every COMMIT of a transaction with a segment fail, by a constraint that SQLite checks only at COMMIT."""
    store._db.executescript(
        "PRAGMA foreign_keys=ON; CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TRIGGER breaking AFTER INSERT ON segments BEGIN INSERT INTO child VALUES (1); END;"
    )


def test_full_disk_is_503_and_loses_nothing_acknowledged(world, sqlite):
    world.send(point("a", "kept"))
    fill_disk(sqlite)
    answers = [world.api.post("/data", big(number)) for number in range(20)]
    stored = sum(answer.status == 200 for answer in answers)
    assert answers[-1].status == 503 and answers[-1].headers["retry-after"] == "1"
    assert world.read(query="count") == 1 + 12 * stored
    free_disk(sqlite)
    assert world.send(point("a", "again")) == "1 Data Added"
    assert world.admin.get(f"/device/{world.device}/data_amount").result == world.read(query="count")


def test_failing_commit_is_503_and_stores_nothing(world, sqlite):
    break_commit(sqlite)
    assert world.api.post("/data", point("new")).status == 503
    assert world.read() == []
    sqlite._db.execute("DROP TRIGGER breaking")
    assert world.send(point("new")) == "1 Data Added"
    assert values(world.read(query="last_value", variables="new")) == [1]


def test_broken_database_is_503_on_reading_and_writing(world, sqlite):
    sqlite._db.execute("ALTER TABLE segments RENAME TO elsewhere")
    assert world.api.get("/data").status == 503
    assert world.api.post("/data", point("a")).status == 503
    sqlite._db.execute("ALTER TABLE elsewhere RENAME TO segments")


def test_failing_second_segment_undoes_the_first(world, sqlite):
    sqlite._db.execute(
        "CREATE TRIGGER picky BEFORE INSERT ON segments WHEN NEW.points = 2 BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    hour = 3_600_000
    points = [point("a", 1, time=10 * hour), point("a", 2, time=12 * hour), point("a", 3, time=12 * hour)]
    assert world.api.post("/data", points).status == 503
    assert world.read() == []


def test_programming_error_inside_a_write_undoes_it(sqlite):
    with pytest.raises(TypeError):
        sqlite.put_if(Entity("owner", "name", {"a": object()}), version=ABSENT)
    assert sqlite.get("owner", "name") is None and not sqlite.in_transaction


def turn(sqlite, *requests):
    """Answer requests of one turn of the loop, with group commit."""

    async def run():
        gateway = Gateway(app, list(app.routes), GroupCommit(sqlite))
        return await asyncio.gather(*(asgi(gateway, *request) for request in requests), return_exceptions=True)

    try:
        return asyncio.run(run())
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None


def post(world, *points):
    return "POST", "/data", {"token": world.token}, json.dumps(points).encode()


def test_one_turn_is_one_transaction(world, sqlite):
    world.send(point("a", 0))
    statements = []
    sqlite._db.set_trace_callback(statements.append)
    answers = turn(sqlite, *[post(world, point("a", number)) for number in range(1, 9)])
    sqlite._db.set_trace_callback(None)
    assert [answer.status for answer in answers] == [200] * 8
    assert statements.count("COMMIT") == 1 and statements.count("BEGIN IMMEDIATE") == 1
    assert world.read(query="count") == 9


def test_failing_commit_of_a_turn_is_503_to_all_it_concerns(world, sqlite):
    world.send(point("old"))
    break_commit(sqlite)
    read = ("GET", "/status", {}, b"")
    answers = turn(sqlite, read, post(world, point("new", 1)), post(world, point("new", 2)))
    assert [answer.status for answer in answers] == [200, 503, 503]
    assert all(answer.headers["retry-after"] == "1" for answer in answers[1:])
    assert world.read(query="count") == 1
    sqlite._db.execute("DROP TRIGGER breaking")
    assert world.send(point("new", 3)) == "1 Data Added"
    assert values(world.read(query="last_value", variables="new")) == [3]
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 2


def test_request_that_fails_does_not_take_the_others_with_it(world, sqlite):
    sqlite._db.execute(
        "CREATE TRIGGER picky BEFORE INSERT ON segments WHEN NEW.points = 2 BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    answers = turn(
        sqlite, post(world, point("a", 1)), post(world, point("a", 2), point("a", 3)), post(world, point("a", 4))
    )
    assert [answer.status for answer in answers] == [200, 503, 200]
    assert sorted(values(world.read())) == [1, 4]


def test_transaction_that_sqlite_undid_is_503_to_all_of_its_turn(world, sqlite):
    world.send(point("a", 0))
    sqlite._db.execute(
        "CREATE TRIGGER undoing BEFORE INSERT ON segments WHEN NEW.points = 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
    )
    answers = turn(
        sqlite, post(world, point("a", 1)), post(world, point("a", 2), point("a", 3)), post(world, point("a", 4))
    )
    assert [answer.status for answer in answers] == [503, 503, 503]
    assert values(world.read()) == [0]
    assert world.send(point("a", 5)) == "1 Data Added"


def test_closed_socket_does_not_keep_the_others_from_their_answers(world, sqlite):
    answers = turn(
        sqlite,
        post(world, point("a", 1)),
        (*post(world, point("a", 2)), "closed"),
        post(world, point("a", 3)),
    )
    assert answers[0].status == answers[2].status == 200 and isinstance(answers[1], ConnectionError)
    assert sorted(values(world.read())) == [1, 2, 3]


def test_waiting_task_that_is_cancelled_leaves_the_commit_alone(world, sqlite):
    async def run():
        commits = GroupCommit(sqlite)
        gateway = Gateway(app, list(app.routes), commits)
        first = asyncio.ensure_future(asgi(gateway, *post(world, point("a", 1))))
        second = asyncio.ensure_future(asgi(gateway, *post(world, point("a", 2))))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    try:
        assert asyncio.run(run()).status == 200
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None
    assert sorted(values(world.read())) == [1, 2]


def test_commit_that_fails_at_closing_is_told(tmp_path):
    from chalicelib.store.sqlite import SqliteStore

    other = SqliteStore(tmp_path / "other.db")
    break_commit(other)
    other._db.execute("BEGIN")
    other._db.execute("INSERT INTO child VALUES (1)")
    with pytest.raises(errors.Unavailable) as caught:
        other.close()
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    other.close()


def test_transaction_that_sqlite_undid_in_a_read_is_acknowledged_to_nobody(world, sqlite):
    """SQLite may undo a transaction in any statement; a later write of the turn must not hide that."""

    async def both():
        commits = GroupCommit(sqlite)
        gateway = Gateway(app, list(app.routes), commits)
        headers = {"token": world.token, "content-type": "application/json"}
        first = asyncio.ensure_future(asgi(gateway, "POST", "/data", headers, json.dumps(point("a", 1)).encode()))
        while not sqlite.in_transaction:
            await asyncio.sleep(0)
        sqlite._db.execute("ROLLBACK")  # as SQLite itself does when the disk fails
        second = await asgi(gateway, "POST", "/data", headers, json.dumps(point("a", 2)).encode())
        return (await first).status, second.status

    try:
        assert asyncio.run(both()) == (503, 503)
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None
    assert world.read() == [] and world.send(point("a", 3)) == "1 Data Added"
