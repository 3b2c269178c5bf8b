"""The packet codec, with packets written by hand from the two specifications, and with random bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.codec import topics
from embedded.mqtt import answers, packets
from embedded.mqtt.incoming import Incoming
from embedded.mqtt.packets import Message, Will
from embedded.mqtt.reading import Malformed

NOW_MS = 1_700_000_000_000
# MQTT 3.1.1, from figure 3.6 on: CONNECT with user name, password, will QoS 1, clean session, keep-alive 10.
CONNECT_311 = bytes.fromhex(
    "0004 4d515454 04 ce 000a 0002 6964 0004 77696c6c 0003 627965 0005 546f6b656e 0002 7077".replace(" ", "")
)
# MQTT 5.0, section 3.1: the same with session expiry 300, receive maximum 20, and a will delay of 5.
CONNECT_5 = bytes.fromhex(
    "0004 4d515454 05 ce 000a 08 11 0000012c 21 0014 0002 6964 05 18 00000005 0004 77696c6c 0003 627965"
    "0005 546f6b656e 0002 7077".replace(" ", "")
)
CONNECT_31 = bytes.fromhex("0006 4d5149736470 03 c2 003c 0001 61 0001 75 0001 70".replace(" ", ""))


def test_connect_of_each_version():
    old = packets.read_connect(CONNECT_311)
    assert (old.version, old.client_id, old.is_clean, old.keep_alive_s) == (4, "id", True, 10)
    assert (old.username, old.password, old.will) == ("Token", b"pw", Will(Message("will", b"bye", 1), 0))
    new = packets.read_connect(CONNECT_5)
    assert new[1:6] == old[1:6] and new.version == 5 and new.will == Will(Message("will", b"bye", 1), 5)
    assert (new.expiry_s, new.receive_maximum, new.max_packet_bytes) == (300, 20, packets.MAX)
    assert (old.expiry_s, old.receive_maximum, old.max_packet_bytes) == (0, 65_535, packets.MAX)
    oldest = packets.read_connect(CONNECT_31)
    assert (oldest.version, oldest.client_id, oldest.username, oldest.password) == (3, "a", "u", b"p")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("0004 4d515454 06 c2 003c 0001 61", packets.UNSUPPORTED_VERSION),
        ("0004 4d515458 04 c2 003c 0001 61", packets.UNSUPPORTED_VERSION),
        ("0004 4d515454 04 c3 003c 0001 61", packets.MALFORMED),
        ("0004 4d515454 04 0a 003c 0001 61", packets.MALFORMED),
        ("0004 4d515454 04 02 003c 0002 61", packets.MALFORMED),
        ("0004 4d515454 04 02 003c 0001 ff", packets.MALFORMED),
        ("0004 4d515454 04 02 003c 0001 00", packets.MALFORMED),
        ("0004 4d515454 04 02 003c 0001 61 00", packets.MALFORMED),
        ("0004 4d515454 05 02 003c 02 ff01 0001 61", packets.MALFORMED),
        ("0004 4d515454 05 02 003c 0a 11 00000001 11 00000001 0001 61", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 02 003c 80808080 0001 61", packets.MALFORMED),
        ("0004 4d515454 04 1e 003c 0001 61 0001 77 0000", packets.MALFORMED),
        ("0004 4d515454 04 42 003c 0001 61 0001 62", packets.MALFORMED),
        ("0004 4d515454 84 02 003c 0001 61", packets.UNSUPPORTED_VERSION),
        ("0004 4d515454 05 02 003c 03 21 0000 0001 61", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 02 003c 05 27 00000000 0001 61", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 02 003c 02 17 02 0001 61", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 02 003c 02 19 02 0001 61", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 02 003c 05 02 00000001 0001 61", packets.MALFORMED),
        ("0004 4d515454 05 02 003c 03 11 0000 0001 61", packets.MALFORMED),
        ("0004 4d515454 05 02 003c 04 15 0001 61 0001 61", packets.BAD_AUTHENTICATION_METHOD),
        ("0004 4d515454 05 02 003c 04 16 0001 61 0001 61", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 06 003c 00 0001 61 03 08 0000 0001 77 0000", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 06 003c 00 0001 61 05 08 0002 612b 0001 77 0000", packets.PROTOCOL_ERROR),
        ("0004 4d515454 05 06 003c 00 0001 61 00 0001 23 0000", packets.BAD_TOPIC),
    ],
)
def test_bad_connects_are_named(body, reason):
    with pytest.raises(Malformed) as error:
        packets.read_connect(bytes.fromhex(body.replace(" ", "")))
    assert error.value.reason == reason


def test_will_has_its_own_properties():
    body = "0004 4d515454 05 26 003c 00 0001 61 13 18 00000007 02 0000000a 26 0001 6b 0001 76 01 01 0001 77 0001 78"
    will = packets.read_connect(bytes.fromhex(body.replace(" ", ""))).will
    assert will == Will(Message("w", b"x", 0, bytes.fromhex("2600016b0001760101"), is_retained=True), 7, 10)
    assert will.due(NOW_MS).expires_ms == NOW_MS + 10_000 and Will(Message("w", b""), 0).due(NOW_MS).expires_ms is None


def test_publish_of_each_kind():
    found = packets.read_publish(0x3A, b"\x00\x03a/b\x00\x0apayload", 4, NOW_MS)
    assert found == (Message("a/b", b"payload", 1), 10, True)
    new = packets.read_publish(0x34, b"\x00\x01a\x00\x01\x02\x01\x01x", 5, NOW_MS)
    assert new == (Message("a", b"x", 2, b"\x01\x01"), 1, False)
    assert packets.read_publish(0x30, b"\x00\x01a", 4, NOW_MS) == (Message("a", b""), 0, False)


HANDED_ON = bytes.fromhex(
    "26 0001 61 0001 62 01 01 03 0001 63 26 0001 61 0001 7a 08 0001 72 09 0002 ff00".replace(" ", "")
)


def test_properties_are_handed_on_in_their_order_but_for_the_expiry_which_is_lowered():
    sent = b"\x00\x01a" + bytes((len(HANDED_ON) + 5,)) + HANDED_ON[:7] + b"\x02\x00\x00\x00\x3c" + HANDED_ON[7:] + b"x"
    message = packets.read_publish(0x31, sent, 5, NOW_MS).message
    assert message == Message("a", b"x", 0, HANDED_ON, is_retained=True, expires_ms=NOW_MS + 60_000)
    assert message.size_bytes == 2 + len(HANDED_ON) and Message("ü", b"x").size_bytes == 3
    left = b"\x02\x00\x00\x00\x0a"
    for later_ms in (50_000, 50_999):
        found = answers.publish(message, 5, 0, 0, now_ms=NOW_MS + later_ms, identifiers=(1, 200))
        body = b"\x00\x01a" + bytes((len(HANDED_ON) + 10,)) + HANDED_ON + left + b"\x0b\x01\x0b\xc8\x01" + b"x"
        assert found == bytes((0x30, len(body))) + body
    assert answers.publish(message, 4, 0, 0, now_ms=NOW_MS, is_retained=True) == b"\x31\x04\x00\x01ax"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("0000 00", packets.PROTOCOL_ERROR), ("0000 03 23 0001", packets.BAD_ALIAS), ("0001 61 03 23 0001", packets.BAD_ALIAS),
        ("0001 61 02 01 02", packets.PROTOCOL_ERROR), ("0001 61 02 0b 01", packets.MALFORMED),
        ("0001 61 05 11 00000001", packets.MALFORMED), ("0001 61 04 01 01 01 01", packets.PROTOCOL_ERROR),
        ("0001 61 04 08 0001 23", packets.PROTOCOL_ERROR), ("0001 61 02 ff 01", packets.MALFORMED),
        ("0001 61 05 26 0001 61 00", packets.MALFORMED), ("0001 61 09", packets.MALFORMED),
        ("0001 61 8d27" + "26 0000 0000" * 1_001, packets.QUOTA_EXCEEDED),
    ],
)  # fmt: skip
def test_bad_properties_of_a_publish_are_named(body, reason):
    with pytest.raises(Malformed) as error:
        packets.read_publish(0x30, bytes.fromhex(body.replace(" ", "")), 5, NOW_MS)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("read", "body", "version", "reason"),
    [
        (packets.read_subscribe, "0001 0001 61 03", 4, packets.MALFORMED),
        (packets.read_subscribe, "0001 0001 61 04", 4, packets.MALFORMED),
        (packets.read_subscribe, "0001 0001 61 40", 4, packets.MALFORMED),
        (packets.read_subscribe, "0001 00 0001 61 43", 5, packets.MALFORMED),
        (packets.read_subscribe, "0001 00 0001 61 80", 5, packets.MALFORMED),
        (packets.read_subscribe, "0001 00 0001 61 30", 5, packets.PROTOCOL_ERROR),
        (packets.read_subscribe, "0001 00 000a 2473686172652f672f61 04", 5, packets.PROTOCOL_ERROR),
        (packets.read_subscribe, "0001 02 0b00 0001 61 00", 5, packets.PROTOCOL_ERROR),
        (packets.read_subscribe, "0001 04 0b01 0b02 0001 61 00", 5, packets.PROTOCOL_ERROR),
        (packets.read_subscribe, "0000 00 0001 61 00", 5, packets.PROTOCOL_ERROR),
        (packets.read_subscribe, "0001 00", 5, packets.PROTOCOL_ERROR),
        (packets.read_subscribe, "0001" + "0001 61 01" * 1_001, 4, packets.QUOTA_EXCEEDED),
        (packets.read_unsubscribe, "0001" + "0001 61" * 1_001, 4, packets.QUOTA_EXCEEDED),
        (packets.read_unsubscribe, "0001", 4, packets.PROTOCOL_ERROR),
        (packets.read_unsubscribe, "0001 02 0b01 0001 61", 5, packets.MALFORMED),
        (packets.read_ack, "0000", 4, packets.PROTOCOL_ERROR),
        (packets.read_ack, "0001 00", 4, packets.MALFORMED),
        (packets.read_ack, "0001 00 02 1900", 5, packets.MALFORMED),
        (packets.read_ack, "0001 00 00 00", 5, packets.MALFORMED),
        (packets.read_disconnect, "00", 4, packets.MALFORMED),
        (packets.read_disconnect, "00 00 00", 5, packets.MALFORMED),
        (packets.read_disconnect, "00 0a 11 00000001 11 00000001", 5, packets.PROTOCOL_ERROR),
    ],
)
def test_what_the_standard_forbids_is_refused(read, body, version, reason):
    with pytest.raises(Malformed) as error:
        read(bytes.fromhex(body.replace(" ", "")), version)
    assert error.value.reason == reason


def test_most_filters_and_user_properties_that_a_packet_may_have():
    assert len(packets.read_subscribe(b"\x00\x01" + b"\x00\x01a\x01" * 1_000, 4).filters) == 1_000
    assert len(packets.read_unsubscribe(b"\x00\x01" + b"\x00\x01a" * 1_000, 4).filters) == 1_000
    found = packets.read_publish(0x30, b"\x00\x01a\x88\x27" + b"\x26\x00\x00\x00\x00" * 1_000, 5, NOW_MS)
    assert len(found.message.properties) == 5_000


def test_requests_of_version_5_with_their_properties():
    found = packets.read_subscribe(bytes.fromhex("00010a0bc80126000161000162" + "0001612e" + "00016200"), 5)
    assert found == (1, [("a", 0x2E), ("b", 0)], 200)
    assert packets.read_subscribe(b"\x00\x01\x00\x01a\x02", 4) == (1, [("a", 2)], 0)
    assert packets.read_ack(b"\x00\x07", 4) == packets.read_ack(b"\x00\x07", 5) == (7, 0)
    assert packets.read_ack(b"\x00\x07\x92", 5) == packets.read_ack(b"\x00\x07\x92\x04\x1f\x00\x01a", 5) == (7, 0x92)
    assert packets.read_disconnect(b"", 4) == packets.read_disconnect(b"", 5) == (0, None)
    assert packets.read_disconnect(b"\x04\x05\x11\x00\x00\x00\x3c", 5) == (4, 60)


@pytest.mark.parametrize(
    ("first", "body", "version"),
    [
        (0x36, b"\x00\x01a\x00\x01", 4), (0x38, b"\x00\x01a", 4), (0x39, b"\x00\x01a\x00", 5), (0x32, b"\x00\x01a", 4), (0x32, b"\x00\x01a\x00\x00", 4), (0x30, b"", 4),
        (0x30, b"\x00\x00", 4), (0x30, b"\x00\x01#", 4), (0x30, b"\x00\x03a/+", 5), (0x30, b"\x00\x05a", 4),
        (0x30, b"\x00\x00\x03\x23\x00\x01", 5), (0x30, b"\x00\x01a\x03\x23\x00\x01", 5), (0x30, b"\x00\x01a", 5),
        (0x30, b"\x00\x01\xff", 4),
    ],
)  # fmt: skip
def test_bad_publishes_are_refused(first, body, version):
    with pytest.raises(Malformed):
        packets.read_publish(first, body, version, NOW_MS)


def test_answers_as_the_specifications_write_them():
    assert answers.connack(4, packets.NORMAL) == b"\x20\x02\x00\x00"
    assert answers.connack(4, packets.NORMAL, is_present=True) == b"\x20\x02\x01\x00"
    assert answers.connack(3, packets.NORMAL, is_present=True) == b"\x20\x02\x00\x00"
    assert [answers.connack(4, reason)[3] for reason in (0x84, 0x85, 0x86, 0x87, 0x88, 0x9F)] == [1, 2, 5, 5, 3, 3]
    assert answers.connack(5, packets.BAD_PASSWORD) == b"\x20\x03\x00\x86\x00"
    assert answers.ack(packets.PUBACK, 258, 4) == b"\x40\x02\x01\x02" == answers.ack(packets.PUBACK, 258, 5)
    assert answers.ack(packets.PUBREL, 1, 4) == b"\x62\x02\x00\x01"
    assert answers.ack(packets.PUBACK, 1, 5, 0x87) == b"\x40\x03\x00\x01\x87"
    assert answers.suback(1, 4, [0, 1, 0x8F]) == b"\x90\x05\x00\x01\x00\x01\x80"
    assert answers.suback(1, 5, [0, 0x8F]) == b"\x90\x05\x00\x01\x00\x00\x8f"
    assert (
        answers.unsuback(1, 4, [0]) == b"\xb0\x02\x00\x01"
        and answers.unsuback(1, 5, [0x11]) == b"\xb0\x04\x00\x01\x00\x11"
    )
    assert answers.publish(Message("a", b"x"), 4, 7, 1, now_ms=NOW_MS, is_again=True) == b"\x3a\x06\x00\x01a\x00\x07x"


def test_connack_of_version_5_says_what_there_is():
    found = answers.connack(5, 0, assigned="auto-1", expiry_s=60, max_bytes=1_000)
    assert found[4:] == b"\x18\x2a\x00\x11\x00\x00\x00\x3c\x27\x00\x00\x03\xe8\x21\xff\xff\x12\x00\x06auto-1"
    assert answers.connack(5, 0, keep_alive_s=30).endswith(b"\x13\x00\x1e")


messages = st.builds(
    Message,
    st.text(st.characters(blacklist_characters="+#\0", blacklist_categories=["Cs"]), min_size=1, max_size=40),
    st.binary(max_size=300),
    st.just(0),
    st.just(b""),
    st.booleans(),
    st.none(),
)


@given(messages, st.sampled_from([3, 4, 5]), st.integers(1, 65_535), st.sampled_from([0, 1]), st.integers(1, 9))
def test_message_comes_back_from_its_packet_in_whatever_pieces_it_arrives(message, version, packet_id, qos, size):
    written = answers.publish(message, version, packet_id, qos, now_ms=NOW_MS, is_retained=message.is_retained)
    incoming, found = Incoming(), None
    for at in range(0, len(written), size):
        assert found is None
        incoming.buffer += written[at : at + size]
        found = incoming.peek()
    assert found is not None
    got = packets.read_publish(*incoming.take(*found), version, NOW_MS)
    assert not incoming.buffer
    assert got.message == message._replace(qos=qos) and got.packet_id == (packet_id if qos else 0)


READERS = (
    packets.read_connect, lambda body: packets.read_ack(body, 5), lambda body: packets.read_subscribe(body, 4),
    lambda body: packets.read_subscribe(body, 5), lambda body: packets.read_unsubscribe(body, 5),
    lambda body: packets.read_disconnect(body, 5), lambda body: packets.read_publish(0x32, body, 4, NOW_MS),
    lambda body: packets.read_publish(0x30, body, 5, NOW_MS),
)  # fmt: skip


@given(st.sampled_from(READERS), st.binary(max_size=80) | st.sampled_from([CONNECT_311, CONNECT_5, CONNECT_31]).flatmap(
    lambda body: st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)).map(
        lambda change: body[: change[0]] + bytes((change[1],)) + body[change[0] + 1 :]
    )
))  # fmt: skip
def test_any_bytes_are_a_packet_or_malformed(read, body):
    try:
        read(body)
    except Malformed as error:
        assert 0x80 <= error.reason <= 0xA2


@given(st.binary(max_size=12))
def test_any_bytes_are_taken_or_wait_or_are_malformed(data):
    incoming = Incoming()
    incoming.buffer += data
    try:
        found = incoming.peek()
    except Malformed:
        return
    if found is not None:
        first, body = incoming.take(*found)
        assert first == data[0] and body == data[slice(*found)] and incoming.buffer == data[found[1] :]


def test_packet_that_is_too_large_is_refused_before_it_has_come():
    with pytest.raises(Malformed) as error:
        packets.measure(bytearray(b"\x30\xff\xff\x7f"), 0, 1_000)
    assert error.value.reason == packets.TOO_LARGE


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/+", "a/b/c", False), ("a/#", "a", True), ("a/#", "a/b/c", True),
        ("#", "a/b", True), ("#", "$SYS/a", False), ("+/a", "$SYS/a", False), ("$SYS/#", "$SYS/a", True),
        ("+", "/", False), ("+/+", "/", True), ("/+", "/a", True), ("a/+/c", "a//c", True), ("a", "a/", False),
    ],
)  # fmt: skip
def test_filters_match_as_the_specification_says(pattern, topic, fits):
    assert topics.is_filter(pattern) and topics.matches(pattern, topic) is fits


def test_filters_have_limits_of_levels_and_bytes():
    assert topics.is_filter("/".join("+" * 128)) and not topics.is_filter("/".join("+" * 129))
    assert topics.is_filter("ü" * 512) and not topics.is_filter("ü" * 512 + "a")
    assert not topics.is_filter("$share/g/a") and topics.is_filter("$share") and topics.is_filter("a/$share/b")


@given(
    st.lists(st.sampled_from(["", "a", "+"]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=6),
    st.booleans(),
)
def test_long_filters_and_topics_match_as_short_ones(wanted, levels, is_open):
    wanted = [*wanted, "#"] if is_open else wanted
    expected = (len(levels) >= len(wanted) - 1 if is_open else len(levels) == len(wanted)) and all(
        one in ("+", "#", other) for one, other in zip(wanted, levels, strict=False)
    )
    long = "x" * 300
    for prefix in ("", f"{long}/"):
        assert topics.matches(prefix + "/".join(wanted), prefix + "/".join(levels)) is expected


def test_what_matches_is_remembered_within_a_bound_in_bytes():
    topics._remembered.cache_clear()
    for number in range(3_000):
        assert topics.matches(f"{number}/#", f"{number}/" + "/" * 2_000)
    assert topics._remembered.cache_info().currsize == 0
    assert topics.matches("a/#", "a/b") and topics.matches("a/#", "a/b") and topics._remembered.cache_info().hits == 1
