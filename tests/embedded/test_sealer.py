"""The chore that seals: it finds what waits, holds the loop only to put, and loses and doubles nothing when killed."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import textwrap

import pytest

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.codec.times import to_iso
from chalicelib.host import log
from chalicelib.services.points import sealing
from chalicelib.store import names
from chalicelib.store.sqlite import SqliteStore
from chalicelib.store.sqlite_waiting import MOST_SPANS, Waiting
from embedded import sealer
from embedded.sealer import Place, Sealer
from embedded.workers import Workers
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point, values

DAY = NOW_MS - NOW_MS % keys.DAY_MS


def fill(world, count, first=0):
    for number in range(first, first + count):
        world.send(point("a", number, time=to_iso(DAY + number * 60_000)))


def sealed_points(world):
    found = store.current().scan_sealed(world.device, "0", "g", newest_first=False, first_page=9)
    return [item.points for item in found]


@pytest.fixture
def chore(sqlite, tmp_path):
    """Return a function that runs a test's coroutine with the chore."""

    def do(scenario):
        async def run():
            workers = Workers(tmp_path / "decant.db")
            try:
                return await scenario(Sealer(sqlite, workers))
            finally:
                workers.close()

        return asyncio.run(run())

    return do


def test_waiting_segments_are_sealed_when_they_are_enough(chore, clock):
    world = World()
    fill(world, sealer.BATCH - 1)
    chore(lambda own: own.turn(sealer.BATCH))
    assert sealed_points(world) == []
    fill(world, 1, sealer.BATCH)
    chore(lambda own: own.turn(sealer.BATCH))
    assert sealed_points(world) == [sealer.BATCH]
    fill(world, sealer.BATCH - 1, 200)
    chore(lambda own: own.turn(1))
    assert sealed_points(world) == [sealer.BATCH]


def test_rest_of_a_day_is_sealed_when_it_is_over(chore, clock):
    world = World()
    fill(world, sealer.LEFT)

    async def scenario(own):
        await own.turn(1)
        assert sealed_points(world) == []
        clock.now_ms = DAY + keys.DAY_MS + sealing.SETTLED_MS
        await own.turn(1)

    chore(scenario)
    assert sealed_points(world) == [sealer.LEFT]


def test_few_segments_of_a_day_stay_small(chore, clock):
    world = World()
    fill(world, sealer.LEFT - 1)
    clock.advance(3 * 86_400)
    chore(lambda own: own.turn(1))
    assert sealed_points(world) == []


def test_what_was_stored_before_the_start_is_found_once(chore, clock, sqlite):
    worlds = [World() for _ in range(3)]
    for world in worlds:
        fill(world, sealer.BATCH)
    sqlite.waiting = Waiting(sealer.BATCH)  # a new process

    async def scenario(own):
        await own.find()
        await own.turn(1)

    chore(scenario)
    assert [sealed_points(world) for world in worlds] == [[sealer.BATCH]] * 3
    assert sqlite.get(names.EMBEDDED, names.SEALED).doc == {
        "span": keys.segment_key(NOW_MS - keys.DAY_MS, 0)[: len(Place("", "12345").span)]
    }
    world = worlds[0]
    world.send(point("a", 1, time=to_iso(DAY - 90 * keys.DAY_MS)))

    async def again(own):
        await own.find()
        return {place.device for place in own._open}

    assert chore(again) == set()


def test_late_points_of_old_days_are_found_after_a_restart(chore, clock, sqlite):
    world = World()
    old_ms = DAY - 40 * keys.DAY_MS

    async def before(own):
        await own.find()
        await own.turn(1)
        for number in range(sealer.LEFT):
            world.send(point("a", number, time=to_iso(old_ms + number * 60_000)))
        await own.turn(sealer.BATCH)

    chore(before)
    sqlite.waiting = Waiting(sealer.BATCH)  # killed

    async def after(own):
        await own.find()
        await own.turn(1)

    assert sealed_points(world) == []
    chore(after)
    assert sealed_points(world) == [sealer.LEFT]
    assert sqlite.get(names.EMBEDDED, names.SEALED).doc["span"] > keys.segment_key(old_ms, 0)


def test_place_that_fails_does_not_keep_others_waiting(chore, clock, sqlite):
    worlds = sorted((World() for _ in range(3)), key=lambda world: world.device)
    for world in worlds:
        fill(world, sealer.BATCH)
    lines = []
    log.use(lines.append)
    sqlite._db.execute("UPDATE segments SET body = X'7b' WHERE device = ?", (worlds[1].device,))
    chore(lambda own: own.turn(1))
    assert [sealed_points(world) for world in worlds] == [[sealer.BATCH], [], [sealer.BATCH]]
    (told,) = [line for line in map(json.loads, lines) if line["level"] == "error"]
    assert told["device"] == worlds[1].device and told["chore"] == "sealer"


def test_waiting_places_of_a_device_are_bounded():
    waiting = Waiting(2)
    for number in range(MOST_SPANS + 50):
        waiting.note("d", f"{number:05x}".ljust(20, "0"))
    waiting.note("other", "0" * 20)
    waiting.note("other", "1" * 20)
    waiting.note("other", "1" * 20)
    assert waiting.total == MOST_SPANS + 3 and waiting.oldest == "00000"
    assert waiting.take_ripe(3) == [] and waiting.take_ripe(2) == [("other", "11111")]
    assert len([*waiting.take_all()]) == MOST_SPANS + 1 and waiting.total == 0


def test_step_on_the_loop_has_few_statements(chore, clock, sqlite):
    """512 points are read and made in a thread; the loop deletes by one range and puts by one statement."""
    world = World()
    fill(world, 512)
    statements = []
    sqlite._db.set_trace_callback(statements.append)
    chore(lambda own: own.turn(sealer.BATCH))
    sqlite._db.set_trace_callback(None)
    assert sealed_points(world) == [512]
    on_segments = [sql for sql in statements if "segments" in sql or "sealed" in sql]
    assert len(on_segments) <= 4, on_segments


def test_answers_are_the_same_while_sealing_runs(chore, clock):
    """A reader in a thread, on its snapshot, and readers in the loop, between any two steps."""
    world = World()
    fill(world, 600)
    query = {"qty": 1000, "details": "true"}
    before = world.api.get("/data", query=query).text

    async def scenario(own):
        task, texts = asyncio.ensure_future(own.turn(sealer.BATCH)), set()
        while not task.done():
            texts.add(world.api.get("/data", query=query).text)
            await asyncio.sleep(0)
        await task
        return texts | {world.api.get("/data", query=query).text}

    assert chore(scenario) == {before}
    assert sum(sealed_points(world)) >= 512


def test_chore_goes_on_after_the_database_was_not_there(chore, clock, monkeypatch):
    world = World()
    fill(world, sealer.BATCH)
    turns, lines = [], []
    log.use(lines.append)
    monkeypatch.setattr(sealer, "_TELL_S", 0)

    async def turn(self, least, turn=Sealer.turn):
        turns.append(least)
        if len(turns) == 1:
            raise errors.Unavailable
        await turn(self, least)

    monkeypatch.setattr(Sealer, "turn", turn)
    monkeypatch.setattr(sealer, "_PAUSE_S", 0)

    async def scenario(own):
        task = asyncio.ensure_future(own.run())
        while len(turns) < 4:
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    chore(scenario)
    assert sealed_points(world) == [sealer.BATCH] and turns[:2] == [1, 1] and sealer.BATCH in turns
    (told,) = [line for line in map(json.loads, lines) if line.get("chore") == "sealer"]
    assert told["sealed"] == sealer.BATCH and told["waiting"] == 0


def test_busy_server_seals_only_full_batches_unless_much_waits(sqlite):
    own = Sealer(sqlite, None)
    assert own._is_busy(sqlite.writes - 100, 0.5) and not own._is_busy(sqlite.writes - 40, 0.5)
    assert own._least(is_busy=False) == sealer.BATCH and own._least(is_busy=True) == sealer.AT_ONCE
    sqlite.waiting.total = sealer.MOST_WAITING
    assert own._least(is_busy=True) == sealer.BATCH


KILLED = """
import sys
from pathlib import Path
from chalicelib import store
from chalicelib.host import clock
from chalicelib.services.points import sealing
from chalicelib.store.sqlite import SqliteStore
from chalicelib.store.sqlite_waiting import MOST_SPANS, Waiting
from chalicelib.store.sqlite_reads import Snapshot
from embedded import sealer
sealer.BATCH, sealer.LEFT, sealer.AT_ONCE, sealing.MAX_POINTS = 1, 1, 3, 5
path, device = Path(sys.argv[1]), sys.argv[2]
sqlite = SqliteStore(path)
store.use(sqlite)
print("ready", flush=True)
snapshot = Snapshot(path)
with snapshot.opened(), store.using(snapshot):
    places = sealer._places(device, "")
for place in places:
    while True:
        with snapshot.opened(), store.using(snapshot):
            planned = sealer.plan(place, clock.now_ms())
        if planned is None:
            break
        assert planned.carry_out()
print("done", flush=True)
"""


def test_killed_while_it_seals(tmp_path, clock, clean_process):
    """kill -9 at another moment each time, until all is sealed: nothing is lost, and nothing is there twice."""
    path, killed = tmp_path / "killed.db", 0
    sqlite = SqliteStore(path)
    store.use(sqlite)
    world = World()
    fill(world, 300)
    before = world.api.get("/data", query={"qty": 1000, "details": "true"}).text
    counters = sqlite.counters(world.profile, world.device)
    sqlite.close()
    while True:
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), world.device]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02 + 0.013 * killed)
        process.send_signal(signal.SIGKILL)
        is_done = "done" in process.communicate()[0]
        killed += not is_done
        opened = SqliteStore(path)
        store.use(opened)
        assert world.api.get("/data", query={"qty": 1000, "details": "true"}).text == before
        assert opened.counters(world.profile, world.device) == counters
        assert values(world.read(qty=1)) == [299]
        left = sealed_points(world)
        opened.close()
        if is_done:
            break
    assert sum(left) == 300 and killed > 1
