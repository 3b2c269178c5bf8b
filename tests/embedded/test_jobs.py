"""Work on the jobs of all profiles while the server runs."""

import asyncio

import pytest

from chalicelib.services.devices import devices, jobs
from embedded import jobs as work
from tests.kit.files import in_folder, job_of
from tests.kit.world import World, point


class _Workers:
    """Runs in the loop what the server runs in threads."""

    async def read(self, work):
        return work()


@pytest.fixture
def folder(tmp_path):
    with in_folder(tmp_path) as made:
        yield made


def back_up(world, device, name):
    world.admin.post(f"/device/{device}/data/backup", {"file_address": name}).result  # noqa: B018


def test_many_jobs_of_one_profile_do_not_hold_up_another(sqlite, folder):
    busy, other = World(), World()
    for number in range(20):
        device = devices.create(profile=busy.profile, sent={"name": "Device"})["device_id"]
        back_up(busy, device, f"f{number}")
    other.send(point("a", 1))
    back_up(other, other.device, "x")

    async def turns():
        for _ in range(3):
            await work.turn(_Workers())

    asyncio.run(turns())
    assert job_of(other, "x.csv")["status"] == "done"
    assert len(jobs.waiting()) >= 18

    async def rest():
        while await work.turn(_Workers()):
            pass

    asyncio.run(rest())


def test_unexpected_failure_does_not_end_the_work(sqlite, folder, monkeypatch):
    world = World()
    back_up(world, world.device, "x")
    keep, failures = jobs.keep, [KeyError("nobody expects this")]

    def fail_once(step):
        if failures:
            raise failures.pop()
        return keep(step)

    monkeypatch.setattr(jobs, "keep", fail_once)
    monkeypatch.setattr(work, "_LOOK_S", 0.01)

    async def until_done():
        chore = asyncio.create_task(work.work_often(_Workers()))
        async with asyncio.timeout(10):
            while jobs.waiting():
                await asyncio.sleep(0.01)
        chore.cancel()

    asyncio.run(until_done())
    assert job_of(world, "x.csv")["status"] == "done"
