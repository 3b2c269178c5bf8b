"""What tests share: a caller of the app by API Gateway events, a clock to set, faults to inject, calls to count."""

import contextlib
import json
from collections import Counter
from urllib.parse import parse_qsl, urlencode

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.core.models import botocore_stubber

from app import app
from chalicelib import store
from chalicelib.functions import authorizer
from chalicelib.host import clock
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.store import Sum
from chalicelib.store.counting import add_sum
from chalicelib.store.models import SegmentModel
from deploy import document, spec
from embedded.gateway import Router

ROUTER = Router(app.routes)
NOW_MS = 1_790_000_000_000
"""2026-09-21T14:13:20Z, on a Monday."""


FUNCTIONS = []
"""The functions that are running, the innermost last."""
RECORDED = set()
"""Every (function, action, table or other resource) that was seen."""
FORBIDDEN = []
"""What a function did that its policy does not allow."""
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}


@contextlib.contextmanager
def running(function):
    """Hold a function responsible for the AWS calls that are made meanwhile."""
    FUNCTIONS.append(function)
    try:
        yield
    finally:
        FUNCTIONS.pop()


def allowed(function):
    """Return the (action, resource) pairs of a function's policy; a resource is the last part of its ARN."""
    return {
        (action, statement["Resource"].rpartition(":")[2].removeprefix("table/").removeprefix("parameter"))
        for statement in spec.policy(function, "dev")["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def record(params, model, **_):
    """Note each AWS call of a function, and whether its policy allows it. Registered for every client there is."""
    if not FUNCTIONS:
        return
    service, function = model.service_model.service_name, FUNCTIONS[-1]
    if model.name == "TransactWriteItems":
        parts = [(PARTS[kind], what["TableName"]) for one in params["TransactItems"] for kind, what in one.items()]
    elif model.name == "BatchWriteItem":
        parts = [(model.name, table) for table in params["RequestItems"]]
    else:
        parts = [(model.name, _resource(service, params))]
    service = service.removesuffix("-data")
    for operation, resource in parts:
        done = (
            f"{service}:{operation}",
            resource.replace("decant-", "decant-dev-").replace("/decant/", "/decant/dev/"),
        )
        RECORDED.add((function, *done))
        if done not in allowed(function):
            FORBIDDEN.append((function, *done))


def _resource(service, params):
    """Return what a call is about, as its policy names it."""
    if service == "iot-data":
        return "topic/device/*" if params.get("topic", "").startswith("device/") else "client/*"
    if service == "sqs":
        return (params.get("QueueName") or params["QueueUrl"]).rpartition("/")[2]
    return params.get("TableName") or params["Name"]


def authorized(headers):
    """Return the context that API Gateway's authorizer hands on, or the name of the answer that the gateway gives."""
    event = {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:api/api/GET/",
        "headers": headers,
    }
    with running("authorizer"):
        try:
            return authorizer.authorize(event, None)["context"]
        except Exception as error:
            return "UNAUTHORIZED" if str(error) == "Unauthorized" else "AUTHORIZER_FAILURE"


def answer_of_the_gateway(name):
    """Return what API Gateway answers by itself, from the API's own document."""
    found = document.gateway_responses()[name]
    headers = {
        name.removeprefix("gatewayresponse.header."): value.strip("'")
        for name, value in found["responseParameters"].items()
    }
    return {
        "statusCode": int(found["statusCode"]),
        "headers": headers,
        "body": found["responseTemplates"]["application/json"],
    }


class Answer:
    """What the app answered; ``result`` and ``message`` look into the envelope."""

    def __init__(self, raw):
        self.status = raw["statusCode"]
        self.headers = {name.lower(): value for name, value in raw["headers"].items()}
        self.text = raw["body"]
        self.body = json.loads(raw["body"])
        assert self.headers["content-type"] == "application/json"
        assert self.headers["access-control-allow-origin"] == "*"
        if self.status < 400:
            assert self.body["status"] is True and "result" in self.body, self.body
        else:
            assert self.body["status"] is False and isinstance(self.body["message"], str), self.body

    @property
    def result(self):
        assert self.status < 400, (self.status, self.text)
        return self.body["result"]

    @property
    def message(self):
        assert self.status >= 400, (self.status, self.text)
        return self.body["message"]


class Api:
    """Calls the real app with proxy events, as API Gateway would; over DynamoDB, behind its authorizer.

    Args:
        token: of the caller.
        context: what the authorizer hands on, instead of what it would.
    """

    def __init__(self, token=None, context=None):
        self.token = token
        self.context = context

    def __call__(self, method, path, *, json_body=None, raw=None, query=None, headers=None, token=None, base64=False):
        path, _, text = path.partition("?")
        resource, parameters = ROUTER.find(path)
        parsed = {}
        pairs = parse_qsl(text, keep_blank_values=True)
        for name, value in [*pairs, *parse_qsl(urlencode(query or {}, doseq=True), keep_blank_values=True)]:
            parsed.setdefault(name, []).append(value)
        token = token or self.token
        sent = {"content-type": "application/json"} if json_body is not None else {}
        sent |= {"token": token} if token else {}
        sent |= headers or {}
        event = {
            "requestContext": {"resourcePath": resource, "httpMethod": method, "requestId": "test"},
            "multiValueQueryStringParameters": parsed or None,
            "headers": {name: value for name, value in sent.items() if value is not None},
            "pathParameters": parameters,
            "stageVariables": None,
            "body": json.dumps(json_body) if json_body is not None else raw,
            "isBase64Encoded": base64,
        }
        if self.context is not None:
            event["requestContext"]["authorizer"] = self.context
        elif not store.current().is_exclusive and resource not in document.OPEN:
            context = authorized(event["headers"])
            if isinstance(context, str):
                return Answer(answer_of_the_gateway(context))
            event["requestContext"]["authorizer"] = context
        with running("http"):
            return Answer(app(event, None))

    def get(self, path, **kwargs):
        return self("GET", path, **kwargs)

    def post(self, path, json_body=None, **kwargs):
        return self("POST", path, json_body=json_body, **kwargs)

    def put(self, path, json_body=None, **kwargs):
        return self("PUT", path, json_body=json_body, **kwargs)

    def delete(self, path, **kwargs):
        return self("DELETE", path, **kwargs)


async def asgi(gateway, method, path, headers=None, body=b"", state="open", query=b""):
    """Call an ASGI application with one request; in the state ``closed`` the client has gone before the answer."""
    sent = []
    messages = [
        {"type": "http.request", "body": body[at : at + 65_536], "more_body": True}
        for at in range(0, len(body), 65_536)
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    async def send(message):
        if state == "closed":
            raise ConnectionError
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(name.lower().encode(), text.encode("latin-1")) for name, text in (headers or {}).items()],
    }
    await gateway(scope, receive, send)
    start, *rest = sent
    found = {name.decode(): text.decode() for name, text in start["headers"]}
    content = b"".join(message["body"] for message in rest)
    if method == "HEAD":
        assert content == b"" and int(found["content-length"]) > 0
        content = b'{"status":true,"result":null}'
    return Answer({"statusCode": start["status"], "headers": found, "body": content.decode()})


class World:
    """A profile with a device, and a caller for each."""

    def __init__(self, **sent):
        self.profile, self.profile_token = profiles.create(name="Test")
        self.admin = Api(self.profile_token)
        made = devices.create(profile=self.profile, sent={"name": "Device", **sent})
        self.device, self.token = made["device_id"], made["token"]
        self.api = Api(self.token)

    @property
    def doc(self):
        return devices.get_or_raise(profile=self.profile, device=self.device)

    def send(self, *points, **kwargs):
        return self.api.post("/data", list(points), **kwargs).result

    def read(self, **query):
        return self.api.get("/data", query=query).result


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ms):
        self.now_ms = now_ms
        self.elapsed_s = 0.0

    def advance(self, seconds):
        self.now_ms += int(seconds * 1000)
        self.elapsed_s += seconds

    def install(self, monkeypatch):
        monkeypatch.setattr(clock, "now_us", lambda: self.now_ms * 1000)
        monkeypatch.setattr(clock, "monotonic_s", lambda: self.elapsed_s)
        return self


def point(variable="temperature", value=1, **fields):
    return {"variable": variable, "value": value, **fields}


def values(points):
    return [one.get("value") for one in points]


def client():
    return SegmentModel.shared().client


@contextlib.contextmanager
def hook(event, handler, first=False):
    """Register a botocore handler for a while."""
    events = client().meta.events
    (events.register_first if first else events.register)(event, handler)
    try:
        yield
    finally:
        events.unregister(event, handler)


def count_hooks():
    """Count the handlers on the client, to find one that was left behind."""

    def count(node):
        own = sum(map(len, node["values"] or ()))
        return own + sum(map(count, node["children"].values()))

    return count(client().meta.events._emitter._handlers._root)


@contextlib.contextmanager
def counting():
    """Count DynamoDB calls by operation, and in ``units`` what they are billed: of 1 kB written and of 4 kB read."""
    calls = Counter()
    calls.units, calls.stored_bytes = Counter(), 0

    def before(params, model, **_):
        calls.is_half = params.get("ConsistentRead") is False
        if model.name == "PutItem":
            calls.stored_bytes += item_bytes(params["Item"])
            calls.units["write"] += -(-item_bytes(params["Item"]) // 1024)
        elif model.name == "UpdateItem":  # of counters, which are small
            calls.units["write"] += 1

    def after(model, parsed, **_):
        calls[model.name] += 1
        if model.name in ("GetItem", "Query"):
            found = parsed.get("Items", [parsed["Item"]] if "Item" in parsed else [])
            calls.units["read"] += max(1, -(-sum(map(item_bytes, found)) // 4096)) / (1 + calls.is_half)

    with hook("before-parameter-build.dynamodb", before), hook("after-call.dynamodb", after):
        yield calls


def item_bytes(item):
    """Return the size of a low-level item as DynamoDB counts it."""
    size = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        if kind == "N":
            size += len(name) + len(value.lstrip("-").replace(".", "").strip("0")) // 2 + 2
        else:
            size += len(name) + len(value if isinstance(value, bytes) else value.encode())
    return size


def response(request, status, body):
    """Return an answer of the wire in DynamoDB's place."""

    class Raw:
        def stream(self, *_args, **_kwargs):
            yield body if isinstance(body, bytes) else json.dumps(body).encode()

    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "test"}
    return AWSResponse(request.url, status, headers, Raw())


@contextlib.contextmanager
def intercepted(operation, answer):
    """Let ``answer(request)`` answer each request before moto sees it; None lets it pass.

    botocore calls every handler of before-send, whatever the first returned, so moto is switched off meanwhile.
    """
    events, event = client().meta.events, f"before-send.dynamodb.{operation}"

    def first(request, **_):
        given = answer(request)
        botocore_stubber.enabled = given is None
        return given

    def last(**_):
        botocore_stubber.enabled = True

    events.register_first(event, first)
    events.register_last("before-send", last)
    try:
        yield
    finally:
        events.unregister(event, first)
        events.unregister("before-send", last)


def throttled(operation, times=10**9):
    """Refuse an operation's requests as throttled, the first ``times`` times."""
    left = [times]
    body = {"__type": "com.amazonaws.dynamodb#ProvisionedThroughputExceededException", "message": "slow down"}

    def refuse(request):
        left[0] -= 1
        return response(request, 400, body) if left[0] >= 0 else None

    return intercepted(operation, refuse)


def answered(operation, status, body):
    """Answer an operation with this status and body, always."""
    return intercepted(operation, lambda request: response(request, status, body))


@contextlib.contextmanager
def answer_lost(operation, times=1):
    """Let an operation do its work, and then time out."""
    left = [times]

    def lose(**_):
        if left[0] > 0:
            left[0] -= 1
            raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with hook(f"after-call.dynamodb.{operation}", lose):
        yield


@contextlib.contextmanager
def unprocessed(rounds, keep=1):
    """Hand all but ``keep`` items of each batch back as unprocessed, for a number of rounds."""
    left, held = [rounds], []

    def take(params, **_):
        held.clear()
        if left[0] > 0:
            left[0] -= 1
            for table, requests in params["RequestItems"].items():
                held.append((table, requests[keep:]))
                params["RequestItems"][table] = requests[:keep] or requests[:1]

    def give(parsed, **_):
        back = {table: requests for table, requests in held if requests}
        if back:
            parsed["UnprocessedItems"] = back

    operation = "dynamodb.BatchWriteItem"
    with hook(f"before-parameter-build.{operation}", take), hook(f"after-call.{operation}", give):
        yield


def count_stream(world, points_in, records):
    """Let the stream have counted this much for a device."""
    added = Sum(world.device, world.profile, points_in, records, NOW_MS, "0".zfill(40), "1".zfill(40))
    assert add_sum(added) is None


SCHEDULED = {
    "version": "0", "account": "1", "region": "r", "detail": {}, "detail-type": "Scheduled Event", "source": "aws.events",
    "time": "2026-09-21T14:00:00Z", "id": "1", "resources": [],
}  # fmt: skip


class Recorder:
    """A broker that notes what it is asked for."""

    def __init__(self):
        self.published, self.ended = [], []

    def publish(self, **message):
        self.published.append(message)

    def disconnect(self, *, client_id):
        self.ended.append(client_id)


class Killed(BaseException):
    """Stands for a process that is gone."""


@contextlib.contextmanager
def killed_after(operation, calls):
    """End the process, as it were, before an operation's call number ``calls`` + 1."""
    left = [calls]

    def kill(**_):
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    with hook(f"before-call.dynamodb.{operation}", kill):
        yield


def be_strict(params, model, **_):
    """Refuse what DynamoDB refuses and moto lets pass."""
    if model.name == "BatchWriteItem":
        for table, requests in params["RequestItems"].items():
            keys = [json.dumps(_key(one), sort_keys=True, default=str) for one in requests]
            if len(keys) != len(set(keys)):
                raise _invalid("Provided list of item keys contains duplicates", model.name)
            if not 1 <= len(requests) <= 25:
                raise _invalid(f"Too many items in {table}", model.name)
            for one in requests:
                _check_item(one.get("PutRequest", {}).get("Item", {}), model.name)
    _check_item(params.get("Item", {}), model.name)
    _check_item(params.get("Key", {}), model.name, is_key=True)
    for attribute in params.get("ExpressionAttributeValues", {}).values():
        if attribute.get("S") == "":
            raise _invalid("One or more parameter values are not valid: an empty key value", model.name)


def _key(request):
    found = request.get("DeleteRequest", {}).get("Key") or request["PutRequest"]["Item"]
    return {name: found[name] for name in ("device", "key", "owner", "name") if name in found}


def _check_item(item, operation, is_key=False):
    size = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        text = value if isinstance(value, bytes) else str(value).encode()
        size += len(name.encode()) + len(text)
        if (is_key or name in ("device", "key", "owner", "name")) and kind == "S" and not value:
            raise _invalid(f"The key attribute {name} is empty", operation)
        if kind == "N" and len(value.strip("-0").replace(".", "")) > 38:
            raise _invalid("Attempting to store more than 38 significant digits in a Number", operation)
    if size > 409_600:
        raise _invalid("Item size has exceeded the maximum allowed size", operation)


def _invalid(message, operation):
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, operation)
