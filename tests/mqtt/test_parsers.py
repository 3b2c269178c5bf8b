"""Payload parsers of MQTT messages, in process: order, acknowledgements after the commit, and messages sent again."""

import asyncio
import json
import math
import threading

import paho.mqtt.client as paho
import pytest

from chalicelib import errors, sandbox, store
from chalicelib.host import dead_letters, events
from chalicelib.host import mqtt as services_broker
from chalicelib.sandbox import Output
from embedded import workers as lanes
from embedded.commits import GroupCommit
from embedded.connections import Connections
from embedded.mqtt import requests
from embedded.mqtt.broker import Broker
from embedded.mqtt.connection import NO_KEEP_ALIVE_S, Connection
from embedded.mqtt.rounds import Rounds
from embedded.workers import Workers
from tests.kit.parsers import Inspector, encoded, give, ready
from tests.kit.world import World, values
from tests.mqtt import raw
from tests.mqtt.test_broker import STORED, _connect, _text
from tests.mqtt.test_connection import Transport, publish

PUBACK = b"\x40\x02\x00\x01"


class Bench:
    """A broker on SQLite with threads, and clients of one device, which has a parser."""

    def __init__(self, sqlite):
        self.world = World()
        give(self.world, "payload = payload")
        self.workers = Workers(sqlite.path)
        self.loop = asyncio.get_running_loop()
        self.broker = Broker(GroupCommit(sqlite), Connections(1_000, self.loop.time()), self.workers)
        self.broker.rounds = Rounds(math.inf)
        services_broker.use(self.broker)

    def connected(self, client_id="c", **options):
        link, transport = Connection(self.broker), Transport()
        link.connection_made(transport)
        link.data_received(_connect(self.world.token, client_id, **options))
        assert transport.take()[:1] == b"\x20"
        return link, transport

    async def settled(self):
        """Run the loop until no message waits for a parser, and what was stored is committed."""
        while self.broker._tasks:
            await asyncio.sleep(0)
        for _ in range(12):
            await asyncio.sleep(0)


@pytest.fixture
def run(sqlite):
    """Return a function that runs a test's coroutine on a loop, with a bench."""

    def do(scenario):
        async def main():
            bench = Bench(sqlite)
            try:
                await scenario(bench)
            finally:
                bench.workers.close()

        asyncio.run(main())

    yield do
    sqlite.grouped, sqlite.on_begin = False, lambda: None
    services_broker.use(None)
    dead_letters.use(None)
    events.use(None)


class Gate:
    """Stops every parser until it is opened; then a parser gives its payload back."""

    def __init__(self, monkeypatch):
        self.seen, self.open = [], threading.Event()
        monkeypatch.setattr(sandbox, "run", self.run)

    def run(self, source, *, payload, **_):
        self.seen.append(json.loads(payload))
        assert self.open.wait(20)
        return Output(payload)

    async def until(self, count):
        while len(self.seen) < count:
            await asyncio.sleep(0)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


def test_message_waits_for_its_parser_and_is_acknowledged_after_the_commit(run, gate):
    async def scenario(bench):
        link, transport = bench.connected()
        link.data_received(publish(5) + publish(6))
        await gate.until(1)
        assert transport.take() == b"" and bench.world.read() == []
        gate.open.set()
        await bench.settled()
        assert transport.take() == PUBACK * 2 and transport.is_reading
        assert values(bench.world.read()) == [6, 5]

    run(scenario)
    about = {"mqtt_topic": STORED, "topic": STORED}
    assert gate.seen == [[{"variable": "n", "value": value, "metadata": about}] for value in (5, 6)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_of_a_client_keep_their_order_and_none_is_lost(run, gate, qos):
    async def scenario(bench):
        gate.open.set()
        link, transport = bench.connected()
        link.data_received(b"".join(publish(number, number + 1, qos=qos) for number in range(9)))
        await bench.settled()
        assert len(transport.take()) == (0, 36, 36)[qos]
        assert values(bench.world.read(ordination="ascending")) == [*range(9)]

    run(scenario)


def test_client_that_publishes_and_leaves_at_once_is_served_to_the_end(run, gate):
    letters = []

    async def scenario(bench):
        dead_letters.use(lambda reason, _: letters.append(reason))
        gate.open.set()
        link, transport = bench.connected()
        link.data_received(publish(1, qos=0) + publish(2, qos=0) + b"\xe0\x00")
        await bench.settled()
        assert transport.is_closed and sorted(values(bench.world.read())) == [1, 2]

    run(scenario)
    assert letters == []


def test_other_clients_are_served_meanwhile_and_a_long_wait_is_no_silence(run, gate):
    async def scenario(bench):
        link, transport = bench.connected()
        other, at_other = bench.connected("d")
        link.data_received(publish(1))
        await gate.until(1)
        other.data_received(b"\xc0\x00")
        assert at_other.take() == b"\xd0\x00"
        link.check(bench.loop.time() + 10 * NO_KEEP_ALIVE_S)
        other.check(bench.loop.time() + 10 * NO_KEEP_ALIVE_S)
        assert not transport.is_closed and at_other.is_closed
        gate.open.set()
        await bench.settled()
        assert transport.take() == PUBACK

    run(scenario)


def test_pings_are_answered_and_acknowledgements_have_the_order_of_messages(run, gate):
    async def scenario(bench):
        link, transport = bench.connected()
        link.data_received(publish(1, 1) + publish(2, 2) + publish(3, 3, "not/stored") + b"\xc0\x00")
        await gate.until(1)
        link.data_received(b"\xc0\x00")
        assert transport.take() == b"\xd0\x00" * 2 and transport.is_reading
        gate.open.set()
        await bench.settled()
        assert transport.take() == b"".join(b"\x40\x02\x00" + bytes((number,)) for number in (1, 2, 3))
        assert values(bench.world.read()) == [2, 1]

    run(scenario)


@pytest.mark.parametrize("limit", [("MAX_WAITING", 2), ("MAX_WAITING_BYTES", 50)])
def test_no_more_is_read_while_too_much_waits_and_nothing_is_lost(run, gate, monkeypatch, limit):
    monkeypatch.setattr(requests, *limit)

    async def scenario(bench):
        link, transport = bench.connected()
        link.data_received(b"".join(publish(number, number) for number in range(1, 6)) + b"\xc0\x00")
        await gate.until(1)
        assert len(bench.broker._tasks) == 2 and not transport.is_reading and transport.take() == b""
        gate.open.set()
        await bench.settled()
        answered = transport.take()
        assert answered.count(b"\x40\x02\x00") == 5 and answered.count(b"\xd0\x00") == 1
        assert transport.is_reading and values(bench.world.read(ordination="ascending")) == [1, 2, 3, 4, 5]

    run(scenario)


def test_topics_and_properties_of_what_waits_count(run, gate, monkeypatch):
    monkeypatch.setattr(requests, "MAX_WAITING_BYTES", 500)

    async def scenario(bench):
        link, transport = Connection(bench.broker), Transport()
        link.connection_made(transport)
        link.data_received(raw.connect(bench.world.token))
        assert transport.take()[:1] == b"\x20"
        large = ((raw.USER_PROPERTY, ("k", "x" * 200)),)
        link.data_received(b"".join(raw.publish(STORED, "1", 1, number, with_=large) for number in range(1, 6)))
        await gate.until(1)
        assert len(bench.broker._tasks) == 3 and not transport.is_reading
        gate.open.set()
        await bench.settled()
        assert transport.take().count(b"\x40\x02\x00") == 5 and transport.is_reading

    run(scenario)


@pytest.mark.parametrize(("goodbye", "stored"), [(b"", [1]), (b"\xe0\x00", [1, 2])])
def test_what_waits_when_a_clean_session_ends_is_stored_only_if_the_client_said_goodbye(run, gate, goodbye, stored):
    async def scenario(bench):
        link, _ = bench.connected()
        link.data_received(publish(1, 1) + publish(2, 2) + goodbye)
        await gate.until(1)
        link.connection_lost(None)
        gate.open.set()
        await bench.settled()
        assert sorted(values(bench.world.read())) == stored

    run(scenario)


def test_message_of_a_clean_session_is_stored_once_however_often_the_client_returns(run, gate):
    async def scenario(bench):
        other, at_other = bench.connected("d")
        other.data_received(publish(7))
        await gate.until(1)
        for _ in range(5):
            link, transport = bench.connected()
            link.data_received(publish(1))
            await asyncio.sleep(0)
            link.connection_lost(None)
        link, transport = bench.connected()
        link.data_received(publish(1))
        gate.open.set()
        await bench.settled()
        assert transport.take() == at_other.take() == PUBACK
        assert sorted(values(bench.world.read())) == [1, 7]

    run(scenario)


def test_real_client_with_a_short_keep_alive_stays_connected_while_its_parser_runs(run, gate):
    async def scenario(bench):
        server = await bench.loop.create_server(lambda: Connection(bench.broker), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pings, acks, ends = asyncio.Queue(), asyncio.Queue(), []
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        client.username_pw_set("Token", bench.world.token)
        client.on_disconnect = lambda *_: ends.append(gate.open.is_set())

        def heard(_client, _data, _level, text):
            if text == "Received PINGRESP":
                bench.loop.call_soon_threadsafe(pings.put_nowait, text)

        client.on_log = heard
        client.on_publish = lambda *_: bench.loop.call_soon_threadsafe(acks.put_nowait, None)
        try:
            async with asyncio.timeout(20):
                await asyncio.to_thread(client.connect, "127.0.0.1", port, 1)
                client.loop_start()
                for number in range(4):
                    client.publish(STORED, json.dumps({"variable": "n", "value": number}), 1)
                await pings.get()
                await pings.get()
                assert acks.empty() and not ends
                gate.open.set()
                for _ in range(4):
                    await acks.get()
                assert not ends
        finally:
            gate.open.set()
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)
            server.close()
            await bench.settled()
        assert values(bench.world.read(ordination="ascending")) == [0, 1, 2, 3]

    run(scenario)


def test_however_many_clients_wait_none_is_refused(run, gate, monkeypatch):
    monkeypatch.setattr(lanes, "MAX_PARSING", 2)

    async def scenario(bench):
        links = [bench.connected(f"c{number}") for number in range(9)]
        for number, (link, _) in enumerate(links):
            link.data_received(publish(number))
        await gate.until(1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(gate.seen) == 1, "one of a profile at once"
        gate.open.set()
        await bench.settled()
        assert [transport.take() for _, transport in links] == [PUBACK] * 9
        assert len(bench.world.read()) == 9

    run(scenario)


def test_parser_that_fails_is_acknowledged_and_kept_with_the_reason(run):
    ready()
    letters, inspector = [], Inspector()

    async def scenario(bench):
        give(bench.world, "console.log('here'); null.x")
        dead_letters.use(lambda reason, message: letters.append((reason, message["topic"])))
        events.use(inspector)
        link, transport = bench.connected()
        link.data_received(publish(1))
        await bench.settled()
        assert transport.take() == PUBACK and not transport.is_closed and bench.world.read() == []

    run(scenario)
    ((reason, topic),) = letters
    assert reason.startswith("Function Parse Error: TypeError") and topic == STORED
    assert inspector.lines == ["device: here", reason] and ("[MQTT] Refused", reason) in inspector.entries


def test_what_is_no_json_is_one_point_as_text_or_as_hex_digits(run, gate):
    async def scenario(bench):
        gate.open.set()
        link, _ = bench.connected()
        link.data_received(bytes((0x30, len(_text(STORED)) + 2)) + _text(STORED) + b"{1")
        await bench.settled()
        bench.world.admin.post(f"/device/{bench.world.device}/params", {"key": "payload_type", "value": "hex"})
        link.data_received(bytes((0x30, len(_text(STORED)) + 2)) + _text(STORED) + b"\x01\xff")
        await bench.settled()
        assert [(one["variable"], one["value"]) for one in bench.world.read()] == [
            ("payload", "01ff"),
            ("payload", "{1"),
        ]

    run(scenario)


@pytest.mark.parametrize("qos", [1, 2])
def test_message_that_comes_again_while_it_is_parsed_is_stored_once(run, gate, qos):
    async def scenario(bench):
        link, first = bench.connected(flags=0xC0)
        link.data_received(publish(1, 9, qos=qos))
        await gate.until(1)
        again, second = bench.connected(flags=0xC0)
        assert first.is_closed
        link.connection_lost(None)
        again.data_received(bytes((0x38 | qos << 1,)) + publish(1, 9, qos=qos)[1:])
        assert second.take() == b""
        gate.open.set()
        await bench.settled()
        assert second.take()[2:] == b"\x00\x09" and bench.world.read(query="count") == 1

    run(scenario)
    assert len(gate.seen) == 1


def test_message_that_comes_again_after_it_was_parsed_is_stored_once(run, gate):
    async def scenario(bench):
        link, _ = bench.connected(flags=0xC0)
        link.data_received(publish(1, 9))
        await gate.until(1)
        link.connection_lost(None)
        gate.open.set()
        await bench.settled()
        again, transport = bench.connected(flags=0xC0)
        for stored in (1, 2):  # PUBACK has made the id free for the second one
            again.data_received(b"\x3a" + publish(1, 9)[1:])
            await bench.settled()
            assert transport.take() == b"\x40\x02\x00\x09" and bench.world.read(query="count") == stored

    run(scenario)


def test_commit_that_fails_acknowledges_nothing_and_the_message_is_stored_when_it_comes_again(run, gate, monkeypatch):
    async def scenario(bench):
        gate.open.set()
        link, transport = bench.connected(flags=0xC0)

        def fail():
            store.current().rollback()
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "commit", fail)
            link.data_received(publish(1))
            await bench.settled()
        assert transport.is_closed and transport.take() == b""
        link.connection_lost(None)
        again, transport = bench.connected(flags=0xC0)
        again.data_received(bytes((0x3A,)) + publish(1)[1:])
        await bench.settled()
        assert transport.take() == PUBACK and bench.world.read(query="count") == 1

    run(scenario)


def test_process_that_ends_acknowledges_nothing_that_waits(run, gate):
    async def scenario(bench):
        link, transport = bench.connected()
        other, at_other = bench.connected("d")
        link.data_received(publish(1))
        await gate.until(1)
        other.data_received(publish(2))
        for _ in range(5):
            await asyncio.sleep(0)
        bench.workers.stop()
        gate.open.set()
        await bench.settled()
        assert transport.take() == PUBACK and at_other.take() == b"" and at_other.is_closed
        assert values(bench.world.read()) == [1]

    run(scenario)


def test_bug_in_the_engine_acknowledges_nothing_and_is_logged(run, monkeypatch, caplog):
    def broken(*_, **__):
        raise KeyError("engine")

    monkeypatch.setattr(sandbox, "run", broken)

    async def scenario(bench):
        link, transport = bench.connected()
        link.data_received(publish(1))
        await bench.settled()
        assert transport.is_closed and transport.take() == b""

    run(scenario)
    assert "KeyError" in caplog.text


def test_device_that_is_deactivated_meanwhile_stores_nothing(run, gate):
    letters = []

    async def scenario(bench):
        dead_letters.use(lambda reason, _: letters.append(reason))
        link, _ = bench.connected()
        link.data_received(publish(1))
        await gate.until(1)
        bench.world.admin.put(f"/device/{bench.world.device}", {"active": False})
        gate.open.set()
        await bench.settled()

    run(scenario)
    assert letters == ["Device is deactivated"]


def test_will_passes_the_parser(run, gate):
    async def scenario(bench):
        gate.open.set()
        link, transport = Connection(bench.broker), Transport()
        link.connection_made(transport)
        body = (
            _text("MQTT") + bytes((4, 0xC6, 0, 60)) + _text("w") + _text(STORED) + _text('{"variable":"n","value":7}')
            + _text("T") + _text(bench.world.token)
        )  # fmt: skip
        link.data_received(bytes((0x10, len(body))) + body)
        link.connection_lost(None)
        await bench.settled()
        assert values(bench.world.read()) == [7]

    run(scenario)
    assert len(gate.seen) == 1


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_of_a_real_client_pass_the_parser(device, connect, qos):
    source = "const [p] = payload; payload = p.value.split(';').map((value, i) => ({variable: `v${i}`, value: +value}))"
    device.admin("PUT", f"/device/{device.id}", {"payload_decoder": encoded(source)})
    client = connect(device.token)
    for number in range(3):
        client.publish(STORED, f"{number};{number + 10}", qos)
    if qos == 0:
        client.publish(STORED, "3;13", 1)
    count = 4 if qos == 0 else 3
    assert sorted(device.values()) == sorted([*range(count), *range(10, 10 + count)])
