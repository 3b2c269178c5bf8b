"""/action and /analysis/services/mqtt/publish on both stores, and the calls of IoT Core on AWS."""

import pytest
from botocore.stub import Stubber
from moto.iotdata.models import iotdata_backends

from chalicelib import errors
from chalicelib.codec import topics
from chalicelib.host import log, mqtt
from chalicelib.services.access import client_ids
from chalicelib.services.devices import actions
from tests.iot.test_iot import connect, publish
from tests.kit.world import World, point

TRIGGER = {"tag_key": "kind", "tag_value": "meter", "topic": "meters/#"}
ACTION = {"name": "Keep meters", "type": "mqtt_topic", "trigger": [TRIGGER], "action": {"type": "insert_to_device"}}


@pytest.fixture
def recorder():
    return mqtt.current()


def test_action_is_made_listed_read_changed_and_removed(clock, world):
    made = world.admin.post("/action", ACTION | {"tags": [{"key": "a", "value": "b"}], "profile": "ignored"}).result[
        "action"
    ]
    found = world.admin.get(f"/action/{made}").result
    assert found["id"] == made and found["profile"] == world.profile and found["active"] is True
    assert {name: found[name] for name in ACTION} == ACTION and found["last_triggered"] is None
    assert found["created_at"] == found["updated_at"] == "2026-09-21T14:13:20.000Z"
    world.admin.post("/action", ACTION | {"name": "Another", "active": False})
    assert [one["name"] for one in world.admin.get("/action").result] == ["Another", "Keep meters"]
    assert set(world.admin.get("/action?fields=active").result[0]) == {"id", "active"}
    for query, names in (
        ("filter[name]=keep*", ["Keep meters"]), ("filter[active]=False", ["Another"]), ("filter[tags][0][key]=a", ["Keep meters"]),
        ("orderBy=name,desc&amount=1", ["Keep meters"]), ("page=2&amount=1", ["Keep meters"]), ("filter[tags][0][key]=z", []),
    ):  # fmt: skip
        assert [one["name"] for one in world.admin.get(f"/action?{query}").result] == names, query
    clock.advance(5)
    assert world.admin.put(f"/action/{made}", {"name": "Renamed"}).result == "Successfully Updated"
    found = world.admin.get(f"/action/{made}").result
    assert found["name"] == "Renamed" and found["trigger"] == [TRIGGER] and found["updated_at"] > found["created_at"]
    assert world.admin.delete(f"/action/{made}").result == "Successfully Removed"
    assert world.admin.get(f"/action/{made}").status == 404 == world.admin.delete(f"/action/{made}").status


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": None}, "name"), ({"name": "ab"}, "name"), ({"type": "condition"}, "type"), ({"trigger": []}, "trigger"),
        ({"trigger": [{"topic": "a"}]}, "tag_key"), ({"trigger": [{"device": "0" * 24}]}, "topic"),
        ({"trigger": [TRIGGER | {"topic": "a/#/b"}]}, "topic"), ({"action": {"type": "email"}}, "action"),
        ({"active": "yes"}, "active"), ({"trigger": [{"device": "x", "topic": "a"}]}, "trigger"),
    ],
)  # fmt: skip
def test_bad_action_is_refused_by_field(world, change, word):
    sent = {name: value for name, value in (ACTION | change).items() if value is not None}
    answer = world.admin.post("/action", sent)
    assert answer.status == 400 and word in answer.text
    assert world.admin.get("/action").result == []


def test_trigger_names_only_devices_of_the_profile(world):
    other, good = World(), {"device": world.device, "topic": "a"}
    made = world.admin.post("/action", ACTION | {"trigger": [good]}).result["action"]
    for device in (other.device, "0" * 24):
        sent = {"trigger": [good, {"device": device, "topic": "a"}]}
        for answer in (world.admin.post("/action", ACTION | sent), world.admin.put(f"/action/{made}", sent)):
            assert answer.status == 400 and answer.body["field_errors"].keys() == {"trigger"}
            assert "trigger 1" in answer.message and device in answer.message
    assert [one["id"] for one in world.admin.get("/action").result] == [made]
    assert world.admin.get(f"/action/{made}").result["trigger"] == [good]
    world.admin.delete(f"/device/{world.device}")
    assert world.admin.put(f"/action/{made}", {"name": "Renamed"}).status == 200, "what is not sent is not checked"


def test_action_of_another_profile_does_not_exist(world):
    made = world.admin.post("/action", ACTION).result["action"]
    other = World()
    assert other.admin.get("/action").result == []
    for answer in (
        other.admin.get(f"/action/{made}"),
        other.admin.put(f"/action/{made}", {"name": "Mine now"}),
        other.admin.delete(f"/action/{made}"),
    ):
        assert answer.status == 404
    assert world.admin.get(f"/action/{made}").result["name"] == "Keep meters"
    assert world.api.get("/action").status == 401 and world.admin.get("/action/x").status == 404


def test_action_stores_what_the_rule_passes_on(world):
    connect(world.token)
    own = f"device/{world.device}/meters/a"
    for topic in ("meters/a", own):
        assert publish(point("a"), topic) == {"added": 0}
    world.admin.put(f"/device/{world.device}", {"tags": [{"key": "kind", "value": "meter"}]})
    world.admin.post("/action", ACTION)
    for topic in ("meters/a", own):
        assert publish(point("a"), topic) == {"added": 1}
    assert publish(point("a"), "other") == {"added": 0}
    other = World()
    actions.create(profile=other.profile, sent=ACTION | {"trigger": [{"tag_key": "kind", "topic": "#"}]})
    assert publish(point("a"), "other") == {"added": 0}, "of another profile"


def test_publish_takes_the_shapes_of_both_clients(world, recorder):
    flat = {"topic": "led", "message": "on", "device": world.device, "qos": 1}
    python = {"topic": "led", "message": "ü", "bucket": world.device, "options": {"qos": 2, "retain": True}}
    for sent in (flat, python, {"topic": "a/b", "message": "", "device": world.device}):
        assert world.admin.post("/analysis/services/mqtt/publish", sent).result == "MQTT Publish Success"
    assert [(one["topic"], one["payload"], one["qos"], one["retain"]) for one in recorder.published] == [
        ("led", b"on", 1, False), ("led", "ü".encode(), 2, True), ("a/b", b"", 0, False),
    ]  # fmt: skip
    assert {one["device"] for one in recorder.published} == {world.device}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"topic": "a/#"}, 400), ({"topic": ""}, 400), ({"message": 5}, 400), ({"device": None}, 400), ({"qos": 3}, 400),
        ({"device": "0" * 24}, 404), ({"message": "x" * 128_001}, 413),
        ({"topic": "a/b/c/d/e/f/g"}, 400), ({"topic": "x" * 225}, 400), ({"topic": "ü" * 113}, 400),
    ],
)  # fmt: skip
def test_bad_publication_is_refused(world, recorder, change, status):
    sent = {"topic": "led", "message": "on", "device": world.device} | change
    assert world.admin.post("/analysis/services/mqtt/publish", sent).status == status
    assert world.api.post("/analysis/services/mqtt/publish", sent).status == 401
    assert World().admin.post("/analysis/services/mqtt/publish", sent | {"device": world.device}).status in (
        400,
        404,
        413,
    )
    assert recorder.published == []


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("a/b/c/d/e/f/g", "topic must have at most 5 slashes"),
        ("///////", "topic must have at most 5 slashes"),
        ("x" * 225, "topic must have at most 224 bytes of UTF-8"),
        ("\U0001f600" * 57, "topic must have at most 224 bytes of UTF-8"),
    ],
)
def test_topic_that_iot_core_would_refuse_is_refused_by_name(world, recorder, topic, reason):
    """IoT Core allows 7 slashes and 256 bytes; ``device/<id>/`` takes 2 and 32 of them."""
    sent = {"topic": topic, "message": "on", "device": world.device}
    answer = world.admin.post("/analysis/services/mqtt/publish", sent)
    assert (answer.status, answer.body["field_errors"]) == (400, {"topic": [reason]}) and recorder.published == []


@pytest.mark.parametrize("topic", ["a/b/c/d/e/f", "x" * 224, "\U0001f600" * 56, "/////"])
def test_longest_topic_of_iot_core_is_published(world, recorder, topic):
    sent = {"topic": topic, "message": "on", "device": world.device}
    assert world.admin.post("/analysis/services/mqtt/publish", sent).status == 200
    full = topics.of_device(world.device, recorder.published[0]["topic"])
    assert full.count("/") <= 7 and len(full.encode()) <= 256


def test_stage_without_mqtt_publishes_nothing_and_ends_no_session(dynamo, configure, monkeypatch):
    world = World()
    connect(world.token, "one")
    configure(mqtt=False)
    mqtt.use(None)
    monkeypatch.delattr(mqtt, "IotCore")
    sent = {"topic": "led", "message": "on", "device": world.device}
    answer = world.admin.post("/analysis/services/mqtt/publish", sent)
    assert (answer.status, answer.message) == (400, "This deployment has no MQTT")
    assert world.admin.delete(f"/device/token/{world.token}").status == 200
    mqtt.use(None)


def test_sessions_end_with_token_device_and_deactivation(world, recorder):
    spare = world.admin.post("/device/token", {"device": world.device, "name": "s", "permission": "full"}).result[
        "token"
    ]
    connect(world.token, "one")
    connect(spare, "two")
    world.admin.delete(f"/device/token/{spare}")
    assert recorder.ended == ["two"]
    recorder.ended.clear()
    world.admin.put(f"/device/{world.device}", {"name": "Renamed"})
    assert recorder.ended == []
    world.admin.put(f"/device/{world.device}", {"active": False})
    assert sorted(recorder.ended) == ["one", "two"]
    recorder.ended.clear()
    world.admin.delete(f"/device/{world.device}")
    assert "one" in recorder.ended
    assert client_ids.device_of(client_id="one") is not None, "nobody else may take the id while it lives"


def test_binding_follows_the_token_that_was_used_last(world, recorder):
    spare = world.admin.post("/device/token", {"device": world.device, "name": "s", "permission": "full"}).result[
        "token"
    ]
    connect(world.token, "one")
    connect(spare, "one")
    world.admin.delete(f"/device/token/{world.token}")
    assert recorder.ended == []
    world.admin.delete(f"/device/token/{spare}")
    assert recorder.ended == ["one"]


def test_iot_core_is_asked_to_publish_below_the_device_and_to_end_a_session(dynamodb, monkeypatch):
    core = mqtt.IotCore()
    with Stubber(core._client) as stub:
        stub.add_response("publish", {}, {"topic": "device/d/led", "qos": 1, "payload": b"on", "retain": False})
        core.publish(device="d", topic="led", payload=b"on", qos=1, retain=False)
        stub.add_response("publish", {}, {"topic": "device/d/led", "qos": 1, "payload": b"on", "retain": True})
        core.publish(device="d", topic="led", payload=b"on", qos=2, retain=True)
        expected = {"clientId": "one", "cleanSession": True, "preventWillMessage": True}
        stub.add_response("delete_connection", {}, expected)
        core.disconnect(client_id="one")
        stub.add_client_error("delete_connection", "ResourceNotFoundException", expected_params=expected)
        core.disconnect(client_id="one")
        lines = []
        log.use(lines.append)
        stub.add_client_error("delete_connection", "ThrottlingException")
        core.disconnect(client_id="one")
        assert "ThrottlingException" in lines[-1]
        stub.add_client_error("publish", "ThrottlingException")
        with pytest.raises(errors.Unavailable):
            core.publish(device="d", topic="led", payload=b"on", qos=1, retain=False)
        stub.assert_no_pending_responses()


def test_publish_goes_to_iot_core_where_no_other_broker_is(dynamo):
    world = World()
    mqtt.use(None)
    sent = {"topic": "led", "message": "on", "device": world.device, "qos": 1}
    assert world.admin.post("/analysis/services/mqtt/publish", sent).status == 200
    published = [
        one for backend in iotdata_backends.values() for region in backend.values() for one in region.published_payloads
    ]
    assert (f"device/{world.device}/led", "on") in [
        tuple(part.decode() if isinstance(part, bytes) else part for part in one) for one in published
    ]
    mqtt.use(None)
