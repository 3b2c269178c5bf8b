"""A function that Lambda is about to cut off answers in time, and says what it did."""

from types import SimpleNamespace

import pytest

from app import app
from chalicelib import errors
from chalicelib.codec import keys
from chalicelib.functions import housekeeping
from chalicelib.host import deadline
from tests.kit import api
from tests.kit.clock import NOW_MS
from tests.kit.faults import hook, unprocessed
from tests.kit.world import SCHEDULED, World, point

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


@pytest.fixture
def world(clock, dynamo):
    dynamo._sleep = clock.advance
    yield World()
    deadline.begin(None)


@pytest.fixture
def limited(monkeypatch, clock):
    """Limit the time of each request. Every call of DynamoDB takes half a second of it."""

    def give(seconds):
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)
        monkeypatch.setattr(api, "app", lambda event, _: app(event, context))
        return hook("before-call.dynamodb", lambda **_: clock.advance(0.5))

    return give


def test_long_request_stops_with_counts_and_its_repetition_completes(world, limited, clock):
    points = [point("a", hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(20)]
    world.send(*[point("a", 0, time=HOUR_START - hour * keys.HOUR_MS) for hour in (0, 30)])
    before_s = clock.elapsed_s
    with limited(9):
        answer = world.api.post("/data", points)
    assert answer.status == 503 and "(12 stored, 8 pending)" in answer.message and answer.headers["retry-after"] == "1"
    assert clock.elapsed_s - before_s <= 9
    assert world.api.post("/data", points).result == "20 Data Added"
    assert world.read(query="count", start_date=HOUR_START - 19 * keys.HOUR_MS) == 21


def test_emptying_stops_in_time_and_a_retry_resumes(world, limited):
    world.send(*[point("a", hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(200)])
    with limited(5):
        answer = world.admin.post(f"/device/{world.device}/empty")
    assert answer.status == 503 and "pending" in answer.message
    assert world.admin.post(f"/device/{world.device}/empty").status == 200
    assert world.read(query="count") == 0


def test_reading_stops_in_time(world, limited, clock):
    noise = "x" * 5_900
    for hour in range(30):
        world.send(*[point("a", f"{noise}{number}", time=HOUR_START - hour * keys.HOUR_MS) for number in range(33)])
    before_s = clock.elapsed_s
    with limited(3.1):
        assert world.api.get("/data", query={"query": "max"}).status == 503
    assert clock.elapsed_s - before_s < 3.1


def test_housekeeping_without_time_left_raises_and_the_next_run_resumes(world, clock):
    world.send(*[point("a", hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(60)])
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 3_200)
    with unprocessed(10**9, keep=0):
        world.admin.delete(f"/device/{world.device}")
    with unprocessed(10**9, keep=0), pytest.raises(errors.Unavailable):
        housekeeping.keep_house(SCHEDULED, context)
    clock.advance(3_600)
    assert housekeeping.keep_house(SCHEDULED, None) == {
        "members": 0, "erased": 1, "profiles": 0, "retentions": 0, "balanced": 0, "keys": 0, "jobs": 0, "sealed": 0,
    }  # fmt: skip
