"""Random histories of sends and retries: any order gives the same answers; faults neither lose nor double points."""

import contextlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.codec import keys
from chalicelib.host import cache
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, answer_lost, answered, killed_after, throttled
from tests.kit.tables import empty_tables
from tests.kit.world import World, point

QUERIES = (
    {"qty": 1000}, {"qty": 1000, "ordination": "ascending"}, {"qty": 3}, {"qty": 3, "skip": 2}, {"query": "last_value"},
    {"query": "first_value"}, {"query": "last_item", "variables": "a"}, {"query": "min"}, {"query": "max"}, {"query": "count"},
    {"query": "sum", "start_date": "7 days"}, {"query": "count", "start_date": "30 hours", "end_date": "90 minutes"},
    {"variables": ["b", "a"], "qty": 2}, {"query": "aggregate", "interval": "hour", "function": "sum"},
)  # fmt: skip
SENDS = st.lists(
    st.lists(
        st.builds(
            lambda name, value, minutes: {
                "variable": name,
                "value": value,
                "time": NOW_MS - minutes * 60_000,
                "group": "g",
            },
            st.sampled_from("abc"),
            st.integers(-5, 5),
            st.integers(0, 100),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda one: (one["variable"], one["time"]),
    ),
    min_size=1,
    max_size=8,
)
SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def answers(world):
    """Return the answers to every query, without ids and the order of equal times, which depend on arrival."""
    found = []
    for query in QUERIES:
        result = world.read(**query)
        if isinstance(result, list):
            result = [{name: one[name] for name in ("variable", "value", "time") if name in one} for one in result]
        found.append(result)
    return found


@SLOW
@given(SENDS, st.randoms(use_true_random=False))
def test_any_order_of_the_same_sends_gives_the_same_answers(clock, each_store, sends, random):
    empty_tables()  # of the example before
    taken, distinct = set(), []
    for points in sends:  # one point a variable and time, or the answer depends on arrival rightly
        fresh = [one for one in points if (one["variable"], one["time"]) not in taken]
        fresh = [one for one in fresh if not any(one["time"] == time for _, time in taken)]
        taken |= {(one["variable"], one["time"]) for one in fresh}
        distinct += [fresh] * bool(fresh)
    first, second = World(), World()
    for points in distinct:
        first.send(*points)
    shuffled = distinct * 2
    random.shuffle(shuffled)
    for points in shuffled:
        second.send(*points)
    assert answers(first) == answers(second)


@pytest.mark.parametrize("seed", range(10))
def test_history_with_faults_keeps_what_was_acknowledged_once(clock, dynamo, monkeypatch, seed):
    """Sends and retries of three devices, with a fault at every fifth. Then all points are read."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", clock.advance)
    chance = random.Random(seed)
    worlds = [World() for _ in range(3)]
    acknowledged, attempted = ([{} for _ in worlds] for _ in range(2))
    sent, serial = [], 0
    for _ in range(60):
        number = chance.randrange(3)
        world = worlds[number]
        if sent and chance.random() < 0.3:
            number, points = chance.choice(sent)
            world = worlds[number]
        else:
            base = NOW_MS - chance.randrange(5) * keys.HOUR_MS - 1_000_000
            points = [point("n", serial + at, time=base + (serial + at) * 10) for at in range(chance.randrange(1, 30))]
            serial += len(points)
            sent.append((number, points))
        attempted[number] |= {one["value"]: one for one in points}
        with fault(chance):
            try:
                if world.api.post("/data", points).status == 200:
                    acknowledged[number] |= {one["value"]: one for one in points}
            except Killed:
                cache.clear_all()
    for number, world in enumerate(worlds):
        got = [one["value"] for one in world.read(qty=10_000)]
        assert len(got) == len(set(got)), f"seed {seed}: doubled"
        assert set(acknowledged[number]) <= set(got) <= set(attempted[number]), f"seed {seed}: lost or foreign"
        assert world.read(query="count") == len(got)
        if got:
            assert world.read(query="max")[0]["value"] == max(got) and world.read(query="min")[0]["value"] == min(got)
    for number, points in sent:
        assert worlds[number].api.post("/data", points).status == 200
    for number, world in enumerate(worlds):
        assert world.read(query="count") == len(attempted[number])


def fault(chance):
    if chance.random() > 0.2:
        return contextlib.nullcontext()
    return chance.choice(
        [
            lambda: throttled("PutItem", chance.randrange(1, 9)),
            lambda: answer_lost("PutItem", chance.randrange(1, 3)),
            lambda: killed_after("PutItem", chance.randrange(0, 3)),
            lambda: answered("PutItem", 500, {}),
            lambda: throttled("GetItem", 9),
        ]
    )()
