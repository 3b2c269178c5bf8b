"""What version 5 adds, over real sockets: limits that client and broker tell each other, and values that it forbids."""

import json
import time

import pytest

from tests.mqtt.raw import (
    CONNACK,
    CONTENT_TYPE,
    DISCONNECT,
    MAXIMUM_PACKET,
    MESSAGE_EXPIRY,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    RECEIVE_MAXIMUM,
    SERVER_KEEP_ALIVE,
    SESSION_EXPIRY,
    STORED,
    SUBACK,
    SUBSCRIPTION_ID,
    UNSUBACK,
    USER_PROPERTY,
    WILL_DELAY,
    Will,
    ack,
    connect,
    disconnect,
    packet,
    properties,
    publish,
    subscribe,
    text,
    unsubscribe,
)  # fmt: skip

KEPT = (SESSION_EXPIRY, 300)


def test_no_more_messages_than_receive_maximum_are_unacknowledged(device, peer):
    client, sender = peer(device.token, "c", with_=((RECEIVE_MAXIMUM, 2),)), peer(device.token, "s")
    client.subscribe("a")
    for number in range(5):
        sender.publish("a", str(number), 1)
    first, second = client.expect(PUBLISH), client.expect(PUBLISH)
    client.nothing_more()
    for number, one in enumerate((first, second, None)):
        if one is not None:
            client.send(ack(PUBACK, one.packet_id))
            assert client.expect(PUBLISH).payload == b"%d" % (number + 2)
    client.nothing_more()


def test_receive_maximum_holds_for_a_session_that_is_resumed(device, peer):
    client, sender = peer(device.token, "c", with_=(KEPT,)), peer(device.token, "s")
    client.subscribe("a")
    for number in range(5):
        sender.publish("a", str(number), 1)
        client.expect(PUBLISH)
    client.vanish()
    client = peer(device.token, "c", clean=False, with_=(KEPT, (RECEIVE_MAXIMUM, 2)))
    found = [client.expect(PUBLISH), client.expect(PUBLISH)]
    assert [(one.payload, one.is_again) for one in found] == [(b"0", True), (b"1", True)]
    client.nothing_more()
    client.send(*[ack(PUBACK, one.packet_id) for one in found])
    assert [client.message().payload for _ in range(3)] == [b"2", b"3", b"4"]
    client.nothing_more()


def test_message_larger_than_the_client_accepts_is_not_sent_to_it(device, peer):
    client = peer(device.token, "c", with_=((MAXIMUM_PACKET, 100),))
    other, sender = peer(device.token, "o"), peer(device.token, "s")
    client.subscribe("a")
    other.subscribe("a")
    for qos in (0, 1):
        sender.publish("a", "x" * 200, qos)
        sender.publish("a", "", qos, with_=[(USER_PROPERTY, ("k", "x" * 200))])
        sender.publish("a", "small", qos)
    assert [client.message().payload for _ in range(2)] == [b"small"] * 2
    client.nothing_more()
    assert [len(other.message().payload) for _ in range(6)] == [200, 0, 5] * 2


@pytest.mark.parametrize("qos", [1, 2])
def test_message_that_was_sent_before_is_dropped_if_the_client_accepts_less_when_it_comes_back(device, peer, qos):
    client, sender = peer(device.token, "c", with_=(KEPT,)), peer(device.token, "s")
    client.subscribe(("a", 2))
    sender.publish("a", "x" * 5_000, qos)
    sender.publish("a", "small", qos)
    assert [len(client.expect(PUBLISH).payload) for _ in range(2)] == [5_000, 5]
    client.vanish()
    client = peer(device.token, "c", clean=False, with_=(KEPT, (MAXIMUM_PACKET, 1_000)))
    assert client.message().payload == b"small"
    client.nothing_more()


def test_answers_stay_within_maximum_packet_size(device, peer):
    client = peer(device.token, "c", with_=((MAXIMUM_PACKET, 20),))
    client.send(b"\x30\xff\xff\xff\x7f")
    assert client.rest() in ([(DISCONNECT, 0x95)], [])


def test_message_that_expires_is_not_sent_and_others_say_what_is_left(device, peer):
    peer(device.token, "c", with_=(KEPT,)).subscribe("a")
    client = peer(device.token, "c", clean=False, with_=(KEPT,))
    client.vanish()
    sender = peer(device.token, "s")
    for payload, seconds in (("gone", 1), ("left", 100), ("for ever", None)):
        sender.publish("a", payload, 1, with_=[(MESSAGE_EXPIRY, seconds)] if seconds else [])
    time.sleep(1.1)
    client = peer(device.token, "c", clean=False, with_=(KEPT,))
    found = [client.message(), client.message()]
    assert [one.payload for one in found] == [b"left", b"for ever"]
    (left_s,) = found[0].all(MESSAGE_EXPIRY)
    assert 90 <= left_s < 100 and found[1].all(MESSAGE_EXPIRY) == []
    client.nothing_more()


def test_subscription_identifiers(device, peer):
    client, sender = peer(device.token, "c"), peer(device.token, "s")
    client.subscribe("a/#", with_=((SUBSCRIPTION_ID, 7),))
    client.subscribe("a/+", packet_id=2, with_=((SUBSCRIPTION_ID, 268_435_455),))
    client.subscribe("a/b", packet_id=3)
    sender.publish("a/b", "", 1)
    found = [client.message()]
    while sum(len(one.all(SUBSCRIPTION_ID)) for one in found) < 2:
        found.append(client.message())  # the broker may send a message for each subscription
    assert sorted(number for one in found for number in one.all(SUBSCRIPTION_ID)) == [7, 268_435_455]
    client.subscribe("a/#", packet_id=4, with_=((SUBSCRIPTION_ID, 8),))
    sender.publish("a/b/c", "", 0)
    assert client.message().all(SUBSCRIPTION_ID) == [8]
    client.subscribe("a/#", packet_id=5)
    sender.publish("a/b/c", "", 0)
    assert client.message().all(SUBSCRIPTION_ID) == []
    client.nothing_more()


def test_subscription_identifier_of_a_publisher_ends_the_connection(device, peer):
    client = peer(device.token)
    client.send(publish("a", with_=((SUBSCRIPTION_ID, 1),)))
    assert client.rest()[0] in [(DISCONNECT, 0x81), (DISCONNECT, 0x82)]


def test_broker_tells_the_keep_alive_that_it_uses(device, peer):
    (used_s,) = peer(device.token, keep_alive=0).welcome.all(SERVER_KEEP_ALIVE)
    assert used_s > 0
    assert peer(device.token, keep_alive=60).welcome.all(SERVER_KEEP_ALIVE) in ([], [60])


def test_shared_subscriptions_are_refused(device, peer):
    client = peer(device.token)
    assert client.welcome.all(0x2A) == [0]
    client.send(subscribe("$share/group/a", "b"))
    found = client.next()
    assert (found.kind, found.reasons) in ((SUBACK, (0x9E, 1)), (DISCONNECT, (0x9E,)))
    for version in (3, 4):
        assert peer(device.token, "old", version).subscribe("$share/group/a", "b") == (0x80, 1)


def test_release_of_an_unknown_packet_id(device, peer):
    client = peer(device.token)
    client.send(ack(PUBREL, 77))
    found = client.expect(PUBCOMP)
    assert (found.packet_id, found.reasons) == (77, (0x92,))
    client.send(ack(PUBREC, 78))
    found = client.expect(PUBREL)
    assert (found.packet_id, found.reasons) == (78, (0x92,))
    old = peer(device.token, "old", 4)
    old.send(ack(PUBREL, 77))
    assert old.expect(PUBCOMP).packet_id == 77


def test_message_that_cannot_be_stored_is_refused(device, peer):
    client, old = peer(device.token, "c"), peer(device.token, "old", 4)
    bad = json.dumps({"variable": "a b c", "value": {}})
    for qos in (1, 2):
        client.send(publish(STORED, bad, qos, 5))
        found = client.expect(PUBACK if qos == 1 else PUBREC)
        assert (found.packet_id, found.reasons) == (5, (0x99,))
        assert old.publish(STORED, bad, qos).reasons == (0,)
    assert client.publish(STORED, json.dumps({"variable": "n", "value": 1}), 2, 5).reasons == (0,)
    assert device.values() == [1]


def will(*pairs):
    return Will("wills", "gone", 1, False, pairs)


def test_will_waits_for_its_delay(device, peer):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    peer(device.token, "c", with_=(KEPT,), will=will((WILL_DELAY, 2))).vanish()
    watcher.nothing_more()
    with pytest.raises(TimeoutError):
        watcher.next(wait_s=0.9)
    assert watcher.message(wait_s=5).payload == b"gone"


def test_will_that_waits_is_not_sent_if_the_token_is_revoked(device, peer):
    fields = {"name": "other", "permission": "full", "expire_time": "never"}
    token = device.admin("POST", "/device/token", {"device": device.id, **fields})["token"]
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    peer(token, "c", with_=(KEPT,), will=will((WILL_DELAY, 1))).vanish()
    device.admin("DELETE", f"/device/token/{token}")
    with pytest.raises(TimeoutError):
        watcher.next(wait_s=3)


def test_will_is_not_sent_if_the_client_comes_back_in_time(device, peer):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    peer(device.token, "c", with_=(KEPT,), will=will((WILL_DELAY, 1))).vanish()
    peer(device.token, "c", clean=False, with_=(KEPT,))
    with pytest.raises(TimeoutError):
        watcher.next(wait_s=2.5)


@pytest.mark.parametrize("expiry_s", [0, 1])
def test_will_is_sent_when_the_session_ends_before_its_delay(device, peer, expiry_s):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    peer(device.token, "c", with_=((SESSION_EXPIRY, expiry_s),), will=will((WILL_DELAY, 300))).vanish()
    assert watcher.message(wait_s=5).payload == b"gone"


def test_clean_start_sends_the_will_that_waits(device, peer):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    peer(device.token, "c", with_=(KEPT,), will=will((WILL_DELAY, 300))).vanish()
    watcher.nothing_more()
    peer(device.token, "c")
    assert watcher.message(wait_s=5).payload == b"gone"


def test_properties_of_a_will_are_handed_on(device, peer):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    sent = (CONTENT_TYPE, "text/plain"), (USER_PROPERTY, ("b", "1")), (USER_PROPERTY, ("a", "2"))
    peer(device.token, "c", will=will((WILL_DELAY, 0), *sent)).vanish()
    assert watcher.message().properties == [*sent]


def test_authentication_method_is_refused(device, peer):
    client = peer().send(connect(device.token, with_=((0x15, "SCRAM-SHA-1"),)))
    assert client.rest() == [(CONNACK, 0x8C)]


REFUSED = {
    "Receive Maximum 0": lambda token: connect(token, with_=((RECEIVE_MAXIMUM, 0),)),
    "Maximum Packet Size 0": lambda token: connect(token, with_=((MAXIMUM_PACKET, 0),)),
    "a property that CONNECT has not": lambda token: connect(token, with_=((SUBSCRIPTION_ID, 1),)),
    "a property twice": lambda token: connect(token, with_=(KEPT, KEPT)),
    "Request Problem Information 2": lambda token: connect(token, with_=((0x17, 2),)),
    "will retained without a will": lambda token: (whole := bytearray(connect(token)), whole.__setitem__(9, 0xE2))[0],
    "a reserved flag": lambda token: (whole := bytearray(connect(token)), whole.__setitem__(9, 0xC3))[0],
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_connect_with_what_the_standard_forbids_is_refused(device, peer, what):
    client = peer().send(bytes(REFUSED[what](device.token)))
    found = client.rest()
    assert found == [] or (found[0][0] == CONNACK and found[0][1] in (0x81, 0x82)), found


FORBIDDEN = {
    "Retain Handling 3": (subscribe(("a", 0x31)), {0x81, 0x82}),
    "a reserved bit of the options": (subscribe(("a", 0x41)), {0x81, 0x82}),
    "QoS 3 in SUBSCRIBE": (subscribe(("a", 3)), {0x81, 0x82}),
    "no filter": (packet(0x82, b"\0\1\0"), {0x81, 0x82}),
    "No Local of a shared subscription": (subscribe(("$share/g/a", 5)), {0x82, 0x9E}),
    "identifier 0": (subscribe("a", with_=((SUBSCRIPTION_ID, 0),)), {0x82}),
    "packet id 0": (subscribe("a", packet_id=0), {0x81, 0x82}),
    "packet id 0 of PUBLISH": (publish("a", "", 1, 0), {0x81, 0x82}),
    "QoS 3": (b"\x36" + publish("a", "", 1)[1:], {0x81}),
    "DUP with QoS 0": (publish("a", "", 0, dup=True), {0x81, 0x82}),
    "empty topic": (publish(""), {0x82}),
    "a wildcard in a topic": (publish("a/+"), {0x81, 0x90}),
    "a topic alias": (publish("a", with_=((0x23, 1),)), {0x94}),
    "Payload Format 2": (publish("a", with_=((0x01, 2),)), {0x81, 0x82}),
    "a wildcard in Response Topic": (publish("a", with_=((0x08, "a/#"),)), {0x81, 0x82, 0x90}),
    "a null character": (publish("a\0b"), {0x81}),
    "a surrogate": (publish(b"a\xed\xa0\x80"), {0x81}),
    "a body of PINGREQ": (packet(0xC0, b"x"), {0x81, 0x82}),
    "PINGRESP of a client": (b"\xd0\0", {0x81, 0x82}),
    "SUBACK of a client": (packet(0x90, b"\0\1\0\0"), {0x81, 0x82}),
    "AUTH without a method": (packet(0xF0, b""), {0x81, 0x82, 0x8C}),
    "bytes behind DISCONNECT": (packet(0xE0, b"\0\0x"), {0x81, 0x82, None}),
    "an expiry after 0": (disconnect(0, (KEPT,)), {0x82, None}),
    "flags of SUBSCRIBE": (b"\x80" + subscribe("a")[1:], {0x81}),
    "flags of PUBREL": (b"\x60" + ack(PUBREL, 1)[1:], {0x81}),
    "a length of five bytes": (b"\x30\xff\xff\xff\xff\x01", {0x81}),
    "1,001 filters": (subscribe(*["a"] * 1_001), {0x97}),
    "1,001 filters to unsubscribe": (unsubscribe(*["a"] * 1_001), {0x97}),
    "1,001 user properties": (publish("a", with_=((USER_PROPERTY, ("", "")),) * 1_001), {0x97}),
    "a property that PUBLISH has not": (publish("a", with_=((SESSION_EXPIRY, 1),)), {0x81, 0x82}),
    "bytes behind PUBACK": (packet(0x40, b"\0\1\0\0x"), {0x81, 0x82}),
    "properties that are longer than the packet": (packet(0x30, text("a") + b"\x7f"), {0x81}),
}  # fmt: skip


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_the_standard_forbids_ends_the_connection(device, peer, what):
    sent, reasons = FORBIDDEN[what]
    witness, client = peer(device.token, "witness"), peer(device.token, "c")
    found = client.send(sent).rest()
    assert (
        found == []
        if not reasons
        else (found == [] and None in reasons) or (found[0][0] == 14 and found[0][1] in reasons)
    )
    witness.nothing_more()


def test_1000_filters_and_properties_are_taken(device, peer):
    client = peer(device.token)
    assert client.subscribe(*["a"] * 1_000) == (1,) * 1_000
    client.publish("b", "", 1, with_=((USER_PROPERTY, ("", "")),) * 1_000)


def test_reserved_flag_of_the_will_is_checked_in_version_4(device, peer):
    whole = bytearray(connect(device.token, "c", 4))
    whole[9] |= 0x20
    assert peer(version=4).send(bytes(whole)).rest() == []


def test_reasons_of_unsuback(device, peer):
    client = peer(device.token)
    client.subscribe("a")
    client.send(packet(0xA2, b"\0\1" + properties(()) + text("a") + text("b")))
    assert client.expect(UNSUBACK).reasons == (0, 0x11)


@pytest.mark.parametrize("handling", [0, 1, 2])
def test_retain_handling_says_when_retained_messages_are_sent(device, peer, handling):
    client = peer(device.token)
    client.publish("state", "on", 1, retain=True)
    for is_first in (True, False):
        client.subscribe(("state", 1 | handling << 4))
        if handling == 0 or (handling == 1 and is_first):
            assert client.message().is_retained
        client.nothing_more()


def test_retain_as_published(device, peer):
    keeps, plain, sender = peer(device.token, "k"), peer(device.token, "p"), peer(device.token, "s")
    keeps.subscribe(("state", 1 | 8))
    plain.subscribe(("state", 1))
    sender.publish("state", "on", 1, retain=True)
    sender.publish("state", "off", 1)
    assert [keeps.message().is_retained for _ in range(2)] == [True, False]
    assert [plain.message().is_retained for _ in range(2)] == [False, False]


def test_retained_message_has_its_properties_and_expires(device, peer):
    client = peer(device.token)
    client.publish("short", "1", 1, retain=True, with_=[(MESSAGE_EXPIRY, 1)])
    client.publish("long", "2", 1, retain=True, with_=[(MESSAGE_EXPIRY, 100), (USER_PROPERTY, ("k", "v"))])
    time.sleep(1.1)
    client.subscribe("short", "long")
    found = client.message()
    assert (found.payload, found.all(USER_PROPERTY)) == (b"2", [("k", "v")]) and 90 <= found.all(MESSAGE_EXPIRY)[
        0
    ] < 100
    client.nothing_more()


def test_quota_of_qos_2_counts_until_pubcomp(device, peer):
    client, sender = peer(device.token, "c", with_=((RECEIVE_MAXIMUM, 1),)), peer(device.token, "s")
    assert client.subscribe(("a", 2)) == (2,)
    for number in range(2):
        sender.publish("a", str(number), 2)
    first = client.expect(PUBLISH)
    client.send(ack(PUBREC, first.packet_id))
    client.expect(PUBREL)
    client.nothing_more()
    client.send(ack(PUBCOMP, first.packet_id))
    assert client.message().payload == b"1"
