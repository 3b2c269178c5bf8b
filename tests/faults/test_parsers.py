"""Faults around payload parsers: a store that fails before they run, or after, and processes that end between."""

import json

import pytest

from chalicelib import sandbox
from chalicelib.codec import keys
from chalicelib.functions import iot_ingest
from chalicelib.host import cache
from chalicelib.sandbox import Output
from tests.iot.test_iot import connect, publish
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, answer_lost, hook, killed_after, throttled
from tests.kit.parsers import give
from tests.kit.world import World, point

MINUTE_MS = 60_000


@pytest.fixture
def runs(monkeypatch):
    """The clock of each run of a parser, which makes two points of two hours from its clock."""
    found = []

    def run(_source, *, now_ms, **_):
        found.append(now_ms)
        return Output(json.dumps([point("a", now_ms, time=now_ms - hour * keys.HOUR_MS) for hour in (1, 2)]))

    monkeypatch.setattr(sandbox, "run", run)
    return found


@pytest.fixture
def world(clock, dynamo, runs, monkeypatch):
    clock.take_pauses(monkeypatch)
    monkeypatch.setattr("botocore.retries.standard.time.sleep", clock.advance, raising=False)
    dynamo._sleep = clock.advance
    made = World()
    give(made, "payload = payload")
    return made


def send(world):
    return world.api.post("/data", raw="01ff", headers={"Content-Type": "text/plain", "Idempotency-Key": "k"})


def test_parser_does_not_run_if_what_it_needs_cannot_be_read(world, runs):
    cache.clear_all()
    with throttled("Query"):
        answer = send(world)
    assert answer.status == 503 and answer.headers["retry-after"] == "1" and runs == []
    assert send(world).result == "2 Data Added" and len(world.read()) == 2


@pytest.mark.parametrize("fault", [lambda: answer_lost("PutItem", times=30), lambda: throttled("PutItem")])
def test_retry_after_a_failing_store_makes_the_same_points(world, runs, clock, fault):
    with fault():
        assert send(world).status == 503
    clock.advance(90)
    assert send(world).result == "2 Data Added"
    assert len(world.read()) == 2


@pytest.mark.parametrize("calls", range(8))
def test_retry_after_the_process_ended_anywhere_makes_the_same_points(world, runs, clock, calls):
    cache.clear_all()
    with killed_after("PutItem", calls):
        try:
            send(world)
        except Killed:
            cache.clear_all()
    clock.advance(90)
    assert send(world).result == "2 Data Added"
    assert len(world.read()) == 2


def test_message_whose_store_fails_is_delivered_again_and_stored_once(world, runs, clock):
    assert connect(world.token)["isAuthenticated"]
    with answer_lost("PutItem", times=30), pytest.raises(iot_ingest.errors.Unavailable):
        publish(b"01", timestamp=NOW_MS)
    clock.advance(90)
    assert publish(b"01", timestamp=NOW_MS) == {"added": 2}
    assert len(world.read()) == 2 and set(runs) == {NOW_MS}


def test_parser_runs_while_no_call_of_the_store_does(world, runs, monkeypatch):
    inner, calls = sandbox.run, []

    def run(*args, **kwargs):
        calls.append("run")
        return inner(*args, **kwargs)

    monkeypatch.setattr(sandbox, "run", run)
    with hook("before-call.dynamodb", lambda model, **_: calls.append(model.name)):
        assert world.api.post("/data", [{"x": 1}]).result == "2 Data Added"
    at = calls.index("run")
    assert (
        "PutItem" not in calls[:at] and "Query" in calls[:at] and {*calls[at + 1 :]} <= {"PutItem", "GetItem", "Query"}
    )
