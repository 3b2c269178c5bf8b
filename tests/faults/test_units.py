"""One request is one unit: if it is refused or fails after any of its writes, it leaves nothing that does harm."""

import asyncio
import json

import pytest

from app import app
from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.host import cache, events
from chalicelib.services.access import callers, tokens
from chalicelib.services.devices import ingest
from chalicelib.services.points import send
from chalicelib.store import Entity, names
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from tests.kit.api import Api
from tests.kit.asgi import asgi
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, answered, killed_after
from tests.kit.world import World, point, values
from tests.services.test_erasures import keep_house

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
PARAMS = [{"key": f"k{number}", "value": "v"} for number in range(3)]
TABLES = ("segments", "entities", "counters")


def hours(variable, count=3):
    return [point(variable, hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(count)]


def requests(world):
    """Return requests that write more than once, by name: method, path, body and headers."""
    world.send(*hours("a"))
    ids = [found["id"] for found in world.read(qty=3)]
    (param, *_) = made(world, "post", f"/device/{world.device}/params", PARAMS)
    spare = made(world, "post", "/device/token", token(world, serie_number="s1"))["token"]
    edits = [{"id": ids[0], "value": 9}, {"id": ids[1], "time": HOUR_START - 9 * keys.HOUR_MS}]
    admin = {"token": world.profile_token}
    device = {"name": "Half", "configuration_params": PARAMS, "serie_number": "s2"}
    return {
        "device": ("POST", "/device", device, admin),
        "token": ("POST", "/device/token", token(world, serie_number="s3"), admin),
        "token gone": ("DELETE", f"/device/token/{spare}", None, admin),
        "params": ("POST", f"/device/{world.device}/params", [*PARAMS, {"id": param["id"], "value": "w"}], admin),
        "points": ("POST", "/data", hours("b"), {"token": world.token, "idempotency-key": "once"}),
        "edits": ("PUT", "/data", edits, {"token": world.token}),
        "points gone": ("DELETE", f"/data?ids={ids[0]}&ids={ids[1]}&ids={ids[2]}", None, {"token": world.token}),
        "action": ("POST", "/action", action(world.device), admin),
        "off": ("PUT", f"/device/{world.device}", {"active": False}, admin),
    }  # fmt: skip


NAMES = ("device", "token", "token gone", "params", "points", "edits", "points gone", "action", "off")


def made(world, method, path, body):
    answer = getattr(world.admin, method)(path, body)
    assert answer.status == 200
    return world.admin.get(path).result if path.endswith("params") else answer.result


def token(world, **more):
    return {"device": world.device, "name": "More", "permission": "full", **more}


def action(device):
    trigger = [{"device": device, "topic": "a/#"}]
    return {"name": "Keep", "type": "mqtt_topic", "trigger": trigger, "action": {"type": "insert_to_device"}}


class Fault:
    """Makes the n-th change of a row fail, as a full or broken disk does."""

    def __init__(self, sqlite):
        self.left = 10**9
        sqlite._db.create_function("fault", 0, self.strike)
        for table in TABLES[:2]:
            for change in ("INSERT", "UPDATE", "DELETE"):
                sqlite._db.execute(
                    f"CREATE TEMP TRIGGER {table}_{change} BEFORE {change} ON {table} BEGIN SELECT fault(); END"
                )

    def strike(self):
        self.left -= 1
        if self.left == 0:
            raise OSError


def rows(sqlite):
    return {table: sorted(sqlite._db.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}


def turn(sqlite, *calls):
    """Answer requests of one turn of the loop, with group commit."""

    async def run():
        gateway = Gateway(app, list(app.routes), GroupCommit(sqlite))
        return await asyncio.gather(*(asgi(gateway, *one) for one in calls))

    try:
        return asyncio.run(run())
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None


def on_wire(method, path, body, headers):
    path, _, query = path.partition("?")
    return method, path, headers, b"" if body is None else json.dumps(body).encode(), "open", query.encode()


@pytest.mark.parametrize("name", NAMES)
def test_failure_of_any_write_undoes_that_request_alone(sqlite, clock, name):
    world, other = World(), World()
    other.send(point("a", 0, time=HOUR_START))
    request = on_wire(*requests(world)[name])
    fault, number, failures = Fault(sqlite), 0, 0
    while True:
        number += 1
        before = rows(sqlite)
        neighbours = [
            on_wire("POST", "/data", point("a", number, time=HOUR_START + 2 * number + at), {"token": other.token})
            for at in (0, 1)
        ]
        fault.left = number + 1  # the first neighbour writes one row
        first, answer, last = turn(sqlite, neighbours[0], request, neighbours[1])
        fault.left = 10**9
        if answer.status == 200:  # the fault came too late for it
            break
        assert first.status == last.status == 200
        failures += 1
        after = rows(sqlite)
        assert answer.status == 503 and after["entities"] == before["entities"]
        assert len(after["segments"]) == len(before["segments"]) + 2
        assert {row for row in before["segments"]} < {row for row in after["segments"]}
        owners = {row[0] for row in set(after["counters"]) - set(before["counters"])}
        assert owners == {names.device(other.device), names.profile(other.profile)}
        assert sqlite.counters(other.profile, other.device).records == 1 + 2 * number
    assert failures >= {"action": 1, "off": 1}.get(name, 2)
    assert world.send(point("b", 5, time=HOUR_START + 1)) == "1 Data Added" if name != "off" else True


@pytest.mark.parametrize("number", range(1, 6))
def test_what_caches_learnt_from_an_undone_request_is_forgotten(sqlite, clock, number):
    world, fault = World(), Fault(sqlite)
    fault.left = number
    assert world.api.post("/data", hours("new"), headers={"idempotency-key": "k"}).status == 503
    assert rows(sqlite)["segments"] == []
    fault.left = 10**9
    assert world.send(*hours("new"), headers={"idempotency-key": "k"}) == "3 Data Added"
    cache.clear_all()
    assert values(world.read(query="last_value")) == [0] and world.read(query="count") == 3
    assert sqlite.counters(world.profile, world.device).records == 3


def test_listeners_hear_nothing_of_points_that_were_undone(sqlite, clock, monkeypatch):
    """A request of two hours whose second segment must step aside, and fails."""
    heard = []

    class Watcher(events.Nobody):
        def stored(self, device, items):
            heard.extend(items)

    world = World()
    points = hours("a", 2)
    world.send(*points)
    key = world.read(qty=1)[0]["id"][:20]
    world.admin.post(f"/device/{world.device}/empty")
    squatter = send.Item(world.device, key, b'{"v":1,"c":0,"n":["a"],"i":0,"t":0,"k":0}\n', b"other", 1, 1, None)
    store.current().put_segments([squatter], profile=world.profile, now_ms=NOW_MS)
    events.use(Watcher())
    fault = Fault(sqlite)
    fault.left = 3
    assert world.api.post("/data", points).status == 503 and heard == []
    fault.left = 10**9
    assert world.send(*points) == "2 Data Added" and len(heard) == 2


def test_message_that_fails_leaves_nothing(sqlite, clock):
    world, fault = World(), Fault(sqlite)
    sender = world.profile, world.device
    before = rows(sqlite)
    message = ingest.Message(sender, "c", "tago/data/post", json.dumps(hours("m")).encode(), NOW_MS, "1")
    for number in range(1, 5):
        fault.left = number
        with pytest.raises(errors.Unavailable):
            ingest.store(message)
        assert rows(sqlite) == before
    fault.left = 10**9
    assert ingest.store(message) == 3


def test_exception_of_any_kind_undoes_the_request(sqlite, monkeypatch):
    world = World()
    world.admin.get("/device")  # notes the use of the token
    before = rows(sqlite)
    monkeypatch.setattr(tokens, "store_all", lambda entities: (sqlite.put(entities[0]), 1 / 0))
    assert world.admin.post("/device", {"name": "Half"}).status == 500
    assert rows(sqlite) == before


def test_unit_within_a_unit_is_part_of_it(sqlite):
    with pytest.raises(KeyError), sqlite.unit():
        with sqlite.unit():
            sqlite.put(Entity("a", "inner", {}))
        sqlite.put(Entity("a", "outer", {}))
        raise KeyError
    assert sqlite.list("a", "") == []
    with sqlite.unit():
        sqlite.put(Entity("a", "kept", {}))
    assert [entity.name for entity in sqlite.list("a", "")] == ["kept"]


def test_transaction_that_sqlite_undid_in_a_unit_is_kept_by_nobody(sqlite, clock):
    world = World()
    world.send(point("a", 0, time=HOUR_START))
    sqlite._db.execute(
        "CREATE TRIGGER undoing BEFORE INSERT ON segments WHEN NEW.points = 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
    )
    fresh = [point("new", at, time=HOUR_START + at) for at in (1, 2)]
    answers = turn(
        sqlite,
        on_wire("POST", "/data", point("a", 1, time=HOUR_START + 5), {"token": world.token}),
        on_wire("POST", "/data", fresh, {"token": world.token}),
    )
    assert [answer.status for answer in answers] == [503, 503]
    assert values(world.read()) == [0]


def test_write_all_writes_all_or_nothing(each_store, clock):
    first, second = Entity("a", "one", {"n": 1}), Entity("a", "two", {"n": 1})
    assert each_store.write_all([first, second])
    changed = first._replace(doc={"n": 2}, version=2)
    assert not each_store.write_all([changed, second]), "the second exists already"
    assert not each_store.write_all([changed._replace(version=3), Entity("a", "three", {})])
    assert not each_store.write_all([second._replace(doc={"n": 3})])
    assert each_store.list("a", "") == [first, second]
    assert each_store.write_all([changed, Entity("b", "x", {})], [("a", "two"), ("a", "absent")])
    assert each_store.list("a", "") == [changed] and each_store.get("b", "x") is not None


def test_transaction_that_is_throttled_is_unavailable(dynamo, clock, monkeypatch):
    reasons = [{"Code": "None"}, {"Code": "ThrottlingError"}]
    body = {"__type": "com.amazonaws.dynamodb#TransactionCanceledException", "CancellationReasons": reasons}
    with answered("TransactWriteItems", 400, body), pytest.raises(errors.Unavailable):
        dynamo.write_all([Entity("a", "one", {}), Entity("a", "two", {})])
    reasons[1]["Code"] = "TransactionConflict"
    with answered("TransactWriteItems", 400, body):
        assert not dynamo.write_all([Entity("a", "one", {}), Entity("a", "two", {})])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems", "BatchWriteItem", "DeleteItem"])
def test_killed_between_two_writes_leaves_nothing_that_does_harm_on_dynamodb(dynamo, clock, operation, name):
    world = World()
    method, path, body, headers = requests(world)[name]
    for calls in range(20):
        try:
            with killed_after(operation, calls):
                answer = Api()(method, path, json_body=body, headers=headers)
        except Killed:
            cache.clear_all()
            check_whole(world)
            continue
        # The first try may have been enough: the token is gone, or the serial number is that of the device it made.
        assert answer.status == 200 or name in ("token gone", "device"), answer.text
        break
    cache.clear_all()
    check_whole(world)
    expected = {"points": 6, "points gone": 0}.get(name, 3)
    if name != "off":
        assert world.read(query="count") == expected
    keep_house(clock)


def check_whole(world):
    """Check that every listed device has its token, every listed token works, and lists hold all or nothing."""
    for device in world.admin.get("/device?amount=100").result:
        listed = world.admin.get(f"/device/token/{device['id']}?fields=token,serie_number").result
        assert listed
        for one in listed:
            assert callers.resolve(text=one["token"]).subject == device["id"]
            if one["serie_number"]:
                found = world.admin.get(f"/device?serial={one['serie_number']}").result
                assert device["id"] in [shown["id"] for shown in found]
        assert len(world.admin.get(f"/device/{device['id']}/params").result) % 3 == 0
    serials = store.current().list(names.profile(world.profile), "serial#")
    for entity in serials:
        fingerprint = entity.name.rpartition("#")[2]
        assert store.current().get(names.token(fingerprint), names.TOKEN) is not None


@pytest.mark.parametrize(
    "refused",
    [
        [{"variable": "a b"}],
        [{"variable": "a", "time": "2001-01-01"}],
        [{"variable": f"v{number}" + "x" * 90, "time": NOW_MS} for number in range(40)],
    ],
    ids=["name", "window", "variables"],
)
def test_refused_request_does_not_use_up_its_idempotency_key(immutable_world, clock, monkeypatch, refused):
    monkeypatch.setattr("chalicelib.services.points.directory.MAX_VARIABLES", 20)
    world, key = immutable_world, {"idempotency-key": "k"}
    assert world.api.post("/data", refused, headers=key).status == 400
    assert world.api.post("/data", [point("a", 1)], headers=key).result == "1 Data Added"
    assert world.api.post("/data", [point("a", 1)], headers=key).result == "1 Data Added"
    assert world.read(query="count") == 1


def test_request_that_is_too_large_or_comes_to_a_full_device_keeps_its_idempotency_key(world, clock, monkeypatch):
    key = {"idempotency-key": "k"}
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.codec.segments.MAX_BODY_BYTES", 50)
        assert world.api.post("/data", [point("a", "x" * 900)], headers=key).status == 413
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.points.fullness.MAX_POINTS", 0)
        assert world.api.post("/data", [point("a", 2)], headers=key).status == 400
    assert world.api.post("/data", [point("a", 1)], headers=key).result == "1 Data Added"
