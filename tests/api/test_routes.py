"""The route table: which callers each row admits, which bodies it accepts, and that profiles are kept apart."""

import json
import re

import pytest
from chalice.app import Chalice

from app import app
from chalicelib import errors, routes
from chalicelib.http import route
from chalicelib.http.route import DEVICE, PROFILE, Route
from chalicelib.schemas import lists, params
from chalicelib.services.access import tokens
from chalicelib.services.usage import plans
from tests.kit.api import Api
from tests.kit.world import World, point

IDS = [f"{row.method} {row.path}" for row in routes.ALL]
BODIES = {
    "/device": {"name": "Another"}, "/device/{device_id}": {"name": "Another"}, "/data": point("a"),
    "/device/{device_id}/data": point("a"), "/device/{device_id}/params": {"key": "a", "value": "b"},
    "/device/{device_id}/convert": {"type": "mutable"}, "/action/{action_id}": {"name": "Another"},
    "/action": {"name": "Another", "type": "mqtt_topic", "trigger": [{"tag_key": "a", "topic": "b"}], "action": {"type": "insert_to_device"}},
}  # fmt: skip
"""A valid body for each path that has one."""


@pytest.fixture
def things(world, configure):
    """One object of each kind that a path or a body can name."""
    configure(profile_may_send=True)
    world.send(point("a"))
    world.admin.post(f"/device/{world.device}/params", {"key": "k", "value": "v"})
    return {
        "device_id": world.device,
        "device_id_or_token": world.device,
        "param_id": world.admin.get(f"/device/{world.device}/params").result[0]["id"],
        "chunk_id": "1_2",
        "action_id": world.admin.post("/action", BODIES["/action"]).result["action"],
    }


def body_of(row, things):
    if row.path == "/device/token":
        return {"device": things["device_id"], "name": "n", "permission": "read"}
    if row.path.endswith("/publish"):
        return {"device": things["device_id"], "topic": "t", "message": "m"}
    if row.method == "PUT" and row.path.endswith("/data"):
        return {"id": "0" * 24, "value": 1}
    return BODIES.get(row.path) if row.method in ("POST", "PUT") else None


def call(row, things, token):
    missing = set(re.findall(r"{(\w+)}", row.path)) - things.keys()
    assert not missing, f"add {missing} to the fixture `things`, so that the route can be called"
    return Api(token)(row.method, row.path.format(**things), json_body=body_of(row, things))


def test_app_serves_the_table_and_nothing_else():
    mounted = {(method, path) for path, methods in app.routes.items() for method in methods}
    assert mounted == {(row.method, row.path) for row in routes.ALL} and len(routes.ALL) == len(mounted)


@pytest.mark.parametrize("row", routes.ALL, ids=IDS)
def test_row_is_complete(row):
    assert row.note, "the row needs a note for docs/compatibility.md"
    assert (row.handle.__doc__ or "").strip().endswith("."), "the function needs a docstring: it describes the route"
    assert row.who in ((), (DEVICE,), (PROFILE,), (DEVICE, PROFILE)) and row.need in ("read", "write", "full")
    if row.method == "GET":
        assert row.need == "read" and row.body is None
    if "{device_id}" in row.path:
        assert row.who == (PROFILE,)


@pytest.mark.parametrize("plan", plans.load().values(), ids=lambda plan: plan.name)
def test_every_rate_has_a_figure_in_every_plan(plan):
    rates = {row.rate for row in routes.ALL if row.rate}
    assert set(plan.per_minute) == (rates if plan.others_per_minute is not None else set())
    assert all(plan.limit(row.rate) == plan.per_minute.get(row.rate, plan.others_per_minute) for row in routes.ALL)


def test_plan_without_a_figure_for_a_rate_is_an_error():
    plan = plans.load()["free"]
    with pytest.raises(KeyError):
        plan.limit("GET /typo")


def test_every_row_with_a_body_has_an_example(world, things):
    lacking = [row.path for row in routes.ALL if row.body is not None and body_of(row, things) is None]
    assert lacking in ([], ["/device/params/{param_id}"]), "add an example to BODIES"


@pytest.mark.parametrize("row", routes.ALL, ids=IDS)
def test_row_admits_its_callers_with_its_permission_and_nobody_else(world, things, row):
    def is_allowed(kind, permission):
        return not row.who or (kind in row.who and permission in ("full", row.need))

    callers = [(kind, permission) for kind in (DEVICE, PROFILE) for permission in ("read", "write", "full")]
    for kind, permission in sorted(
        callers, key=lambda caller: is_allowed(*caller)
    ):  # what is allowed may delete things
        device = world.device if kind == DEVICE else ""
        sent = {"name": "t", "permission": permission}
        token = tokens.create(kind=kind, profile=world.profile, subject=device, sent=sent)["token"]
        is_denied = call(row, things, token).status == 401
        assert is_denied is not is_allowed(kind, permission), (kind, permission)


@pytest.mark.parametrize("row", [row for row in routes.ALL if PROFILE in row.who and ("{" in row.path or row.path.endswith(("/device/token", "/publish")))], ids=lambda row: f"{row.method} {row.path}")  # fmt: skip
def test_another_profiles_object_does_not_exist(world, things, row):
    other = World()
    answer = call(row, things, other.profile_token)
    assert answer.status == 404, answer.text
    assert world.read(query="count") == 1 and world.admin.get("/action").result[0]["name"] == "Another"
    assert [param["value"] for param in world.admin.get(f"/device/{world.device}/params").result] == ["v"]


def test_another_devices_objects_do_not_exist_for_a_device_token(world, things):
    """A device's token reaches nothing of another device, of its own profile or of another one."""
    (stored,) = world.read()
    neighbour = world.admin.post("/device", {"name": "Neighbour"}).result["token"]
    for token in (neighbour, World().token):
        api = Api(token)
        assert api.get("/data").result == [] == api.get("/data", query={"ids": stored["id"]}).result
        assert api.put("/data", {"id": stored["id"], "value": 9}).result == "0 item(s) updated"
        assert api.delete("/data", query={"ids": stored["id"]}).result == "0 Data Removed"
        assert api.put(f"/device/params/{things['param_id']}", {"sent": True}).status == 404
        assert api.get("/device/params").result == [] and api.get("/info").result["id"] != world.device
    assert world.read() == [stored]
    assert [param["sent"] for param in world.admin.get(f"/device/{world.device}/params").result] == [False]


@pytest.mark.parametrize("row", [row for row in routes.ALL if row.method in ("POST", "PUT")], ids=lambda row: f"{row.method} {row.path}")  # fmt: skip
def test_content_type_is_checked_alike_wherever_there_is_a_body(world, things, row):
    token = world.token if row.who == (DEVICE,) else world.profile_token
    path, body = row.path.format(**things), body_of(row, things)
    raw = json.dumps(body) if body is not None else None
    takes_a_body = row.body is not None or row.path.endswith("/data")
    png, form = ({"content-type": kind} for kind in ("image/png", "application/x-www-form-urlencoded"))
    refused = Api(token)(row.method, path, raw=raw, headers=png)
    assert (refused.status == 415) is takes_a_body, refused.text
    assert Api(token)(row.method, path, raw=raw, headers=form).status != 415  # curl calls every body a form
    if row.body is not None:
        assert Api(token)(row.method, path, raw="a=1", headers=form).status == 415
    assert (
        Api(token)(row.method, path, raw=raw, headers={"content-type": "application/json; charset=utf-8"}).status < 415
    )


def test_a_new_route_is_a_row_a_function_a_schema_and_a_service_function(world):
    """CONTRIBUTING.md promises that a new route needs no other change."""

    def rename_all(*, profile, sent):  # the service function
        if not sent:
            raise errors.BadRequest.field("params", "params is required")
        return [f"{profile}:{param['key']}" for param in sent]

    def rename(call):  # the route's function
        """Rename all parameters."""
        return rename_all(profile=call.profile, sent=call.body)

    row = Route("PUT", "/scratch/{name}", rename, need="full", body=params.one_or_more, note="Scratch")
    scratch = Chalice(app_name="scratch")
    route.mount(scratch, [row])

    def ask(method, body, token):
        event = {
            "requestContext": {"resourcePath": "/scratch/{name}", "httpMethod": method, "requestId": "test"},
            "multiValueQueryStringParameters": None, "headers": {"token": token, "content-type": "application/json"},
            "pathParameters": {"name": "x"}, "stageVariables": None, "body": body, "isBase64Encoded": False,
        }  # fmt: skip
        if not world_is_embedded:
            event["requestContext"]["authorizer"] = context({"token": token})
        answer = scratch(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    from chalicelib import store
    from tests.kit.api import authorized as context

    world_is_embedded = store.current().is_exclusive
    status, body = ask("PUT", '[{"key": "a"}, {"key": "b"}]', world.profile_token)
    assert (status, body) == (200, {"status": True, "result": [f"{world.profile}:a", f"{world.profile}:b"]})
    assert ask("PUT", "[]", world.profile_token)[1]["field_errors"] == {"params": ["params is required"]}
    assert ask("PUT", '{"key": 1}', world.profile_token)[0] == 400 and ask("PUT", "{}", world.token)[0] == 401
    assert ask("POST", "{}", world.profile_token)[0] == 405


def test_lists_need_only_a_shape():
    shape = lists.ListShape(fields=("id", "name"), default=("id",), sortable=("name",), filters={"name": "text"})
    query = lists.read_list({"fields": ["name"], "filter": {"name": ["a*"]}}, shape, 0)
    assert (query.fields, query.order, query.filters) == (["name"], "name", {"name": "a*"})
