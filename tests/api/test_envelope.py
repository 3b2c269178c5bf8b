"""Every route answers everything in one envelope. The kit's Answer checks it on each call."""

import itertools
import json
from unittest.mock import Mock

import pytest

from app import app
from chalicelib import errors, routes
from chalicelib.host import log
from chalicelib.http import answers
from tests.kit.api import PROTECTED, Api
from tests.kit.stores import on_stores
from tests.kit.world import World, point


@on_stores(routes.ALL)
def test_every_route_without_a_token_is_denied(world, row):
    path, method = row.path, row.method
    answer = Api()(method, path.replace("{", "").replace("}", ""))
    assert answer.status == 401 if (path, method) in PROTECTED else answer.status < 500


@pytest.mark.parametrize("path", sorted(app.routes))
def test_every_route_refuses_other_methods_with_allow(world, path):
    plain = path.replace("{", "").replace("}", "")
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"):
        if method not in app.routes[path]:
            answer = world.admin(method, plain)
            assert answer.status == 405 and set(answer.headers["allow"].split(", ")) == set(app.routes[path])


@on_stores(routes.ALL)
def test_no_route_breaks_on_bad_bodies(world, row):
    method, plain = row.method, row.path.replace("{device_id}", world.device).replace("{", "").replace("}", "")
    for raw, api in itertools.product(("{", "[[[", '{"variable":5}', "\x00", "5"), (world.admin, world.api)):
        answer = api(method, plain, raw=raw)
        assert answer.status < 500


@on_stores(routes.ALL)
def test_no_route_breaks_on_bad_query_strings(world, row):
    path, method = row.path, row.method
    for text in ("page=x", "fields=%00", "filter=1", "filter[a]=1", "qty=1&qty=2", "=", "[]=1", "a[]=1&a[b]=2"):
        plain = path.replace("{device_id}", world.device).replace("{", "").replace("}", "")
        assert world.admin(method, f"{plain}?{text}", json_body={}).status < 500


def test_unexpected_exception_is_a_500_that_reveals_nothing(world, monkeypatch):
    def fail(_):
        raise RuntimeError("a secret")

    monkeypatch.setattr("chalicelib.services.points.send.put", fail)
    answer = world.api.post("/data", point("a"))
    assert answer.status == 500 and "secret" not in answer.text and "log" in answer.message


def test_every_answer_names_its_request_and_a_5xx_in_the_envelope_too(world, monkeypatch):
    written = []
    log.use(lambda text: written.append(json.loads(text)))
    answered = [
        world.api.get("/info"),
        world.admin.get("/device/none"),
        world.api("PATCH", "/data"),
        world.api.post("/data", raw="{"),
    ]
    assert [answer.status for answer in answered] == [200, 404, 405, 400]
    assert all("request_id" not in answer.body for answer in answered)
    for error, status in ((RuntimeError("x"), 500), (errors.Unavailable(), 503)):
        monkeypatch.setattr("chalicelib.services.points.send.put", Mock(side_effect=error))
        answered.append(world.api.post("/data", point("a")))
        assert answered[-1].status == status and answered[-1].body["request_id"] == "test"
    assert (
        {answer.headers["x-request-id"] for answer in answered} == {"test"} == {line["request_id"] for line in written}
    )
    assert all("X-Request-Id" in answer.headers["access-control-expose-headers"].split(",") for answer in answered)


def test_answer_that_is_too_large_is_refused(world):
    with pytest.raises(errors.TooLarge):
        answers.ok("x" * 5_000_001)


def test_two_tenants_alternating_never_mix(each_store):
    worlds = [World(), World()]
    for turn in range(20):
        for number, world in enumerate(worlds):
            world.send(point(f"tenant{number}", turn))
    for number, world in enumerate(worlds):
        assert {one["variable"] for one in world.read(qty=100)} == {f"tenant{number}"}
        assert json.loads(world.api.get("/info").text)["result"]["id"] == world.device
