"""Messages that a network publishes by its middleware."""

import socket
import threading

import pytest

from chalicelib.host import outside
from tests.kit.api import Api
from tests.kit.networks import Network
from tests.kit.world import World


@pytest.fixture
def posted(monkeypatch):
    """What was sent to middlewares: URL, document and whether the address may be local."""
    sent = []

    def send(url, body, *, may_be_local):
        sent.append((url, body, may_be_local))
        return 200

    monkeypatch.setattr(outside, "send", send)
    return sent


def publish(network, device, **more):
    sent = {"device": device, "topic": "a/b", "message": "on"} | more
    return network.api.post("/integration/network/publish", sent)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("middleware.example.org", "https://middleware.example.org/publish"),
        ("https://example.org:8443/relay/", "https://example.org:8443/relay/publish"),
        ("http://example.org", "http://example.org/publish"),  # outside refuses it
    ],
)
def test_message_is_posted_to_the_middleware_of_the_network(world, posted, endpoint, url):
    network = Network(world, middleware_endpoint=endpoint)
    device = network.device()[0]
    assert publish(network, device, qos=1, retain=True).result == "MQTT Publish Success"
    assert publish(network, device, message=None).status == 200
    whole = {"device": device, "topic": "a/b", "message": "on", "qos": 1, "retain": True}
    assert posted == [(url, whole, False), (url, whole | {"message": "", "qos": 0, "retain": False}, False)]


def test_nothing_is_posted_for_a_bad_message(world, posted):
    network = Network(world, middleware_endpoint="example.org")
    device = network.device()[0]
    for field, value in (
        ("device", None),
        ("topic", "a/#"),
        ("topic", ""),
        ("message", 1),
        ("qos", 3),
        ("retain", "x"),
    ):
        answer = publish(network, device, **{field: value}) if field != "device" else publish(network, value)
        assert answer.status == 400 and [*answer.body["field_errors"]] == [field], answer.text
    assert publish(network, device, message="x" * 128_001).status == 413
    assert network.api.post("/integration/network/publish", {"topic": "t"}).status == 400
    assert Api(network.new_token("read")).post(
        "/integration/network/publish", {"device": device, "topic": "t", "message": "m"}
    ).status == 401  # fmt: skip
    assert posted == []


def test_network_without_an_endpoint_says_so(world, posted):
    network = Network(world)
    refused = publish(network, network.device()[0])
    assert refused.status == 400 and [*refused.body["field_errors"]] == ["middleware_endpoint"] and posted == []


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://example.org", "must begin with https://"),
        ("http://localhost:8000", "must begin with https://"),
        ("https://user:secret@example.org", "must not hold a user name or password"),
        ("example.org/\r\nx", "must be a URL"),
        ("https://[", "is not a URL"),
        ("10.0.0.1", "names an address that is not public"),
        ("https://127.0.0.1:9000", "names an address that is not public"),
        ("[::1]", "names an address that is not public"),
        ("169.254.169.254/latest", "names an address that is not public"),
    ],
)
def test_middleware_that_may_not_be_reached_is_a_clear_400(sqlite, monkeypatch, endpoint, reason):
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("it connected"))
    network = Network(World(), middleware_endpoint=endpoint)
    refused = publish(network, network.device()[0])
    assert refused.status == 400 and reason in refused.message, refused.text
    assert [*refused.body["field_errors"]] == ["middleware_endpoint"]


@pytest.mark.parametrize(
    ("answer", "reason"), [(302, "status 302"), (500, "status 500"), (ConnectionResetError, "ConnectionResetError")]
)
def test_middleware_that_fails_is_a_400_and_not_tried_again(sqlite, monkeypatch, answer, reason):
    calls = []

    def send(*args, **_):
        calls.append(args)
        if isinstance(answer, int):
            return answer
        raise answer

    monkeypatch.setattr(outside, "send", send)
    network = Network(World(), middleware_endpoint="example.org")
    refused = publish(network, network.device()[0])
    assert refused.status == 400 and reason in refused.message and len(calls) == 1


def test_middleware_that_does_not_answer_is_given_up(sqlite, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(outside, "LIMIT_S", 0.01)
    monkeypatch.setattr(outside, "send", lambda *_, **__: done.wait(5) and 200)
    network = Network(World(), middleware_endpoint="example.org")
    refused = publish(network, network.device()[0])
    done.set()
    assert refused.status == 400 and "no answer in time" in refused.message


def test_create_and_change_of_a_network_call_nobody(world, posted):
    network = Network(world, middleware_endpoint="example.org")
    world.admin.put(f"/integration/network/{network.id}", {"middleware_endpoint": "https://other.example.org"})
    assert posted == []
