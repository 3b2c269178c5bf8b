"""What other processes do to the database and its disk: a lock that is not theirs to keep, and a full disk."""

import asyncio
import json
import os
import sqlite3
import subprocess
import time

import pytest

from app import app
from chalicelib import errors, store
from chalicelib.host import log
from chalicelib.store import sqlite_room
from chalicelib.store.sqlite import SqliteStore
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from tests.kit.asgi import asgi
from tests.kit.world import World, point, values


@pytest.fixture
def outside(sqlite, tmp_path):
    """A connection as a shell has it."""
    db = sqlite3.connect(tmp_path / "decant.db", isolation_level=None)
    yield db
    db.close()


def requests(world, sqlite, *turns):
    """Answer requests with group commit, several turns after each other. Between them, functions are called."""

    def post(value):
        headers = {"token": world.token, "content-type": "application/json"}
        return "POST", "/data", headers, json.dumps(point("a", value)).encode()

    async def run():
        gateway = Gateway(app, list(app.routes), GroupCommit(sqlite))
        statuses = []
        for turn in turns:
            if callable(turn):
                turn()
            else:
                got = await asyncio.gather(*(asgi(gateway, *post(value)) for value in turn))
                statuses.append([answer.status for answer in got])
                assert all(answer.headers["retry-after"] == "1" for answer in got if answer.status == 503)
        return statuses

    try:
        return asyncio.run(run())
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None


def test_lock_from_outside_refuses_at_once_and_undoes_nothing(sqlite, outside):
    world, lines = World(), []
    log.use(lines.append)
    started_s = time.monotonic()
    statuses = requests(
        world, sqlite,
        [1, 2], lambda: outside.execute("BEGIN IMMEDIATE"), range(10, 60), lambda: outside.execute("ROLLBACK"), [3, 4],
    )  # fmt: skip
    assert statuses == [[200] * 2, [503] * 50, [200] * 2] and time.monotonic() - started_s < 4
    assert sorted(values(world.read())) == [1, 2, 3, 4]
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 4
    refused = [line for line in map(json.loads, lines) if line["status"] == 503]
    assert {line["cause"] for line in refused} == {"SQLITE_BUSY"} and {line["level"] for line in refused} == {"error"}


def test_only_the_first_write_waits_for_a_lock_from_outside(sqlite, outside):
    statements = []
    outside.execute("BEGIN IMMEDIATE")
    sqlite._db.set_trace_callback(statements.append)
    for _ in range(3):
        with pytest.raises(errors.Unavailable):
            sqlite.delete("owner", ["name"])
    outside.execute("ROLLBACK")
    sqlite.delete("owner", ["name"])
    sqlite._db.set_trace_callback(None)
    waits = [text for text in statements if "busy_timeout" in text]
    assert waits == ["PRAGMA busy_timeout=0", "PRAGMA busy_timeout=50"]


def test_reader_from_outside_hinders_nobody(sqlite, outside):
    world = World()
    world.send(point("a", 1))
    outside.execute("BEGIN")
    outside.execute("SELECT * FROM segments").fetchone()
    assert requests(world, sqlite, [2, 3]) == [[200, 200]]


@pytest.fixture
def open_store():
    """Open a store with a reserve, and close it at the end."""
    opened = []

    def do(path, reserve_bytes):
        opened.append(SqliteStore(path, reserve_bytes=reserve_bytes))
        store.use(opened[-1])
        return opened[-1]

    yield do
    for one in opened:
        one.close()


class Disk:
    """A disk with this many free bytes besides the reserve."""

    def __init__(self, monkeypatch, reserve, free):
        self.free, self._reserve = free, reserve
        monkeypatch.setattr("chalicelib.store.sqlite_room.os.statvfs", lambda _: self)

    @property
    def f_bavail(self):
        return self.free if self._reserve.exists() else self.free + 1_000_000

    f_frsize = 1


def test_full_disk_drops_the_reserve_and_takes_deletes_only(open_store, tmp_path, monkeypatch, clock):
    reserve = tmp_path / "reserve"
    disk = Disk(monkeypatch, reserve, 10_000_000)
    open_store(tmp_path / "decant.db", 1_000_000)
    world = World()
    world.send(*[point(f"v{number}", os.urandom(2_000).hex()) for number in range(12)])
    assert reserve.stat().st_size == 1_000_000
    for _ in range(40):
        world.send(*[point(f"v{number}", os.urandom(2_900).hex()) for number in range(12)])
    disk.free = 400_000
    clock.advance(1.1)
    assert world.api.delete("/data", query={"variables": "v0", "qty": 1}).result == "1 Data Removed"
    assert not reserve.exists()
    disk.free = -900_000
    clock.advance(1.1)
    refused = world.api.post("/data", point("new"))
    assert refused.status == 503 and refused.message == "The disk is full: delete points, or make room on it"
    assert refused.headers["retry-after"] == "1"
    assert world.admin.post("/device", {"name": "new"}).status == 503
    assert world.api.get("/data").status == 200
    assert world.admin.post(f"/device/{world.device}/empty").status == 200
    assert world.read(query="count") == 0
    assert world.send(point("new")) == "1 Data Added", "what was deleted left room inside the database"
    disk.free = 10_000_000
    clock.advance(1.1)
    world.send(point("new"))
    assert reserve.stat().st_size == 1_000_000


def test_write_that_fails_for_lack_of_room_frees_the_reserve_at_once(open_store, tmp_path, monkeypatch, clock):
    disk = Disk(monkeypatch, tmp_path / "reserve", 10_000_000)
    full = open_store(tmp_path / "decant.db", 1_000_000)
    world = World()
    world.send(point("a"))
    disk.free = 0
    pages = full._db.execute("PRAGMA page_count").fetchone()[0]
    full._db.execute(f"PRAGMA max_page_count = {pages}")
    while (answer := world.api.post("/data", [point("b", "x" * 5_000) for _ in range(12)])).status == 200:
        pass
    assert answer.status == 503 and not (tmp_path / "reserve").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 36 MB, with room for a reserve of 12 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=36m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(("by", "variables"), [("points", 2), ("another program", 6)])
def test_really_full_disk_still_deletes_and_then_stores_again(small_disk, open_store, by, variables, clock):
    full = open_store(small_disk / "decant.db", 12_000_000)
    world = World()
    sent, batch = 0, [point(f"v{number}", "") for number in range(12)]
    for _ in range(1_000):
        for one in batch:
            one["value"] = os.urandom(2_900).hex()
        clock.advance(1.1)
        if world.api.post("/data", batch).status == 503:
            break
        sent += 12
        if by == "another program" and sent == 600:
            with (small_disk / "other").open("wb", buffering=0) as other:
                try:
                    while other.write(b"x" * 65_536):
                        pass
                except OSError:
                    pass
    assert 500 < sent < 12_000
    assert world.read(query="count") == sent
    removed = 0
    for number in range(variables):
        clock.advance(1.1)
        answer = world.api.delete("/data", query={"variables": f"v{number}", "qty": 10_000})
        assert answer.status == 200, answer.message
        removed += int(answer.result.split()[0])
    assert removed == sent * variables // 12 and world.read(query="count") == sent - removed
    clock.advance(1.1)
    assert world.send(point("again")) == "1 Data Added"
    assert full._db.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_reserve_is_made_again_only_when_it_fits(tmp_path, monkeypatch, clock):
    disk = Disk(monkeypatch, tmp_path / "reserve", 1_500_000)
    room = sqlite_room.Room(None, tmp_path / "reserve", 1_000_000)
    disk.free -= 1_000_000
    room.look()
    assert not (tmp_path / "reserve").exists() and not room.is_short
    room.admit()
