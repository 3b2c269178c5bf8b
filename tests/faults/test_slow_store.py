"""A store that is slow or does not answer: every function ends in time, and the clients are told to try again."""

import base64
import json
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib import errors, settings, store
from chalicelib.codec import tokens
from chalicelib.functions import authorizer, iot_authorizer, iot_ingest
from chalicelib.host import aws, dead_letters, deadline, log, mqtt, secret
from chalicelib.services.usage import plans
from chalicelib.store import Entity, models
from chalicelib.store.dynamodb import DynamoStore
from deploy import spec
from tests.kit import endpoint
from tests.kit.faults import client, hook, throttled
from tests.kit.world import World

TOKEN = "00000000-0000-4000-8000-000000000000"
GATEWAY_LIMIT_S, IOT_LIMIT_S, INTEGRATION_LIMIT_S = 10, 5, 29
"""How long API Gateway waits for an authorizer, IoT Core for its authorizer, and API Gateway for the HTTP handler."""


def ask_gateway(token=TOKEN):
    arn = "arn:aws:execute-api:us-east-1:123456789012:api/api/GET/data"
    return authorizer.authorize({"type": "REQUEST", "methodArn": arn, "headers": {"token": token}}, None)


def ask_iot(token=TOKEN):
    sent = {"username": "t", "password": base64.b64encode(token.encode()).decode(), "clientId": "c"}
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:decant-dev-iot-authorizer"
    return iot_authorizer.authorize({"protocolData": {"mqtt": sent}}, SimpleNamespace(invoked_function_arn=arn))


ASK = {"authorizer": ask_gateway, "iot-authorizer": ask_iot}
both = pytest.mark.parametrize("function", list(ASK))


@pytest.fixture
def connect(monkeypatch, clean_process):
    """Return a function that connects a new store to the address of an endpoint."""

    def do(address):
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
        monkeypatch.setattr(models._Shared, "_client_holder", [])
        for model in (models.SegmentModel, models.EntityModel):
            monkeypatch.setattr(model, "_connection", None)
        store.use(DynamoStore())

    return do


@pytest.fixture
def paused(clock, monkeypatch):
    """Pauses move the clock instead of taking time."""
    clock.take_pauses(monkeypatch)
    return clock


@pytest.fixture
def lines():
    written = []
    log.use(lambda line: written.append(json.loads(line)))
    return written


def test_limits_of_the_functions_fit_below_those_of_aws():
    timeouts = {name: function.timeout_s for name, function in spec.FUNCTIONS.items()}
    assert authorizer.LIMIT_S + aws.TRY_S < timeouts["authorizer"] < GATEWAY_LIMIT_S
    assert iot_authorizer.LIMIT_S + aws.TRY_S < timeouts["iot-authorizer"] <= IOT_LIMIT_S
    assert deadline.SPARE_S > aws.TRY_S, "the last try ends before Lambda cuts the function off"
    assert settings.REQUEST_LIMIT_S + deadline.SPARE_S < timeouts["http"] < INTEGRATION_LIMIT_S


def test_every_client_has_the_time_outs_and_retries(dynamodb):
    for made in (client(), aws.client("ssm"), aws.client("sqs"), aws.client("iot-data")):
        config = made.meta.config
        assert (config.connect_timeout, config.read_timeout) == (aws.CONNECT_TIMEOUT_S, aws.READ_TIMEOUT_S)
        assert config.retries == {"mode": "standard", "total_max_attempts": aws.RETRIES + 1}


def test_only_one_module_makes_clients():
    sources = Path(aws.__file__).parents[1].rglob("*.py")
    assert [path.stem for path in sources if "create_client(" in path.read_text()] == ["aws"]


def test_endpoint_that_accepts_and_never_answers_is_given_up_in_time(connect, lines):
    """In real time: two tries of a second each."""
    with endpoint.serving(lambda _: None) as (address, requests):
        connect(address)
        started_s = time.monotonic()
        with pytest.raises(errors.Unavailable):
            ask_iot()
        elapsed_s = time.monotonic() - started_s
    assert len(requests) * aws.READ_TIMEOUT_S <= elapsed_s < iot_authorizer.LIMIT_S + aws.TRY_S
    assert [(line["level"], line["function"], line["failed"]) for line in lines] == [
        ("error", "iot-authorizer", "ReadTimeoutError")
    ]


@both
def test_endpoint_that_refuses_connections_is_unavailable(connect, paused, lines, function):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    connect(address)
    with pytest.raises(errors.Unavailable):
        ASK[function]()
    assert paused.elapsed_s < iot_authorizer.LIMIT_S
    assert (lines[-1]["function"], lines[-1]["failed"]) == (function, "EndpointConnectionError")


@both
def test_endpoint_that_answers_late_is_unavailable(connect, paused, monkeypatch, function):
    monkeypatch.setattr(models._Meta, "read_timeout_seconds", 0.05)
    found = endpoint.response(200, '{"ConsumedCapacity": {}}')
    with endpoint.serving(lambda _: found, after_s=1) as (address, requests):
        connect(address)
        with pytest.raises(errors.Unavailable):
            ASK[function]()
    assert 2 <= len(requests) <= aws.RETRIES + 1


@both
def test_endpoint_that_answers_slowly_but_in_time_is_waited_for(connect, function):
    found = endpoint.response(200, '{"ConsumedCapacity": {}}')
    with endpoint.serving(lambda _: found, after_s=0.1) as (address, requests):
        connect(address)
        ASK[function]()
    assert requests == [1]


@both
@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalServerError"), (503, "ServiceUnavailable"), (400, "ProvisionedThroughputExceededException")],
)
def test_endpoint_that_fails_or_throttles_is_unavailable_in_time(connect, paused, lines, function, status, code):
    failed = endpoint.response(status, json.dumps({"__type": f"com.amazonaws.dynamodb#{code}", "message": "no"}))
    with endpoint.serving(lambda _: failed) as (address, requests):
        connect(address)
        with pytest.raises(errors.Unavailable):
            ASK[function]()
    assert 2 <= len(requests) <= aws.RETRIES + 1
    assert paused.elapsed_s < spec.FUNCTIONS[function].timeout_s - aws.TRY_S
    assert lines[-1]["failed"] == code


@both
def test_endpoint_that_fails_once_is_asked_again(connect, paused, function):
    failed, found = endpoint.response(500, "{}"), endpoint.response(200, '{"ConsumedCapacity": {}}')
    with endpoint.serving(lambda number: failed if number == 1 else found) as (address, requests):
        connect(address)
        ASK[function]()
    assert requests == [1, 2]


@both
def test_all_tries_of_a_silent_store_fit_into_the_functions_time(paused, dynamo, function):
    starts_s = []

    def fall_silent(**_):
        starts_s.append(paused.elapsed_s)
        paused.advance(aws.TRY_S)
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with hook("before-send.dynamodb", fall_silent, first=True), pytest.raises(errors.Unavailable):
        ASK[function]()
    assert len(starts_s) >= 2
    assert paused.elapsed_s < spec.FUNCTIONS[function].timeout_s


@both
def test_many_slow_calls_fit_into_the_functions_time(paused, dynamo, function):
    """Each call succeeds, but takes nearly as long as it may."""
    world = World()
    slow_s = 0.9 * aws.TRY_S
    with hook("before-send.dynamodb", lambda **_: paused.advance(slow_s), first=True):
        if function == "authorizer":
            assert ask_gateway(world.token)["context"]["subject"] == world.device
        else:
            with pytest.raises(errors.Unavailable) as raised:
                ask_iot(world.token)
            assert log.cause(raised.value) == "OutOfTime"
    assert paused.elapsed_s < spec.FUNCTIONS[function].timeout_s
    assert ask_iot(world.token)["isAuthenticated"], "the limit ends with the call"


def test_no_try_begins_after_the_pause_that_a_service_asks_for(paused, dynamo):
    def ask_for_a_pause(http_response, **_):
        http_response.headers["x-amz-retry-after"] = "5000"

    sent = []
    with (
        throttled("GetItem"),
        hook("before-send.dynamodb", lambda **_: sent.append(1), first=True),
        hook("needs-retry.dynamodb", lambda response, **_: ask_for_a_pause(response[0]), first=True),
        pytest.raises(errors.Unavailable),
    ):
        ask_iot()
    assert len(sent) == 1 and paused.elapsed_s == 0


def test_work_whose_time_is_over_saves_what_it_did_but_tries_only_once(dynamo, paused):
    mark, sent = Entity("owner", "name", {"from": 5}), []
    with deadline.using(deadline.Limits(deadline.within(1))):
        paused.advance(1)
        store.current().put(mark)
        assert store.current().get("owner", "name") == mark
        with (
            throttled("PutItem"),
            hook("before-send.dynamodb", lambda **_: sent.append(1), first=True),
            pytest.raises(errors.Unavailable) as raised,
        ):
            store.current().put(mark)
    assert len(sent) == 1 and log.cause(raised.value) == "ProvisionedThroughputExceededException"


def test_authorizer_whose_time_is_over_makes_no_call(dynamo, paused):
    with deadline.limited(1):
        paused.advance(1)
        with pytest.raises(errors.Unavailable) as raised:
            store.current().get("a", "b")
    assert log.cause(raised.value) == "OutOfTime"
    assert store.current().get("a", "b") is None


def refusing(monkeypatch, service):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{closed.getsockname()[1]}")


def test_secret_that_cannot_be_read_is_503(dynamo, paused, monkeypatch, lines):
    world = World()
    refusing(monkeypatch, "SSM")
    secret.use(None)
    with pytest.raises(errors.Unavailable, match="secret"):
        ask_gateway(world.token)
    assert lines[-1]["failed"] == "EndpointConnectionError"
    assert world.api.get("/data").status == 503
    monkeypatch.delenv("AWS_ENDPOINT_URL_SSM")
    boto = aws.client("ssm")
    boto.put_parameter(Name=settings.current().secret_parameter, Value="s", Type="SecureString", Overwrite=True)
    assert ask_gateway(world.token)["usageIdentifierKey"] == tokens.api_key(b"s", "", plans.WAITING)
    boto.delete_parameter(Name=settings.current().secret_parameter)
    secret.use(None)


def test_dead_letter_that_cannot_be_kept_is_delivered_again(dynamo, paused, monkeypatch):
    refusing(monkeypatch, "SQS")
    dead_letters.use(None)
    with pytest.raises(errors.Unavailable, match="queue is not available"):
        iot_ingest.store({}, None)
    dead_letters.use(None)


def test_broker_that_refuses_connections_is_503(dynamo, paused, monkeypatch, lines):
    refusing(monkeypatch, "IOT_DATA_PLANE")
    core = mqtt.IotCore()
    with pytest.raises(errors.Unavailable, match="broker"):
        core.publish(device="d", topic="t", payload=b"", qos=0)
    core.disconnect(client_id="c")
    assert lines[-1]["failed"] == "EndpointConnectionError"
