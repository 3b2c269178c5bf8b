"""The embedded mode's API Gateway: routing, limits, preflight, HEAD, bytes."""

import asyncio
import json

import pytest

from app import app
from chalicelib.host import events
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from embedded.router import Router
from tests.kit.asgi import asgi
from tests.kit.world import World, point


@pytest.fixture
def call(sqlite):
    def do(*args, **kwargs):
        async def run():
            return await asgi(Gateway(app, list(app.routes), GroupCommit(sqlite)), *args, **kwargs)

        try:
            return asyncio.run(run())
        finally:
            sqlite.grouped, sqlite.on_begin = False, lambda: None

    return do


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/data", ("/data", {})),
        ("/data/", ("/data", {})),
        ("/device/token/abc", ("/device/token/{device_id_or_token}", {"device_id_or_token": "abc"})),
        ("/device/params", ("/device/params", {})),
        ("/device/a%2Fb/data", ("/device/{device_id}/data", {"device_id": "a%2Fb"})),
        ("/device/x", ("/device/{device_id}", {"device_id": "x"})),
        ("/device/x/params/y", ("/device/{device_id}/params/{param_id}", {"device_id": "x", "param_id": "y"})),
        ("/", None),
        ("/nothing", None),
        ("/device//data", None),
        ("/data/more", None),
        ("/device/{}", ("/device/{device_id}", {"device_id": "{}"})),
        ("/device/name/data", ("/device/{device_id}/data", {"device_id": "name"})),
    ],
)
def test_router_finds_fixed_parts_before_placeholders(path, found):
    assert Router(app.routes).find(path) == found


def test_unknown_route_is_404_in_the_envelope(call):
    answer = call("GET", "/nothing")
    assert answer.status == 404 and answer.message == "Route Not Found"


def test_head_is_get_without_a_body(call):
    assert call("HEAD", "/status").status == 200


def test_options_answers_preflight_and_needs_no_token(call):
    answer = call("OPTIONS", "/data", {"origin": "https://example.org", "access-control-request-method": "POST"})
    assert answer.status == 200 and "POST" in answer.headers["access-control-allow-methods"]
    for name in ("Token", "Device-Token", "Authorization", "Pragma", "Cache-Control", "User-Agent"):
        assert name in answer.headers["access-control-allow-headers"].split(",")


@pytest.mark.parametrize("method", ["PATCH", "TRACE"])
def test_other_methods_are_405_with_allow(call, method):
    answer = call(method, "/data")
    assert answer.status == 405 and "POST" in answer.headers["allow"]


def test_body_at_and_over_the_limit(call, sqlite):
    world = World()
    fitting = json.dumps([point("a", "x" * 5_000) for _ in range(39)]).encode()
    fitting += b" " * (200_000 - len(fitting))
    headers = {"token": world.token, "content-type": "application/json"}
    assert call("POST", "/data", headers, fitting).result == "39 Data Added"
    assert call("POST", "/data", headers, fitting + b" ").status == 413
    assert call("POST", "/data", headers, b"[" * 7_000_000).status == 413
    declared = call("POST", "/data", headers | {"content-length": "7000000"}, b"")
    assert declared.status == 413 and declared.headers["connection"] == "close"


def test_headers_and_url_over_their_limits(call):
    assert call("GET", "/status", {"x": "y" * 10_240}).status == 431
    assert call("GET", "/status", {"x": "y" * 10_000}).status == 200
    assert call("GET", "/status", query=b"a=" + b"y" * 8_192).status == 414


def test_too_many_query_parameters_are_400(call):
    answer = call("GET", "/status", query=b"&".join(b"a" for _ in range(2_000)))
    assert answer.status == 400


def test_repeated_and_encoded_query_parameters_arrive(call, sqlite):
    world = World()
    world.send(point("a", 1), point("b", 2), point("ü", 3))
    answer = call("GET", "/data", {"token": world.token}, query=b"variables=a&variables=%C3%BC&qty=5")
    assert sorted(one["value"] for one in answer.result) == [1, 3]


def test_body_that_is_not_utf8_is_400(call, sqlite):
    answer = call("POST", "/data", {"token": World().token}, b'{"variable":"\xff"}')
    assert answer.status == 400


def test_other_scopes_are_ignored():
    asyncio.run(Gateway(app, [], None)({"type": "lifespan"}, None, None))


def test_inspector_shows_a_thousand_characters_of_a_body(call, sqlite):
    class Inspector:
        def __init__(self):
            self.seen_contents = []

        def stored(self, device, items):
            pass

        def seen(self, device, title, content):
            self.seen_contents.append(content)

    world, inspector = World(), Inspector()
    events.use(inspector)
    headers = {"token": world.token, "content-type": "application/json"}
    body = json.dumps([point("a", "x" * 100) for _ in range(100)]).encode()
    assert call("POST", "/data", headers, body).status == 200
    (content,) = inspector.seen_contents
    assert content == f"200 {body.decode()[:1_000]}"


@pytest.mark.parametrize("sent", [b"variable=trunc&value=12", b"", b'{"variable":"a","value":1}'])
def test_body_that_is_cut_off_has_no_effect(sqlite, sent):
    world = World()

    async def run():
        messages = [{"type": "http.request", "body": sent, "more_body": True}, {"type": "http.disconnect"}]
        answered = []

        async def receive():
            return messages.pop(0)

        async def send(message):
            answered.append(message)

        headers = [(b"token", world.token.encode()), (b"content-type", b"application/x-www-form-urlencoded")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/data",
            "raw_path": b"/data",
            "query_string": b"",
            "headers": headers,
        }
        await Gateway(app, list(app.routes), GroupCommit(sqlite))(scope, receive, send)
        return answered

    try:
        assert asyncio.run(run()) == []
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None
    assert world.read() == []
