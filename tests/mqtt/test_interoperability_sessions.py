"""What the broker keeps for clients, over real sockets: retained messages, QoS 2, sessions; and over a restart."""

import signal
import time

import pytest

from tests.mqtt.conftest import Device
from tests.mqtt.raw import (
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SESSION_EXPIRY,
    STORED,
    SUBACK,
    Will,
    ack,
    disconnect,
    kept,
    point,
    publish,
    subscribe,
)  # fmt: skip

versions = pytest.mark.parametrize("version", [3, 4, 5])


@versions
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_retained_messages(device, peer, version, qos):
    sender = peer(device.token, "s", version)
    for topic in ("a/0", "a/1", "a/2"):
        sender.publish(topic, "old", qos, retain=True)
        sender.publish(topic, topic, qos, retain=True)
    listener = peer(device.token, "l", version)
    listener.subscribe(("a/+", 2))
    found = [listener.message() for _ in range(3)]
    assert sorted((one.topic, one.payload, one.qos) for one in found) == [
        (f"a/{number}", b"a/%d" % number, qos) for number in range(3)
    ]
    assert all(one.is_retained for one in found)
    sender.publish("a/1", "live", qos, retain=True)
    assert not listener.message().is_retained, "it was subscribed before it was published"
    for topic in ("a/0", "a/1", "a/2"):
        sender.publish(topic, "", qos, retain=True)
        assert listener.message().payload == b""
    late = peer(device.token, "late", version)
    late.subscribe(("a/+", 2))
    late.nothing_more()


@versions
def test_retained_message_is_sent_after_suback_to_each_filter_that_matches(device, peer, version):
    client = peer(device.token, version=version)
    client.publish("a/b", "kept", 1, retain=True)
    client.send(subscribe(("a/#", 0), ("x", 1), version=version))
    assert client.expect(SUBACK).reasons == (0, 1)
    found = client.message()
    assert (found.payload, found.qos, found.is_retained) == (b"kept", 0, True)
    client.nothing_more()


@versions
def test_will_may_be_retained(device, peer, version):
    peer(device.token, version=version, will=Will("state", "offline", 1, True)).vanish()
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        client = peer(device.token, "late", version)
        client.subscribe(("state", 1))
        client.send(PINGREQ)
        if (found := client.next()).kind == PUBLISH:
            break
    assert (found.payload, found.is_retained) == (b"offline", True)


def test_retained_messages_of_a_device_reach_no_other(new_device, peer):
    one, two = new_device(), new_device()
    peer(one.token).publish("state", "on", 1, retain=True)
    stranger = peer(two.token)
    stranger.subscribe("#", "state")
    stranger.nothing_more()


def test_retained_point_is_stored_once(device, peer):
    peer(device.token).publish(STORED, point(1), 1, retain=True)
    for number in range(3):
        late = peer(device.token, f"late {number}")
        late.subscribe(STORED)
        assert late.message().is_retained
    assert device.values() == [1]


def test_retained_messages_of_a_device_are_bounded(device, peer):
    client = peer(device.token)
    for number in range(120):
        client.publish(f"t/{number}", "x", 1, packet_id=number + 1, retain=True)
    late = peer(device.token, "late")
    late.subscribe(("t/#", 0))
    late.send(PINGREQ)
    found = 0
    while late.next().kind == PUBLISH:
        found += 1
    assert found == 100


@versions
def test_qos_2_is_delivered_as_2(device, peer, version):
    listener, sender = peer(device.token, "l", version), peer(device.token, "s", version)
    assert listener.subscribe(("a", 2)) == (2,)
    for qos in (0, 1, 2):
        sender.publish("a", str(qos), qos)
    assert [(found.payload, found.qos) for found in (listener.message() for _ in range(3))] == [
        (b"0", 0), (b"1", 1), (b"2", 2),
    ]  # fmt: skip
    listener.nothing_more()


@versions
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_in_their_order(device, peer, version, qos):
    listener, sender = peer(device.token, "l", version), peer(device.token, "s", version)
    listener.subscribe(("a", qos))
    numbers = range(1, 151)
    sender.send(*[publish("a", str(number), qos, number, version=version) for number in numbers])
    assert [int(listener.message().payload) for _ in numbers] == [*numbers]


@versions
def test_qos_2_is_completed_on_a_new_connection(device, peer, version):
    listener = peer(device.token, "l", version, **kept(version))
    listener.subscribe(("a", 2))
    peer(device.token, "s", version).publish("a", "x", 2)
    first = listener.expect(PUBLISH)
    listener.vanish()
    listener = peer(device.token, "l", version, **kept(version))
    again = listener.expect(PUBLISH)
    assert again.is_again and again.packet_id == first.packet_id and again.qos == 2
    listener.send(ack(PUBREC, again.packet_id))
    listener.expect(PUBREL)
    listener.vanish()
    listener = peer(device.token, "l", version, **kept(version))
    assert listener.expect(PUBREL).packet_id == first.packet_id, "it was received, so only its release comes again"
    listener.send(ack(PUBCOMP, first.packet_id))
    listener.nothing_more()
    listener.vanish()
    peer(device.token, "l", version, **kept(version)).nothing_more()


@versions
def test_subscriptions_of_a_clean_session_do_not_outlive_a_takeover(device, peer, version):
    first = peer(device.token, "same", version)
    first.subscribe("a")
    second = peer(device.token, "same", version, **kept(version))
    assert not second.welcome.is_present
    peer(device.token, "s", version).publish("a", "x", 1)
    second.nothing_more()


@versions
def test_packet_id_is_free_after_puback_whatever_dup_says(device, peer, version):
    client = peer(device.token, version=version)
    for value in (1, 1, 2, 2):
        assert client.publish(STORED, point(value), 1, 1, dup=True).kind == PUBACK
    assert sorted(device.values()) == [1, 1, 2, 2]


def test_last_of_many_readings_in_one_write_is_the_last_value(device, peer):
    client = peer(device.token)
    for number in range(10, 400, 10):
        client.send(*[publish(STORED, point(number + at), 1, at) for at in range(1, 6)])
        for _ in range(5):
            client.expect(PUBACK)
        (last,) = device.call("GET", "/data?query=last_value")
        assert last["value"] == number + 5


class Restarted:
    """A program that is started again on the same data, as the device and its clients see it."""

    def __init__(self, start):
        self._start = start
        self.program = start()
        self.device = Device(self.program)

    def again(self, number=signal.SIGKILL):
        _, output, errors = self.program.stop(number)
        assert "Traceback" not in output + errors
        self.program = self.device.program = self._start()
        return self.program


@versions
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_session_and_its_messages_are_kept_over_a_restart(start, peer, version, number):
    restarted = Restarted(start)
    token = restarted.device.token

    def open(client_id, **more):
        return peer(token, client_id, version, to=restarted.program, **more)

    listener = open("l", **kept(version))
    listener.subscribe(("a/#", 2))
    sender = open("s")
    sender.publish("a/1", "unacknowledged", 1)
    first = listener.expect(PUBLISH)
    sender.publish("a/2", "received", 2)
    second = listener.expect(PUBLISH)
    listener.send(ack(PUBREC, second.packet_id))
    listener.expect(PUBREL)
    listener.send(disconnect())
    listener.rest()
    sender.publish("a/3", "waiting", 2, 2)
    sender.publish("a/4", "state", 1, 3, retain=True)
    restarted.again(number)
    listener = open("l", **kept(version))
    assert listener.welcome.is_present is (version > 3), "3.1 has no flag for it"
    found = [listener.next() for _ in range(4)]
    published = [(one.payload, one.qos, one.is_again) for one in found if one.kind == PUBLISH]
    assert published == [(b"unacknowledged", 1, True), (b"waiting", 2, False), (b"state", 1, False)]
    assert [one.packet_id for one in found if one.kind == PUBREL] == [second.packet_id]
    assert found[0].packet_id == first.packet_id or found[1].packet_id == first.packet_id
    late = open("late")
    late.subscribe("a/#")
    assert late.message().payload == b"state"
    late.nothing_more()


@versions
def test_qos_2_message_of_a_client_is_stored_once_over_a_restart(start, peer, version):
    restarted = Restarted(start)

    def open():
        return peer(restarted.device.token, "c", version, to=restarted.program, **kept(version))

    client = open()
    client.send(publish(STORED, point(1), 2, 9, version=version))
    client.expect(PUBREC)
    restarted.again()
    client = open()
    assert client.welcome.is_present is (version > 3), "3.1 has no flag for it"
    client.send(publish(STORED, point(1), 2, 9, version=version, dup=True))
    client.expect(PUBREC)
    client.send(ack(PUBREL, 9))
    client.expect(PUBCOMP)
    assert restarted.device.values() == [1]


def test_session_that_is_not_to_be_kept_is_gone_after_a_restart(start, peer):
    restarted = Restarted(start)
    peer(restarted.device.token, "clean", to=restarted.program).subscribe("a")
    peer(restarted.device.token, "short", to=restarted.program, with_=((SESSION_EXPIRY, 1),)).subscribe("a")
    restarted.again()
    time.sleep(1.1)
    for client_id in ("clean", "short"):
        again = peer(restarted.device.token, client_id, to=restarted.program, clean=False)
        assert not again.welcome.is_present, client_id
