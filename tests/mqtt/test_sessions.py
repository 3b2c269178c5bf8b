"""Sessions: what the broker keeps for a client, for how long, and how much; also over a kill -9 of the process."""

import asyncio
import contextlib
import signal
import struct

import pytest

from chalicelib import errors, store
from chalicelib.host import dead_letters
from chalicelib.services.usage import quotas
from embedded.mqtt import outbox, packets
from embedded.mqtt import session as sessions
from tests.mqtt.client import WAIT_S
from tests.mqtt.test_broker import STORED, _connect, _text, numbered
from tests.mqtt.test_connection import Bench, publish, run, settled  # noqa: F401 - a fixture
from tests.program import Program

KEPT, CLEAN = 0xC0, 0xC2
CONNACK_NEW, CONNACK_KEPT = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"


def packet(first, body):
    assert len(body) < 128
    return bytes((first, len(body))) + body


def subscribe(name, qos=2, packet_id=1):
    return packet(0x82, packet_id.to_bytes(2) + _text(name) + bytes((qos,)))


def message(topic, payload, packet_id=0, qos=0, flags=0):
    return packet(0x30 | qos << 1 | flags, _text(topic) + (packet_id.to_bytes(2) if qos else b"") + payload)


def ack(kind, packet_id):
    return bytes((kind, 2)) + packet_id.to_bytes(2)


def connect5(token, client_id, *, expiry_s=0, will_delay_s=None, clean=True):
    """CONNECT of version 5; with ``will_delay_s`` also with a will to the topic ``will``."""
    named = b"\x11" + expiry_s.to_bytes(4)
    will = b""
    if will_delay_s is not None:
        will = b"\x05\x18" + will_delay_s.to_bytes(4) + _text("will") + _text("gone")
    flags = 0xC0 | clean << 1 | (0x0C if will else 0)
    body = _text("MQTT") + bytes((5, flags)) + struct.pack(">H", 60) + bytes((len(named),)) + named
    return packet(0x10, body + _text(client_id) + will + _text("Token") + _text(token))


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the program on one folder, after it has killed the one before."""
    running = []

    def do():
        for program in running:
            program.stop(signal.SIGKILL)
        running[:] = [Program(tmp_path / "data")]
        return running[0]

    yield do
    for program in running:
        program.close()


def numbered_publish(number, packet_id, dup):
    return message(STORED, numbered(number).encode(), packet_id, 1, 8 if dup else 0)


def test_packet_id_is_free_after_its_puback_whatever_dup_says(device, raw):
    """A client that always sends the same id, even with DUP, loses no reading."""
    link = raw().send(_connect(device.token, "constant", flags=KEPT))
    assert link.read(4) == CONNACK_NEW
    for _ in range(3):
        for dup in (False, True):
            assert link.send(numbered_publish(1, 7, dup)).read(4) == ack(0x40, 7)
    assert device.values() == [1] * 6


def test_retry_on_the_next_connection_is_stored_once_and_the_next_message_is_stored(device, raw):
    link = raw().send(_connect(device.token, "retry", flags=KEPT) + numbered_publish(1, 7, False))
    assert link.read(8) == CONNACK_NEW + ack(0x40, 7)
    link.close()
    link = raw().send(_connect(device.token, "retry", flags=KEPT))
    assert link.read(4) == CONNACK_KEPT
    assert link.send(numbered_publish(1, 7, True)).read(4) == ack(0x40, 7)
    assert device.values() == [1]
    assert link.send(numbered_publish(1, 7, True)).read(4) == ack(0x40, 7)
    assert device.values() == [1, 1]


def test_packet_id_is_forgotten_if_the_connection_lived_on(run):  # noqa: F811
    async def scenario(bench):
        link, _ = bench.connected(flags=KEPT)
        link.data_received(publish(1))
        await settled()
        link.heard_s += sessions.RETRY_S + 1
        link.connection_lost(None)
        again, transport = bench.connected(flags=KEPT)
        again.data_received(bytes((0x3A,)) + publish(1)[1:])
        await settled()
        assert transport.take() == ack(0x40, 1) and bench.world.read(query="count") == 2

    run(scenario)


def test_subscriptions_of_a_clean_session_end_when_another_connection_takes_its_id(device, connect):
    first = connect(device.token, "same", subscribe=["a"])
    second = connect(device.token, "same", clean=False)
    assert first.ended.wait(WAIT_S) and not second.is_present
    connect(device.token).publish("a", "x")
    assert second.nothing_more()


def test_token_that_may_not_subscribe_gets_no_session_that_does(device, connect):
    connect(device.token, "same", clean=False, subscribe=["a"]).close()
    connect(device.token).publish("a", "secret")
    asked = {"device": device.id, "name": "w", "permission": "write"}
    token = device.admin("POST", "/device/token", asked)["token"]
    assert not connect(token, "same", clean=False).is_present
    assert not connect(device.token, "same", clean=False).subscribe("b")[0].is_failure


def test_qos_2_is_delivered_as_2(device, connect):
    client = connect(device.token, "two", clean=False)
    assert [code.value for code in client.subscribe("a/#", 2)] == [2]
    sender = connect(device.token)
    for number in range(30):
        sender.publish(f"a/{number % 3}", str(number), number % 3)
    sender.publish("a", "end", 2)
    found = []
    while not found or found[-1].payload != b"end":
        found.append(client.messages.get(timeout=WAIT_S))
    kept = [one for one in found if one.qos]
    assert [(int(one.payload), one.qos) for one in kept[:-1]] == [(n, n % 3) for n in range(30) if n % 3]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_waits_for_a_client_survives_kill_9(start, connect, qos):
    program = start()
    subscriber = connect(program.device_token, "kept", clean=False, port=program.mqtt_port)
    subscriber.subscribe("a/+", 2)
    subscriber.close()
    sender = connect(program.device_token, port=program.mqtt_port)
    for number in range(20):
        sender.publish("a/x", str(number), qos)
    program = start()
    subscriber = connect(program.device_token, "kept", clean=False, port=program.mqtt_port)
    assert subscriber.is_present
    found = [subscriber.messages.get(timeout=WAIT_S) for _ in range(20)]
    assert [(int(one.payload), one.qos) for one in found] == [(number, qos) for number in range(20)]
    connect(program.device_token, port=program.mqtt_port).publish("a/y", "new", qos)
    assert subscriber.next() == ("a/y", b"new"), "the subscription is kept, too"


def test_each_step_of_a_delivery_with_qos_2_survives_kill_9(start):
    """The client never sees a message twice, and never a new one with an id that it has not released."""
    from tests.mqtt.client import Raw

    def link():
        return Raw(program.mqtt_port).send(_connect(program.device_token, "c", flags=KEPT))

    program = start()
    with contextlib.closing(link()) as client:
        client.send(subscribe("a")).read(4)
        assert client.read(5) == b"\x90\x03\x00\x01\x02"
        with contextlib.closing(Raw(program.mqtt_port)) as sender:
            sender.send(_connect(program.device_token, "s") + message("a", b"x", 9, 2))
            assert sender.read(8) == CONNACK_NEW + ack(0x50, 9)
        first = message("a", b"x", 1, 2)
        assert client.read(len(first)) == first
    program = start()
    with contextlib.closing(link()) as client:
        again = message("a", b"x", 1, 2, flags=8)
        assert client.read(4 + len(again)) == CONNACK_KEPT + again
        assert client.send(ack(0x50, 1)).read(4) == ack(0x62, 1)
    program = start()
    with contextlib.closing(link()) as client:
        assert client.read(8) == CONNACK_KEPT + ack(0x62, 1)
        client.send(ack(0x70, 1) + b"\xc0\x00")
        assert client.read(2) == b"\xd0\x00"
        with contextlib.closing(Raw(program.mqtt_port)) as sender:
            sender.send(_connect(program.device_token, "s") + message("a", b"y", 9, 2))
            assert sender.read(8) == CONNACK_NEW + ack(0x50, 9)
        assert client.read(len(first))[-1:] == b"y"


def test_message_with_qos_2_of_a_client_is_stored_once_over_kill_9(start):
    from tests.mqtt.client import Raw

    def link():
        return Raw(program.mqtt_port).send(_connect(program.device_token, "c", flags=KEPT))

    body = numbered(1).encode()
    program = start()
    with contextlib.closing(link()) as client:
        assert client.send(message(STORED, body, 5, 2)).read(8) == CONNACK_NEW + ack(0x50, 5)
    program = start()
    with contextlib.closing(link()) as client:
        assert client.send(message(STORED, body, 5, 2, flags=8)).read(8) == CONNACK_KEPT + ack(0x50, 5)
        assert client.send(ack(0x62, 5)).read(4) == ack(0x70, 5)
        assert client.send(message(STORED, body, 5, 2)).read(4) == ack(0x50, 5), "the id is free again"
    assert [one["value"] for one in program.call("GET", "/data?qty=10")] == [1, 1]


def test_session_that_is_expired_when_the_process_begins_is_deleted(run, clock):  # noqa: F811
    async def scenario(bench):
        for name in ("one", "two"):
            link, _ = bench.connected(name, flags=KEPT)
            link.data_received(subscribe("a"))
            await settled()
            link.connection_lost(None)
            clock.advance(1_800)
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"x", qos=1)
        await settled()
        clock.advance(1)
        other = type(bench.broker)(bench.commits, bench.connections, bench.broker._workers)
        (session,) = other.sessions.by_id.values()
        assert session.client_id == "two" and len(session.waiting) == 1
        assert session.ends_s - bench.loop.time() == pytest.approx(1_799, abs=2)
        other.sweep(bench.loop.time())
        await settled()
        assert [row.client_id for row in store.current().mqtt.sessions()] == ["two"]
        other.sweep(bench.loop.time() + 1_801)
        await settled()
        assert left() == [0] * 4

    run(scenario)


def test_expired_session_is_not_resumed_before_it_is_swept(run):  # noqa: F811
    async def scenario(bench):
        link, _ = bench.connected(flags=KEPT)
        link.data_received(subscribe("a"))
        await settled()
        link.connection_lost(None)
        await settled()
        (session,) = bench.broker.sessions.by_id.values()
        session.ends_s = bench.loop.time()
        link, transport = bench.open()
        link.data_received(_connect(bench.world.token, "c", flags=KEPT))
        await settled()
        assert transport.take() == CONNACK_NEW and left()[0] == 0

    run(scenario)


def left():
    """Return how many rows the tables of the broker have."""
    db, tables = store.current()._db, ("mqtt_sessions", "mqtt_messages", "mqtt_received", "mqtt_retained")
    assert db.execute("SELECT id FROM mqtt_bodies").fetchall() == (
        db.execute("SELECT DISTINCT body FROM mqtt_messages WHERE body > 0 ORDER BY body").fetchall()
    )
    return [db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables]


def test_clean_session_and_one_that_has_nothing_are_not_written(run):  # noqa: F811
    async def scenario(bench):
        clean, _ = bench.connected("clean")
        clean.data_received(subscribe("a") + message("a", b"x", 1, 2))
        idle, transport = bench.connected("idle", flags=KEPT)
        idle.data_received(publish(1))
        await settled()
        assert transport.take() == ack(0x40, 1)
        assert left() == [0] * 4

    run(scenario)


def test_erased_device_leaves_nothing_of_its_sessions(run):  # noqa: F811
    async def scenario(bench):
        link, transport = bench.connected(flags=KEPT)
        link.data_received(subscribe("a") + message("r", b"x", 7, 2, flags=1))
        await settled()
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"x", qos=1)
        await settled()
        assert left() == [1, 1, 1, 1]
        assert bench.world.admin.delete(f"/device/{bench.world.device}").status == 200
        link.connection_lost(None)
        await settled()
        assert transport.is_closed and left() == [0] * 4 and not bench.broker.sessions.by_id

    run(scenario)


def test_messages_of_an_ended_session_are_deleted_a_little_at_a_time(run):  # noqa: F811
    async def scenario(bench):
        link, _ = bench.connected(flags=KEPT)
        link.data_received(subscribe("a"))
        await settled()
        link.connection_lost(None)
        for _ in range(39):
            bench.broker.publish(device=bench.world.device, topic="a", payload=bytes(100_000), qos=1)
        await settled()
        before = store.current().writes
        bench.connected(flags=CLEAN)
        assert left()[:2] == [0, 39], "the client does not wait for that"
        async with asyncio.timeout(5):
            while left()[1]:
                await asyncio.sleep(0.001)
        assert store.current().writes - before >= 5

    run(scenario)


def test_session_longest_away_is_forgotten_if_a_device_has_too_many(run):  # noqa: F811
    async def scenario(bench):
        for number in range(102):
            link, _ = bench.connected(f"c{number}", flags=KEPT)
            link.data_received(subscribe("a"))
            await settled()
            link.connection_lost(None)
        assert [client_id for _, client_id in bench.broker.sessions.by_id] == [f"c{n}" for n in range(2, 102)]
        await settled()
        assert left()[0] == 100

    run(scenario)


def test_session_ends_with_its_connection_if_there_are_too_many_of_all_devices(run, monkeypatch):  # noqa: F811
    async def scenario(bench):
        monkeypatch.setattr("embedded.mqtt.sessions.MAX_SESSIONS", 1)
        first, _ = bench.connected("first", flags=KEPT)
        second, _ = bench.connected("second", flags=KEPT)
        for link in (first, second):
            link.connection_lost(None)
        assert {client_id for _, client_id in bench.broker.sessions.by_id} == {"second"}

    run(scenario)


def test_filters_of_a_session_are_bounded(device, connect):
    client = connect(device.token, version="5")
    assert {code.value for code in client.subscribe([(f"f/{number}", 1) for number in range(100)])} == {1}
    assert [code.value for code in client.subscribe("f/100")] == [0x97]
    assert [code.value for code in client.subscribe("f/7")] == [1], "a filter can be replaced"
    deep = connect(device.token, version="5")
    levels = "/".join("+" * 120)
    assert [deep.subscribe(f"{levels}/{number}")[0].value for number in range(10)] == [1] * 8 + [0x97] * 2


@pytest.mark.parametrize(
    ("name", "matching", "other"),
    [
        ("a/b", ["a/b"], ["a", "a/b/c", "a/bc"]), ("a/#", ["a", "a/", "a/b/c"], ["ab", "b/a"]),
        ("a/+", ["a/", "a/b"], ["a", "a/b/c"]), ("+/b", ["a/b", "/b"], ["b", "a/bb"]), ("#", ["a", "/"], ["$a"]),
        ("a/+/#", ["a/b", "a/b/c"], ["a", "ab/c"]), ("/#", ["/", "/a", ""], ["a"]),
    ],
)  # fmt: skip
def test_filter_matches_what_it_should(name, matching, other):
    session = sessions.Session("d", "c")
    assert session.subscribe(name, 1) == 1
    assert all(session.match(topic, is_own=False) for topic in matching)
    assert not any(session.match(topic, is_own=False) for topic in other)


def test_bytes_of_what_waits_are_bounded_by_device_and_the_client_that_is_there_loses_nothing(run):  # noqa: F811
    async def scenario(bench):
        for number in range(6):
            link, _ = bench.connected(f"away{number}", flags=KEPT)
            link.data_received(subscribe("a"))
            await settled()
            link.connection_lost(None)
        link, _ = bench.connected("here", flags=KEPT)
        link.data_received(subscribe("#"))
        await settled()
        for _ in range(50):
            bench.broker.publish(device=bench.world.device, topic="a", payload=bytes(90_000), qos=1)
        for _ in range(5):
            bench.broker.publish(device=bench.world.device, topic="b", payload=bytes(90_000), qos=2)
        await settled()
        (space,) = bench.broker.sessions.spaces.values()
        assert space.held_bytes <= 16_000_000 == pytest.approx(space.held_bytes, rel=0.01)
        held = {session.client_id: session.held_bytes for session in space.sessions}
        assert sum(held.values()) == space.held_bytes
        assert held["here"] > 3_900_000 and all(bytes_ > 1_800_000 for bytes_ in held.values())
        assert left()[1] * 91_000 == pytest.approx(space.held_bytes, rel=0.01)
        ((bodies,),) = store.current()._db.execute("SELECT COUNT(*) FROM mqtt_bodies")
        assert bodies <= 55, "each payload is written once"

    run(scenario)


def test_topic_and_properties_of_what_waits_count(run):  # noqa: F811
    async def scenario(bench):
        link, _ = bench.connected(flags=KEPT)
        link.data_received(subscribe("#", 1))
        await settled()
        link.connection_lost(None)
        properties = b"\x26" + _text("k") + _text("v" * 60_000)
        for _ in range(100):
            bench.broker.deliver(bench.world.device, None, packets.Message("t" * 5_000, b"", 1, properties))
        (session,) = bench.broker.sessions.by_id.values()
        assert len(session.waiting) == 60

    run(scenario)


def test_write_that_fails_leaves_a_kept_session_as_it_was(run, monkeypatch):  # noqa: F811
    """A message whose commit fails is not delivered, and is delivered once when it comes again."""

    async def scenario(bench):
        link, heard = bench.connected("kept", flags=KEPT)
        link.data_received(subscribe("a"))
        await settled()
        heard.take()
        sender, answered = bench.connected("s")

        def fail():
            store.current().rollback()
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "commit", fail)
            sender.data_received(message("a", b"x", 1, 2))
            await settled()
        assert answered.is_closed and heard.is_closed and answered.take() == heard.take() == b""
        for one in (link, sender):
            one.connection_lost(None)
        _, heard = bench.open()
        link, heard = bench.open()
        link.data_received(_connect(bench.world.token, "kept", flags=KEPT))
        await settled()
        assert heard.take() == CONNACK_KEPT
        sender, answered = bench.connected("s")
        sender.data_received(message("a", b"x", 1, 2))
        await settled()
        assert answered.take() == ack(0x50, 1) and heard.take() == message("a", b"x", 1, 2)
        assert left()[:2] == [1, 1]

    run(scenario)


def test_session_that_could_not_be_deleted_does_no_harm(run, monkeypatch):  # noqa: F811
    """Its row and messages stay at first: another session of the client replaces it, and the next process cleans up."""

    async def scenario(bench):
        link, _ = bench.connected(flags=KEPT)
        link.data_received(subscribe("a"))
        await settled()
        link.connection_lost(None)
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"x", qos=1)
        await settled()

        def fail(_):
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current().mqtt, "delete_session", fail)
            link, transport = bench.open()
            link.data_received(_connect(bench.world.token, "c", flags=CLEAN))
            assert transport.is_closed
            link.connection_lost(None)
        assert left()[:2] == [1, 1] and not bench.broker.sessions.by_id
        link, transport = bench.connected(flags=KEPT)
        link.data_received(subscribe("b"))
        await settled()
        assert transport.take() == b"\x90\x03\x00\x01\x02" and left()[:2] == [1, 1]
        other = type(bench.broker)(bench.commits, bench.connections, bench.broker._workers)
        (session,) = other.sessions.by_id.values()
        assert [*session.subscriptions] == ["b"] and not session.waiting
        other.sweep(bench.loop.time())
        await settled()
        assert left()[:2] == [1, 0]

    run(scenario)


def test_message_over_a_quota_of_the_profile_is_refused_with_0x97(run, monkeypatch):  # noqa: F811
    def refuse(**_):
        raise errors.PaymentRequired("used up")

    async def scenario(bench):
        link, transport = bench.open()
        body = _text("MQTT") + b"\x05\xc2\x00\x3c\x00" + _text("c") + _text("Token") + _text(bench.world.token)
        link.data_received(packet(0x10, body))
        await settled()
        transport.take()
        monkeypatch.setattr(quotas, "check", refuse)
        link.data_received(packet(0x32, _text(STORED) + b"\x00\x07\x00" + b'{"variable":"n","value":1}'))
        await settled()
        assert transport.take() == b"\x40\x03\x00\x07\x97"

    dead_letters.use(lambda *_: None)
    run(scenario)


def test_client_gets_no_more_at_once_than_it_takes_also_when_it_comes_back(run):  # noqa: F811
    async def scenario(bench):
        def connect(receive_maximum):
            body = _text("MQTT") + b"\x05\xc0\x00\x3c\x08\x11\x00\x00\x01\x00\x21" + receive_maximum.to_bytes(2)
            link, transport = bench.open()
            link.data_received(packet(0x10, body + _text("c") + _text("Token") + _text(bench.world.token)))
            return link, transport

        link, transport = connect(10)
        link.data_received(packet(0x82, b"\x00\x01\x00" + _text("a") + b"\x01"))
        await settled()
        transport.take()
        for _ in range(20):
            bench.broker.publish(device=bench.world.device, topic="a", payload=b"x", qos=1)
        await settled()
        assert transport.take().count(b"\x00\x01a") == 10
        link.connection_lost(None)
        link, transport = connect(3)
        await settled()
        assert transport.take().count(b"\x00\x01a") == 3
        for packet_id in range(1, 21):
            link.data_received(ack(0x40, packet_id))
            await settled()
        assert transport.take().count(b"\x00\x01a") == 17 and left()[1] == 0

    run(scenario)


def test_client_that_never_completes_qos_2_gets_no_more_however_often_it_comes_back(run, monkeypatch):  # noqa: F811
    monkeypatch.setattr(outbox, "MAX_INCOMPLETE", 150)

    async def scenario(bench):
        link, transport = bench.connected(flags=KEPT)
        link.data_received(subscribe("a"))
        await settled()
        for _ in range(400):
            bench.broker.publish(device=bench.world.device, topic="a", payload=b"x", qos=2)
        for _ in range(5):
            await settled()
            for packet_id in range(1, 201):
                link.data_received(ack(0x50, packet_id))
            await settled()
            link.connection_lost(None)
            link, transport = bench.open()
            link.data_received(_connect(bench.world.token, "c", flags=KEPT))
        await settled()
        (session,) = bench.broker.sessions.by_id.values()
        assert len(session._inflight) == 150 and len(session.waiting) == 250
        assert transport.take().count(b"\x62\x02") == 150
        for packet_id in range(1, 151):
            link.data_received(ack(0x70, packet_id))
        await settled()
        assert transport.take().count(b"\x00\x01a") == 100, "the others follow"

    run(scenario)


def test_message_that_is_too_large_for_a_client_is_dropped(device, raw, connect):
    body = _text("MQTT") + b"\x05\xc2\x00\x3c\x05\x27" + (100).to_bytes(4)
    link = raw().send(packet(0x10, body + _text("small") + _text("Token") + _text(device.token)))
    link.read(link.read(2)[1])
    link.send(packet(0x82, b"\x00\x01\x00" + _text("a") + b"\x01"))
    assert link.read(6) == b"\x90\x04\x00\x01\x00\x01"
    sender = connect(device.token)
    for size in (92, 93, 5_000, 92):  # the packet has 8 bytes more
        sender.publish("a", "x" * size)
    assert [link.read(100)[5:7] for _ in range(2)] == [b"\x00\x01", b"\x00\x02"]


async def vanish(bench, **options):
    """Connect a client with a will, and end its connection without DISCONNECT."""
    link, _ = bench.open()
    link.data_received(connect5(bench.world.token, "w", **options))
    await settled()
    link.connection_lost(None)


def wills(watcher):
    return watcher.take().count(b"gone")


@pytest.mark.parametrize(("delay_s", "expiry_s", "due_s"), [(0, 60, 0), (10, 60, 10), (60, 20, 20), (60, 0, 0)])
def test_will_is_published_after_its_delay_or_at_the_end_of_the_session(run, delay_s, expiry_s, due_s):  # noqa: F811
    async def scenario(bench):
        link, watcher = bench.connected("watcher")
        link.data_received(subscribe("will"))
        await settled()
        watcher.take()
        await vanish(bench, will_delay_s=delay_s, expiry_s=expiry_s)
        if due_s:
            bench.broker.sweep(bench.loop.time() + due_s - 1)
            assert wills(watcher) == 0
            bench.broker.sweep(bench.loop.time() + due_s + 1)
        assert wills(watcher) == 1

    run(scenario)


@pytest.mark.parametrize(("clean", "published"), [(False, 0), (True, 1)])
def test_will_is_not_published_if_the_client_comes_back_to_its_session(run, clean, published):  # noqa: F811
    async def scenario(bench):
        link, watcher = bench.connected("watcher")
        link.data_received(subscribe("will"))
        await settled()
        watcher.take()
        await vanish(bench, will_delay_s=10, expiry_s=60)
        link, _ = bench.open()
        link.data_received(connect5(bench.world.token, "w", expiry_s=60, clean=clean))
        await settled()
        bench.broker.sweep(bench.loop.time() + 20)
        assert wills(watcher) == published

    run(scenario)


def test_session_of_json_and_binary_survives_a_new_process(run):  # noqa: F811
    """Subscription options, identifiers, properties and payload are read back as they were written."""

    async def scenario(bench):
        link, _ = bench.open()
        link.data_received(connect5(bench.world.token, "k", expiry_s=600, clean=False))
        await settled()
        link.data_received(packet(0x82, b"\x00\x01\x02\x0b\x07" + _text("ü/#") + b"\x0e"))
        await settled()
        link.connection_lost(None)
        sent = packets.Message("ü/x", b"\x00\xff", 2, b"\x26" + _text("k") + _text("v"), False, 2**42)
        bench.broker.deliver(bench.world.device, None, sent)
        await settled()
        (before,) = bench.broker.sessions.by_id.values()
        other = type(bench.broker)(bench.commits, bench.connections, bench.broker._workers)
        (after,) = other.sessions.by_id.values()
        assert after.subscriptions == before.subscriptions == {"ü/#": (2, True, True, 7, "ü")}
        (waiting,) = after.waiting
        assert (waiting.message, waiting.qos, waiting.identifiers) == (sent, 2, (7,))
        assert after.held_bytes == before.held_bytes == sent.size_bytes + outbox.MESSAGE_BYTES

    run(scenario)
