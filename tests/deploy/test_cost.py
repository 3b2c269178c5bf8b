"""The bill: these tests count the figures of measured.json again, and check that the aims hold."""

import json
import os
import re
from pathlib import Path

import pytest

from chalicelib.codec import keys
from chalicelib.host import log
from deploy import cost
from deploy.__main__ import main
from tests.iot.test_iot import connect, publish
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point
from tests.services.test_counters import deliver, records  # noqa: F401 - a fixture

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
MEASURED = Path(cost.__file__).with_name("measured.json")


def batch(count, start_ms):
    return [
        point(f"v{number % 5}", round(20 + number * 0.37, 2), unit="C", time=start_ms + number * 1_000)
        for number in range(count)
    ]


@pytest.fixture
def measure(clock, dynamo, monkeypatch):
    """Return the units, the stored bytes and the logged bytes of a call."""

    def do(call, **more):
        lines = []
        log.use(lines.append)
        with counting() as calls:
            call()
        found = {"write_units": calls.units["write"], "read_units": calls.units["read"]}
        if lines:
            found["log_bytes"] = sum(map(logged_bytes, lines))
        if calls.stored_bytes:
            found["stored_bytes"] = round(calls.stored_bytes, -2)
        return found | more

    return do


def logged_bytes(line):
    """Return the size of a line as on AWS, where a request's id is a UUID, with a fixed duration."""
    line = re.sub(r'"ms":[\d.]+', '"ms":10.00', line).replace('"request_id":"test"', f'"request_id":"{"0" * 36}"')
    return len(line.encode())


def test_measured_figures_are_what_is_counted(measure, records, clock):  # noqa: F811
    world = World()
    connect(world.token)
    world.send(*batch(5, HOUR_START))
    publish(batch(1, HOUR_START))
    found = {}
    for size in (1, 100):
        points = batch(size, HOUR_START + size * 10_007)
        found[f"http_{size}"] = measure(lambda points=points: world.send(*points))
        payload = json.dumps(batch(size, HOUR_START + size * 20_011)).encode()
        found[f"mqtt_{size}"] = measure(lambda payload=payload: publish(payload), payload_bytes=len(payload))
    later = HOUR_START + keys.HOUR_MS
    plain = measure(lambda: world.send(point("v1", 1, time=later)))
    again = measure(lambda: world.send(point("v1", 1, time=later + 1)))
    found["new_hour"] = {name: plain[name] - again[name] for name in ("write_units", "read_units")}
    clock.advance(61)
    found["http_lookups"] = {"read_units": measure(lambda: world.send(point("v1", 2)))["read_units"]}
    clock.advance(61)
    found["mqtt_lookups"] = {"read_units": measure(lambda: publish(point("v1", 2)))["read_units"]}
    changes = records()
    found["counted"] = {"write_units": measure(lambda: deliver(changes))["write_units"]}
    history = World()
    for number in range(10):
        history.send(*batch(100, HOUR_START + number * 100_000))
    for name, query in {
        "last_value": {"query": "last_value", "variables": "v1"}, "last_15": {}, "get_1000": {"qty": 1000}
    }.items():  # fmt: skip
        history.read(**query)
        found[name] = measure(lambda query=query: history.read(**query))
    if "MEASURE" in os.environ:
        MEASURED.write_text(json.dumps(found, indent=2) + "\n")
    assert json.loads(MEASURED.read_text()) == found, "MEASURE=1 writes what is counted here"


def dollars(**how):
    return cost.total(cost.send(points=1e6, every_s=10, **how))


def test_aims_hold():
    assert dollars(batch=1, path="http") <= 5
    assert dollars(batch=100, path="http") <= 0.10
    assert dollars(batch=1, path="mqtt") <= 2.5
    assert dollars(batch=1, path="mqtt", basic_ingest=True) == pytest.approx(dollars(batch=1, path="mqtt") - 1)
    assert cost.total(cost.idle()) <= 0.05 and cost.total(cost.idle(free=False)) <= 1.05


def test_bill_is_the_sum_of_calls_times_prices():
    one = {line.name: line for line in cost.send(points=3e6, batch=1, path="http", every_s=3_600)}
    assert one["API Gateway requests"][1:] == (3e6, pytest.approx(10.5))
    assert one["DynamoDB writes"].quantity == 6e6, "each opens an hour"
    assert one["DynamoDB writes of counters"].quantity == 3e6
    assert one["Lambda GB-seconds of authorizer"].quantity == 3e6 * 0.003 / 2
    hundreds = {line.name: line for line in cost.send(points=3e6, batch=100, path="http", every_s=60)}
    assert hundreds["API Gateway requests"].quantity == 3e4
    text = cost.table(list(one.values()))
    assert "API Gateway requests" in text and text.splitlines()[-1].split()[0] == "total"


def test_large_messages_are_billed_in_parts():
    lines = {line.name: line for line in cost.send(points=1e6, batch=100, path="mqtt", every_s=60)}
    parts = -(-cost.measured()["mqtt_100"]["payload_bytes"] // 5_120)
    assert parts > 1 and lines["IoT Core messages"].quantity == 1e4 * parts


def test_command_prints_each_component(capsys):
    assert main(["cost", "--points", "1e6", "--batch", "100", "--path", "mqtt", "--every", "10"]) == 0
    text = capsys.readouterr().out
    assert "IoT Core messages" in text and "us-east-1, 2026-11-01" in text and "dollars" in text
    assert main(["cost", "--path", "http", "--read", "last_value", "--points", "1e6"]) == 0
    assert "DynamoDB reads" in capsys.readouterr().out


def test_page_of_the_docs_is_what_the_figures_give():
    assert (Path(cost.__file__).parents[1] / "docs/cost.md").read_text() == cost.page(), (
        "python -m deploy.cost writes it"
    )
