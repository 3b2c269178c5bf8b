"""The route table: which callers each row admits, and which bodies it accepts. test_isolation.py keeps profiles apart."""

import json
import re

import pytest
from chalice.app import Chalice

from app import app
from chalicelib import errors, routes, store
from chalicelib.http import route
from chalicelib.http.access import LISTS
from chalicelib.http.route import ANALYSIS, DEVICE, NETWORK, PROFILE, RUN_USER, Route
from chalicelib.schemas import audit, lists, params
from chalicelib.services.access import catalogue, tokens
from chalicelib.services.accounts import attempts, profiles
from chalicelib.services.devices.catalogue import HTTPS_NETWORK
from chalicelib.services.devices.network_tokens import CREATE_DEVICE
from chalicelib.services.usage import limits, plans, rates
from deploy import throttles
from tests.kit.accounts import PASSWORD, Mails
from tests.kit.api import Api
from tests.kit.governed import Analysis, RunUser, policy, rule
from tests.kit.networks import Network, authorization
from tests.kit.parsers import ready
from tests.kit.people import Person
from tests.kit.stores import on_stores
from tests.kit.world import World, point

ready()
IDS = [f"{row.method} {row.path}" for row in routes.ALL]


POLICY = {
    "name": "Another", "targets": [["analysis", "id", "nobody"]],
    "permissions": [{"effect": "allow", "action": ["access"], "resource": ["device"]}],
}  # fmt: skip
CREDENTIALS = {"email": "a@x.org", "password": PASSWORD}
OWN_CHECK = "/account/passwordreset"
"""A route whose row names no callers, as it finds out itself whether a token was mailed or is a profile's."""
BODIES = {
    "/device": {"name": "Another"}, "/device/{device_id}": {"name": "Another"}, "/data": point("a"),
    "/device/{device_id}/data": point("a"), "/device/{device_id}/params": {"key": "a", "value": "b"},
    "/device/{device_id}/convert": {"type": "mutable"}, "/device/{device_id}/data/backup": {"file_address": "a"},
    "/device/{device_id}/data/restore": {"file_address": "a"}, "/device/{device_id}/chunk/backup": {"chunk_id": "1_2"},
    "/device/{device_id}/chunk/copy": {"chunk_id": "1_2"}, "/files/url": {"filename": "a", "size": 1}, "/action/{action_id}": {"name": "Another"},
    "/am": POLICY, "/am/{am_id}": {"name": "Another"},
    "/run/users": {"name": "Another", "email": "another@example.org", "password": "a secret"},
    "/run/users/{user_id}": {"name": "Another"},
    "/analysis": {"name": "Another"}, "/analysis/{analysis_id}": {"name": "Another"},
    "/profile": {"name": "Another"}, "/profile/{profile_id}": {"name": "Another"}, "/account/allocation": [],
    "/integration/network/device": {"name": "Another"}, "/integration/network/{network_id}/params": {"key": "a", "value": "b"},
    "/serviceauth": {"name": "n", "permission": "read"}, "/serviceauth/{token}": {"verification_code": "c"},
    "/profile/{profile_id}/team": {"email": "new@x.org"},
    "/account": {"name": "Another", "email": "other@x.org", "password": PASSWORD}, "/account/login": CREDENTIALS,
    "/account/profile/token": CREDENTIALS | {"profile_id": "0" * 24, "name": "n"},
    "/account/login/otp": CREDENTIALS | {"otp_type": "authenticator"}, "/account/otp/{type}/enable": CREDENTIALS,
    "/account/otp/{type}/disable": CREDENTIALS, "/account/otp/{type}/confirm": {"pin_code": "000000"},
    "/account/passwordreset": {"password": PASSWORD},
    "/integration/connector": {"name": "Another", "networks": [HTTPS_NETWORK]},
    "/integration/connector/{connector_id}": {"name": "Another"},
    "/integration/parser/run": {"payload_decoder": "", "payload": "{}"},
    "/integration/network": {"name": "Another"}, "/integration/network/{network_id}": {"name": "Another"},
    "/action": {"name": "Another", "type": "mqtt_topic", "trigger": [{"tag_key": "a", "topic": "b"}], "action": {"type": "insert_to_device"}},
}  # fmt: skip
"""A valid body for each path that has one."""
AUDIT = audit.to_id(audit.AuditQuery(0, 1, "", "", "", 1))
"""The id of a query of the audit log."""


def things_of(world, email="a@x.org"):
    """Return one object of each kind that a path or a body can name. The tests of isolation call it too."""
    world.send(point("a"))
    world.admin.post(f"/device/{world.device}/params", {"key": "k", "value": "v"})
    owner = Person(email)
    profiles.adopt(profiles.get_or_raise(world.profile), owner.account)
    network = Network(world, require_devices_access=True, parser="serial = payload[0].serial")
    sent = {"device": network.device("S1")[0], "name": "n", "permission": "write", "serie_number": "S1"}
    world.admin.post("/device/token", sent)
    return {
        "profile_id": world.profile,
        "account_id": "0" * 24,
        "addon": "mobile",
        "name": "licenses.txt",
        "device_id": world.device,
        "device_id_or_token": world.device,
        "param_id": world.admin.get(f"/device/{world.device}/params").result[0]["id"],
        "chunk_id": "1_2",
        "am_id": world.admin.post("/am", POLICY).result["am_id"],
        "user_id": RunUser(world).id,
        "analysis_id": world.admin.post("/analysis", {"name": "Another"}).result["id"],
        "email": "a@x.org",
        "token": "0" * 56,
        "type": "authenticator",
        "tagged": "device",
        "serial": "S1",
        "query_id": AUDIT,
        "connector_id": network.connector,
        "network_id": network.id,
        "network_id_or_token": network.id,
        "authorization": authorization(world),
        "action_id": world.admin.post("/action", BODIES["/action"]).result["action"],
    }


@pytest.fixture
def things(world, configure):
    """One object of each kind that a path or a body can name."""
    configure(profile_may_send=True, sign_up="open")
    Mails()
    return things_of(world)


def body_of(row, things):
    if row.path == "/integration/network/data":
        return [{"serial": things["serial"], **point("a")}]
    if row.path == "/integration/network/token":
        return {"network": things["network_id"], "name": "n", "permission": "read"}
    if row.path == "/device/token":
        return {"device": things["device_id"], "name": "n", "permission": "read"}
    if row.path.endswith("/publish"):
        return {"device": things["device_id"], "topic": "t", "message": "m"}
    if row.method == "PUT" and row.path.endswith("/data"):
        return {"id": "0" * 24, "value": 1}
    if row.path == "/profile/{profile_id}/token":
        return {"name": "n", "permission": "read", "email": "a@x.org", "password": PASSWORD}
    if row.method == "DELETE" and row.body is not None:
        return {"password": PASSWORD}
    return BODIES.get(row.path) if row.method in ("POST", "PUT") else None


def token_of(kind, permission, world, things):
    """Return a new token with every privilege, of one of the objects of a test."""
    subject = {DEVICE: world.device, NETWORK: things["network_id"]}.get(kind, "")
    sent, more = {"name": "t", "permission": permission}, {CREATE_DEVICE: True}
    return tokens.create(kind=kind, profile=world.profile, subject=subject, sent=sent, more=more)["token"]


def token_for(row, world, things):
    """Return a full token of a kind that may call a row."""
    return token_of(PROFILE if PROFILE in row.who or not row.who else row.who[0], "full", world, things)


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
    assert len({*row.who}) == len(row.who) and row.need in ("read", "write", "full")
    if row.method == "GET":
        assert row.body is None
    if "{device_id}" in row.path:
        assert PROFILE in row.who and DEVICE not in row.who
    if row.path != "/info":
        assert (row.grant is not None) is bool({ANALYSIS, RUN_USER} & {*row.who})


def test_variables_at_one_place_of_a_path_have_one_name():
    """API Gateway refuses others."""
    found = {}
    for row in routes.ALL:
        parts = row.path.split("/")
        for place, part in enumerate(parts):
            if part.startswith("{"):
                found.setdefault("/".join(parts[:place]), set()).add(part)
    assert {before: parts for before, parts in found.items() if len(parts) > 1} == {}


LIMITED = [plan for plan in plans.load().values() if plan.others_per_minute is not None]


@pytest.mark.parametrize("plan", LIMITED, ids=lambda plan: plan.name)
@pytest.mark.parametrize("row", routes.ALL, ids=IDS)
def test_row_has_a_figure_in_every_plan(row, plan):
    assert row.rate is None or row.rate in plan.per_minute, f"plans.json has no figure for {row.rate}"
    assert plan.limit(row.rate) > 0


@pytest.mark.parametrize("plan", LIMITED, ids=lambda plan: plan.name)
def test_every_figure_of_a_plan_is_used(plan):
    assert set(plan.per_minute) - {row.rate for row in routes.ALL} == {plans.AGGREGATE}


@pytest.mark.parametrize("plan", LIMITED, ids=lambda plan: plan.name)
def test_the_usage_plan_on_aws_throttles_every_row_by_its_figure(plan):
    found = throttles.plan_throttles(plan, routes.ALL)
    assert {key: limits["burstLimit"] for key, limits in found.items()} == {
        f"{row.path}/{row.method}": plan.limit(row.rate) for row in routes.ALL if row.who
    }


def test_a_plan_without_limits_has_none_for_any_row():
    assert all(plans.load()[plans.DEFAULT].limit(row.rate) is None for row in routes.ALL)


def test_plan_without_a_figure_for_a_rate_is_an_error():
    plan = plans.load()["free"]
    with pytest.raises(KeyError):
        plan.limit("GET /typo")


def test_every_row_with_a_body_has_an_example(world, things):
    lacking = [row.path for row in routes.ALL if row.body is not None and body_of(row, things) is None]
    assert lacking in ([], ["/device/params/{param_id}"]), "add an example to BODIES"


@on_stores(routes.ALL)
def test_row_admits_its_callers_with_its_permission_and_nobody_else(world, things, row):
    def is_allowed(kind, permission):
        return not row.who or (kind in row.who and permission in ("full", row.need))

    kinds = (DEVICE, PROFILE, NETWORK)
    callers = [(kind, permission) for kind in kinds for permission in ("read", "write", "full")]
    for kind, permission in sorted(
        callers, key=lambda caller: is_allowed(*caller)
    ):  # what is allowed may delete things
        token = token_of(kind, permission, world, things)
        attempts.use(None)
        is_denied = call(row, things, token).status == 401 and row.path != OWN_CHECK
        assert is_denied is not is_allowed(kind, permission), (kind, permission)


@on_stores([row for row in routes.ALL if row.grant])
def test_row_admits_an_analysis_with_its_grant_and_no_other(world, things, row):
    analysis = Analysis(world)
    others = [grant for grant in catalogue.ANALYSIS if f"{grant.resource}/{grant.action}" != row.grant]
    mine = policy(world, *[rule("allow", grant.action, grant.resource) for grant in others])
    if row.method == "GET" and row.path in LISTS:
        assert call(row, things, analysis.token).result == []
    else:
        assert call(row, things, analysis.token).status == 401
    resource, _, action = row.grant.partition("/")
    assert world.admin.put(f"/am/{mine}", {"permissions": [rule("allow", action, resource)]}).status == 200
    assert call(row, things, analysis.token).status != 401


@on_stores([row for row in routes.ALL if row.who])
def test_third_call_in_a_minute_is_refused_at_a_limit_of_two(clock, world, things, row, monkeypatch):
    rates_of_all = dict.fromkeys(plans.load()["free"].per_minute, 2)
    tiny = plans.load()[plans.DEFAULT]._replace(name="tiny", per_minute=rates_of_all, others_per_minute=2)
    monkeypatch.setattr(plans, "load", lambda: {"tiny": tiny})
    limits.change(world.profile, plan="tiny")
    rates.use(None)  # forget what the fixture has sent
    token = token_for(row, world, things)
    assert call(row, things, "no token").status == 401
    first, second, third = (call(row, things, token) for _ in range(3))
    if row.key == "DELETE /profile/{profile_id}":
        assert second.status == third.status == 401  # its own token ended
        return
    assert not {first.status, second.status} & {401, 429}, (first.text, second.text)
    if not store.current().is_exclusive:
        assert third.status == second.status  # the usage plan throttles
        return
    assert third.status == 429 and third.message == "Too many requests (Retry-After: 40)"
    assert third.headers["retry-after"] == "40" and third.headers["x-ratelimit-remaining"] == "0"
    clock.advance(40)
    assert call(row, things, token).status not in (401, 429)


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


@on_stores([row for row in routes.ALL if row.method in ("POST", "PUT")])
def test_content_type_is_checked_alike_wherever_there_is_a_body(world, things, row):
    token = token_for(row, world, things)
    path, body = row.path.format(**things), body_of(row, things)
    raw = json.dumps(body) if body is not None else None
    takes_a_body = row.body is not None or row.path.endswith("/data")
    takes_a_body = takes_a_body and row.path != "/integration/network/data"  # a parser takes any content type
    attempts.use(None)
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
