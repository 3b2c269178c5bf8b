"""Which callers may call: tokens, their permissions and expiry, and the text of a refusal."""

import json
import statistics
import time

import pytest

from chalicelib.codec import tokens
from chalicelib.host import cache
from chalicelib.store.models import EntityModel, SegmentModel
from tests.kit.api import Api
from tests.kit.billing import counting
from tests.kit.faults import client
from tests.kit.world import World, point

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def new_token(world, **fields):
    sent = {"device": world.device, "name": "t", "permission": "full", **fields}
    return world.admin.post("/device/token", sent).result["token"]


def denied(answer):
    return (answer.status, answer.text, answer.headers) == (
        401,
        '{"status":false,"message":"Authorization Denied"}',
        answer.headers,
    )


def test_every_failure_looks_alike(clock, world):
    expired = new_token(world, expire_time="1 hour")
    revoked = new_token(world)
    world.admin.delete(f"/device/token/{revoked}")
    gone = World()
    gone.admin.delete(f"/device/{gone.device}")
    clock.advance(3_601)
    answers = [
        world.api.get("/data", token=token)
        for token in (UNKNOWN, "x", "p-" + UNKNOWN, expired, revoked, gone.token, world.profile_token)
    ]
    answers.append(Api().get("/data"))
    assert all(denied(answer) for answer in answers)
    assert len({json.dumps(answer.headers, sort_keys=True) for answer in answers}) == 1


def test_unknown_and_expired_tokens_take_similar_time(sqlite):
    world = World()
    expired = new_token(world, expire_time="2020-01-01")

    def median(token):
        spent = []
        for _ in range(300):
            cache.clear_all()
            started = time.perf_counter()
            world.api.get("/data", token=token)
            spent.append(time.perf_counter() - started)
        return statistics.median(spent)

    assert 0.33 < median(UNKNOWN) / median(expired) < 3


def test_token_in_the_query_string_is_not_accepted(world):
    for name in ("token", "device_token", "authorization"):
        assert denied(Api().get("/data", query={name: world.token}))


@pytest.mark.parametrize(
    "text", ["x", " " * 40, "a\nb", "x" * 10_000, "ü" * 36, UNKNOWN + " ", "n" + UNKNOWN, "[]", "null"]
)
def test_token_of_a_wrong_shape_costs_no_read(dynamo, text):
    with counting() as calls:
        assert denied(Api().get("/data", headers={"Token": text}))
    assert not calls


def test_unknown_token_costs_one_read(dynamo):
    with counting() as calls:
        for _ in range(10):
            assert denied(Api().get("/data", token=UNKNOWN))
    assert calls == {"GetItem": 10}


@pytest.mark.parametrize("name", [*tokens.HEADERS, "Token", "TOKEN", "Device-Token", "Authorization", "Profile-Token"])
def test_token_in_any_header(world, name):
    assert Api().get("/data", headers={name: world.token}).status == 200
    assert Api().get("/data", headers={name: f"Bearer {world.token}"}).status == 200
    assert Api().get("/device", headers={name: world.profile_token}).status == 200


def test_token_without_its_prefix_and_in_upper_case(world):
    assert Api().get("/device", token=world.profile_token[2:].upper()).status == 200


def test_first_header_decides(world):
    for first, second in zip(tokens.HEADERS, tokens.HEADERS[1:], strict=False):
        assert Api().get("/data", headers={first: world.token, second: UNKNOWN}).status == 200
        assert denied(Api().get("/data", headers={first: UNKNOWN, second: world.token}))
        assert Api().get("/data", headers={first: "null", second: world.token}).status == 200


ROUTES = [
    ("GET", "/data", "read"), ("POST", "/data", "write"), ("PUT", "/data", "write"), ("DELETE", "/data", "write"),
    ("GET", "/device/params", "read"),
]  # fmt: skip


@pytest.mark.parametrize("permission", ["read", "write", "full"])
@pytest.mark.parametrize(("method", "path", "need"), ROUTES)
def test_device_token_permissions(world, permission, method, path, need):
    token = new_token(world, permission=permission)
    body = {"POST": point("a"), "PUT": {"id": "0" * 24}}.get(method)
    answer = world.api(method, path, json_body=body, token=token)
    assert answer.status == (200 if permission in (need, "full") else 401)


def test_kinds_do_not_mix(world):
    other = World()
    assert denied(world.api.get("/device"))
    assert denied(world.api.post("/device", {"name": "xyz"}))
    assert denied(world.api.get(f"/device/{other.device}/data"))
    assert denied(world.api.get(f"/device/{world.device}/data"))
    assert denied(world.admin.get("/data"))
    assert denied(world.admin.post("/data", point("a")))
    assert denied(world.admin.get("/device/params"))


PROFILE_NEEDS = [
    ("GET", "/device", "read"), ("POST", "/device", "write"), ("PUT", "/device/{id}", "write"), ("DELETE", "/device/{id}", "full"),
    ("GET", "/device/token/{id}", "read"), ("DELETE", "/device/token/{id}", "full"), ("POST", "/device/{id}/params", "write"),
]  # fmt: skip


@pytest.mark.parametrize("permission", ["read", "write"])
@pytest.mark.parametrize(("method", "path", "need"), PROFILE_NEEDS)
def test_profile_token_permissions(world, permission, method, path, need):
    from chalicelib.services.access import tokens

    sent = {"name": "t", "permission": permission}
    token = tokens.create(kind="profile", profile=world.profile, sent=sent)["token"]
    answer = world.admin(method, path.format(id=world.device), json_body={"name": "abc"}, token=token)
    assert denied(answer) == (permission != need), answer.text


def test_rotation_the_old_token_works_until_it_is_deleted(world):
    fresh = new_token(world, name="fresh")
    assert world.api.get("/data").status == world.api.get("/data", token=fresh).status == 200
    world.admin.delete(f"/device/token/{world.token}")
    assert denied(world.api.get("/data")) and world.api.get("/data", token=fresh).status == 200
    listed = world.admin.get(f"/device/token/{world.device}").result
    assert [one["token"] for one in listed] == [fresh]


def test_warm_requests_do_not_look_the_token_up_again(clock, dynamo):
    world = World()
    world.api.get("/info")
    with counting() as calls:
        world.api.get("/device/params")
        world.api.get("/device/params")
    assert calls == {"Query": 2}
    clock.advance(61)
    with counting() as calls:
        world.api.get("/device/params")
    assert calls == {"GetItem": 3, "Query": 1}


def test_what_another_process_changed_takes_effect_within_a_minute(clock, dynamo):
    world = World()
    world.send(point("a"))
    dynamo.delete(f"token#{fingerprint(world.token)}", ["token"])
    assert world.api.get("/data").status == 200
    clock.advance(61)
    assert denied(world.api.get("/data"))


def fingerprint(token):
    from chalicelib.codec import tokens

    return tokens.fingerprint(tokens.bare(token))


def test_tables_hold_no_token(each_store, tmp_path):
    world = World()
    texts = [world.token, world.profile_token, new_token(world)]
    world.send(point("a"))
    if hasattr(each_store, "_db"):
        dump = "\n".join(each_store._db.iterdump()) + (tmp_path / "decant.db-wal").read_bytes().decode("latin-1")
    else:
        scans = [client().scan(TableName=model.Meta.table_name) for model in (SegmentModel, EntityModel)]
        dump = json.dumps(scans, default=repr)
    for text in texts:
        bare = text.removeprefix("p-")
        assert bare not in dump and bare.replace("-", "") not in dump


def test_log_has_one_line_a_request_and_no_secret(world, monkeypatch):
    from chalicelib.host import log

    lines = []
    log.use(lines.append)
    world.send(point("canary1", "canary2", unit="canary3", metadata={"canary4": "canary5"}))
    world.read(values="canary2")
    world.api.post("/data", raw='{"canary6')
    Api(context={}).get("/data", token=UNKNOWN)
    world.api("PATCH", "/data")
    world.admin.get(f"/device/token/{world.device}")
    assert len(lines) == 6
    for line in lines:
        assert (
            "canary" not in line
            and world.token not in line
            and UNKNOWN not in line
            and world.profile_token[2:] not in line
        )
    parsed = [json.loads(line) for line in lines]
    assert [one["status"] for one in parsed] == [200, 200, 400, 401, 405, 200]
    assert parsed[0]["points"] == 1 and parsed[0]["profile"] == world.profile and parsed[0]["device"] == world.device
    assert set(parsed[3]) == {"time", "level", "request_id", "method", "route", "status", "ms", "reason"}
    assert parsed[5]["route"] == "/device/token/{device_id_or_token}"


def test_log_names_the_device_that_is_deactivated(world, monkeypatch):
    from chalicelib.host import log

    lines = []
    world.admin.put(f"/device/{world.device}", {"active": False})
    log.use(lines.append)
    assert world.api.get("/data").status == 400
    assert json.loads(lines[0])["device"] == world.device
