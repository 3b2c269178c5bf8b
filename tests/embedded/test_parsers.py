"""Payload parsers run in threads: in fair order, within their limits, and without keeping anybody else waiting."""

import asyncio
import json
import math
import threading
import time

import pytest

from chalicelib import sandbox
from chalicelib.codec import times
from chalicelib.sandbox import Budget, Output
from chalicelib.services.devices import parsers
from chalicelib.store import names
from embedded import workers
from embedded.turns import SLOW_FACTOR
from tests.kit.asgi import asgi
from tests.kit.gateways import serving
from tests.kit.parsers import give, ready
from tests.kit.world import World, point, values

PASS = "payload = payload"


@pytest.fixture
def serve(sqlite):
    """Return a function that runs a scenario on a gateway like that of the embedded mode."""
    return serving(sqlite, workers.SHARE_S)


@pytest.fixture
def world(sqlite):
    return parsing()


def parsing():
    """Return a profile whose device has a parser."""
    found = World()
    give(found, PASS)
    return found


def post(gateway, token, *points, **headers):
    return asgi(gateway, "POST", "/data", {"token": token} | headers, json.dumps(points).encode())


class Gate:
    """Stops every parser until it is opened."""

    def __init__(self, monkeypatch):
        self.arrived, self.threads, self.open = [], [], threading.Event()
        monkeypatch.setattr(sandbox, "run", self.run)

    def run(self, source, *, payload, device, **_):
        self.arrived.append(json.loads(device)["id"])
        self.threads.append(threading.current_thread().name)
        assert self.open.wait(20)
        return Output(payload)

    async def until(self, count):
        while len(self.arrived) < count:
            await asyncio.sleep(0)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


async def turns(count=50):
    for _ in range(count):
        await asyncio.sleep(0)


def known(gateway, *profiles):
    """Let the profiles count as quick."""
    for one in profiles:
        gateway._workers._scripts._slow_until_s[one.profile] = -math.inf


def test_others_are_answered_while_a_parser_runs(serve, world, gate):
    other = World()

    async def scenario(gateway):
        waiting = asyncio.ensure_future(post(gateway, world.token, point("a", 1)))
        await gate.until(1)
        assert (await post(gateway, other.token, point("b", 2))).result == "1 Data Added"
        assert (await asgi(gateway, "GET", "/data", {"token": world.token})).result == []
        assert not waiting.done()
        gate.open.set()
        return (await waiting).result

    assert serve(scenario) == "1 Data Added" and gate.threads[0].startswith("parser")
    assert values(world.read()) == [1]


def test_two_parse_at_once_and_one_of_each_profile_in_order_of_arrival(serve, world, gate):
    others = [parsing() for _ in range(sandbox.RUNS)]

    async def scenario(gateway):
        known(gateway, world, *others)
        own = [asyncio.ensure_future(post(gateway, world.token, point("a", number))) for number in range(3)]
        await gate.until(1)
        more = [asyncio.ensure_future(post(gateway, other.token, point("a"))) for other in others]
        await gate.until(sandbox.RUNS)
        await turns()
        assert gate.arrived == [world.device, *(other.device for other in others[: sandbox.RUNS - 1])]
        gate.open.set()
        return [(await task).result for task in (*own, *more)]

    assert serve(scenario) == ["1 Data Added"] * (3 + sandbox.RUNS)
    assert values(world.read(ordination="ascending")) == [0, 1, 2]


def test_too_many_of_a_profile_are_refused_and_others_are_not(serve, world, gate, monkeypatch):
    monkeypatch.setattr(workers, "MAX_PARSING", 4)
    other = parsing()

    async def scenario(gateway):
        known(gateway, world, other)
        own = [asyncio.ensure_future(post(gateway, world.token, point("a", number))) for number in range(6)]
        await gate.until(1)
        elsewhere = asyncio.ensure_future(post(gateway, other.token, point("a")))
        await gate.until(2)
        gate.open.set()
        return [await task for task in own], (await elsewhere).status

    own, elsewhere = serve(scenario)
    assert [answer.status for answer in own] == [200] * 4 + [503] * 2 and elsewhere == 200
    assert own[-1].headers["retry-after"] == "1" and "requests of this profile" in own[-1].message
    assert len(world.read()) == 4


def test_parser_that_gets_its_turn_too_late_does_not_run(serve, world, gate, clock):
    async def scenario(gateway):
        tasks = [asyncio.ensure_future(post(gateway, world.token, point("a", number))) for number in range(2)]
        await gate.until(1)
        clock.advance(21)
        gate.open.set()
        return [await task for task in tasks]

    first, late = serve(scenario)
    assert first.status == 200 and late.status == 503 and "turn" in late.message and len(gate.arrived) == 1
    assert values(world.read()) == [0]


def test_stopping_ends_those_that_wait(serve, world, gate):
    async def scenario(gateway):
        tasks = [asyncio.ensure_future(post(gateway, world.token, point("a", number))) for number in range(3)]
        await gate.until(1)
        gateway._workers.stop()
        gate.open.set()
        return [(await task).status for task in tasks]

    assert serve(scenario) == [200, 503, 503] and len(gate.arrived) == 1


def test_body_of_a_client_that_goes_away_is_parsed_and_stored(serve, world, gate):
    async def scenario(gateway):
        messages = [
            {"type": "http.request", "body": json.dumps(point()).encode(), "more_body": False},
            {"type": "http.disconnect"},
        ]

        async def receive():
            return messages.pop(0)

        async def send_nothing(_message):
            pass

        scope = {"type": "http", "method": "POST", "path": "/data", "raw_path": b"/data", "query_string": b"",
                 "headers": [(b"token", world.token.encode())]}  # fmt: skip
        gate.open.set()
        await gateway(scope, receive, send_nothing)

    serve(scenario)
    assert len(world.read()) == 1


CHANGES = {
    "deleted": ("DELETE", b"", 401),
    "deactivated": ("PUT", b'{"active": false}', 400),
    "without a parser": ("PUT", b'{"payload_decoder": null}', 200),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_parsed_is_stored_only_if_the_device_still_takes_it(serve, world, gate, sqlite, change):
    method, body, status = CHANGES[change]

    async def scenario(gateway):
        sending = asyncio.ensure_future(post(gateway, world.token, point("b", 1)))
        await gate.until(1)
        changed = await asgi(gateway, method, f"/device/{world.device}", {"token": world.profile_token}, body)
        assert changed.status == 200
        gate.open.set()
        return (await sending).status

    assert serve(scenario) == status and len(gate.arrived) == 1
    assert sqlite.count_points(world.device, "0", "g") == (status == 200)


def test_request_that_comes_again_while_it_waits_is_stored_once(serve, world, monkeypatch, clock):
    """The second delivery was parsed with another clock. It is parsed again with that of the first."""
    started, allowed, clocks = threading.Event(), threading.Event(), []

    def run(source, *, now_ms, **_):
        clocks.append(now_ms)
        started.set()
        assert allowed.wait(20)
        return Output(json.dumps([point("a", now_ms, time=now_ms - 1)]))

    monkeypatch.setattr(sandbox, "run", run)
    key = {"idempotency-key": "k"}

    async def scenario(gateway):
        first = asyncio.ensure_future(post(gateway, world.token, point("a"), **key))
        while not started.is_set():
            await asyncio.sleep(0)
        clock.advance(3)
        again = asyncio.ensure_future(post(gateway, world.token, point("a"), **key))
        await turns()
        allowed.set()
        return (await first).result, (await again).result

    assert serve(scenario) == ("1 Data Added", "1 Data Added")
    assert len(world.read()) == 1 and len(clocks) == 3 and clocks[0] == clocks[2]


def test_points_without_a_time_have_that_of_the_arrival(serve, world, gate, clock):
    async def scenario(gateway):
        sending = asyncio.ensure_future(post(gateway, world.token, point("a")))
        await gate.until(1)
        clock.advance(5)
        gate.open.set()
        return (await sending).result

    arrived_ms = clock.now_ms
    assert serve(scenario) == "1 Data Added"
    assert times.parse_time(world.read()[0]["time"]) == arrived_ms


def test_bug_in_the_engine_is_500_in_the_envelope(serve, world, monkeypatch, caplog):
    def broken(*_, **__):
        raise KeyError("secret")

    monkeypatch.setattr(sandbox, "run", broken)
    answer = serve(lambda gateway: post(gateway, world.token, point()))
    assert answer.status == 500 and "secret" not in answer.text and "KeyError" in caplog.text


def test_device_without_a_parser_needs_neither_thread_nor_more_statements(serve, sqlite, monkeypatch):
    world = World()
    world.send(point())
    statements = []

    async def scenario(gateway):
        monkeypatch.setattr(gateway, "_workers", None)
        monkeypatch.setattr(gateway, "_finish", None)
        sqlite._db.set_trace_callback(statements.append)
        answer = await post(gateway, world.token, point())
        sqlite._db.set_trace_callback(None)
        return answer.result

    assert serve(scenario) == "1 Data Added"
    assert [each.split()[0] for each in statements if not each.startswith(("SAVEPOINT", "RELEASE"))] == [
        "BEGIN", "INSERT", "INSERT", "INSERT", "COMMIT",
    ]  # fmt: skip


def test_parser_that_never_ends_keeps_nobody_waiting(serve, world, monkeypatch):
    """With the real engine: the loop answers others all the time, and the parser ends at its limit."""
    ready()
    monkeypatch.setattr(parsers, "Budget", lambda: Budget(cpu_s=0.4, wall_s=8))  # the machine may be busy
    give(world, "for (;;);")
    other = World()

    async def scenario(gateway):
        await post(gateway, world.token, point())  # loads the engine
        endless = asyncio.ensure_future(post(gateway, world.token, point()))
        answered = 0
        while not endless.done():
            assert (await post(gateway, other.token, point("a", answered))).status == 200
            answered += 1
        slow_until_s = gateway._workers._scripts._slow_until_s[world.profile]
        assert slow_until_s > time.monotonic() + 0.3 * SLOW_FACTOR, "the next one waits for others"
        return await endless, answered

    began_s = time.monotonic()
    endless, answered = serve(scenario)
    assert endless.status == 400 and "takes too long" in endless.message and answered > 20
    assert time.monotonic() - began_s < 20


def test_inspector_shows_the_console_once(serve, world, inspector):
    ready()
    give(world, "console.log('hello')")
    assert serve(lambda gateway: post(gateway, world.token, point())).status == 200
    assert inspector.lines == ["device: hello"]
    assert [title for title, _ in inspector.entries] == ["[Parser] Log", "[HTTP] POST /data"]


def test_parameters_are_read_once_a_minute(serve, world, gate, sqlite):
    gate.open.set()
    reads = []
    listed = sqlite.list

    def counted(owner, prefix, *args, **kwargs):
        reads.append(prefix)
        return listed(owner, prefix, *args, **kwargs)

    async def scenario(gateway):
        sqlite.list = counted
        for _ in range(3):
            await post(gateway, world.token, point())
        del sqlite.list

    serve(scenario)
    assert reads.count(names.PARAMS) == 1
