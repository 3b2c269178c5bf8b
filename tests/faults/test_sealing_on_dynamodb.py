"""Sealing on DynamoDB: interrupted between every two calls, and racing with whatever removes points."""

import pytest

from chalicelib import store
from chalicelib.codec import keys
from chalicelib.host import cache
from chalicelib.services.devices import sealings
from chalicelib.services.points import scan, sealing
from chalicelib.services.points.filters import Filter
from tests.kit.faults import Killed
from tests.kit.sealings import (
    YESTERDAY,
    before_call,
    fill,
    finish,
    kept_world,
    kill,
    sealed,
    smalls,
    store_one,
    texts,
    work,
)  # fmt: skip
from tests.kit.tables import snapshot
from tests.kit.world import point

COUNT = 4
EVERYTHING = Filter(keys.EARLIEST_MS, keys.LATEST_MS)


@pytest.fixture
def make(clock, dynamo, monkeypatch):
    """Return a function that brings back a device with points of yesterday, as it was at the beginning."""
    monkeypatch.setattr(sealings, "LEAST", 2)
    made = kept_world()
    fill(made, count=COUNT)
    restore = snapshot()

    def do():
        cache.clear_all()
        restore()
        return made

    return do


def calls_of(act, make):
    """Return how many calls of DynamoDB it takes to do something."""
    world = make()
    with before_call(-1, kill) as seen:
        act(world)
    return seen[0]


def test_answers_are_the_same_before_between_and_after(make, clock):
    world = make()
    before = texts(world)
    wait_s = work(world)
    assert texts(world) == before and len(smalls(world)) == COUNT and [item.points for item in sealed(world)] == [COUNT]
    clock.advance(wait_s)
    assert work(world, noted=False) is None
    assert texts(world) == before and smalls(world) == []
    assert [item.counted for item in sealed(world)] == [COUNT]


def test_sealer_that_is_killed_between_any_two_calls_is_resumed(make, clock):
    for number in range(calls_of(lambda world: finish(world, clock), make)):
        world = make()
        before = world.read(details="true")
        with pytest.raises(Killed), before_call(number, kill):
            finish(world, clock)
        assert world.read(details="true") == before and counted(world) <= COUNT, number
        clock.advance(60)
        finish(world, clock)
        assert world.read(details="true") == before and smalls(world) == [], number
        (item,) = sealed(world)
        assert item.points == counted(world) == COUNT, number


def counted(world):
    """Return how many points the stream counts of what is stored."""
    return store.current().count_points(world.device, "0", "g") + sum(item.counted for item in sealed(world))


def test_reader_that_has_read_a_sealed_segment_before_it_grows_sees_each_point_once(make, clock, monkeypatch):
    world, day = make(), YESTERDAY - 1
    finish(world, clock)
    monkeypatch.setattr(sealings, "_SLICE", 3)
    monkeypatch.setattr(sealing, "MAX_POINTS", 2)
    fill(world, day, count=8)
    ids = [one["id"] for one in world.read(ordination="ascending")]
    seal, read = store.current().seal, []

    def read_after_the_first(*args, **how):
        is_put = seal(*args, **how)
        if not read:
            walk = scan.walk(world.doc, EVERYTHING, is_ascending=True, first_page=1)
            read.extend([[next(walk)], walk])
        return is_put

    monkeypatch.setattr(store.current(), "seal", read_after_the_first)
    work(world, day)
    assert [segment.point_id(index) for runs in read for segment, indices in runs for index in indices] == ids


def test_reader_that_has_read_a_sealed_segment_before_it_is_divided_sees_each_point_once(make, clock, monkeypatch):
    monkeypatch.setattr(sealing, "MAX_POINTS", 2)
    world = make()
    fill(world, count=4, first=COUNT)
    finish(world, clock)
    last = sealed(world)[-2]
    for number in range(6):
        time_ms = keys.key_time_ms(last.key) - 60_000 + number
        store_one(world.doc, point("late", number, time=time_ms))
    ids = [one["id"] for one in world.read()]
    walk = scan.walk(world.doc, EVERYTHING, is_ascending=False, first_page=1)
    runs = [next(walk)]
    work(world)
    assert len(sealed(world)) > 4
    assert [segment.point_id(index) for segment, indices in [*runs, *walk] for index in indices] == ids


def remove(world, how):
    """Remove all points, as another process would."""
    cache.clear_all()
    if how == "empty":
        assert world.admin.post(f"/device/{world.device}/empty").status == 200
    elif how == "chunk":
        (chunk,) = world.admin.get(f"/device/{world.device}/chunk").result
        assert world.admin.delete(f"/device/{world.device}/chunk/{chunk['id']}").status == 200
    else:
        assert world.admin.delete(f"/device/{world.device}").status == 200


@pytest.mark.parametrize("how", ["empty", "chunk", "erase"])
def test_removal_between_any_two_calls_of_the_sealer_is_whole(make, clock, how):
    step = 1 if how == "empty" else 3  # the same on the store, and tests should be fast
    for number in range(0, calls_of(lambda world: finish(world, clock), make), step):
        world = make()
        with before_call(number, lambda world=world: remove(world, how)):
            finish(world, clock)
        finish(world, clock)
        assert smalls(world) == [] and sealed(world) == [], number


def test_sealer_between_any_two_calls_of_a_removal_brings_nothing_back(make, clock):
    for number in range(calls_of(lambda world: remove(world, "empty"), make)):
        world = make()
        with before_call(number, lambda world=world: work(world)):
            remove(world, "empty")
        assert sealed(world) == [] and world.read(query="count") == 0, number
        finish(world, clock)
        assert sealed(world) == [] and world.read(query="count") == 0, number
