"""Long reads run in threads: with the same answers, in fair order, and without keeping anybody else waiting."""

import asyncio
import contextlib
import json
import math
import os
import sqlite3
import sys
import threading

import pytest

from chalicelib import sandbox
from chalicelib.codec import times
from chalicelib.host import deadline, outside
from chalicelib.schemas import points
from chalicelib.services.access import passwords
from chalicelib.services.devices import erasures
from chalicelib.services.points import send
from chalicelib.store.sqlite_reads import Snapshot
from embedded.workers import MAX_WAITING, READERS
from tests.kit.accounts import PASSWORD, Person
from tests.kit.api import Api
from tests.kit.asgi import asgi
from tests.kit.gateways import serving
from tests.kit.networks import Network
from tests.kit.parsers import encoded, ready
from tests.kit.world import World, point, values

ready()
QUERIES = (
    "", "qty=3&skip=2", "ordination=asc", "variables=a&variables=b&qty=2", "values=3", "groups=g", "query=last_value",
    "query=first_item&variables=a", "query=last_location", "query=last_insert", "query=min", "query=max", "query=count",
    "query=count&variables=a", "query=avg&start_date=1%20day", "query=sum&start_date=1%20day",
    "query=aggregate&interval=hour&function=avg", "query=conditional&function=gt&value=2&start_date=1%20day", "qty=x",
    "query=unknown",
)  # fmt: skip


@pytest.fixture
def serve(sqlite):
    """Return a function that runs a scenario on a gateway whose loop has no time for reads: all move to threads."""
    return serving(sqlite, 0)


def get(gateway, token, path="/data", query=""):
    return asgi(gateway, "GET", path, {"token": token}, query=query.encode())


def post(gateway, token, *points):
    return asgi(gateway, "POST", "/data", {"token": token}, json.dumps(points).encode())


class Gate:
    """Stops every walk of a snapshot until it is opened."""

    def __init__(self, monkeypatch):
        self.arrived, self.open = [], threading.Event()
        walk = Snapshot.scan_segments

        def stopped(snapshot, device, *args, **kwargs):
            self.arrived.append(device)
            assert self.open.wait(20)
            return walk(snapshot, device, *args, **kwargs)

        monkeypatch.setattr(Snapshot, "scan_segments", stopped)

    async def until(self, count):
        while len(self.arrived) < count:
            await asyncio.sleep(0)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


@pytest.fixture
def world(sqlite):
    return World()


def test_every_query_has_the_same_answer_in_a_thread(serve, world, sqlite):
    world.send(*[point("ab"[number % 2], number, group="g" if number % 3 else "h") for number in range(9)])
    world.send({"variable": "place", "location": {"lat": 1, "lng": 2}})

    async def scenario(gateway):
        return [await get(gateway, world.token, query=query) for query in QUERIES]

    in_threads = serve(scenario)
    for query, answer in zip(QUERIES, in_threads, strict=True):
        direct = world.api.get(f"/data?{query}")
        assert (answer.status, answer.text) == (direct.status, direct.text), query


@pytest.mark.parametrize("path", ["/device", "/device/{device}", "/device/{device}/data_amount", "/device/token/{device}",
                                  "/device/{device}/params", "/action", "/info", "/device/{device}/chunk"])  # fmt: skip
def test_every_list_has_the_same_answer_in_a_thread(serve, world, path):
    path = path.format(device=world.device)
    answer = serve(lambda gateway: get(gateway, world.profile_token, path))
    assert answer.text == world.admin.get(path).text and answer.status == 200


def test_other_profiles_are_answered_while_a_read_is_long(serve, world, gate):
    other = World()

    async def scenario(gateway):
        heavy = asyncio.ensure_future(get(gateway, world.token))
        await gate.until(1)
        assert (await post(gateway, other.token, point("a", 5))).status == 200
        assert (await asgi(gateway, "GET", "/status")).status == 200
        assert not heavy.done()
        gate.open.set()
        return await heavy

    assert serve(scenario).result == []


def test_one_read_a_profile_in_order_of_arrival_and_four_at_once(serve, world, gate):
    others = [World() for _ in range(READERS)]

    async def scenario(gateway):
        own = [asyncio.ensure_future(get(gateway, world.token, query=f"qty={qty}")) for qty in (1, 2, 3)]
        await gate.until(1)
        more = [asyncio.ensure_future(get(gateway, other.token)) for other in others]
        await gate.until(READERS)
        for _ in range(50):
            await asyncio.sleep(0)
        assert gate.arrived[0] == world.device and {*gate.arrived[1:]} == {other.device for other in others[:-1]}
        order = []
        for number, task in enumerate(own):
            task.add_done_callback(lambda _, number=number: order.append(number))
        gate.open.set()
        await asyncio.gather(*own, *more)
        return order

    assert serve(scenario) == [0, 1, 2]


def test_a_client_that_goes_away_ends_its_read(serve, world, gate, monkeypatch):
    world.send(*[point("a", number, time=f"2026-01-{number + 1:02}") for number in range(9)])
    seen = []
    check = deadline.check
    monkeypatch.setattr(deadline, "check", lambda: (seen.append(threading.current_thread().name), check()))

    async def scenario(gateway):
        gone = asyncio.Event()
        body = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            raise AssertionError("an answer for nobody")

        scope = {"type": "http", "method": "GET", "path": "/data", "raw_path": b"/data", "query_string": b"",
                 "headers": [(b"token", world.token.encode())]}  # fmt: skip
        heavy = asyncio.ensure_future(gateway(scope, receive, send))
        await gate.until(1)
        gone.set()
        await heavy
        gate.open.set()
        await get(gateway, world.token)  # the profile's next turn comes only after the read has ended

    serve(scenario)
    in_threads = [name for name in seen if name.startswith("work")]
    assert len(in_threads) == 10, "the first read ends at its first look, the second looks once a segment"


def test_the_limit_counts_from_the_arrival_of_the_request(serve, world, gate, clock):
    world.send(point("a", 1))

    async def scenario(gateway):
        heavy = asyncio.ensure_future(get(gateway, world.token, query="query=max"))
        waiting = asyncio.ensure_future(get(gateway, world.token, query="query=max"))
        await gate.until(1)
        clock.advance(21)
        gate.open.set()
        return await heavy, await waiting

    for answer in serve(scenario):
        assert answer.status == 503 and answer.headers["retry-after"] == "1" and "narrow" in answer.message


def test_a_read_sees_one_state_and_leaves_no_old_state_behind(serve, world, gate):
    world.send(point("a", 1))

    async def scenario(gateway):
        heavy = asyncio.ensure_future(get(gateway, world.token, query="query=last_value"))
        await gate.until(1)
        assert (await post(gateway, world.token, point("b", 2))).status == 200
        gate.open.set()
        before = await heavy
        deadline.set_share(math.inf)
        return before, await get(gateway, world.token, query="query=last_value")

    before, after = serve(scenario)
    assert values(before.result) == [1] and values(after.result) == [1, 2]


def test_a_read_that_was_given_up_leaves_no_old_state_behind(world, sqlite):
    """Its generator lives on until the garbage collector finds it, and its end must not disturb a later read."""
    for value in range(200):
        world.send(point("a", value))
    snapshot, bounds = Snapshot(sqlite.path), {"newest_first": True, "first_page": 1}
    with snapshot.opened():
        given_up = snapshot.scan_segments(world.device, "0", "g", **bounds)
        next(given_up)
    world.send(point("a", 200))
    sqlite.checkpoint()
    log = sqlite.path.with_name(f"{sqlite.path.name}-wal")
    size = log.stat().st_size
    world.send(point("a", 201))
    assert log.stat().st_size == size, "the log begins again"
    with snapshot.opened():
        reading = snapshot.scan_segments(world.device, "0", "g", **bounds)
        next(reading)
        given_up.close()
        assert 1 + sum(1 for _ in reading) == 202
    snapshot.close()


def test_a_bug_in_a_thread_is_500_in_the_envelope(serve, world, monkeypatch, caplog):
    def broken(*_args, **_kwargs):
        raise KeyError("secret")

    monkeypatch.setattr(Snapshot, "scan_segments", broken)
    answer = serve(lambda gateway: get(gateway, world.token))
    assert answer.status == 500 and "secret" not in answer.text
    assert "KeyError" in caplog.text


def test_a_database_that_cannot_be_opened_is_503(serve, world, monkeypatch, tmp_path):
    path = tmp_path / "elsewhere" / "decant.db"

    async def scenario(gateway):
        gateway._workers._path = path
        return await get(gateway, world.token)

    assert serve(scenario).status == 503


def test_a_snapshot_cannot_write(sqlite):
    with contextlib.closing(Snapshot(sqlite.path)) as snapshot, pytest.raises(sqlite3.OperationalError):
        snapshot._db.execute("DELETE FROM entities")


def test_a_long_statement_is_interrupted(sqlite):
    sqlite._db.executescript(
        "CREATE TABLE numbers (n); INSERT INTO numbers VALUES (1), (2), (3), (4), (5), (6), (7), (8);"
    )
    product = "SELECT COUNT(*) FROM " + ", ".join(f"numbers AS t{number}" for number in range(12))
    deadline.begin(None)
    deadline.set_share(0.001)
    try:
        with deadline.sharing(), pytest.raises(deadline.TooLong):
            list(sqlite._long_rows(product))
    finally:
        deadline.set_share(math.inf)
        deadline.end()
    assert list(sqlite._long_rows("SELECT 1")) == [(1,)]


HOUR_MS = 3_600_000
DELETIONS = {
    "DELETE values": ("DELETE", "/device/{device}/data", b"values=7&qty=10000", "9 Data Removed"),
    "DELETE all": ("DELETE", "/device/{device}/data", b"qty=10000", "700 Data Removed"),
    "empty": ("POST", "/device/{device}/empty", b"", "Data Successfully Removed"),
}


@pytest.mark.parametrize("deletion", DELETIONS)
def test_a_long_deletion_takes_turns_with_others(serve, world, deletion, sqlite, monkeypatch):
    now_ms = 1_700_000_000_000
    world.send(*[point("a", 7 if hour < 9 else 1, time=now_ms - hour * HOUR_MS) for hour in range(700)])
    other = World()
    method, path, query, result = DELETIONS[deletion]
    commits, commit = [], sqlite.commit
    monkeypatch.setattr(sqlite, "commit", lambda: (commits.append(True), commit()))

    async def scenario(gateway):
        path_now = path.format(device=world.device)
        deleting = asyncio.ensure_future(asgi(gateway, method, path_now, {"token": world.profile_token}, query=query))
        turns = 0
        while not deleting.done():
            await post(gateway, other.token, point("a", turns))
            turns += 1
        return (await deleting).result, turns

    answered, turns = serve(scenario)
    assert answered == result and len(commits) >= {"empty": 3}.get(deletion, 9)
    assert world.read(query="count") == {"DELETE values": 691}.get(deletion, 0)
    assert world.admin.get(f"/device/{world.device}/data_amount").result == world.read(query="count")
    assert other.read(query="count") == turns


def test_a_device_that_is_too_large_to_be_erased_at_once_is_gone_at_once(serve, world, sqlite):
    world.send(*[point("a", 1, time=hour * HOUR_MS) for hour in range(700)])

    async def scenario(gateway):
        headers = {"token": world.profile_token}
        answer = await asgi(gateway, "DELETE", f"/device/{world.device}", headers)
        return answer.status, (await get(gateway, world.token)).status, sqlite.count_points(world.device, "0", "g")

    status, after, left = serve(scenario)
    assert (status, after) == (200, 401) and 0 < left < 700
    slices = 0
    deadline.set_share(0)
    while sqlite.count_points(world.device, "0", "g"):
        slices += 1
        with contextlib.suppress(deadline.TooLong):
            erasures.resume()
    deadline.set_share(math.inf)
    assert slices > 1


LARGE = [point(f"v{number % 50}", number, time=1_700_000_000_000 + number) for number in range(2_000)]


def test_a_large_body_is_read_in_a_thread(serve, world, monkeypatch):
    threads = []
    read = points.read_points
    monkeypatch.setattr(
        points,
        "read_points",
        lambda *args, **kwargs: (threads.append(threading.current_thread().name), read(*args, **kwargs))[1],
    )

    async def scenario(gateway):
        first = await post(gateway, world.token, *LARGE)
        again = await post(gateway, world.token, *LARGE)
        wrong = await post(gateway, world.token, *LARGE, {"variable": "a b"})
        return first, again, wrong

    first, again, wrong = serve(scenario)
    assert first.result == again.result == "2000 Data Added"
    assert wrong.status == 400 and "2000" in wrong.body["field_errors"]
    assert len(threads) == 3 and all(name.startswith("work") for name in threads)
    assert world.read(query="count") == 2_000


def test_a_small_body_is_read_in_the_loop(serve, world, monkeypatch):
    async def scenario(gateway):
        deadline.set_share(0.003)
        monkeypatch.setattr(gateway, "_workers", None)
        monkeypatch.setattr(gateway, "_finish", None)
        return (await post(gateway, world.token, *LARGE[:100])).result

    assert serve(scenario) == "100 Data Added"


def test_a_large_body_does_not_wait_for_a_long_read_of_its_profile(serve, world, gate):
    async def scenario(gateway):
        reading = asyncio.ensure_future(get(gateway, world.token))
        await gate.until(1)
        sent = await post(gateway, world.token, *LARGE)
        gate.open.set()
        await reading
        return sent.result

    assert serve(scenario) == "2000 Data Added"


def test_points_of_a_body_that_waited_have_the_time_of_its_arrival(serve, world, monkeypatch, clock):
    started, allowed, prepare = threading.Event(), threading.Event(), send.prepare

    def wait(**kwargs):
        started.set()
        assert allowed.wait(20)
        return prepare(**kwargs)

    monkeypatch.setattr(send, "prepare", wait)

    async def scenario(gateway):
        sending = asyncio.ensure_future(post(gateway, world.token, point("b")))
        while not started.is_set():
            await asyncio.sleep(0)
        clock.advance(5)
        allowed.set()
        return (await sending).result

    arrived_ms = clock.now_ms
    assert serve(scenario) == "1 Data Added"
    (stored,) = world.read(variables="b")
    assert times.parse_time(stored["time"]) == arrived_ms


CHANGES = {
    "deleted": [("DELETE", "/device/{device}", b"")],
    "deactivated": [("PUT", "/device/{device}", b'{"active": false}')],
    "converted": [
        ("PUT", "/device/{device}", b'{"active": false}'),
        ("POST", "/device/{device}/convert", b'{"type": "immutable", "chunk_period": "day", "chunk_retention": 1}'),
        ("PUT", "/device/{device}", b'{"active": true}'),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_body_that_waited_is_stored_only_if_the_device_still_takes_it(serve, world, monkeypatch, sqlite, change):
    started, allowed, prepare = threading.Event(), threading.Event(), send.prepare

    def wait(**kwargs):
        started.set()
        assert allowed.wait(20)
        return prepare(**kwargs)

    async def scenario(gateway):
        monkeypatch.setattr(send, "prepare", wait)
        sending = asyncio.ensure_future(post(gateway, world.token, point("b", 1, time="2001-01-01")))
        while not started.is_set():
            await asyncio.sleep(0)
        for method, path, body in CHANGES[change]:
            headers = {"token": world.profile_token}
            await asgi(gateway, method, path.format(device=world.device), headers, body)
        monkeypatch.setattr(send, "prepare", prepare)
        allowed.set()
        return (await sending).status

    assert serve(scenario) == {"deleted": 401}.get(change, 400)
    assert sqlite.count_points(world.device, "0", "g") == 0


def test_a_large_body_of_a_client_that_goes_away_is_stored(serve, world, monkeypatch):
    async def scenario(gateway):
        messages = [
            {"type": "http.request", "body": json.dumps(LARGE).encode(), "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive():
            return messages.pop(0)

        async def send_nothing(_message):
            pass

        scope = {"type": "http", "method": "POST", "path": "/data", "raw_path": b"/data", "query_string": b"",
                 "headers": [(b"token", world.token.encode())]}  # fmt: skip
        await gateway(scope, receive, send_nothing)

    serve(scenario)
    assert world.read(query="count") == 2_000


def test_too_many_long_reads_of_a_profile_are_refused_and_others_are_not(serve, world, gate):
    other = World()

    async def scenario(gateway):
        own = [asyncio.ensure_future(get(gateway, world.token)) for _ in range(MAX_WAITING + 5)]
        await gate.until(1)
        elsewhere = asyncio.ensure_future(get(gateway, other.token))
        await gate.until(2)
        gate.open.set()
        return [(await task).status for task in own], (await elsewhere).status

    statuses, elsewhere = serve(scenario)
    assert statuses.count(200) == MAX_WAITING and statuses.count(503) == 5 and elsewhere == 200


def test_tries_of_a_profile_take_a_small_part_of_the_loops_time(clock):
    deadline.set_share(0.003)
    deadline.begin(None)
    try:
        with pytest.raises(deadline.TooLong), deadline.sharing("greedy"):
            clock.advance(0.004)
            deadline.check()
        assert not deadline.is_worth_a_try("greedy") and deadline.is_worth_a_try("other")
        clock.advance(0.01)
        with pytest.raises(deadline.TooLong), deadline.sharing("greedy"):
            clock.advance(0.0011)
            deadline.check()
        clock.advance(1)
        with deadline.sharing("greedy"):
            clock.advance(0.0029)
            deadline.check()
    finally:
        deadline.set_share(math.inf)
        deadline.end()


def test_stopping_ends_what_runs_and_waits(serve, world, gate):
    world.send(point("a"))

    async def scenario(gateway):
        reads = [asyncio.ensure_future(get(gateway, world.token)) for _ in range(3)]
        await gate.until(1)
        gateway._workers.stop()
        gate.open.set()
        return [(await task).status for task in reads]

    assert serve(scenario) == [503] * 3


class HashGate:
    """Stops every hash until it is opened."""

    def __init__(self, monkeypatch):
        self.arrived, self.open = [], threading.Event()
        matches = passwords.matches

        def stopped(password, stored):
            self.arrived.append(password)
            assert self.open.wait(20)
            return matches(password, stored)

        monkeypatch.setattr(passwords, "matches", stopped)


def test_a_flood_of_logins_delays_no_body_and_is_refused(serve, world, monkeypatch):
    Person("a@x.org")
    flood = HashGate(monkeypatch)

    def log_in(gateway, password="wrong"):
        body = {"email": "a@x.org", "password": password}
        return asgi(gateway, "POST", "/account/login", {}, json.dumps(body).encode())

    async def scenario(gateway):
        waiting = [asyncio.ensure_future(log_in(gateway)) for _ in range(MAX_WAITING)]
        while not flood.arrived:
            await asyncio.sleep(0)
        refused = await log_in(gateway)
        sent = await post(gateway, world.token, *LARGE)
        read = await get(gateway, world.token)
        assert len(flood.arrived) == 1, "one at a time"
        flood.open.set()
        return refused, sent, read, [(await one).status for one in waiting]

    refused, sent, read, statuses = serve(scenario)
    assert refused.status == 503 and refused.headers["retry-after"] == "1" and "passwords" in refused.message
    assert sent.result == "2000 Data Added" and len(read.result) == 15
    assert statuses.count(401) == 6 and statuses.count(429) == MAX_WAITING - 6


def test_a_right_password_in_a_thread_logs_in(serve, world):
    person = Person("a@x.org")

    async def scenario(gateway):
        body = {"email": "a@x.org", "password": PASSWORD}
        return (await asgi(gateway, "POST", "/account/login", {}, json.dumps(body).encode())).result["id"]

    assert serve(scenario) == person.id


def test_a_slow_middleware_keeps_nobody_else_waiting(serve, world, monkeypatch):
    networks = [Network(owner, middleware_endpoint="example.org") for owner in (world, world, World())]
    arrived, answer = [], threading.Event()

    def send(_url, body, **_):
        arrived.append(body["device"])
        assert answer.wait(20)
        return 200

    monkeypatch.setattr(outside, "send", send)
    messages = [(network.token, {"device": network.device()[0], "topic": "t"}) for network in networks]

    async def scenario(gateway):
        publishing = [
            asyncio.ensure_future(
                asgi(gateway, "POST", "/integration/network/publish", {"token": token}, json.dumps(sent).encode())
            )
            for token, sent in messages
        ]
        while len(arrived) < 2:
            await asyncio.sleep(0)
        assert (await post(gateway, world.token, point("a"))).status == 200
        assert (await get(gateway, world.token)).status == 200
        assert {*arrived} == {messages[0][1]["device"], messages[2][1]["device"]}  # one at once for each profile
        answer.set()
        return [await one for one in publishing]

    assert [one.result for one in serve(scenario)] == ["MQTT Publish Success"] * 3
    assert len(arrived) == 3


def test_data_of_a_network_runs_its_parsers_in_two_threads_in_turn(serve, world, monkeypatch):
    network = Network(world, parser="serial = payload[0].serial; payload = [{variable: 'a', value: payload[0].value}]")
    token = network.device("S1")[1]
    threads, priorities = [], set()
    run = sandbox.run

    def watched(source, **rest):
        threads.append(threading.current_thread())
        priorities.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return run(source, **rest)

    monkeypatch.setattr(sandbox, "run", watched)
    own = encoded("payload[0].value += 1")
    world.admin.put(f"/integration/connector/{network.connector}", {"payload_decoder": own})

    async def scenario(gateway):
        body = json.dumps([{"serial": "S1", "value": 1}]).encode()
        return await asgi(gateway, "POST", "/integration/network/data", {"token": network.token}, body)

    assert serve(scenario).result == "1 Data Added"
    assert [one["value"] for one in Api(token).get("/data").result] == [2]
    assert len(threads) == 2 and threading.main_thread() not in threads
    assert sys.platform != "linux" or priorities == {max(10, os.getpriority(os.PRIO_PROCESS, 0))}, (
        "they come after the event loop"
    )
