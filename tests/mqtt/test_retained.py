"""Retained messages: who gets them, how they end, and how many there may be."""

import signal

import pytest

from chalicelib.host import events, log
from embedded.mqtt import packets, retained
from tests.mqtt.client import WAIT_S
from tests.mqtt.test_broker import _options, _text
from tests.mqtt.test_connection import run, settled  # noqa: F401 - a fixture
from tests.mqtt.test_sessions import left, packet, subscribe
from tests.program import Program


def take(client):
    """Return the next message: topic, payload, QoS, and whether it was retained."""
    found = client.messages.get(timeout=WAIT_S)
    return found.topic, found.payload, found.qos, bool(found.retain)


@pytest.mark.parametrize("version", ["3.1", "3.1.1", "5"])
def test_new_subscription_gets_the_newest_message_of_each_topic(device, connect, version):
    sender, listener = connect(device.token), connect(device.token, version=version, subscribe=["s/#"])
    for topic, payload, qos in (("s/a", "old", 1), ("s/a", "new", 2), ("s/b", "on", 0), ("other", "x", 1)):
        sender.publish(topic, payload, qos, retain=True)
    sender.publish("s/c", "not retained")
    assert [take(listener)[3] for _ in range(4)] == [False] * 4, "who listens already gets them as any other"
    late = connect(device.token, version=version)
    late.subscribe("s/+", 1)
    assert sorted(take(late) for _ in range(2)) == [("s/a", b"new", 1, True), ("s/b", b"on", 0, True)]
    assert late.nothing_more()


def test_message_without_payload_ends_it_and_no_other_device_gets_it(new_device, connect):
    one, two = new_device(), new_device()
    sender = connect(one.token)
    sender.publish("s", "x", retain=True)
    assert connect(two.token, subscribe=["#"]).nothing_more()
    sender.publish("s", "", retain=True)
    assert connect(one.token, subscribe=["#"]).nothing_more()


def test_options_of_version_5_are_kept(device, connect):
    sender, client = connect(device.token), connect(device.token, version="5")
    sender.publish("s", "1", retain=True)
    client.subscribe([("s", _options(1, retainHandling=1, retainAsPublished=True))])
    assert take(client) == ("s", b"1", 1, True)
    client.subscribe([("s", _options(1, retainHandling=1, retainAsPublished=True))])
    client.subscribe([("+", _options(1, retainHandling=2))])
    sender.publish("s", "2", retain=True)
    assert take(client) == ("s", b"2", 1, True), "RETAIN as published"
    client.subscribe([("s", _options(1, retainHandling=0))])
    assert take(client) == ("s", b"2", 1, True)


def test_will_is_retained_if_it_says_so(device, connect):
    watcher = connect(device.token, subscribe=["state"])
    connect(device.token, "w", will=("state", "offline", 1, True)).vanish()
    assert take(watcher) == ("state", b"offline", 1, False)
    late = connect(device.token, subscribe=["state"])
    assert take(late) == ("state", b"offline", 1, True)


def test_api_retains_and_delivers_qos_2(device, connect):
    listener = connect(device.token)
    listener.subscribe("#", 2)
    sent = {"topic": "led", "message": "on", "device": device.id, "options": {"qos": 2, "retain": True}}
    assert device.admin("POST", "/analysis/services/mqtt/publish", sent) == "MQTT Publish Success"
    assert take(listener) == ("led", b"on", 2, False)
    late = connect(device.token)
    late.subscribe("led", 2)
    assert take(late) == ("led", b"on", 2, True)


def test_retained_messages_survive_kill_9(tmp_path, connect):
    program = Program(tmp_path / "data")
    sender = connect(program.device_token, port=program.mqtt_port)
    for number in range(5):
        sender.publish(f"s/{number}", str(number), 1 + number % 2, retain=True)
    program.stop(signal.SIGKILL)
    program = Program(tmp_path / "data")
    late = connect(program.device_token, port=program.mqtt_port)
    late.subscribe("s/#", 2)
    assert sorted(take(late) for _ in range(5)) == [(f"s/{n}", b"%d" % n, 1 + n % 2, True) for n in range(5)]
    late.close()
    program.close()


def retain(bench, topic, payload, **more):
    bench.broker.deliver(bench.world.device, None, packets.Message(topic, payload, 1, is_retained=True, **more))


async def gets(bench, name="#"):
    """Subscribe as a new client; return how many bytes it gets besides the answer."""
    await settled()
    link, transport = bench.connected("late")
    link.data_received(subscribe(name))
    await settled()
    found = transport.take()
    assert found[:5] == b"\x90\x03\x00\x01\x02"
    link.connection_lost(None)
    return found[5:]


def test_retained_messages_of_a_device_are_bounded_delivered_and_told(run, monkeypatch):  # noqa: F811
    lines, told = [], []

    async def scenario(bench):
        monkeypatch.setattr(events.current(), "seen", lambda *told_of: told.append(told_of), raising=False)
        log.use(lines.append)
        listener, heard = bench.connected()
        listener.data_received(subscribe("#", 0))
        await settled()
        heard.take()
        for number in range(retained.MAX_TOPICS + 1):
            retain(bench, f"t/{number}", b"x")
        assert heard.take().count(b"t/") == retained.MAX_TOPICS + 1 and left()[3] == retained.MAX_TOPICS
        assert await gets(bench, "t/100") == b"" != await gets(bench, "t/99")
        assert [one[1:] for one in told if one[1] == "[MQTT] Not retained"] == [("[MQTT] Not retained", "t/100")]
        assert sum("not retained" in line for line in lines) == 1
        retain(bench, "t/7", b"a new one of a topic that there is")
        assert b"a new one" in await gets(bench, "t/7")

    run(scenario)


def test_bytes_of_retained_messages_are_bounded_and_one_that_is_outdated_goes(run):  # noqa: F811
    async def scenario(bench):
        for number in range(12):
            retain(bench, f"t/{number}", bytes(100_000))
        assert left()[3] == 9, "topics count, too"
        retain(bench, "t/0", bytes(200_000))
        assert left()[3] == 8 and await gets(bench, "t/0") == b""

    run(scenario)


def test_retained_message_that_has_expired_is_not_delivered_and_makes_room(run, clock):  # noqa: F811
    async def scenario(bench):
        for number in range(retained.MAX_TOPICS):
            retain(bench, f"t/{number}", b"x", expires_ms=clock.now_ms + 10_000)
        clock.advance(11)
        assert await gets(bench) == b""
        retain(bench, "fresh", b"x")
        assert left()[3] == 1

    run(scenario)


def test_one_subscribe_with_overlapping_filters_gets_a_message_once(run):  # noqa: F811
    async def scenario(bench):
        retain(bench, "a/b", b"x")
        link, transport = bench.connected("late")
        link.data_received(packet(0x82, b"\x00\x01" + _text("a/#") + b"\x00" + _text("a/b") + b"\x01"))
        await settled()
        assert transport.take() == b"\x90\x04\x00\x01\x00\x01" + packet(0x33, _text("a/b") + b"\x00\x01x")

    run(scenario)
