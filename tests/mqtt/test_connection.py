"""Faults of a connection, in process with a clock that tests move: silence, malformed bytes, a failing store."""

import asyncio
import json
import math

import pytest

from chalicelib import errors, store
from chalicelib.host import clock as wall
from chalicelib.host import dead_letters, events, log
from chalicelib.host import mqtt as services_broker
from chalicelib.services.access import admission
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import plans
from embedded.commits import GroupCommit
from embedded.connections import Connections
from embedded.events import Events
from embedded.mqtt import answers, packets
from embedded.mqtt.broker import Broker
from embedded.mqtt.connection import CONNECT_WITHIN_S, NO_KEEP_ALIVE_S, Connection
from embedded.mqtt.incoming import MAX_PACKET_BYTES
from embedded.mqtt.rounds import Rounds
from embedded.workers import Workers
from tests.kit.world import World, point
from tests.mqtt.test_broker import STORED, _connect, _text


class Transport:
    """Records what a connection writes."""

    def __init__(self):
        self.sent, self.is_closed, self.is_reading, self.unsent = b"", False, True, 0

    def write(self, data):
        self.sent += data

    def close(self):
        self.is_closed = True

    abort = close

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def get_write_buffer_size(self):
        return self.unsent

    def get_extra_info(self, _name):
        return None

    def take(self):
        found, self.sent = self.sent, b""
        return found


class Bench:
    """A broker on SQLite, and clients of one device."""

    def __init__(self, sqlite, loop):
        self.world = World()
        self.commits = GroupCommit(sqlite)
        self.loop = loop
        self.connections = Connections(1_000, loop.time())
        self.broker = Broker(self.commits, self.connections, Workers(sqlite.path))
        self.broker.rounds = Rounds(math.inf)
        services_broker.use(self.broker)

    def open(self):
        connection, transport = Connection(self.broker), Transport()
        connection.connection_made(transport)
        return connection, transport

    def connected(self, client_id="c", **options):
        connection, transport = self.open()
        connection.data_received(_connect(self.world.token, client_id, **options))
        assert transport.take()[:2] == b"\x20\x02"
        return connection, transport


@pytest.fixture
def run(sqlite):
    """Return a function that runs a test's coroutine on a loop, with a bench."""

    def do(scenario):
        async def main():
            await scenario(Bench(sqlite, asyncio.get_running_loop()))

        asyncio.run(main())

    yield do
    sqlite.grouped = False
    services_broker.use(None)
    dead_letters.use(None)
    events.use(None)


def publish(number, packet_id=1, topic=STORED, qos=1, **fields):
    body = _text(topic) + (packet_id.to_bytes(2) if qos else b"") + json.dumps(point("n", number, **fields)).encode()
    return bytes((0x30 | qos << 1, len(body))) + body


async def settled():
    """Run the loop until the writes are committed and the clients are notified."""
    for _ in range(12):
        await asyncio.sleep(0)


def test_half_open_and_silent_clients_are_given_up(run):
    async def scenario(bench):
        stranger, at_door = bench.open()
        client, transport = bench.connected(keep_alive=30)
        forever, other = bench.connected("f", keep_alive=0)
        now_s = bench.loop.time()
        bench.broker.sweep(now_s + CONNECT_WITHIN_S + 1)
        assert at_door.is_closed and not transport.is_closed and stranger not in bench.broker.clients
        bench.broker.sweep(now_s + 44)
        assert not transport.is_closed
        bench.broker.sweep(now_s + 46)
        assert transport.is_closed and not other.is_closed
        bench.broker.sweep(now_s + NO_KEEP_ALIVE_S + 1)
        assert other.is_closed
        for one in (stranger, client, forever):
            one.connection_lost(None)
        assert not bench.broker.opened and not bench.broker.clients

    run(scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 50, b"\x30\xff\xff\xff\xff\x01", b"\x20\x02\x00\x00",
        b"\x82\x02\x00\x01", b"\x32\x03\x00\x01a", bytes((0x30, 0xFF, 0xFF, 0x7F)), b"\xf0\x00", b"\x10\x00",
    ],
)  # fmt: skip
def test_malformed_bytes_end_that_connection_and_no_other(run, data, monkeypatch):
    lines = []

    async def scenario(bench):
        log.use(lines.append)
        _, bystander = bench.connected("b")
        for link, transport in (bench.open(), bench.connected()):
            link.data_received(data)
            assert transport.is_closed
            link.data_received(data)
            link.connection_lost(None)
        stranger, known = [line for line in lines if "reason" in line][-2:]
        assert not bystander.is_closed and "device" not in stranger and f'"device":"{bench.world.device}"' in known

    run(scenario)


def test_message_over_the_limit_is_refused_and_128_kib_are_taken(run):
    letters = []

    async def scenario(bench):
        dead_letters.use(lambda reason, _: letters.append(reason))
        link, transport = bench.connected()
        body = _text(STORED) + b"\x00\x01" + b"x" * 131_072
        head = bytes((0x32, len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14))
        link.data_received(head + body)
        await settled()
        assert transport.take() == b"\x40\x02\x00\x01" and letters == ["Item 0: value must have at most 6000 bytes"]
        size = MAX_PACKET_BYTES + 1
        link.data_received(bytes((0x32, size & 127 | 128, size >> 7 & 127 | 128, size >> 14)))
        assert transport.is_closed

    run(scenario)


def test_bad_messages_are_acknowledged_and_kept_with_the_reason(run):
    letters = []

    async def scenario(bench):
        dead_letters.use(lambda reason, message: letters.append((reason, message["topic"])))
        link, transport = bench.connected()
        for number, payload in enumerate((b"{", b'{"temp": 1}', b'[{"variable": "a b"}]'), 1):
            body = _text(STORED) + number.to_bytes(2) + payload
            link.data_received(bytes((0x32, len(body))) + body)
        await settled()
        assert len(transport.take()) == 12 and len(letters) == 3 and {topic for _, topic in letters} == {STORED}
        assert bench.world.read() == []

    run(scenario)


@pytest.mark.parametrize("qos", [1, 2])
def test_bad_message_that_comes_again_is_kept_and_delivered_once(run, qos):
    letters = []

    async def scenario(bench):
        dead_letters.use(lambda reason, message: letters.append(reason))
        other, delivered = bench.connected("other")
        other.data_received(b"\x82\x06\x00\x01" + _text("#") + b"\x00")
        link, transport = bench.connected(flags=0xC0)
        body = _text(STORED) + b"\x00\x07{"
        link.data_received(bytes((0x30 | qos << 1, len(body))) + body)
        await settled()
        acknowledged = transport.take()
        assert acknowledged == bytes((0x30 + 0x10 * qos, 2, 0, 7))
        link.connection_lost(None)
        again, transport = bench.open()
        again.data_received(_connect(bench.world.token, "c", flags=0xC0))
        again.data_received(bytes((0x38 | qos << 1, len(body))) + body)
        await settled()
        assert transport.take() == b"\x20\x02\x01\x00" + acknowledged
        assert len(letters) == 1 and delivered.take().count(b"{") == 1

    run(scenario)


@pytest.mark.parametrize("what", ["admit", "open"])
def test_store_that_is_down_refuses_a_client_as_not_available(run, monkeypatch, what):
    async def scenario(bench):
        def fail(*_, **__):
            raise errors.Unavailable

        link, transport = bench.open()
        with monkeypatch.context() as patch:
            patch.setattr(admission if what == "admit" else bench.broker.sessions, what, fail)
            link.data_received(_connect(bench.world.token, "c"))
        assert transport.take() == b"\x20\x02\x00\x03" and transport.is_closed
        bench.connected()

    run(scenario)


def test_store_that_is_down_acknowledges_nothing(run, monkeypatch):
    async def scenario(bench):
        link, transport = bench.connected()

        def fail(*_, **__):
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "put_segments", fail)
            link.data_received(publish(1))
            await settled()
        assert transport.is_closed and transport.take() == b""
        link.connection_lost(None)
        again, transport = bench.connected()
        again.data_received(bytes((0x3A,)) + publish(1)[1:])
        await settled()
        assert transport.take() == b"\x40\x02\x00\x01" and bench.world.read(query="count") == 1

    run(scenario)


def test_commit_that_fails_acknowledges_nothing_to_anybody_of_that_turn(run, monkeypatch):
    async def scenario(bench):
        links = [bench.connected(f"c{number}") for number in range(3)]

        def fail():
            store.current().rollback()
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "commit", fail)
            for number, (link, _) in enumerate(links):
                link.data_received(publish(number))
            await settled()
        assert all(transport.is_closed and transport.take() == b"" for _, transport in links)
        assert bench.world.read() == []

    run(scenario)


@pytest.mark.parametrize("qos", [1, 2])
def test_message_whose_commit_failed_is_stored_when_it_comes_again(run, monkeypatch, qos):
    async def scenario(bench):
        link, transport = bench.connected(flags=0xC0)

        def fail():
            store.current().rollback()
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "commit", fail)
            link.data_received(publish(1, 9, qos=qos))
            await settled()
        assert transport.is_closed
        link.connection_lost(None)
        again, transport = bench.open()
        again.data_received(_connect(bench.world.token, "c", flags=0xC0))
        await settled()
        assert transport.take() == b"\x20\x02\x01\x00"
        again.data_received(bytes((0x38 | qos << 1,)) + publish(1, 9)[1:])
        await settled()
        assert transport.take()[2:] == b"\x00\x09" and bench.world.read(query="count") == 1

    run(scenario)


def test_alike_messages_of_one_millisecond_are_all_stored(run, clock):
    async def scenario(bench):
        links = [bench.connected(f"c{number}")[0] for number in range(4)]
        for link in links:
            link.data_received(publish(1, 1) + publish(1, 2))
        await settled()
        assert bench.world.read(query="count") == 8

    run(scenario)


@pytest.mark.parametrize("qos", [0, 1])
def test_messages_of_one_write_are_read_back_in_their_order(run, clock, qos):
    async def scenario(bench):
        link, _ = bench.connected()
        for start in range(0, 50, 5):
            link.data_received(b"".join(publish(start + at, at + 1, qos=qos) for at in range(5)))
            await settled()
            assert bench.world.read(query="last_value")[0]["value"] == start + 4
        assert [one["value"] for one in bench.world.read(qty=50)] == [*range(49, -1, -1)]

    run(scenario)


def test_waiting_messages_are_bounded_in_bytes(run):
    async def scenario(bench):
        link, _ = bench.connected(flags=0xC0)
        link.data_received(b"\x82\x06\x00\x01\x00\x01a\x01")
        link.connection_lost(None)
        for _ in range(60):
            bench.broker.publish(device=bench.world.device, topic="a", payload=bytes(100_000), qos=1)
        (session,) = bench.broker.sessions.by_id.values()
        assert len(session.waiting) == 39, "topic and properties count, too"

    run(scenario)


def test_will_is_not_published_when_the_device_is_taken_away(run):
    letters = []

    async def scenario(bench):
        dead_letters.use(lambda reason, _: letters.append(reason))
        will = (
            _text("MQTT")
            + bytes((4, 0xCE, 0, 60))
            + _text("w")
            + _text(STORED)
            + _text("{}")
            + _text("T")
            + _text(bench.world.token)
        )
        link, transport = bench.open()
        link.data_received(bytes((0x10, len(will))) + will)
        bench.world.admin.delete(f"/device/{bench.world.device}")
        assert transport.is_closed
        link.connection_lost(None)
        assert letters == []

    run(scenario)


def test_acknowledgement_waits_for_the_commit(run):
    async def scenario(bench):
        links = [bench.connected(f"c{number}") for number in range(2)]
        for number, (link, transport) in enumerate(links):
            link.data_received(publish(number) + publish(number + 10, 2))
            assert transport.take() == b""
        await settled()
        assert [transport.take() for _, transport in links] == [b"\x40\x02\x00\x01\x40\x02\x00\x02"] * 2

    run(scenario)


def test_qos_2_is_stored_once_between_publish_and_release(run):
    async def scenario(bench):
        link, transport = bench.connected()
        for _ in range(2):
            link.data_received(publish(1, 5, qos=2))
            await settled()
            assert transport.take() == b"\x50\x02\x00\x05"
        link.data_received(b"\x62\x02\x00\x05")
        await settled()
        assert transport.take() == b"\x70\x02\x00\x05" and bench.world.read(query="count") == 1
        link.data_received(publish(2, 5, qos=2))
        await settled()
        assert bench.world.read(query="count") == 2

    run(scenario)


def test_unacknowledged_messages_are_sent_again_on_a_new_connection(run):
    async def scenario(bench):
        link, transport = bench.connected(flags=0xC0)
        link.data_received(b"\x82\x06\x00\x01\x00\x01a\x01")
        await settled()
        transport.take()
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"1", qos=1)
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"2", qos=1)
        assert transport.take() == b"", "a kept session gets nothing before the commit"
        await settled()
        first = answers.publish(packets.Message("a", b"1"), 4, 1, 1, now_ms=0)
        assert transport.take() == first + answers.publish(packets.Message("a", b"2"), 4, 2, 1, now_ms=0)
        link.data_received(b"\x40\x02\x00\x02")
        link.connection_lost(None)
        again, transport = bench.open()
        again.data_received(_connect(bench.world.token, "c", flags=0xC0))
        await settled()
        assert transport.take() == b"\x20\x02\x01\x00" + answers.publish(
            packets.Message("a", b"1"), 4, 1, 1, now_ms=0, is_again=True
        )

    run(scenario)


def test_client_that_does_not_read_loses_qos_0_only(run):
    async def scenario(bench):
        link, transport = bench.connected()
        link.data_received(b"\x82\x06\x00\x01\x00\x01a\x01")
        transport.take()
        link.pause_writing()
        transport.unsent = 2_000_000
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"0", qos=0)
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"1", qos=1)
        assert transport.take() == b""
        link.resume_writing()
        assert transport.take() == answers.publish(packets.Message("a", b"1"), 4, 1, 1, now_ms=0)

    run(scenario)


def limit(monkeypatch, **figures):
    found = plans.load()["unlimited"]._replace(mqtt_per_minute=figures)
    monkeypatch.setattr(plans, "load", lambda: {"unlimited": found})


def test_connects_over_the_rate_are_refused_until_the_next_minute(run, monkeypatch, clock):
    limit(monkeypatch, connect=3)

    async def scenario(bench):
        for number in range(3):
            bench.connected(f"c{number}")
        link, transport = bench.open()
        link.data_received(_connect(bench.world.token, "late"))
        assert transport.take() == b"\x20\x02\x00\x03" and transport.is_closed
        clock.advance(60)
        bench.connected("late")

    run(scenario)


class Later:
    """In the place of a connection's loop: what was to be called later is called by the test."""

    def __init__(self, link):
        self.time, self._calls = link._loop.time, []
        link._loop = self

    def call_later(self, delay_s, call):
        self.delay_s = delay_s
        self._calls.append(call)
        return type("Handle", (), {"cancel": lambda _: self._calls.remove(call)})()

    def come(self):
        calls, self._calls = self._calls, []
        for call in calls:
            call()


def test_publishes_over_the_rate_wait_and_are_not_lost(run, monkeypatch, clock):
    limit(monkeypatch, publish=2)

    async def scenario(bench):
        link, transport = bench.connected()
        later = Later(link)
        link.data_received(b"".join(publish(number, number) for number in range(1, 6)))
        await settled()
        assert transport.take() == b"\x40\x02\x00\x01\x40\x02\x00\x02"
        assert 0 < later.delay_s <= 60.1
        for expected in (b"\x40\x02\x00\x03\x40\x02\x00\x04", b"\x40\x02\x00\x05"):
            clock.advance(60)
            later.come()
            await settled()
            assert transport.take() == expected
        assert transport.is_reading and bench.world.read(query="count") == 5

    run(scenario)


def test_deliveries_over_the_rate_wait_for_the_next_minute(run, monkeypatch, clock):
    limit(monkeypatch, receive=1)

    async def scenario(bench):
        link, transport = bench.connected()
        link.data_received(b"\x82\x06\x00\x01\x00\x01a\x01")
        transport.take()
        for number in range(3):
            link.data_received(publish(number, number + 1, "a"))
        await settled()
        assert transport.take().count(b"\x00\x01a") == 1
        clock.advance(60)
        bench.broker.sweep(bench.loop.time())
        assert transport.take().count(b"\x00\x01a") == 2

    run(scenario)


def test_session_that_nobody_comes_back_to_is_forgotten(run):
    async def scenario(bench):
        link, _ = bench.connected(flags=0xC0)
        link.data_received(b"\x82\x06\x00\x01\x00\x01a\x01")
        link.connection_lost(None)
        bench.broker.sweep(bench.loop.time() + 3_601)
        assert not bench.broker.sessions.by_id and not bench.broker.sessions.spaces

    run(scenario)


def test_thousands_of_connects_leave_nothing_behind(run):
    async def scenario(bench):
        for number in range(10_000):
            link, _ = bench.connected(f"c{number}")
            link.connection_lost(None)
        assert not bench.broker.sessions.by_id and not bench.broker.clients and not bench.broker.opened
        assert len(store.current().list(f"device#{bench.world.device}", "client#")) == 1

    run(scenario)


def test_plan_of_the_profile_decides(sqlite):
    profile, _ = profiles.create(name="Free", plan="free")
    from embedded.mqtt.rates import Rates

    rates = Rates()
    assert [rates.take(profile, "connect") for _ in range(21)] == [True] * 20 + [False]
    assert all(rates.take("unknown", "publish") for _ in range(1_000)) and wall.now_ms()


def test_events_are_told_after_the_commit_only(run, monkeypatch):
    async def scenario(bench):
        stream = Events(lambda then: bench.commits.settle(then, is_alone=False))
        events.use(stream)
        sent = []
        waiting = asyncio.Event()

        async def receive():
            await waiting.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message.get("body", b""))

        device = bench.world.device
        query = f"channels=device_data.{device},device_inspector.{device}&token={bench.world.profile_token}".encode()
        scope = {"method": "GET", "query_string": query, "headers": []}
        task = asyncio.ensure_future(stream.answer(scope, receive, send, "id"))
        await settled()
        link, _ = bench.connected()
        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "commit", lambda: (_ for _ in ()).throw(errors.Unavailable))
            link.data_received(publish("undone"))
            await settled()
        store.current().rollback()
        again, _ = bench.connected()
        again.data_received(publish("kept", unit="C"))
        await settled()
        await settled()
        waiting.set()
        stream.close()
        await task
        heard = [json.loads(part.decode()[6:]) for part in sent if part.startswith(b"data: ")]
        data = [one["payload"] for one in heard if one["channel"].startswith("device_data")]
        assert [one["value"] for points in data for one in points] == ["kept"] and data[0][0]["unit"] == "C"
        seen = [one["payload"] for one in heard if one["channel"].startswith("device_inspector")]
        assert {"[MQTT] Connected", "[MQTT] Publish"} <= {one["title"] for one in seen}
        assert set(seen[0]) == {"connection_id", "content", "device_id", "timestamp", "title"}
        assert stream.count == 0

    run(scenario)


def test_client_that_stays_connected_for_weeks_is_still_stored(run, clock):
    async def scenario(bench):
        link, transport = bench.connected()
        for day in range(1, 22):
            clock.advance(86_400)
            link.data_received(publish(day, day))
            await settled()
        assert transport.take().count(b"\x40\x02") == 21
        assert bench.world.read(query="count", variables="n") == 21

    run(scenario)


def test_binding_goes_with_its_token_and_with_its_device(run):
    async def scenario(bench):
        world, rows = bench.world, "SELECT COUNT(*) FROM entities WHERE owner LIKE 'client#%' OR name LIKE 'client#%'"
        sent = {"device": world.device, "name": "more", "permission": "full"}
        more = world.admin.post("/device/token", sent).result["token"]
        for token in (world.token, more):
            connection, _ = bench.open()
            connection.data_received(_connect(token, "c"))
        assert store.current()._db.execute(rows).fetchone() == (4,)
        world.admin.delete(f"/device/token/{more}")
        assert store.current()._db.execute(rows).fetchone() == (2,)
        world.admin.delete(f"/device/{world.device}")
        assert store.current()._db.execute(rows).fetchone() == (0,)

    run(scenario)


def test_connection_ends_when_its_token_expires(run, clock):
    async def scenario(bench):
        sent = {"device": bench.world.device, "name": "short", "permission": "full", "expire_time": "1 hour"}
        token = bench.world.admin.post("/device/token", sent).result["token"]
        lasting, _ = bench.connected("lasting")
        connection, transport = bench.open()
        connection.data_received(_connect(token, "short"))
        bench.broker.sweep(bench.loop.time())
        assert not transport.is_closed
        clock.advance(3_601)
        bench.broker.sweep(bench.loop.time())
        assert transport.is_closed and lasting in bench.broker.opened

    run(scenario)
