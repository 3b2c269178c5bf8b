"""The broker of the embedded mode, with paho clients of all three versions over real sockets."""

import json
import shutil
import socket
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.mqtt.client import VERSIONS, WAIT_S
from tests.program import Program

POINT = json.dumps({"variable": "temperature", "value": 21.5, "unit": "C"})
STORED = "tago/data/post"
each_version = pytest.mark.parametrize("version", VERSIONS)


def numbered(number, **fields):
    return json.dumps({"variable": "n", "value": number, **fields})


@each_version
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_is_stored_and_read_back_over_http(device, connect, version, qos):
    client = connect(device.token, version=version, client_id="thermo")
    assert not client.code.is_failure
    client.publish(STORED, POINT, qos)
    if qos == 0:
        client.publish("tagoio/data/post", numbered(1), 1)
    *_, found = device.points()
    assert (found["variable"], found["value"], found["unit"]) == ("temperature", 21.5, "C")
    assert found["metadata"] == {"mqtt_topic": STORED, "topic": STORED}


@each_version
def test_wrong_password_is_refused_as_the_version_says(program, device, connect, version):
    unknown = "00000000-0000-4000-8000-000000000000"
    for token in (unknown, "nonsense", "", program.profile_token):
        client = connect(token, "x", version=version)
        assert client.code.value == (134 if version == "5" else 135)  # paho says 135 for the old code 5
    assert connect(device.token, "x", version=version, username=None).code.is_failure


def test_refusal_of_old_versions_is_code_5_on_the_wire(raw):
    assert raw().send(_connect("nonsense", "x")).read(4) == b"\x20\x02\x00\x05"


def test_any_user_name_will_do(device, connect):
    for name in ("Token", "tagoio", "Default", "x" * 200):
        assert not connect(device.token, "x", username=name).code.is_failure


def test_any_client_id_will_do_and_none_is_given_one(device, connect):
    for client_id in ("a/b+c#d$", "ü" * 50, "x" * 500):
        assert not connect(device.token, client_id).code.is_failure
    assert not connect(device.token, "").code.is_failure
    assert not connect(device.token, "", version="5").code.is_failure


@pytest.mark.parametrize(("payload", "value"), [(b"21.5", "21.5"), (b"\xff\x00", "�\x00"), (b"on", "on"), (b"", "")])
def test_text_is_stored_as_the_value_of_payload(device, connect, payload, value):
    connect(device.token).publish(STORED, payload)
    (found,) = device.points()
    assert (found["variable"], found["value"]) == ("payload", value)


def test_hex_is_stored_when_the_device_says_so(device, connect):
    device.admin("POST", f"/device/{device.id}/params", {"key": "payload_type", "value": "hex"})
    connect(device.token).publish(STORED, b"\x01\xff")
    assert device.values() == ["01ff"]


def test_publishing_alone_stores_nothing_and_reaches_the_devices_own_clients(device, connect):
    listener, sender = connect(device.token, subscribe=["sensors/+/x", "deep/#"]), connect(device.token)
    for topic in ("sensors/a/x", "deep", "deep/er/still", "sensors/a/b/x", "other"):
        sender.publish(topic, topic)
    assert [listener.next()[0] for _ in range(3)] == ["sensors/a/x", "deep", "deep/er/still"]
    assert listener.nothing_more() and device.points() == []


def test_devices_never_reach_each_other(new_device, connect):
    one, two = new_device(), new_device()
    spy = connect(two.token, subscribe=["#", "+/+/+", f"device/{one.id}/#", STORED])
    sender = connect(one.token, subscribe=["#"])
    for topic in (STORED, "x", f"device/{two.id}/data/post", f"device/{two.id}/x", "$SYS/x"):
        sender.publish(topic, POINT)
    assert spy.nothing_more()
    assert two.points() == [] and len(one.points()) == 1
    letters = [sender.next()[0] for _ in range(4)]
    assert STORED in letters and "$SYS/x" not in letters


def test_read_token_may_not_publish_and_write_token_may_not_subscribe(device, connect):
    tokens = {
        permission: device.admin(
            "POST", "/device/token", {"device": device.id, "name": permission, "permission": permission}
        )["token"]
        for permission in ("read", "write")
    }
    reader = connect(tokens["read"], version="5", subscribe=["a"])
    assert reader.paho.publish(STORED, POINT, 1).rc == 0
    writer = connect(tokens["write"], version="5")
    assert [code.value for code in writer.subscribe("a")] == [0x87]
    writer.publish("a", "x")
    assert reader.next() == ("a", b"x")
    writer.publish(STORED, POINT)
    assert len(device.points()) == 1
    old = connect(tokens["read"])
    old.paho.publish(STORED, POINT, 1)
    assert old.ended.wait(WAIT_S) and len(device.points()) == 1


def test_bad_filters_are_refused_and_good_ones_granted_as_asked(device, raw):
    link = raw().send(_connect(device.token, "f"))
    link.read(4)
    body = b"\x00\x01" + b"".join(_text(name) + b"\x02" for name in ("a", "a/#/b", "a+", "$share/g/a", "+/b/#", "/"))
    assert link.send(bytes((0x82, len(body))) + body).read(10) == b"\x90\x08\x00\x01" + bytes(
        (2, 0x80, 0x80, 0x80, 2, 2)
    )


def _options(qos, **more):
    from paho.mqtt.subscribeoptions import SubscribeOptions

    return SubscribeOptions(qos, **more)


def test_no_local_keeps_own_messages_away(device, connect):
    client, other = connect(device.token, version="5"), connect(device.token, subscribe=["a"])
    client.subscribe([("a", _options(1, noLocal=True))])
    client.publish("a", "mine")
    other.next()
    other.publish("a", "theirs")
    assert client.next() == ("a", b"theirs")


def test_unsubscribed_is_delivered_no_more(device, connect):
    client = connect(device.token, subscribe=["a", "b"])
    client.unsubscribe("a")
    client.publish("a", "1")
    client.publish("b", "2")
    assert client.next() == ("b", b"2")


@each_version
def test_will_is_published_and_stored_when_the_connection_breaks(device, connect, version):
    watcher = connect(device.token, subscribe=[STORED])
    client = connect(device.token, "w", version=version, will=(STORED, numbered("gone"), 1))
    client.vanish()
    assert json.loads(watcher.next()[1])["value"] == "gone"
    assert device.values() == ["gone"]
    polite = connect(device.token, "p", version=version, will=(STORED, numbered("never"), 1))
    polite.close()
    assert watcher.nothing_more()


@pytest.mark.parametrize(("version", "options"), [("3.1.1", {}), ("5", {"expiry_s": 300})])
def test_persistent_session_gets_what_it_missed(device, connect, version, options):
    first = connect(device.token, "keeper", version=version, clean=False, subscribe=["a"], **options)
    assert not first.is_present
    first.close()
    sender = connect(device.token)
    for number in range(5):
        sender.publish("a", str(number))
    sender.publish("a", "not kept", qos=0)
    sender.publish("elsewhere", "behind it")
    again = connect(device.token, "keeper", version=version, clean=False, **options)
    assert again.is_present and [again.next()[1] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert again.nothing_more()
    again.close()
    assert not connect(device.token, "keeper", version=version, clean=True).is_present


def test_queue_of_a_client_that_is_away_is_bounded(device, connect):
    connect(device.token, "full", clean=False, subscribe=["a"]).close()
    sender = connect(device.token)
    for number in range(1_050):
        sent = sender.paho.publish("a", str(number), 1)
    sent.wait_for_publish(WAIT_S)
    again = connect(device.token, "full", clean=False)
    assert [int(again.next()[1]) for _ in range(1_000)] == list(range(50, 1_050))


def test_second_connection_with_a_client_id_ends_the_first_only_in_its_own_device(new_device, connect):
    one, two = new_device(), new_device()
    first, stranger = connect(one.token, "same", version="5"), connect(two.token, "same")
    second = connect(one.token, "same", version="5")
    assert first.ended.wait(WAIT_S) and first.end_code.value == 0x8E
    assert not second.ended.is_set() and not stranger.ended.is_set()


def test_message_that_comes_again_is_stored_once(device, raw):
    connect_bytes = _connect(device.token, "dup")
    timed = _text(STORED) + b"\x00\x09" + numbered(2, time="2026-11-01T00:00:00Z").encode()
    for _ in range(2):  # a new connection, as after a crash: the broker does not know the packet id any more
        other = raw().send(connect_bytes + bytes((0x3A, len(timed))) + timed)
        assert other.read(8) == b"\x20\x02\x00\x00\x40\x02\x00\x09"
        other.close()
    assert device.values().count(2) == 1


def _text(text):
    return len(text.encode()).to_bytes(2) + text.encode()


def _connect(token, client_id, keep_alive=60, flags=0xC2):
    body = _text("MQTT") + bytes((4, flags)) + keep_alive.to_bytes(2) + _text(client_id) + _text("Token") + _text(token)
    return bytes((0x10, len(body))) + body


def test_deleted_token_device_and_deactivation_end_sessions(new_device, connect):
    for end in ("token", "device", "inactive"):
        device = new_device()
        spare = device.admin("POST", "/device/token", {"device": device.id, "name": "s", "permission": "full"})["token"]
        client, other = connect(device.token, "a", version="5"), connect(spare, "b", version="5")
        if end == "token":
            device.admin("DELETE", f"/device/token/{device.token}")
        elif end == "device":
            device.admin("DELETE", f"/device/{device.id}")
        else:
            device.admin("PUT", f"/device/{device.id}", {"active": False})
        assert client.ended.wait(WAIT_S) and client.end_code.value == 0x98, end
        assert connect(device.token, "a").code.is_failure
        if end == "token":
            other.publish(STORED, POINT)
            assert not other.ended.is_set()
        else:
            assert other.ended.wait(WAIT_S)


def test_action_stores_other_topics_of_a_device_or_of_a_tag(new_device, connect):
    one, two, three = new_device(tags=[{"key": "kind", "value": "meter"}]), new_device(), new_device()
    action = {
        "name": "Keep",
        "type": "mqtt_topic",
        "trigger": [{"device": two.id, "topic": "raw/+"}, {"tag_key": "kind", "tag_value": "meter", "topic": "m/#"}],
        "action": {"type": "insert_to_device"},
    }
    made = one.admin("POST", "/action", action)["action"]
    for device in (one, two, three):
        client = connect(device.token)
        for topic in ("raw/1", "m/2", "raw/1/2"):
            client.publish(topic, topic)
    assert [device.values() for device in (one, two, three)] == [["m/2"], ["raw/1"], []]
    assert one.points()[0]["metadata"]["mqtt_topic"] == "m/2"
    one.admin("PUT", f"/action/{made}", {"active": False})
    connect(two.token).publish("raw/1", "again")
    assert two.values() == ["raw/1"]
    one.admin("DELETE", f"/action/{made}")


def test_downlink_reaches_that_devices_subscribers_only(program, new_device, connect, monkeypatch):
    from tagoio_sdk import Services

    monkeypatch.setenv("TAGOIO_API", program.url)
    one, two = new_device(), new_device()
    client, stranger = connect(one.token, subscribe=["down/#"]), connect(two.token, subscribe=["#"])
    services = (
        Services.Services({"token": program.profile_token})
        if hasattr(Services, "Services")
        else Services({"token": program.profile_token})
    )
    sent = {"topic": "down/led", "message": "on", "bucket": one.id, "options": {"qos": 1, "retain": False}}
    assert services.MQTT.publish(sent) == "MQTT Publish Success"
    assert client.next() == ("down/led", b"on")
    flat = {"topic": "down/x", "message": "off", "device": one.id, "qos": 0}
    assert one.admin("POST", "/analysis/services/mqtt/publish", flat) == "MQTT Publish Success"
    assert client.next() == ("down/x", b"off") and stranger.nothing_more()


def test_slow_minute_holds_the_ack_back_and_loses_nothing(device, connect):
    """Many messages at once: each is acknowledged and stored."""
    clients = [connect(device.token, f"c{number}") for number in range(8)]
    sent = [
        client.paho.publish(STORED, numbered(1_000 * index + number), 1)
        for index, client in enumerate(clients)
        for number in range(50)
    ]
    for one in sent:
        one.wait_for_publish(WAIT_S)
    assert sorted(device.values()) == sorted(1_000 * index + number for index in range(8) for number in range(50))


def write_certificate(folder):
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))


def test_tls(start, tmp_path, connect, raw):
    write_certificate(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = start(
        DECANT_MQTT_CERT=str(tmp_path / "cert.pem"),
        DECANT_MQTT_KEY=str(tmp_path / "key.pem"),
        DECANT_MQTTS_PORT=str(port),
    )
    client = connect(program.device_token, port=port, tls=str(tmp_path / "cert.pem"))
    client.publish(STORED, POINT)
    assert program.call("GET", "/data?query=count") == 1
    assert raw(port).send(_connect(program.device_token, "x")).is_closed(), "plain text is not taken here"


def test_mosquitto_pub(program, device):
    found = shutil.which("mosquitto_pub")
    if found is None:
        pytest.skip("mosquitto_pub is not installed")
    for version in ("mqttv31", "mqttv311", "mqttv5"):
        command = [
            found,
            "-V",
            version,
            "-h",
            "127.0.0.1",
            "-p",
            str(program.mqtt_port),
            "-u",
            "Token",
            "-P",
            device.token,
        ]
        subprocess.run([*command, "-q", "1", "-t", STORED, "-m", POINT], check=True, timeout=20)
    assert len(device.points()) == 3


def test_acknowledged_messages_survive_sigkill(tmp_path, connect):
    import signal

    program = Program(tmp_path / "data")
    acknowledged, number = [], 0
    for _ in range(4):
        client = connect(program.device_token, "k", port=program.mqtt_port)
        done = threading.Event()

        def on_publish(_client, _userdata, mid, _code, _properties, sent=(sent_numbers := {}), done=done):
            acknowledged.append(sent[mid])
            if len(acknowledged) % 250 == 0:
                done.set()

        client.paho.on_publish = on_publish
        for _ in range(2_000):
            number += 1
            info = client.paho.publish(STORED, numbered(number, time=1_700_000_000_000 + number), 1)
            sent_numbers[info.mid] = number
        assert done.wait(30)
        program.stop(signal.SIGKILL)
        client.ended.wait(WAIT_S)
        program = Program(tmp_path / "data")
    stored = [one["value"] for one in program.call("GET", "/data?qty=10000")]
    program.stop()
    assert len(stored) == len(set(stored)) and set(acknowledged) <= set(stored) and len(acknowledged) >= 1_000
