"""The cost of each access pattern: calls and units on DynamoDB, statements on SQLite; see docs/architecture.md."""

from functools import partial

import pytest

from chalicelib import sandbox, settings
from chalicelib.codec import keys
from chalicelib.sandbox import Output
from chalicelib.services.devices import integrations
from chalicelib.services.devices.catalogue import HTTPS_NETWORK
from chalicelib.services.points import scan
from chalicelib.store.models import EntityModel
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import hook
from tests.kit.networks import Network, authorization
from tests.kit.parsers import CONNECTOR_ID, NETWORK_ID, integration
from tests.kit.sealings import DAY_MS, YESTERDAY, fill, kept_world, store_one, work
from tests.kit.world import World, point

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


def batch(count, start_ms=HOUR_START, step_ms=1_000):
    return [
        point(f"v{number % 5}", round(20 + number * 0.37, 2), unit="C", time=start_ms + number * step_ms)
        for number in range(count)
    ]


@pytest.fixture
def warm(clock, dynamo):
    world = World()
    world.send(*batch(5))
    return world


def cost_of(call):
    with counting() as calls:
        call()
    return dict(calls), dict(calls.units)


@pytest.mark.parametrize(
    ("points", "units"), [(batch(1, HOUR_START + 5), 1), ([point("v1", 1)], 1), (batch(100, HOUR_START + 7), 2)]
)
def test_post_of_known_variables_is_one_put_and_no_read(warm, points, units):
    assert cost_of(lambda: warm.send(*points)) == ({"PutItem": 1}, {"write": units})


def test_post_again_is_one_refused_put_and_no_read(warm):
    points = batch(100, HOUR_START + 7)
    warm.send(*points)
    assert cost_of(lambda: warm.send(*points)) == ({"PutItem": 1}, {"write": 2})


def test_post_again_after_a_move_is_one_refused_put_and_a_read_for_each_moved_point(warm):
    points = batch(100, HOUR_START + 7)
    warm.send(*points)
    ids = [one["id"] for one in warm.read(qty=2)]
    for number, point_id in enumerate(ids):
        warm.api.put("/data", {"id": point_id, "time": HOUR_START - (5 + number) * keys.HOUR_MS})
    assert cost_of(lambda: warm.send(*points))[0] == {"PutItem": 1, "GetItem": 2}


def test_post_again_after_a_delete_is_one_put_more_and_no_read(warm):
    points = batch(100, HOUR_START + 7)
    warm.send(*points)
    warm.api.delete("/data", query={"qty": 3})
    warm.send(point("v1", 1))  # looks up the amount, which a delete forgets
    assert cost_of(lambda: warm.send(*points)) == ({"PutItem": 2}, {"write": 4})
    assert cost_of(lambda: warm.send(*points)) == ({"PutItem": 1}, {"write": 2})


def test_post_to_a_full_device_is_refused_for_one_read_at_most(warm, monkeypatch):
    monkeypatch.setattr("chalicelib.services.points.fullness.MAX_POINTS", 5)
    assert cost_of(lambda: warm.api.post("/data", point("v1"))) == ({}, {})
    assert cost_of(lambda: warm.api.post("/data", batch(1, HOUR_START + 5))) == ({"GetItem": 1}, {"read": 1})
    assert cost_of(lambda: warm.send(*batch(5))) == ({"GetItem": 1}, {"read": 1})


def test_post_over_hours_is_a_put_an_hour(warm):
    points = batch(3, HOUR_START - 2 * keys.HOUR_MS, keys.HOUR_MS)
    warm.send(*points)
    assert cost_of(lambda: warm.send(*points, point("v1", time=HOUR_START)))[0] == {"PutItem": 3}


def test_post_of_a_new_variable_also_widens_the_directory(warm):
    assert cost_of(lambda: warm.send(point("new"))) == ({"GetItem": 1, "PutItem": 2}, {"read": 1, "write": 2})


def test_post_with_an_idempotency_key_is_one_put_more(warm):
    send = {"headers": {"idempotency-key": "k"}}
    assert cost_of(lambda: warm.send(point("v1"), **send)) == ({"PutItem": 2}, {"write": 2})


def test_post_to_a_device_with_parsers_reads_what_they_need_once_a_minute(warm, monkeypatch, clock):
    monkeypatch.setattr(sandbox, "run", lambda _, *, payload, **__: Output(payload))
    integration(warm, "network", "payload = payload")
    integration(warm, "connector", None)
    made = warm.admin.post("/device", {"name": "Parsing", "connector": CONNECTOR_ID, "network": NETWORK_ID}).result
    warm.device, warm.api.token = made["device_id"], made["token"]
    warm.send(point("v1"))
    clock.advance(settings.CACHE_S + 1)
    calls, units = cost_of(lambda: warm.send(point("v1")))
    without = {"GetItem": 3, "PutItem": 1}  # token, limits, device
    assert calls == {"GetItem": without["GetItem"] + 2, "Query": 1, "PutItem": 1} and units["write"] == 1
    assert cost_of(lambda: warm.send(point("v1"))) == ({"PutItem": 1}, {"write": 1})
    send = {"headers": {"idempotency-key": "k"}}
    assert cost_of(lambda: warm.send(point("v1"), **send)) == ({"GetItem": 1, "PutItem": 2}, {"read": 1, "write": 2})


def test_post_of_a_network_looks_for_the_serial_number_besides(warm, monkeypatch):
    monkeypatch.setattr(sandbox, "run", lambda _, *, payload, **__: Output(payload, serial="S1"))
    network = Network(warm, parser="serial = 'S1'")
    network.device("S1")

    def send(query=None):
        network.api.post("/integration/network/data", [point("v1")], query=query)

    expected = {"Query": 1, "GetItem": 1, "PutItem": 1}, {"read": 2, "write": 1}
    send()
    assert cost_of(send) == expected
    query = {"authorization_token": authorization(warm)}
    send(query)
    assert cost_of(lambda: send(query)) == expected


def test_a_serial_number_is_resolved_by_one_query_and_one_read(warm):
    network = Network(warm)
    network.device("S1")
    path = "/integration/network/resolve/S1"
    for place in (path, f"{path}/{authorization(warm)}"):
        network.api.get(place)
        assert cost_of(lambda place=place: network.api.get(place)) == ({"Query": 1, "GetItem": 1}, {"read": 2})


def test_post_to_a_device_with_unknown_ids_looks_for_them_once_a_minute(warm):
    made = warm.admin.post("/device", {"name": "Unknown", "connector": CONNECTOR_ID, "network": NETWORK_ID}).result
    warm.device, warm.api.token = made["device_id"], made["token"]
    warm.send(point("v1"))
    assert cost_of(lambda: warm.send(point("v1"))) == ({"PutItem": 1}, {"write": 1})


def test_post_of_a_cold_process_looks_up_token_limits_device_amount_and_directory(warm):
    from chalicelib.host import cache

    cache.clear_all()
    calls, units = cost_of(lambda: warm.send(point("v1")))
    assert calls == {"GetItem": 4, "Query": 2, "PutItem": 1} and units["write"] == 1


def test_refused_request_reads_and_writes_nothing(warm):
    assert cost_of(lambda: warm.api.post("/data", [point("v1"), {"value": 1}])) == ({}, {})


@pytest.mark.parametrize("history", [1, 5])
def test_last_value_is_two_reads_whatever_the_history(warm, history):
    for hour in range(history * 4):
        warm.send(*batch(20, HOUR_START - hour * keys.HOUR_MS))
    calls, units = cost_of(lambda: warm.read(query="last_value", variables="v1"))
    assert calls == {"Query": 2} and units["read"] == 2


def test_last_value_of_a_variable_long_silent_is_two_reads(warm):
    warm.send(point("rare", 7, time=HOUR_START - 900 * keys.HOUR_MS))
    for hour in range(30):
        warm.send(*batch(10, HOUR_START - hour * keys.HOUR_MS))
    calls, _ = cost_of(lambda: warm.read(query="last_value", variables="rare"))
    assert calls == {"Query": 2}


def test_read_by_id_is_one_read(warm):
    (found,) = warm.read(qty=1)
    assert cost_of(lambda: warm.read(ids=found["id"])) == ({"GetItem": 1}, {"read": 1})


def test_read_of_a_moved_point_is_two_reads(warm):
    (found,) = warm.read(qty=1)
    warm.api.put("/data", {"id": found["id"], "time": HOUR_START - 5 * keys.HOUR_MS})
    assert cost_of(lambda: warm.read(ids=found["id"])) == ({"GetItem": 2}, {"read": 2})


def test_read_of_1000_points_of_batches_is_one_query(warm):
    for number in range(11):
        warm.send(*batch(100, HOUR_START + number * 100_000 + 7))
    calls, units = cost_of(lambda: warm.read(qty=1000))
    assert calls == {"Query": 1} and units["read"] <= 6


def test_read_of_the_newest_15_singles_is_one_small_query(warm):
    for number in range(40):
        warm.send(point("v1", number, time=HOUR_START + 60_000 + number))
    assert cost_of(warm.read) == ({"Query": 1}, {"read": 2})


def test_read_with_a_large_skip_is_bounded(warm):
    assert cost_of(lambda: warm.read(skip=30_000_000))[0] == {"Query": 1}
    assert cost_of(lambda: warm.api.get("/data", query={"skip": 10**12}))[0] == {}


def test_edit_is_one_read_and_one_put(warm):
    (found,) = warm.read(qty=1)
    assert cost_of(lambda: warm.api.put("/data", {"id": found["id"], "value": 5}))[0] == {"GetItem": 1, "PutItem": 1}


def test_delete_by_id_is_two_reads_and_one_put(warm):
    (found,) = warm.read(qty=1)
    assert cost_of(lambda: warm.api.delete("/data", query={"ids": found["id"]}))[0] == {"GetItem": 2, "PutItem": 1}


def test_unknown_token_is_one_read_and_a_misshapen_one_none(warm):
    unknown = "00000000-0000-4000-8000-000000000000"
    assert cost_of(lambda: warm.api.get("/data", token=unknown))[0] == {"GetItem": 1}
    assert cost_of(lambda: warm.api.get("/data", token="x" * 10_000))[0] == {}


def test_lookup_of_an_integration_is_half_a_read_a_minute_and_none_for_the_catalogue(clock, warm):
    made = warm.admin.post("/integration/network", {"name": "Radio"}).result["network"]
    find = partial(integrations.network, warm.profile)
    assert cost_of(lambda: find(HTTPS_NETWORK)) == ({}, {})
    assert cost_of(lambda: find(made)) == ({"GetItem": 1}, {"read": 0.5})
    assert cost_of(lambda: find("a" * 24)) == ({"GetItem": 2}, {"read": 1.5})
    assert cost_of(lambda: [find(made), find("a" * 24)]) == ({}, {})
    clock.advance(61)
    assert cost_of(lambda: find(made)) == ({"GetItem": 1}, {"read": 0.5})


def test_new_device_costs_a_query_more_with_a_serial_number(warm):
    def create(**more):
        return cost_of(lambda: warm.admin.post("/device", {"name": "Another", **more}))[0]

    create()  # fills the caches
    plain, serial = create(), create(serie_number="S-1")
    assert serial == plain | {"Query": 1} and "Query" not in plain


def test_sqlite_post_of_known_variables_is_one_insert(clock, sqlite):
    world = World()
    world.send(*batch(5))
    statements = []
    sqlite._db.set_trace_callback(statements.append)
    world.send(*batch(100, HOUR_START + 7))
    sqlite._db.set_trace_callback(None)
    kinds = [one.split()[0] for one in statements]
    assert kinds == ["BEGIN", "INSERT", "INSERT", "INSERT", "COMMIT"] and "counters" in statements[2]


@pytest.mark.parametrize(
    "query",
    [
        {"query": "last_value"}, {"query": "last_item", "variables": ["v1", "v2"]}, {"query": "first_value"},
        {"query": "aggregate", "interval": "hour", "function": "avg"},
        {"query": "aggregate", "interval": "hour", "function": "count", "variables": "v1"},
    ],
)  # fmt: skip
def test_query_that_needs_the_directory_reads_it_once(warm, query):
    tables = []
    with hook("before-parameter-build.dynamodb.Query", lambda params, **_: tables.append(params["TableName"])):
        assert cost_of(lambda: warm.read(**query)) == ({"Query": 2}, {"read": 2})
    assert tables.count(EntityModel.Meta.table_name) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"query": "count"}, {"query": "max"}, {"query": "first_insert"},
        {"query": "avg", "start_date": "1 day", "variables": "v1"},
        {
            "query": "aggregate", "interval": "hour", "function": "avg", "variables": "v1", "start_date": "1 day",
            "end_date": NOW_MS,
        },
    ],
)  # fmt: skip
def test_query_that_needs_no_directory_reads_none(warm, query):
    assert cost_of(lambda: warm.read(**query)) == ({"Query": 1}, {"read": 1})


def test_ascending_read_sorts_an_hour_once_however_many_requests_it_has(sqlite, clock, monkeypatch):
    world, sorts = World(), []
    for number in range(60):
        world.send(point("a", number, time=HOUR_START - 3 * keys.HOUR_MS + (number * 37 % 60) * 1_000))
    split = scan._split
    monkeypatch.setattr(scan, "_split", lambda *args: sorts.append(1) or split(*args))
    read = world.read(ordination="ascending", qty=60)
    assert [one["value"] for one in read] == sorted(range(60), key=lambda number: number * 37 % 60)
    assert len(sorts) == 1


@pytest.mark.parametrize("query", [{"qty": 60}, {"query": "last_value"}, {"qty": 60, "ordination": "asc"}])
def test_requests_of_one_moment_are_sorted_once_however_many_they_are(sqlite, clock, monkeypatch, query):
    world, sorts = World(), []
    for number in range(60):
        world.send(point("a", number, time=HOUR_START))
    split = scan._split
    monkeypatch.setattr(scan, "_split", lambda *args: sorts.append(1) or split(*args))
    assert len(world.read(**query)) == (60 if "qty" in query else 1)
    assert len(sorts) == 1


def test_reads_of_a_past_day_cost_a_tenth_once_it_is_sealed(clock, dynamo):
    world, day = kept_world(), YESTERDAY * DAY_MS
    fill(world, count=200, minutes=5)
    asked = {"qty": 200, "start_date": day, "end_date": day + DAY_MS - 1}

    def read():
        assert len(world.read(**asked)) == 200

    read()
    assert cost_of(read) == ({"Query": 3}, {"read": 17})
    wait_s = work(world)
    assert cost_of(read) == ({"Query": 3}, {"read": 17})
    clock.advance(wait_s)
    work(world, noted=False)
    read()
    assert cost_of(read) == ({"Query": 2}, {"read": 2})
    again = point("v1", 1, time=day + 300_000)
    assert cost_of(lambda: store_one(world.doc, again)) == ({"Query": 1}, {"read": 1})
    late = cost_of(lambda: world.send(point("v1", "late", time=day + 300_001)))
    assert late == ({"Query": 1, "PutItem": 1}, {"read": 1, "write": 1})
