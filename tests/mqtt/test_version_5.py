"""What MQTT 5 asks of a server, and what all versions forbid: raw packets on sockets of the real program."""

import json

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from embedded.mqtt.reading import Reader
from tests.mqtt.test_broker import STORED, WAIT_S, _connect, _text
from tests.mqtt.test_outgoing import PING, PINGRESP, connect_5

EXPIRY_300 = b"\x11\x00\x00\x01\x2c"


def read(link):
    """Read a packet; return its first byte and its body, or None if the connection was closed instead."""
    head = link.read(2)
    if len(head) < 2:
        return None
    length = head[1] & 127
    if head[1] > 127:
        length |= link.read(1)[0] << 7
    return head[0], link.read(length)


def properties(raw):
    """Return the properties that CONNACK may have, by their number."""
    reader, found = Reader(raw), {}
    length = reader.variable()
    assert length == len(raw) - 1
    while not reader.is_empty:
        name = reader.byte()
        found[name] = {
            0x11: reader.four, 0x27: reader.four, 0x13: reader.two, 0x21: reader.two, 0x2A: reader.byte,
            0x12: reader.text,
        }[name]()  # fmt: skip
    return found


@pytest.fixture
def opened(raw, device):
    """Return a function that connects with version 5; it returns the socket and the properties of CONNACK."""

    def do(*args, **options):
        link = raw().send(connect_5(device.token, *args, **options))
        first, body = read(link)
        assert (first, body[1]) == (0x20, 0), body
        return link, properties(body[2:])

    return do


def packet(first, *parts):
    body = b"".join(parts)
    return bytes((first, len(body))) + body


@pytest.mark.parametrize(("name", "level"), [("MQTT", 0x84), ("MQIsdp", 0x83), ("MQTT", 6), ("MQTX", 4)])
def test_other_protocol_level_gets_return_code_1_so_that_a_bridge_falls_back(raw, device, name, level):
    body = _text(name) + bytes((level, 0xC2, 0, 60)) + _text("bridge") + _text("T") + _text(device.token)
    link = raw().send(packet(0x10, body))
    assert link.read(4) == b"\x20\x02\x00\x01" and link.is_closed()


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (b"\x15\x00\x01x", 0x8C), (b"\x16\x00\x01x", 0x82), (b"\x21\x00\x00", 0x82), (b"\x27\x00\x00\x00\x00", 0x82),
        (b"\x11\x00\x00\x00\x01" * 2, 0x82), (b"\x23\x00\x01", 0x81), (b"\x7f", 0x81), (b"\x27\x00\x00\x00\x09", 0x95),
    ],
)  # fmt: skip
def test_refused_connects_of_version_5_get_the_reason(raw, device, named, reason):
    link = raw().send(connect_5(device.token, properties=named))
    assert read(link) == (0x20, bytes((0, reason, 0))) and link.is_closed()


def test_malformed_connect_before_version_5_is_closed_without_an_answer(raw, device):
    link = raw().send(packet(0x10, _text("MQTT"), bytes((4, 0xC3, 0, 60)), _text("c"), _text("T"), _text(device.token)))
    assert link.read(1) == b""


def test_client_ids_are_limited(raw, device):
    assert raw().send(connect_5(device.token, "x" * 1_024)).read(1) == b"\x20"
    link = raw().send(connect_5(device.token, "ü" * 513))
    assert read(link) == (0x20, b"\x00\x85\x00") and link.is_closed()


def test_connack_names_what_the_broker_decided(opened):
    _, named = opened("", keep_alive=0, properties=b"\x11\xff\xff\xff\xff")
    assert named.pop(0x12).startswith("auto-")
    assert named == {0x11: 86_400, 0x13: 30, 0x21: 10_000, 0x27: 132_096, 0x2A: 0}
    _, named = opened("c", keep_alive=5)
    assert named == {0x11: 0, 0x21: 10_000, 0x27: 132_096, 0x2A: 0}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (packet(0x30, b"\x00\x00\x00x"), 0x82), (packet(0x30, b"\x00\x01a\x03\x23\x00\x01x"), 0x94),
        (packet(0x38, b"\x00\x01a\x00x"), 0x81), (packet(0x30, b"\x00\x01#\x00x"), 0x90),
        (packet(0x32, b"\x00\x01a\x00\x00\x00x"), 0x82), (packet(0x30, b"\x00\x01a\x02\x0b\x01x"), 0x81),
        (packet(0x82, b"\x00\x01\x00\x00\x01a\x31"), 0x82), (packet(0x82, b"\x00\x01\x00\x00\x01a\x41"), 0x81),
        (packet(0x82, b"\x00\x01\x02\x0b\x00\x00\x01a\x01"), 0x82), (packet(0x82, b"\x00\x01\x00"), 0x82),
        (packet(0xC0, b"\x00"), 0x81), (packet(0x62, b"\x00\x00"), 0x82), (packet(0xF0, b"\x18"), 0x82),
        (packet(0xE0, b"\x00\x05\x11\x00\x00\x00\x01"), 0x82), (packet(0x20, b"\x00\x00"), 0x82),
        (packet(0x80, b"\x00\x01\x00\x00\x01a\x01"), 0x81), (connect_5("x" * 36), 0x82),
    ],
)  # fmt: skip
def test_what_the_standard_forbids_ends_the_connection_with_the_reason(opened, sent, reason):
    link, _ = opened()
    first, body = read(link.send(sent))
    assert (first, body[0]) == (0xE0, reason) and link.is_closed()


@pytest.mark.parametrize(
    "sent", [packet(0xC0, b"\x00"), packet(0xE0, b"\x00"), packet(0x40, b"\x00\x01\x00"), packet(0x38, b"\x00\x01ax")]
)
def test_bodies_and_flags_that_3_1_1_does_not_have_end_the_connection(raw, device, sent):
    link = raw().send(_connect(device.token, "c"))
    assert link.read(4) == b"\x20\x02\x00\x00"
    assert link.send(sent + PING).read(1) == b""


def test_unknown_packet_ids_of_qos_2_are_told(opened, raw, device):
    link, _ = opened()
    assert read(link.send(packet(0x62, b"\x00\x07"))) == (0x70, b"\x00\x07\x92")
    assert read(link.send(packet(0x50, b"\x00\x07"))) == (0x62, b"\x00\x07\x92")
    assert read(link.send(packet(0x70, b"\x00\x07") + packet(0x40, b"\x00\x07") + PING)) == (0xD0, b"")
    old = raw().send(_connect(device.token, "old"))
    assert old.read(4) == b"\x20\x02\x00\x00"
    assert old.send(packet(0x62, b"\x00\x07")).read(4) == b"\x70\x02\x00\x07"
    assert old.send(packet(0x50, b"\x00\x07")).read(4) == b"\x62\x02\x00\x07"


def test_subscriptions_that_are_not_offered_get_their_reasons(opened):
    link, _ = opened()
    names = ("$share/g/a", "a/#/b", "/".join("a" * 129), "x" * 1_025, "/".join("a" * 128))
    filters = b"".join(_text(name) + b"\x01" for name in names)
    length = 3 + len(filters)
    link.send(bytes((0x82, length & 127 | 128, length >> 7)) + b"\x00\x01\x00" + filters)
    assert read(link) == (0x90, b"\x00\x01\x00\x9e\x8f\x8f\x8f\x01")


def test_answer_that_is_larger_than_the_client_takes_ends_the_connection(opened):
    link, _ = opened(properties=b"\x27\x00\x00\x00\x14")
    assert read(link.send(packet(0x82, b"\x00\x01\x00" + b"\x00\x01a\x01" * 20))) == (0xE0, b"\x95")
    assert link.is_closed()


BAD = json.dumps([{"variable": "a b", "value": 1}]).encode()
GOOD = json.dumps([{"variable": "n", "value": 1}]).encode()


@pytest.mark.parametrize(("qos", "kind"), [(1, 0x40), (2, 0x50)])
def test_payload_that_cannot_be_stored_is_refused_with_0x99_and_its_packet_id_is_free(opened, device, qos, kind):
    link, _ = opened(flags=0xC0, properties=EXPIRY_300)
    sent = [packet(0x30 | qos << 1, _text(STORED), b"\x00\x07\x00", payload) for payload in (BAD, GOOD)]
    assert read(link.send(sent[0])) == (kind, b"\x00\x07\x99")
    assert read(link.send(sent[1])) == (kind, b"\x00\x07")
    assert device.values() == [1]


@pytest.mark.parametrize(("qos", "kind"), [(1, 0x40), (2, 0x50)])
def test_payload_that_cannot_be_stored_is_acknowledged_before_version_5(raw, device, qos, kind):
    link = raw().send(_connect(device.token, "c"))
    assert link.read(4) == b"\x20\x02\x00\x00"
    assert read(link.send(packet(0x30 | qos << 1, _text(STORED), b"\x00\x07", BAD))) == (kind, b"\x00\x07")
    assert device.values() == []


def _given(kind, **named):
    found = Properties(kind)
    for name, value in named.items():
        setattr(found, name, value)
    return found


def test_properties_of_messages_and_wills_are_handed_on(device, connect):
    about = {
        "UserProperty": [("b", "1"), ("a", "2"), ("b", "3")], "ContentType": "text/x", "ResponseTopic": "r",
        "CorrelationData": b"\x00\xff", "PayloadFormatIndicator": 1,
    }  # fmt: skip
    watcher = connect(device.token, version="5", subscribe=["a", "will"])
    old = connect(device.token, version="3.1.1", subscribe=["a"])
    client = connect(device.token, version="5")
    client.publish("a", "x", properties=_given(PacketTypes.PUBLISH, MessageExpiryInterval=60, **about))
    found = watcher.messages.get(timeout=WAIT_S)
    assert {name: getattr(found.properties, name) for name in about} == about
    assert found.properties.MessageExpiryInterval == 60
    assert old.next() == ("a", b"x")
    client.close()
    dying = connect(
        device.token,
        "dying",
        version="5",
        will=("will", "gone", 1, False, _given(PacketTypes.WILLMESSAGE, MessageExpiryInterval=30, **about)),
    )
    dying.vanish()
    found = watcher.messages.get(timeout=WAIT_S)
    assert found.payload == b"gone" and {name: getattr(found.properties, name) for name in about} == about
    assert found.properties.MessageExpiryInterval == 30


def test_all_answers_to_one_write_come_in_its_order(raw, device):
    for number in range(20):
        link = raw().send(_connect(device.token, f"c{number}") + b"\x82\x06\x00\x01\x00\x01a\x01" + PING)
        assert link.read(11) == b"\x20\x02\x00\x00" + b"\x90\x03\x00\x01\x01" + PINGRESP
