"""What every MQTT broker must do, over real sockets, in versions 3.1.1 and 5.

The scenarios are those of the Eclipse interoperability tests; the code is ours.
"""

import pytest

from tests.mqtt.raw import (
    ASSIGNED_ID,
    CONNACK,
    CONTENT_TYPE,
    CORRELATION,
    PAYLOAD_FORMAT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    RESPONSE_TOPIC,
    SESSION_EXPIRY,
    STORED,
    SUBACK,
    UNSUBACK,
    USER_PROPERTY,
    Will,
    ack,
    connect,
    disconnect,
    kept,
    point,
    publish,
    subscribe,
    unsubscribe,
)  # fmt: skip

versions = pytest.mark.parametrize("version", [4, 5])
all_versions = pytest.mark.parametrize("version", [3, 4, 5])


@all_versions
def test_basic(device, peer, version):
    client = peer(device.token, version=version)
    assert client.subscribe(("a/b", 0)) == (0,)
    for number in range(3):
        client.send(publish("a/b", f"qos 0, {number}", version=version))
    found = [client.message() for _ in range(3)]
    assert [(one.topic, one.payload, one.flags) for one in found] == [
        ("a/b", f"qos 0, {number}".encode(), 0) for number in range(3)
    ]
    client.send(disconnect())
    assert client.rest() == []


@all_versions
def test_messages_of_each_qos_reach_another_client(device, peer, version):
    listener, sender = peer(device.token, "l", version), peer(device.token, "s", version)
    assert listener.subscribe(("a", 1)) == (1,)
    for qos in (0, 1, 2):
        sender.publish("a", f"qos {qos}", qos)
    found = [listener.message() for _ in range(3)]
    assert [(one.payload, one.qos) for one in found] == [(b"qos 0", 0), (b"qos 1", 1), (b"qos 2", 1)]
    listener.nothing_more()


@versions
def test_packets_that_arrive_byte_by_byte(device, peer, version):
    client = peer(version=version)
    for byte in connect(device.token, "c", version):
        client.send(bytes((byte,)))
    assert client.expect(CONNACK).reasons == (0,)
    for byte in subscribe("a", version=version) + publish("a", "slow", 1, version=version):
        client.send(bytes((byte,)))
    assert {client.next().kind for _ in range(3)} == {SUBACK, PUBACK, PUBLISH}


@versions
def test_many_packets_in_one_write_are_answered_in_order(device, peer, version):
    client = peer(device.token, version=version)
    numbers = range(1, 31)
    client.send(*[publish(STORED, point(number), 1 + number % 2, number, version=version) for number in numbers])
    found = [client.next() for _ in numbers]
    assert [(one.kind, one.packet_id) for one in found] == [
        (PUBREC if number % 2 else PUBACK, number) for number in numbers
    ]
    assert sorted(device.values()) == [*numbers]


def test_empty_client_id(device, peer):
    for version in (3, 4, 5):
        assert not peer(device.token, "", version).welcome.is_present
    for version in (3, 4):
        old = peer(version=version).send(connect(device.token, "", version, clean=False))
        assert old.rest() == [(CONNACK, 2)]
    (chosen,) = peer(device.token, "", clean=False, with_=((SESSION_EXPIRY, 60),)).welcome.all(ASSIGNED_ID)
    again = peer(device.token, chosen, clean=False)
    assert again.welcome.is_present and again.welcome.all(ASSIGNED_ID) == []


@all_versions
def test_messages_wait_for_a_client_that_is_away(device, peer, version):
    client = peer(device.token, "away", version, **kept(version))
    assert not client.welcome.is_present
    client.subscribe(("+/+", 1))
    client.send(disconnect()).rest()
    sender = peer(device.token, "s", version)
    for qos, topic in enumerate(("a/0", "a/1", "a/2")):
        sender.publish(topic, topic, qos)
    client = peer(device.token, "away", version, **kept(version))
    assert client.welcome.is_present is (version > 3), "3.1 has no flag for it"
    assert [client.message().topic for _ in range(2)] == ["a/1", "a/2"]
    client.nothing_more()
    assert not peer(device.token, "away", version).welcome.is_present, "a clean start ends the kept session"


@versions
def test_overlapping_subscriptions_give_one_message_of_the_highest_qos(device, peer, version):
    client = peer(device.token, version=version)
    client.subscribe(("a/#", 0), ("a/+", 1), ("a/b", 0))
    client.publish("x", "", 1)
    client.send(publish("a/b", "once", 1, version=version))
    found = [client.next(), client.next()]
    assert sorted((one.kind, one.qos) for one in found) == [(PUBLISH, 1), (PUBACK, 0)]
    client.nothing_more()


@versions
def test_subscribing_again_replaces_the_qos(device, peer, version):
    client, sender = peer(device.token, "c", version), peer(device.token, "s", version)
    for qos in (1, 0, 1):
        assert client.subscribe(("a", qos)) == (qos,)
        sender.publish("a", "x", 1)
        assert client.message().qos == qos
    client.nothing_more()


@versions
def test_silent_client_is_disconnected_and_its_will_sent(device, peer, version):
    watcher = peer(device.token, "w", version)
    watcher.subscribe("wills")
    silent = peer(device.token, "silent", version, keep_alive=1, will=Will("wills", "gone", 1))
    pinging = peer(device.token, "pinging", version, keep_alive=60, will=Will("wills", "never", 1))
    assert watcher.message().payload == b"gone"
    assert silent.rest() == ([(14, 0x8D)] if version == 5 else [])
    pinging.nothing_more()


@versions
def test_client_that_pings_stays_connected(device, peer, version):
    client = peer(device.token, version=version, keep_alive=1)
    client.link.socket.settimeout(0.5)
    for _ in range(7):
        client.send(PINGREQ)
        assert client.next().kind == 13
        with pytest.raises(TimeoutError):
            client.next(wait_s=0.5)


@versions
def test_unacknowledged_message_comes_again_marked(device, peer, version):
    client = peer(device.token, "again", version, **kept(version))
    client.subscribe(("a", 1))
    peer(device.token, "s", version).publish("a", "1", 1)
    first = client.expect(PUBLISH)
    client.vanish()
    for _ in range(2):
        client = peer(device.token, "again", version, **kept(version))
        found = client.expect(PUBLISH)
        assert found.is_again and (found.packet_id, found.payload) == (first.packet_id, b"1")
        client.vanish()
    client = peer(device.token, "again", version, **kept(version))
    client.message()
    client.nothing_more()
    client.vanish()
    peer(device.token, "again", version, **kept(version)).nothing_more()


@versions
@pytest.mark.parametrize("pattern", ["#", "+/b", "+/#"])
def test_wildcard_at_the_start_matches_no_topic_with_a_dollar(device, peer, version, pattern):
    client = peer(device.token, version=version)
    client.subscribe((pattern, 0))
    client.send(publish("$a/b", "hidden", version=version), publish("a/b", "shown", version=version))
    assert client.message().payload == b"shown"
    client.subscribe(("$a/#", 0))
    client.send(publish("$a/b", "named", version=version))
    assert client.message().payload == b"named"
    client.nothing_more()


MATCHES = {
    "a/b": {"a/b"},
    "a/+": {"a/b", "a/"},
    "+/+": {"a/b", "a/", "/b", "/"},
    "/+": {"/b", "/"},
    "+": {"a"},
    "#": {"a", "a/b", "a/", "/b", "/", "a/b/c"},
    "a/#": {"a", "a/b", "a/", "a/b/c"},
    "+/b/#": {"a/b", "/b", "a/b/c"},
    "/": {"/"},
}


@all_versions
@pytest.mark.parametrize("pattern", MATCHES)
def test_filters(device, peer, version, pattern):
    client = peer(device.token, version=version)
    client.subscribe((pattern, 0))
    sent = ["a", "a/b", "a/", "/b", "/", "a/b/c"]
    client.send(*[publish(topic, version=version) for topic in sent])
    found = {client.message().topic for _ in MATCHES[pattern]}
    assert found == MATCHES[pattern]
    client.nothing_more()


@versions
@pytest.mark.parametrize("pattern", ["", "a#", "#/a", "a+", "+a/b", "a/#/b"])
def test_invalid_filter_ends_the_connection_or_is_refused(device, peer, version, pattern):
    client = peer(device.token, version=version)
    client.send(subscribe(("ok", 1), (pattern, 1), version=version))
    found = client.next()
    if found is not None and found.kind == SUBACK:
        assert found.reasons == (1, 0x8F if version == 5 else 0x80)
        client.nothing_more()
    else:
        assert version == 4 or found.kind == 14


@versions
def test_unsubscribe(device, peer, version):
    client = peer(device.token, version=version)
    client.subscribe(("a", 0), ("b", 0))
    client.send(unsubscribe("a", "never", version=version))
    answer = client.expect(UNSUBACK)
    assert answer.reasons == ((0, 0x11) if version == 5 else ())
    client.send(publish("a", version=version), publish("b", version=version))
    assert client.message().topic == "b"
    client.nothing_more()


@versions
def test_second_connect_ends_the_connection(device, peer, version):
    client = peer(device.token, version=version)
    client.send(connect(device.token, "c", version))
    assert client.rest() == ([(14, 0x82)] if version == 5 else [])


@all_versions
@pytest.mark.parametrize("is_clean_end", [True, False])
def test_will_is_sent_only_if_the_connection_breaks(device, peer, version, is_clean_end):
    watcher = peer(device.token, "w", version)
    watcher.subscribe("wills")
    client = peer(device.token, version=version, will=Will("wills", "gone", 1))
    if is_clean_end:
        client.send(disconnect())
        client.rest()
    else:
        client.vanish()
        found = watcher.message()
        assert (found.payload, found.qos) == (b"gone", 1)
    watcher.nothing_more()


def test_will_is_sent_on_request(device, peer):
    watcher = peer(device.token, "w")
    watcher.subscribe("wills")
    peer(device.token, "c", will=Will("wills", "asked for")).send(disconnect(0x04))
    assert watcher.message().payload == b"asked for"


@versions
def test_second_connection_takes_the_client_id_over(device, peer, version):
    watcher = peer(device.token, "w", version)
    watcher.subscribe("wills")
    first = peer(device.token, "same", version, will=Will("wills", "taken over", 1))
    second = peer(device.token, "same", version)
    assert first.rest() == ([(14, 0x8E)] if version == 5 else [])
    assert watcher.message().payload == b"taken over"
    second.nothing_more()


def test_session_ends_with_its_expiry(device, peer):
    for expiry_s in (0, 300):
        peer(device.token, "kept", with_=((SESSION_EXPIRY, expiry_s),)).vanish()
        again = peer(device.token, "kept", clean=False, with_=((SESSION_EXPIRY, 300),))
        assert again.welcome.is_present is bool(expiry_s)
    again.send(disconnect(0, ((SESSION_EXPIRY, 0),))).rest()
    assert not peer(device.token, "kept", clean=False).welcome.is_present, "DISCONNECT may shorten it"


def test_session_of_a_second_is_gone_later(device, peer):
    watcher = peer(device.token, "w")
    peer(device.token, "short", with_=((SESSION_EXPIRY, 1),)).vanish()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            watcher.next(wait_s=0.5)
    assert not peer(device.token, "short", clean=False).welcome.is_present


def test_no_local_and_its_absence(device, peer):
    client, other = peer(device.token, "c"), peer(device.token, "o")
    client.subscribe(("a", 0 | 4), ("b", 0))
    client.send(publish("a", "own"), publish("b", "own"))
    assert client.message().topic == "b"
    other.publish("a", "of the other")
    assert client.message().payload == b"of the other"
    client.nothing_more()


def test_properties_of_a_message_are_handed_on_in_their_order(device, peer):
    listener, sender = peer(device.token, "l"), peer(device.token, "s")
    listener.subscribe("a")
    sent = [(PAYLOAD_FORMAT, 1), (CONTENT_TYPE, "text/plain"), (RESPONSE_TOPIC, "answers"), (CORRELATION, b"\0\xff"),
            (USER_PROPERTY, ("b", "1")), (USER_PROPERTY, ("a", "2")), (USER_PROPERTY, ("b", "1"))]  # fmt: skip
    for qos in (0, 1):
        sender.publish("a", "asked", qos, with_=sent)
        assert listener.message().properties == sent
    old = peer(device.token, "old", 4)
    old.subscribe("a")
    sender.publish("a", "asked", with_=sent)
    found = old.message()
    assert (found.payload, found.properties) == (b"asked", [])


def test_request_and_response(device, peer):
    responder, asker = peer(device.token, "r"), peer(device.token, "a")
    responder.subscribe("requests")
    asker.subscribe("answers/1")
    asker.publish("requests", "how warm?", 1, with_=((RESPONSE_TOPIC, "answers/1"), (CORRELATION, b"7")))
    asked = responder.message()
    (topic,), (correlation,) = asked.all(RESPONSE_TOPIC), asked.all(CORRELATION)
    responder.publish(topic, "21.5", 1, with_=((CORRELATION, correlation),))
    found = asker.message()
    assert (found.payload, found.all(CORRELATION)) == (b"21.5", [b"7"])


def test_packet_that_is_too_large_ends_the_connection(device, peer):
    client = peer(device.token)
    (limit,) = client.welcome.all(0x27)
    assert limit >= 131_072
    client.send(b"\x30\xff\xff\xff\x7f")
    assert client.rest() == [(14, 0x95)]


def test_released_qos_2_message_is_delivered_once(device, peer):
    listener, sender = peer(device.token, "l"), peer(device.token, "s")
    listener.subscribe("a")
    for dup in (False, True, True):
        sender.send(publish("a", "2", 2, 7, dup=dup))
        assert sender.expect(PUBREC).packet_id == 7
    sender.send(ack(PUBREL, 7))
    assert sender.expect(PUBCOMP).reasons == (0,)
    listener.message()
    listener.nothing_more()
