"""The functions behind IoT Core, on both stores: who may connect, what is stored, and what is a dead letter."""

import base64
import json
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from chalicelib import errors, store
from chalicelib.codec import tokens
from chalicelib.functions import iot_authorizer, iot_ingest
from chalicelib.host import cache, dead_letters, mqtt
from chalicelib.store import names
from deploy import spec
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import throttled
from tests.kit.networks import Network, authorization
from tests.kit.policies import running
from tests.kit.world import World, point

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:decant-dev-iot-authorizer"
SHARED = "tago/data/post"


@pytest.fixture
def letters(dynamodb, clean_process, configure):
    """The dead-letter queue, as a function that returns its messages."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="decant-dead-letters")["QueueUrl"]
    dead_letters.use(None)

    def read():
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"]) for one in found]

    yield read
    sqs.delete_queue(QueueUrl=url)
    dead_letters.use(None)


def connect(password, client_id="thermo-1", arn=ARN, **more):
    if isinstance(password, str):
        password = base64.b64encode(password.encode()).decode()
    mqtt = {"username": "Token", "password": password, "clientId": client_id} | more
    with running("iot-authorizer"):
        return iot_authorizer.authorize(
            {"protocols": ["mqtt"], "protocolData": {"mqtt": mqtt}}, SimpleNamespace(invoked_function_arn=arn)
        )


def publish(payload, topic=SHARED, client_id="thermo-1", timestamp=NOW_MS, uuid="u", principal: Any = ""):
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    event = {
        "payload": base64.b64encode(raw).decode(),
        "topic": topic,
        "clientid": client_id,
        "timestamp": timestamp,
        "uuid": uuid,
    }
    with running("iot-ingest"):
        return iot_ingest.store(event | {"principal": principal}, None)


def may(answer, action, resource):
    (document,) = answer["policyDocuments"]
    return any(
        action in (statement["Action"], *statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in json.loads(document)["Statement"]
        if statement["Effect"] == "Allow"
    )


@pytest.fixture
def connected(world):
    assert connect(world.token)["isAuthenticated"]
    return world


def test_policy_names_the_devices_own_client_and_topics_only(world):
    answer = connect(world.token)
    base = "arn:aws:iot:eu-central-1:123456789012"
    other = World()
    assert answer["isAuthenticated"] and answer["principalId"] == world.device and answer["principalId"].isalnum()
    assert 300 <= answer["refreshAfterInSeconds"] <= answer["disconnectAfterInSeconds"] <= 86_400
    assert len(answer["policyDocuments"][0]) <= 2_048 and world.token not in json.dumps(answer)
    assert may(answer, "iot:Connect", f"{base}:client/thermo-1")
    assert not may(answer, "iot:Connect", f"{base}:client/thermo-12")
    for topic in ("tago/data/post", "tagoio/data/post", f"device/{world.device}/data/post"):
        assert may(answer, "iot:Publish", f"{base}:topic/{topic}")
    for action, kind in (("iot:Subscribe", "topicfilter"), ("iot:Receive", "topic")):
        assert may(answer, action, f"{base}:{kind}/device/{world.device}/down")
        for topic in (
            "tago/data/post",
            "tagoio/data/post",
            "#",
            "+/+/data/post",
            f"device/{other.device}/down",
            "device/#",
        ):
            assert not may(answer, action, f"{base}:{kind}/{topic}")
    assert not may(answer, "iot:Publish", f"{base}:topic/device/{other.device}/data/post")
    assert "*" not in answer["policyDocuments"][0].replace(f"device/{world.device}/*", "")
    connects = [one for one in json.loads(answer["policyDocuments"][0])["Statement"] if one["Action"] == "iot:Connect"]
    features = {"iot:ConnectAttributes": ["PersistentConnect", "LastWill"]}
    assert [one["Condition"] for one in connects] == [{"ForAllValues:StringEquals": features}]


def test_policy_allows_to_retain_where_it_allows_to_publish(world):
    """AWS ends the connection of a client that publishes with RETAIN, or asks for such a will, without this action."""
    answer, base = connect(world.token), "arn:aws:iot:eu-central-1:123456789012:topic"
    other = World()
    for topic, is_allowed in {
        SHARED: True,
        f"device/{world.device}/state": True,
        f"device/{other.device}/state": False,
        "state": False,
    }.items():
        for action in ("iot:Publish", "iot:RetainPublish"):
            assert may(answer, action, f"{base}/{topic}") is is_allowed, (action, topic)


def test_longest_policy_has_the_size_that_iot_core_takes(world, configure):
    configure(basic_ingest_rule=next(iter(spec.topic_rules("s" * 20))))
    arn = "arn:aws-us-gov:lambda:ap-southeast-99:123456789012:function:decant-dev-iot-authorizer"
    answer = connect(world.token, "x" * 128, arn=arn)
    assert len(answer["policyDocuments"]) == 1 and len(answer["policyDocuments"][0]) <= 2_048


@pytest.mark.parametrize(("permission", "publishes", "receives"), [("read", False, True), ("write", True, False)])
def test_policy_follows_the_tokens_permission(world, permission, publishes, receives):
    sent = {"device": world.device, "name": "t", "permission": permission}
    answer = connect(world.admin.post("/device/token", sent).result["token"])
    base = "arn:aws:iot:eu-central-1:123456789012"
    assert may(answer, "iot:Publish", f"{base}:topic/{SHARED}") is publishes
    assert may(answer, "iot:Receive", f"{base}:topic/device/{world.device}/down") is receives


def test_client_without_a_device_token_is_refused(world):
    refused = {"isAuthenticated": False}
    others = (world.profile_token, Network(world).token, authorization(world))
    for password in ("", "x", "00000000-0000-4000-8000-000000000000", world.token + "\n", *others):
        assert connect(password) == refused
    assert connect("%%%") == refused and connect(b"\xff".hex()) == refused
    for event in ({}, {"protocolData": {}}, {"protocolData": {"mqtt": {}}}, {"protocolData": {"mqtt": None}}):
        assert iot_authorizer.authorize(event, SimpleNamespace(invoked_function_arn=ARN)) == refused


@pytest.mark.parametrize(
    "client_id", ["", "*", "a*", "a?", "${iot:ClientId}", "a/b", "a+", "a#", "ü", "x" * 129, "a b"]
)
def test_client_id_that_means_something_in_a_policy_is_refused(world, client_id):
    assert connect(world.token, client_id) == {"isAuthenticated": False}


def test_client_id_belongs_to_one_device(clock, each_store):
    one, two = World(), World()
    assert connect(one.token)["isAuthenticated"]
    assert connect(two.token) == {"isAuthenticated": False}
    assert connect(one.token)["isAuthenticated"]
    clock.advance(iot_authorizer.DISCONNECT_S)
    assert connect(two.token) == {"isAuthenticated": False}
    clock.advance(7_201)
    assert connect(two.token)["isAuthenticated"] and connect(one.token) == {"isAuthenticated": False}


def test_binding_is_renewed_before_it_could_end_within_a_session(clock, dynamo):
    world = World()
    connect(world.token)
    with counting() as calls:
        connect(world.token)
    assert "PutItem" not in calls
    for _ in range(30):
        clock.advance(3_700)
        connect(world.token)
        left_s = store.current().get("client#thermo-1", "binding").expires_at - clock.now_ms // 1000
        assert left_s >= iot_authorizer.DISCONNECT_S


def test_deactivated_device_is_refused(world):
    world.admin.put(f"/device/{world.device}", {"active": False})
    assert connect(world.token) == {"isAuthenticated": False}


def test_store_that_is_down_rings_the_alarm_but_a_scanner_does_not(world, monkeypatch):
    def fail(*_):
        raise errors.Unavailable

    monkeypatch.setattr(store.current(), "get", fail)
    cache.clear_all()
    with pytest.raises(errors.Unavailable):
        connect(world.token)
    for password in ("", "admin", "%%%", "x" * 10_000):
        assert connect(password) == {"isAuthenticated": False}


def test_client_is_admitted_by_what_is_stored_now_and_not_by_a_cache(clock, each_store):
    """Another process deleted the token, the device, or turned the device off: this one still has both in its cache."""
    for act in ("token", "device", "off"):
        world = World()
        assert connect(world.token, act)["isAuthenticated"] and world.api.get("/data").status == 200
        fingerprint = tokens.fingerprint(world.token)
        owner, name = names.profile(world.profile), names.device(world.device)
        if act == "token":
            store.current().delete(names.token(fingerprint), [names.TOKEN])
        elif act == "device":
            store.current().delete(owner, [name])
        else:
            device = store.current().get(owner, name)
            store.current().put(device._replace(doc=device.doc | {"active": False}, version=device.version + 1))
        assert connect(world.token, act) == {"isAuthenticated": False}, act
        assert world.api.get("/data").status in (400, 401), "the refusal holds for HTTP in this process too"


def test_session_lasts_no_longer_than_its_token_as_far_as_iot_core_allows(clock, world):
    for span, lasts_s in (("2 hours", 7_200), ("1 minute", 300), ("1 month", 86_400), ("never", 86_400)):
        sent = {"device": world.device, "name": "t", "permission": "full", "expire_time": span}
        answer = connect(world.admin.post("/device/token", sent).result["token"])
        assert answer["disconnectAfterInSeconds"] == lasts_s, span


def test_client_id_lost_to_another_device_is_not_listed(clock, each_store, monkeypatch):
    """Else the end of the loser's token would end the winner's session."""
    loser, winner = World(), World()
    current, original = store.current(), store.current().put_if

    def late(entity, *, version):
        monkeypatch.setattr(current, "put_if", original)
        assert connect(winner.token, "same")["isAuthenticated"]
        return original(entity, version=version)

    monkeypatch.setattr(current, "put_if", late)
    assert connect(loser.token, "same") == {"isAuthenticated": False}
    assert store.current().list(names.device(loser.device), names.CLIENTS) == []
    loser.admin.delete(f"/device/token/{loser.token}")
    assert mqtt.current().ended == []


def test_message_of_points_is_stored_like_a_post(connected):
    assert publish([point("a", 1.5, unit="C", metadata={"x": 1}), point("b", True)]) == {"added": 2}
    b, a = connected.read()
    topics = {"mqtt_topic": SHARED, "topic": SHARED}
    assert (a["value"], a["unit"], a["metadata"]) == (1.5, "C", {"x": 1, **topics}) and b["metadata"] == topics
    assert a["time"] == "2026-09-21T14:13:20.000Z"


@pytest.mark.parametrize(
    ("payload", "value"),
    [(b"21.5", "21.5"), (b"on", "on"), ("grün".encode(), "grün"), (b"\xff\x00", "�\x00"), (b"", "")],
)
def test_message_that_is_no_json_is_the_value_of_one_point(connected, payload, value):
    publish(payload, "tagoio/data/post")
    (got,) = connected.read()
    assert (got["variable"], got["value"]) == ("payload", value)
    assert got["metadata"] == {"mqtt_topic": "tagoio/data/post", "topic": "tagoio/data/post"}


def test_message_in_hex_when_the_device_says_so(connected):
    for value in ("auto", "hex"):  # the newest counts
        sent = {"key": "payload_type", "value": value, "sent": True}
        connected.admin.post(f"/device/{connected.device}/params", sent)
    publish(b"\x01\xff")
    publish({"variable": "a", "value": 1}, timestamp=NOW_MS + 1)
    assert [one["value"] for one in connected.read()] == [1, "01ff"]


def test_basic_ingest_is_allowed_for_the_shared_rule_only(world, configure):
    configure(basic_ingest_rule="decant_dev_shared")
    answer, base = connect(world.token), "arn:aws:iot:eu-central-1:123456789012:topic/$aws/rules"
    assert len(answer["policyDocuments"][0]) <= 2_048
    assert may(answer, "iot:Publish", f"{base}/decant_dev_shared/tago/data/post")
    for topic in (f"decant_dev_own/device/{world.device}/data/post", "other/tago/data/post", "decant_dev_shared/x"):
        assert not may(answer, "iot:Publish", f"{base}/{topic}")
    assert publish(point("a"), "$aws/rules/decant_dev_shared/tago/data/post") == {"added": 1}
    assert world.read()[0]["metadata"]["mqtt_topic"] == SHARED


def test_own_topic_names_the_device(connected):
    assert publish(point("a"), f"device/{connected.device}/data/post") == {"added": 1}


def test_message_delivered_again_is_stored_once(connected):
    for payload in (point("a", 1), [point("b", 1, time=NOW_MS - 5)], b"raw"):
        for _ in range(3):
            assert publish(payload)["added"] == 1
    assert connected.read(query="count") == 3
    publish(b"raw", timestamp=NOW_MS + 1)
    publish([point("b", 1, time=NOW_MS - 5)], timestamp=NOW_MS + 1)
    assert connected.read(query="count") == 4


def test_two_messages_that_are_alike_in_one_millisecond_are_two(connected):
    for uuid in ("one", "two", "one"):
        publish(b"raw", uuid=uuid)
    assert connected.read(query="count") == 2


def test_bad_messages_go_to_the_dead_letters_and_the_function_returns(connected, letters):
    other = World()
    bad = [
        ((b"{", SHARED), "json"), (([{"value": 1}], SHARED), "variable is required"),
        ((point("a"), f"device/{other.device}/data/post"), "topic"), ((point("a"), SHARED, "stranger"), "bound"),
    ]  # fmt: skip
    for arguments, reason in bad:
        refused = publish(*arguments)["refused"]
        (letter,) = letters()
        assert reason in refused.lower() or reason in refused
        assert letter["reason"] == refused and letter["message"]["topic"] == arguments[1]
    for event in ({}, {"payload": 5}, {"payload": "%", "topic": "t", "clientid": "c", "timestamp": 1}):
        assert iot_ingest.store(event, None)["added"] == 0 and len(letters()) == 1
    assert publish(point("a"), "other") == {"added": 0} and letters() == []
    assert connected.read() == [] == other.read()


@pytest.mark.parametrize("principal", [None, "", "a" * 64, "A" * 24, "x", 5, ["0" * 24], {"id": "0" * 24}])
def test_principal_that_is_no_devices_id_is_ignored(connected, letters, principal):
    """AWS does not document what ``principal()`` holds after custom authentication."""
    assert publish(point("a"), principal=principal) == {"added": 1} and letters() == []


def test_message_without_a_principal_is_stored(connected):
    event = {"payload": "MQ==", "topic": SHARED, "clientid": "thermo-1", "timestamp": NOW_MS}
    assert iot_ingest.store(event, None) == {"added": 1}


def test_principal_that_is_another_device_is_refused(connected, letters):
    other = World()
    assert publish(point("a"), principal=connected.device) == {"added": 1}
    refused = publish(point("b"), principal=other.device)["refused"]
    (letter,) = letters()
    assert refused == f"The client is device {other.device}, but its client id is bound to {connected.device}"
    assert letter["reason"] == refused and letter["message"]["principal"] == other.device
    assert other.read() == [] and len(connected.read()) == 1


def test_what_the_api_publishes_to_a_device_is_no_message_of_it(connected, letters):
    connected.admin.post(
        "/action",
        {
            "name": "All",
            "type": "mqtt_topic",
            "trigger": [{"device": connected.device, "topic": "#"}],
            "action": {"type": "insert_to_device"},
        },
    )
    assert publish(point("a"), f"device/{connected.device}/led", client_id="N/A") == {"added": 0} and letters() == []
    publish(point("a"), f"device/{connected.device}/data/post", client_id="N/A")
    assert len(letters()) == 1 and connected.read() == []


def test_deactivated_and_deleted_devices_store_nothing(connected, letters):
    connected.admin.put(f"/device/{connected.device}", {"active": False})
    assert publish(point("a"))["refused"] == "Device is deactivated"
    connected.admin.delete(f"/device/{connected.device}")
    assert publish(point("a"))["refused"] == "Device not found"
    assert len(letters()) == 2


def test_store_that_is_down_raises_so_that_the_message_comes_again(clock, dynamo, monkeypatch):
    clock.take_pauses(monkeypatch)
    world = World()
    connect(world.token)
    world.send(point("a", 0))
    with throttled("PutItem"), pytest.raises(errors.Unavailable):
        publish(point("a", 1))
    assert publish(point("a", 1)) == {"added": 1} and world.read(query="count") == 2


def test_payload_never_names_the_device(connected):
    other = World()
    publish([{**point("a"), "device": other.device, "id": other.device, "token": other.token}])
    assert other.read() == [] and len(connected.read()) == 1
