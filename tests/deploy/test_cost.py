"""The bill: these tests count the figures of measured.json again, and check that the aims hold."""

import gzip
import json
import math
import os
import re
from pathlib import Path

import pytest

from bench import functions
from chalicelib.codec import keys
from chalicelib.functions import housekeeping, iot_authorizer
from chalicelib.host import cache, log, sealer
from chalicelib.services.devices import sealings
from chalicelib.services.points import sealable
from chalicelib.store import dynamodb_sealed
from deploy import cost, cost_page, pricing, spec
from deploy.__main__ import main
from tests.iot.test_iot import connect, publish
from tests.kit.api import Answer, Api, authorized
from tests.kit.billing import counting, item_bytes
from tests.kit.clock import NOW_MS
from tests.kit.policies import running
from tests.kit.sealings import YESTERDAY, kept_world, sealed, smalls, store_one
from tests.kit.world import SCHEDULED, World, point
from tests.services.test_counters import deliver, records  # noqa: F401 - a fixture
from tests.services.test_sealings import deliver_message

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
UNKNOWN = "00000000-0000-4000-8000-000000000000"
ROOT = Path(cost.__file__).parents[1]
MEASURED = Path(cost.__file__).with_name("measured.json")


def batch(count, start_ms):
    return [
        point(f"v{number % 5}", round(20 + number * 0.37, 2), unit="C", time=start_ms + number * 1_000)
        for number in range(count)
    ]


@pytest.fixture
def measure(clock, dynamo, monkeypatch):
    """Return the calls of DynamoDB, the units, and the stored, logged and answered bytes of a call."""

    def do(call, **more):
        lines = []
        log.use(lines.append)
        with counting() as calls:
            answer = call()
        found = {"calls": sum(calls.values()), "write_units": calls.units["write"], "read_units": calls.units["read"]}
        if lines:
            found["log_bytes"] = sum(map(logged_bytes, lines))
        if calls.stored_bytes:
            found["stored_bytes"] = round(calls.stored_bytes, -2)
        if isinstance(answer, Answer):
            found["answer_bytes"] = round(answered_bytes(answer), -1)
        return found | more

    return do


def answered_bytes(answer):
    """Return the size of an answer, with the headers that the app or the API's document sets."""
    return len(answer.text.encode()) + sum(len(f"{name}: {text}\r\n") for name, text in answer.headers.items())


def logged_bytes(line):
    """Return the size of a line as on AWS, where a request's id is a UUID, with a fixed duration."""
    line = re.sub(r'"ms":[\d.]+', '"ms":10.00', line).replace('"request_id":"test"', f'"request_id":"{"0" * 36}"')
    return len(line.encode())


def taken(figures, *names):
    return {name: figures[name] for name in names}


def test_measured_figures_are_what_is_counted(measure, records, clock):  # noqa: F811
    world = World()
    connect(world.token)
    world.send(*batch(5, HOUR_START))
    publish(batch(1, HOUR_START))
    found = {}
    for size in (1, 100):
        points = batch(size, HOUR_START + size * 10_007)
        found[f"http_{size}"] = measure(lambda points=points: world.api.post("/data", points))
        payload = json.dumps(batch(size, HOUR_START + size * 20_011)).encode()
        found[f"mqtt_{size}"] = measure(lambda payload=payload: publish(payload), payload_bytes=len(payload))
    found["bad_request"] = measure(lambda: world.api.post("/data", [{"value": 1}]))
    message = {"topic": "led", "message": "on", "bucket": world.device, "options": {"qos": 1}}
    world.admin.get("/info")
    found["publish"] = measure(lambda: world.admin.post("/analysis/services/mqtt/publish", message))
    later = HOUR_START + keys.HOUR_MS
    plain = measure(lambda: world.send(point("v1", 1, time=later)))
    again = measure(lambda: world.send(point("v1", 1, time=later + 1)))
    found["new_hour"] = {name: plain[name] - again[name] for name in ("calls", "write_units", "read_units")}
    clock.advance(61)
    asked = measure(lambda: authorized({"token": world.token}))
    found["authorizer_lookups"] = taken(asked, "calls", "read_units")
    found["http_lookups"] = without(measure(lambda: world.send(point("v1", 2))), again)
    clock.advance(61)
    found["mqtt_lookups"] = without(measure(lambda: publish(point("v1", 2))), found["mqtt_1"])
    changes = records()
    deliver(changes)  # the first batch of an hour also keeps what was used before
    world.send(point("v1", 3))
    batch_units = measure(lambda: deliver(records()[len(changes) :]))["write_units"]
    found["counted"] = {"write_units": batch_units - 1}  # less the profile's, which is one however many the devices
    cache.clear_all()
    cold = without(measure(lambda: world.send(point("v1", 2))), again)
    found["hour_lookups"] = without(without(cold, found["authorizer_lookups"]), found["http_lookups"])
    found["first_connect"] = taken(measure(lambda: connect(world.token, "thermo-2")), "calls")
    found["connected_hour"] = taken(measure(lambda: connected_hour(world, clock)), "calls", "write_units", "read_units")
    history = World()
    for number in range(10):
        history.send(*batch(100, HOUR_START + number * 100_000))
    for name, query in {
        "last_value": {"query": "last_value", "variables": "v1"}, "last_15": {}, "get_1000": {"qty": 1000},
        "poll": {"variables": "v1", "start_date": "2200-01-01", "qty": 1000},
    }.items():  # fmt: skip
        history.read(**query)
        found[name] = measure(lambda query=query: history.api.get("/data", query=query))
    body = history.api.get("/data", query={"qty": 1000}).text.encode()
    stored = json.loads(MEASURED.read_text())["get_1000"].get("compressed_bytes", 0)
    size = len(gzip.compress(body, 6)) + found["get_1000"]["answer_bytes"] - len(body)
    # The ids are random, so no two answers are compressed to the same size.
    found["get_1000"]["compressed_bytes"] = stored if stored == pytest.approx(size, rel=0.05) else round(size, -2)
    found["refused"] = measure(lambda: Api(UNKNOWN).get("/data"))
    assert taken(measure(lambda: connect(UNKNOWN)), "calls", "read_units") == taken(
        found["refused"], "calls", "read_units"
    )
    found["housekeeping"] = taken(measure(keep_house), "calls", "read_units")
    found["sealed"] = seal_a_day(measure, clock)
    if "MEASURE" in os.environ:
        MEASURED.write_text(json.dumps(found, indent=2) + "\n")
    assert json.loads(MEASURED.read_text()) == found, "MEASURE=1 writes what is counted here"


def seal_a_day(measure, clock):
    """Seal a day of points that were sent one by one, with all messages that the sealer sends itself."""
    world, day, asked = kept_world(), YESTERDAY * keys.DAY_MS, []
    for number in range(cost.SEALED_POINTS):
        (one,) = batch(1, day + number * keys.DAY_MS // cost.SEALED_POINTS)
        store_one(world.doc, one | {"variable": f"v{number % 5}", "value": round(20 + number * 0.37, 2)})
    sealings.waits_s()
    clock.advance(3_600)
    sealer.use(lambda body, delay_s: asked.append((body, delay_s)))
    asked.append(({"profile": world.profile, "device": world.device, "days": [YESTERDAY, YESTERDAY]}, 0))
    messages = []

    def work():
        while asked:
            body, delay_s = asked.pop()
            clock.advance(delay_s)
            deliver_message(body)
            messages.append(body)

    found = measure(work)
    (item,) = sealed(world)
    assert smalls(world) == [] and len(messages) == cost.SEALER_MESSAGES
    return taken(found, "calls", "write_units", "read_units") | {
        "stored_bytes": round(item_bytes(dynamodb_sealed.raw_of(item, world.profile)), -2)
    }


def without(figures, base):
    return {name: figures[name] - base[name] for name in ("calls", "read_units")}


def connected_hour(world, clock):
    """Ask the authorizer as often as IoT Core does in an hour, of a session that has lasted for hours."""
    for _ in range(cost.HOUR_S // iot_authorizer.REFRESH_S):
        clock.advance(iot_authorizer.REFRESH_S)
        assert connect(world.token)["isAuthenticated"]


def keep_house():
    with running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, None)


def test_without_caches_a_request_reads_all_that_was_counted():
    counted = pricing.measured()
    (line,) = [line for line in cold_send(every_s=1e-3) if line.name == "DynamoDB reads"]
    parts = ("authorizer_lookups", "http_lookups", "hour_lookups")
    assert line.quantity == pytest.approx(sum(counted[part]["read_units"] for part in parts), abs=1e-3)


def cold_send(every_s):
    return cost.send(points=1, batch=1, path="http", every_s=every_s, environments=math.inf)


def dollars(**how):
    return pricing.total(cost.send(points=1e6, **{"every_s": 10, **how}))


def lines_of(components):
    return {line.name: line for line in components}


def test_aims_hold():
    assert dollars(batch=1, path="http") <= 5.5
    assert dollars(batch=100, path="http") <= 0.10
    assert dollars(batch=1, path="mqtt") <= 2.7
    assert dollars(batch=1, path="mqtt", basic_ingest=True) == pytest.approx(dollars(batch=1, path="mqtt") - 1)
    assert pricing.total(cost.idle()) <= 0.50 and pricing.total(cost.idle(free=False)) <= 2.0


def test_sealing_costs_what_was_counted_and_pays_from_seven_months_on():
    day = lines_of(cost.seal(days=1, segments=cost.SEALED_POINTS, points=cost.SEALED_POINTS))
    counted = pricing.measured()["sealed"]
    assert day["DynamoDB writes of the sealer"].quantity == counted["write_units"]
    assert day["DynamoDB reads of the sealer"].quantity == pytest.approx(counted["read_units"])
    millions = 1e6 / 1_440
    assert pricing.total(cost.seal(days=millions, segments=1_440, points=1_440)) == pytest.approx(0.80, abs=0.1)
    assert cost.paid_back_months(a_day=1_440) < sealable.LEAST_DAYS / 30


def test_readme_says_what_points_cost():
    single, hundreds = dollars(batch=1, path="http"), dollars(batch=100, path="http")
    said = f"A million points cost about {single:.0f} dollars one by one, {hundreds * 100:.0f} cents in hundreds"
    assert said in (ROOT / "README.md").read_text()


def test_bill_is_the_sum_of_calls_times_prices():
    one = lines_of(cost.send(points=3e6, batch=1, path="http", every_s=3_600))
    assert one["API Gateway requests"][1:] == (3e6, pytest.approx(10.5))
    assert one["DynamoDB writes"].quantity == 6e6, "each opens an hour"
    assert one["DynamoDB writes of counters"].quantity == 3e6
    hundreds = lines_of(cost.send(points=3e6, batch=100, path="http", every_s=60))
    assert hundreds["API Gateway requests"].quantity == 3e4
    text = pricing.table(list(one.values()))
    assert "API Gateway requests" in text and text.splitlines()[-1].split()[0] == "total"


def test_run_time_is_processor_time_by_share_of_a_processor_and_calls():
    assumed, share = pricing.prices()["assumed"], 512 / 1769
    alone_ms = assumed["cpu_ms"]["mqtt_1"] / share + assumed["service_ms"] + assumed["runtime_ms"]
    assert pricing.run_ms("iot-ingest", "mqtt_1", 1) == pytest.approx(alone_ms)
    never_looked_up = lines_of(cost.send(points=1e6, batch=1, path="mqtt", every_s=1e-6))
    assert never_looked_up["Lambda GB-seconds of iot-ingest"].quantity == pytest.approx(1e3 * alone_ms / 2, rel=1e-3)


def test_more_execution_environments_look_up_more_until_every_request_does():
    def reads(every_s, environments):
        return lines_of(cost.send(points=6e6, batch=1, path="http", every_s=every_s, environments=environments))[
            "DynamoDB reads"
        ].quantity

    assert reads(10, 3) == pytest.approx(3 * reads(10, 1), rel=0.02)
    assert reads(10, 3_000) == reads(10, math.inf) > reads(10, 300)
    assert dollars(batch=1, path="http") < dollars(batch=1, path="http", environments=10)


def test_large_messages_are_billed_in_parts():
    lines = lines_of(cost.send(points=1e6, batch=100, path="mqtt", every_s=60))
    parts = -(-pricing.measured()["mqtt_100"]["payload_bytes"] // 5_120)
    assert parts > 1 and lines["IoT Core messages"].quantity == 1e4 * parts


def test_a_connected_client_is_asked_again_and_keeps_its_binding():
    lines = lines_of(cost.connected(hours=24))
    assert (
        lines["Lambda calls of iot-authorizer"].quantity == 96 and lines["IoT Core connection minutes"].quantity == 1440
    )
    assert lines["IoT Core messages to connect"].quantity == 1
    assert lines["DynamoDB reads for refreshes"].quantity == 96 * 3.5, "token, limits, device and binding"
    assert lines["DynamoDB writes of bindings"].quantity == 24 * 2, "the binding and its entry in the device's list"


def test_an_update_of_a_counter_takes_the_processor_time_of_its_thread():
    alone_ms = pricing.cpu_ms("counters", "counted") + pricing.prices()["assumed"]["service_ms"]
    assert alone_ms / 8 < cost.update_ms() == pricing.cpu_ms("counters", "counted") < alone_ms


def test_expiry_costs_the_counters_only():
    assert {line.name for line in cost.expire(segments=1e6)} == {
        "DynamoDB writes of counters", "Lambda calls of counters", "Lambda GB-seconds of counters"
    }  # fmt: skip


def test_refused_requests_cost_no_request_of_api_gateway_but_those_of_the_handler_do():
    unknown, limited, broken = (
        lines_of(cost.refuse(requests=1e6, why=why)) for why in ("unknown token", "too many requests", "bad request")
    )
    assert "API Gateway requests" not in unknown.keys() | limited.keys() and "API Gateway requests" in broken
    assert unknown["Lambda calls of authorizer"].quantity == unknown["DynamoDB reads"].quantity == 1e6
    assert "DynamoDB reads" not in limited


def test_a_publish_is_three_messages_and_triggers_a_rule():
    lines = lines_of(cost.publish(messages=2e6))
    assert lines["IoT Core messages"].quantity == 6e6
    assert lines["IoT Core rules"].quantity == lines["IoT Core actions"].quantity == 2e6
    assert "Lambda calls of iot-ingest" not in lines


def test_alarms_above_the_free_ones_are_charged(monkeypatch):
    names = [*spec.alarms("dev"), *map(str, range(5))]
    monkeypatch.setattr(spec, "alarms", lambda stage: dict.fromkeys(names))
    above = len(names) - pricing.prices()["free_alarms"]
    assert lines_of(cost.idle())["Alarms"].dollars == pytest.approx(above * 0.1)


def test_managed_key_counts_each_table_that_a_role_uses():
    (requests,) = cost.managed_key()
    assert requests.quantity == (2 + 1 + 2 + 1 + 2 + 2 + 1 + 2 + 2) * 730 * 12


def test_arm_saves_a_fifth_of_the_time():
    time = pricing.lambda_run("http", 0, 1e6)
    assert cost.arm_saving(time) == pytest.approx(0.2, abs=1e-4)
    assert cost.arm_saving([*time, pricing.priced("x", time[1].dollars / 1e-6, "mqtt_message")]) == pytest.approx(
        0.1, abs=1e-4
    )


def test_benchmark_measures_each_processor_time(dynamo, monkeypatch):
    called = []
    monkeypatch.setattr(functions, "cpu_ms", lambda call, calls=1: called.append(call()) or 1.0)
    kinds = functions.measure().keys()
    assert kinds | {"housekeeping"} == pricing.prices()["assumed"]["cpu_ms"].keys() and len(called) == len(kinds)


def test_load_times_are_those_of_the_figures():
    figures = (ROOT / "docs/figures.md").read_text()
    http, authorizer = (pricing.prices()["assumed"]["load_ms"][name] / 1000 for name in ("http", "authorizer"))
    assert f"loads in {authorizer:g} s (authorizer) to {http:g} s (HTTP handler)" in figures


def test_command_prints_each_component(capsys):
    assert main(["cost", "--points", "1e6", "--batch", "100", "--path", "mqtt", "--every", "10"]) == 0
    text = capsys.readouterr().out
    assert "IoT Core messages" in text and "us-east-1, 2026-11-01" in text and "dollars" in text
    assert main(["cost", "--path", "http", "--read", "last_value", "--points", "1e6"]) == 0
    some = capsys.readouterr().out
    assert main(["cost", "--path", "http", "--read", "last_value", "--points", "1e6", "--environments", "inf"]) == 0
    more = capsys.readouterr().out
    assert "DynamoDB reads" in some and float(some.split()[-1]) < float(more.split()[-1])


def test_every_price_has_a_source_and_every_source_a_price():
    table = pricing.prices()
    priced = [name for names in table["sources"].values() for name in names]
    assert sorted(priced) == sorted(table["dollars"])
    assert all(url.startswith("https://aws.amazon.com/") for url in table["sources"])
    assert set(table["quoted"]) < set(priced)
    assert all({"says", "quote", "source"} == note.keys() for note in table["notes"])


def test_page_of_the_docs_is_what_the_figures_give():
    assert (ROOT / "docs/cost.md").read_text() == cost_page.page(), "python -m deploy.cost_page writes it"
