"""Log lines: what each holds, and that nothing a client sent is ever in one."""

import asyncio
import json
import re

import pytest

from app import app
from chalicelib import routes
from chalicelib.host import log
from chalicelib.http.route import PROFILE
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from tests.kit.api import Api
from tests.kit.asgi import asgi
from tests.kit.world import World, point

SECRET = "canary-7f3a"


@pytest.fixture
def lines():
    written = []
    log.use(written.append)
    return written


def test_line_has_time_level_request_id_and_reason(clock, world, lines):
    world.send(point("a"))
    world.api.post("/data", {"variable": "bad name", "value": 1})
    world.api.get("/data", query={"qty": "many"})
    world.admin.get("/device/000000000000000000000000")
    Api(context={}).get("/data", token="unknown")
    parsed = [json.loads(line) for line in lines]
    assert [one["level"] for one in parsed] == ["info"] + ["warning"] * 4
    assert all(one["time"] == "2026-09-21T14:13:20.000Z" and "request_id" in one for one in parsed)
    assert "reason" not in parsed[0]
    assert [one["reason"] for one in parsed[1:]] == [
        "…variable must not contain * ? ! < > . - = $, spaces or control characters",
        "… must be a whole number from … to …",
        "… not found",
        "no valid token, or one without the permission",
    ]


def test_server_error_is_an_error(world, lines, monkeypatch):
    monkeypatch.setattr("chalicelib.routes.info.devices.show", lambda _: 1 / 0)
    assert world.api.get("/info").status == 500
    assert json.loads(lines[-1])["level"] == "error"


def planted(row, device):
    """Yield requests of a route with the secret in each place that a client can fill."""
    path = re.sub(r"{\w+}", device if "{device_id}" in row.path else SECRET, row.path)
    names = "variables values start_date end_date qty skip query filter[tags][0][key] filter[name] filter[x] fields orderBy "
    names += "page amount interval function timezone groups ids serial details ordination value detail_fields"
    for name in [*names.split(), SECRET, f"filter[{SECRET}]", f"{SECRET}[a][b]"]:
        for text in (SECRET, f"{SECRET}***********{SECRET}"):
            yield path, {"query": {name: text}}
    yield re.sub(r"{\w+}", SECRET, row.path), {}
    for header in ("content-type", "content-encoding", "idempotency-key", "device-token", "authorization"):
        yield path, {"headers": {header: SECRET * 40 if header == "idempotency-key" else SECRET}, "raw": "{}"}
    if row.method in ("POST", "PUT"):
        fields = "variable value unit time group location metadata name description type chunk_period chunk_retention "
        fields += (
            "connector network tags active key sent permission expire_time device topic message qos trigger action id"
        )
        for field in [*fields.split(), SECRET]:
            for value in (
                SECRET,
                {SECRET: SECRET},
                [SECRET],
                [{"key": SECRET, "value": {SECRET: 1}}],
                f"{SECRET} {SECRET}",
            ):
                yield path, {"json_body": {"name": "n", "type": "mutable", "variable": "a", field: value}}
                yield path, {"json_body": [{"variable": "a", field: value}]}
        for raw in (SECRET, f'{{"{SECRET}', f'"{SECRET}"', f"a={SECRET}&variable=%zz", f"{SECRET}=1"):
            yield path, {"raw": raw}
            yield path, {"raw": raw, "headers": {"content-type": "application/x-www-form-urlencoded"}}


@pytest.mark.parametrize("row", [row for row in routes.ALL if row.who], ids=lambda row: f"{row.method} {row.path}")
def test_secret_in_any_field_is_in_no_line(row, sqlite, lines, configure):
    world = World()
    configure(profile_may_send=True)
    api = world.admin if PROFILE in row.who else world.api
    for path, sent in planted(row, world.device):
        answer = api(row.method, path, **sent)
        if answer.status >= 400 and answer.status != 401:
            assert json.loads(lines[-1])["reason"]
    shown = [json.loads(line) for line in lines]
    for one in shown:
        one.pop("ignored", None)  # names that nothing reads, which the client's developer must hear of
    assert shown and not [one for one in shown if SECRET in str(one) or SECRET[2:9] in str(one)]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "query", "status"),
    [
        ("GET", f"/{SECRET}", {}, b"", b"", 404),
        ("PATCH", "/data", {}, b"", b"", 405),
        ("GET", "/status", {}, b"", b"&".join([SECRET.encode()] * 1_500)[:8_000], 200),
        ("OPTIONS", "/data", {"origin": SECRET}, b"", b"", 200),
        ("GET", "/status", {}, b"", b"", 200),
    ],
)  # fmt: skip
def test_every_answer_of_the_embedded_mode_has_one_line(sqlite, lines, method, path, headers, body, query, status):
    async def run():
        return await asgi(Gateway(app, list(app.routes), GroupCommit(sqlite)), method, path, headers, body, query=query)

    try:
        assert asyncio.run(run()).status == status
    finally:
        sqlite.grouped, sqlite.on_begin = False, lambda: None
    (line,) = lines
    written = json.loads(line)
    level = "info" if status < 400 else "warning"
    assert (written["status"], written["level"], written["method"]) == (status, level, method) and written["time"]
    assert (status < 400) == ("reason" not in written) and SECRET not in line
