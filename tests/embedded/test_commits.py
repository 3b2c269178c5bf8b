"""The group commit on a slow disk: a thread syncs, groups form meanwhile, and nothing that is not safe is answered."""

import asyncio
import json
import shutil
import sqlite3
import threading

import pytest

from chalicelib import errors
from embedded import commits
from embedded.commits import Disk
from tests.kit.asgi import asgi
from tests.kit.world import World, point, values


class HeldDisk:
    """A disk whose syncs end when the test says so."""

    def __init__(self):
        self.waiting, self.syncs, self.checkpoints = [], 0, 0

    def sync(self, then):
        self.syncs += 1
        self.waiting.append(then)

    def checkpoint(self, then):
        self.checkpoints += 1
        then()

    def end(self, *, is_kept=True):
        self.waiting.pop(0)(1 if is_kept else None)


@pytest.fixture
def world(sqlite):
    return World()


def post(gateway, token, value):
    body = json.dumps(point("a", value)).encode()
    return asyncio.ensure_future(asgi(gateway, "POST", "/data", {"token": token}, body))


def get(gateway, token, query=b"query=last_value"):
    return asyncio.ensure_future(asgi(gateway, "GET", "/data", {"token": token}, query=query))


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


def test_an_answer_waits_for_the_sync_and_the_next_group_forms_meanwhile(serve, world):
    disk = HeldDisk()

    async def scenario(gateway):
        first = post(gateway, world.token, 1)
        await turns()
        assert disk.syncs == 1 and not first.done()
        others = [post(gateway, world.token, value) for value in (2, 3)]
        await turns()
        others.append(post(gateway, world.token, 4))
        await turns()
        assert disk.syncs == 1, "what arrives while a sync runs waits for it"
        disk.end()
        await turns()
        assert first.done() and disk.syncs == 2 and not any(task.done() for task in others)
        disk.end()
        return [(await task).status for task in (first, *others)]

    assert serve(scenario, disk) == [200] * 4


def test_a_reader_waits_only_for_what_it_reads(serve, world):
    other, disk = World(), HeldDisk()
    other.send(point("a", 7))
    world.admin.get("/device")  # notes the use of the token

    async def scenario(gateway):
        writing = post(gateway, world.token, 1)
        await turns()
        same, elsewhere = get(gateway, world.token), get(gateway, other.token)
        same_device = asyncio.ensure_future(
            asgi(gateway, "GET", f"/device/{world.device}", {"token": world.profile_token})
        )
        await turns()
        assert elsewhere.done() and not same.done() and not same_device.done() and not writing.done()
        disk.end()
        await turns()
        assert (await same_device).result["last_input"] is not None
        return values((await same).result), values((await elsewhere).result)

    assert serve(scenario, disk) == ([1], [7])


def test_a_reader_of_a_cached_device_waits_for_its_change(serve, world):
    disk = HeldDisk()
    world.admin.get(f"/device/{world.device}/data_amount")

    async def scenario(gateway):
        headers, path = {"token": world.profile_token}, f"/device/{world.device}"
        editing = asyncio.ensure_future(asgi(gateway, "PUT", path, headers, b'{"active": false}'))
        await turns()
        refused = get(gateway, world.token)
        await turns()
        assert not editing.done() and not refused.done(), "the refusal tells of the change"
        disk.end()
        return (await editing).status, (await refused).message

    assert serve(scenario, disk) == (200, "Device is deactivated")


def test_a_failed_sync_acknowledges_nothing_and_shows_nothing(serve, world):
    disk = HeldDisk()

    async def scenario(gateway):
        writing = post(gateway, world.token, 1)
        await turns()
        reading = get(gateway, world.token)
        await turns()
        disk.end(is_kept=False)
        answers = [(await writing).status, (await reading).status]
        return [*answers, (await get(gateway, world.token)).status, (await post(gateway, world.token, 2)).status]

    assert serve(scenario, disk) == [503, 503, 503, 503], "what was not kept must not be seen later either"


def test_a_failing_commit_does_not_sync(serve, world, sqlite, monkeypatch):
    disk = HeldDisk()

    def fail():
        sqlite.rollback()
        raise errors.Unavailable

    monkeypatch.setattr(sqlite, "commit", fail)

    async def scenario(gateway):
        return (await post(gateway, world.token, 1)).status

    assert serve(scenario, disk) == 503 and disk.syncs == 0


def test_a_real_sync_that_fails_stops_the_program_once_and_stays_failed(serve, world, sqlite, monkeypatch):
    disk, stopped = Disk(sqlite), []
    disk.on_failure = lambda: stopped.append(True)

    def fail(_path):
        raise OSError("the disk is gone")

    monkeypatch.setattr(commits, "sync", fail)

    async def scenario(gateway):
        first = (await post(gateway, world.token, 1)).status
        monkeypatch.setattr(commits, "sync", lambda _path: None)
        return first, (await post(gateway, world.token, 2)).status

    assert serve(scenario, disk) == (503, 503) and stopped == [True]
    disk.close()


def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(serve, world, sqlite, monkeypatch, tmp_path):
    """Each sync copies the files as they are then. A power cut leaves at least the last copy."""
    disk, image = Disk(sqlite), tmp_path / "image"
    image.mkdir()
    lost, checkpoints = [], []
    merge = sqlite.checkpoint
    monkeypatch.setattr(sqlite, "checkpoint", lambda: (checkpoints.append(True), merge()))

    def copy(path):
        for name in (sqlite.path.name, path.name):
            shutil.copyfile(sqlite.path.parent / name, image / name)

    monkeypatch.setattr(commits, "sync", copy)
    monkeypatch.setattr(commits, "CHECKPOINT_BYTES", 100_000)

    def points_on_disk():
        with sqlite3.connect(shutil.copytree(image, tmp_path / "cut", dirs_exist_ok=True) / sqlite.path.name) as db:
            return db.execute("SELECT COALESCE(SUM(points), 0) FROM segments").fetchone()[0]

    async def scenario(gateway):
        acknowledged = 0
        for _ in range(20):
            answers = await asyncio.gather(*(post(gateway, world.token, value) for value in range(100)))
            acknowledged += sum(answer.status == 200 for answer in answers)
            if points_on_disk() < acknowledged:
                lost.append(acknowledged)

    serve(scenario, disk)
    disk.close()
    assert not lost and len(checkpoints) >= 2


def test_the_loop_goes_on_while_a_sync_runs(serve, world, sqlite, monkeypatch):
    disk, begun, allowed = Disk(sqlite), threading.Event(), threading.Event()

    def slow(_path):
        begun.set()
        assert allowed.wait(20)

    monkeypatch.setattr(commits, "sync", slow)

    async def scenario(gateway):
        writing = post(gateway, world.token, 1)
        while not begun.is_set():
            await asyncio.sleep(0)
        assert (await asgi(gateway, "GET", "/status")).status == 200 and not writing.done()
        allowed.set()
        return (await writing).status

    assert serve(scenario, disk) == 200
    disk.close()


def test_the_time_of_a_sync_is_measured(tmp_path):
    assert 0 < commits.sync_time_s(tmp_path) < 10 and not list(tmp_path.iterdir())


def test_others_that_use_the_disk_do_not_make_it_slow(tmp_path, monkeypatch):
    now_s, times_s = [0.0], iter([0.02, *[0.0002] * 6, 0.02])

    def take(_path):
        now_s[0] += next(times_s)

    monkeypatch.setattr(commits, "sync", take)
    monkeypatch.setattr(commits.time, "perf_counter", lambda: now_s[0])
    assert commits.sync_time_s(tmp_path) == pytest.approx(0.0002)


def test_the_log_begins_again_under_steady_load(serve, world, sqlite, monkeypatch):
    disk, sizes = Disk(sqlite), []
    monkeypatch.setattr(commits, "sync", lambda path: sizes.append(path.stat().st_size))
    monkeypatch.setattr(commits, "CHECKPOINT_BYTES", 100_000)

    async def scenario(gateway):
        async def write(first):
            for value in range(first, first + 150):
                assert (await post(gateway, world.token, value)).status == 200

        await asyncio.gather(*(write(number * 1_000) for number in range(4)))

    serve(scenario, disk)
    disk.close()
    assert max(sizes) < 800_000 and min(sizes[len(sizes) // 2 :]) < 100_000
    assert world.read(query="count") == 600


def test_a_disk_that_cannot_be_measured_counts_as_fast(tmp_path, monkeypatch):
    def fail(_path):
        raise OSError("no room")

    monkeypatch.setattr(commits, "sync", fail)
    assert commits.sync_time_s(tmp_path) == 0 and not list(tmp_path.iterdir())
