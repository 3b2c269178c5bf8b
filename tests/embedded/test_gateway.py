"""The embedded mode's API Gateway: routing, limits, preflight, HEAD, bytes."""

import asyncio
import json
from unittest.mock import Mock

import pytest

from app import app
from chalicelib import errors
from chalicelib.host import events, log
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from embedded.router import Router
from tests.kit.accounts import Mails, Person
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
        ("/", ("/", {})),
        ("/nothing", None),
        ("/device//data", None),
        ("/data/more", None),
        ("/device/{}", ("/device/{device_id}", {"device_id": "{}"})),
        ("/device/name/data", ("/device/{device_id}/data", {"device_id": "name"})),
    ],
)
def test_router_finds_fixed_parts_before_placeholders(path, found):
    assert Router(app.routes).find(path) == found


def test_audit_log_has_the_clients_address(call):
    world = World()
    headers = {"token": world.profile_token, "content-type": "application/json"}
    assert call("POST", "/device", headers, b'{"name": "Device"}', client=("192.0.2.9", 1)).status == 200
    (event,) = world.admin.get("/profile/current/auditlog").result["events"]
    assert (event["message"], event["address"]) == ("Create a device", "192.0.2.9")


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


def test_every_answer_names_its_request(serve, sqlite, monkeypatch):
    written = []
    log.use(lambda text: written.append(json.loads(text)))

    async def scenario(gateway):
        world = World()
        kept = await asgi(gateway, "POST", "/data", {"token": world.token}, json.dumps(point("a")).encode())
        assert written[-1]["request_id"] == kept.headers["x-request-id"]
        found = [
            kept,
            await asgi(gateway, "GET", "/nothing"),
            await asgi(gateway, "OPTIONS", "/data"),
            await asgi(gateway, "GET", "/info"),
            await asgi(gateway, "GET", "/status", query=b"&".join(b"a" for _ in range(2_000))),
        ]
        assert [answer.status for answer in found] == [200, 404, 200, 401, 400]
        monkeypatch.setattr(sqlite, "commit", Mock(side_effect=errors.Unavailable))
        found.append(await asgi(gateway, "POST", "/data", {"token": world.token}, json.dumps(point("a")).encode()))
        sqlite.rollback()
        assert found[-1].status == 503 and found[-1].body["request_id"] == found[-1].headers["x-request-id"]
        assert len({answer.headers["x-request-id"] for answer in found}) == len(found)
        assert all("X-Request-Id" in answer.headers["access-control-expose-headers"] for answer in found)

    serve(scenario)


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        (("192.0.2.1", 1), None, "192.0.2.1"),
        (("192.0.2.1", 1), "203.0.113.9", "192.0.2.1"),
        (("127.0.0.1", 1), "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (("::1", 1), None, "::1"),
        (None, None, ""),
    ],
)
def test_address_of_the_client_is_that_of_the_connection_or_of_a_proxy_here(sqlite, client, forwarded, address):
    events_seen = []

    def app_of_test(event, _):
        events_seen.append(event["requestContext"]["identity"]["sourceIp"])
        return app(event, None)

    async def run():
        headers = {"x-forwarded-for": forwarded} if forwarded else {}
        return await asgi(
            Gateway(app_of_test, ["/status"], GroupCommit(sqlite)), "GET", "/status", headers, client=client
        )

    try:
        asyncio.run(run())
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None
    assert events_seen == [address]


@pytest.mark.parametrize("path", ["a+b@x.org", "a%2Bb%40x.org", "A%2bB@X.ORG"])
def test_mail_address_in_a_path_is_decoded_and_plus_stays(call, sqlite, path):
    Person("a+b@x.org")
    mails = Mails()
    assert call("GET", f"/account/passwordreset/{path}").status == 200
    assert [sent["to"] for sent in mails.sent] == ["a+b@x.org"]
