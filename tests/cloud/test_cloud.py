"""What only AWS can prove: API Gateway's own answers, cold starts, IAM, the stream, IoT Core's authorizer and rules.

Run ``ALLOW_AWS=1 DECANT_API=… DECANT_PROFILE_TOKEN=… DECANT_MQTT=… pytest -m cloud`` against a deployment to which the
tests may write.
"""

import json
import os
import ssl
import statistics
import time
import uuid

import paho.mqtt.client as mqtt
import pytest

from chalicelib.http.answers import PREFLIGHT
from tests.cloud.deployment import Deployment, is_named

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def cloud():
    assert is_named()
    found = Deployment()
    yield found
    found.close()


@pytest.fixture
def device(cloud):
    return cloud.device()


def eventually(check, within_s):
    """Call ``check`` until it returns true, or fail after ``within_s`` seconds."""
    end_s = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(1)


def test_gateway_answers_in_the_envelope(cloud, device):
    _, token = device
    for method, path, sent, status in (
        ("GET", "/data", None, 401), ("GET", "/nowhere", token, 404), ("GET", "/data", str(uuid.uuid4()), 401),
        ("POST", "/data", token, 400),
    ):  # fmt: skip
        found, headers, body = cloud.ask(method, path, sent, b"{" if method == "POST" else None)
        assert found == status and body["status"] is False and headers["Access-Control-Allow-Origin"] == "*"
    assert cloud.ask("POST", "/data", token, b" " * 200_001)[0] == 413
    status, headers, _ = cloud.ask("OPTIONS", "/data")
    assert status == 200 and headers["Access-Control-Allow-Headers"] == PREFLIGHT["Access-Control-Allow-Headers"]


def test_point_is_stored_once_and_read_back(cloud, device):
    _, token = device
    points = [{"variable": "a", "value": number, "time": f"2026-01-01T00:00:{number:02d}Z"} for number in range(60)]
    for _ in range(3):
        assert cloud.ask("POST", "/data", token, points)[2]["result"] == "60 Data Added"
    assert cloud.ask("GET", "/data?query=count", token)[2]["result"] == 60
    assert [one["value"] for one in cloud.ask("GET", "/data?qty=3", token)[2]["result"]] == [59, 58, 57]


def test_counters_follow_within_minutes(cloud, device):
    device_id, token = device
    cloud.ask("POST", "/data", token, [{"variable": "a", "value": 1}] * 7)
    path = f"/device/{device_id}/data_amount"
    eventually(lambda: cloud.ask("GET", path, cloud.profile_token)[2]["result"] == 7, 240)


def test_deleted_token_is_refused_within_the_minute(cloud, device):
    _, token = device
    assert cloud.ask("GET", "/data", token)[0] == 200
    cloud.ask("DELETE", f"/device/token/{token}", cloud.profile_token)
    eventually(lambda: cloud.ask("GET", "/data", token)[0] == 401, 75)


def test_warm_latency(cloud, device):
    _, token = device
    spent = []
    for number in range(200):
        started_s = time.monotonic()
        assert cloud.ask("POST", "/data", token, {"variable": "a", "value": number})[0] == 200
        spent.append(time.monotonic() - started_s)
    print(f"p50 {statistics.median(spent) * 1000:.0f} ms, p99 {sorted(spent)[197] * 1000:.0f} ms, connection included")
    assert statistics.median(spent) < 1


@pytest.fixture
def connect(cloud):
    if cloud.mqtt_host is None:
        pytest.skip("DECANT_MQTT does not name the MQTT endpoint")
    opened = []

    def do(token, client_id, version=mqtt.MQTTv311):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=version)
        client.username_pw_set("Token", token)
        client.tls_set_context(ssl.create_default_context())
        client.codes = []
        client.on_connect = lambda _client, _userdata, _flags, code, _properties: client.codes.append(code)
        client.connect(cloud.mqtt_host, 8883)
        client.loop_start()
        opened.append(client)
        eventually(lambda: client.codes, 15)
        return client

    yield do
    for client in opened:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_mqtt_message_is_stored(cloud, device, connect, version):
    _, token = device
    client = connect(token, f"test-{uuid.uuid4().hex[:12]}", version)
    client.publish("tago/data/post", json.dumps({"variable": "m", "value": 5}), qos=1).wait_for_publish(15)
    eventually(lambda: cloud.ask("GET", "/data?query=last_value", token)[2]["result"], 60)
    (found,) = cloud.ask("GET", "/data?query=last_value", token)[2]["result"]
    assert found["value"] == 5 and found["metadata"]["mqtt_topic"] == "tago/data/post"


def test_mqtt_refuses_a_wrong_token_and_another_devices_client_id(cloud, connect):
    (_, one), (_, two) = cloud.device(), cloud.device()
    client_id = f"test-{uuid.uuid4().hex[:12]}"
    assert connect(str(uuid.uuid4()), client_id + "x").codes[0].is_failure
    assert not connect(one, client_id).codes[0].is_failure
    assert connect(two, client_id).codes[0].is_failure


def test_mqtt_devices_cannot_reach_each_other(cloud, connect):
    (one_id, one), (two_id, two) = cloud.device(), cloud.device()
    publisher = connect(one, f"test-{uuid.uuid4().hex[:12]}")
    listener = connect(two, f"test-{uuid.uuid4().hex[:12]}")
    heard = []
    listener.on_message = lambda _client, _userdata, message: heard.append(message.topic)
    for topic in (f"device/{two_id}/x", f"device/{one_id}/#", "tago/data/post", "#"):
        listener.subscribe(topic, qos=1)
    time.sleep(2)
    publisher.publish(f"device/{two_id}/data/post", json.dumps({"variable": "forged", "value": 1}), qos=1)
    time.sleep(10)
    assert heard == [] and cloud.ask("GET", "/data", two)[2]["result"] == []


def test_throttled_profile_gets_the_contracts_answer(cloud):
    token = os.environ.get("DECANT_FREE_PROFILE_TOKEN")
    if token is None:
        pytest.skip("DECANT_FREE_PROFILE_TOKEN names no profile of the plan free")
    answers = [cloud.ask("GET", "/device", token) for _ in range(120)]
    limited = [body for status, _, body in answers if status == 429]
    assert limited and limited[0]["message"].startswith("Too many requests (Retry-After: ")
