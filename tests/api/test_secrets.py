"""No secret is in a line of the log, in the audit log or in clear in the store, whatever a client sends and where."""

import base64
import json
import re

import pytest

from chalicelib import routes
from chalicelib.host import log
from chalicelib.services.access import tokens
from chalicelib.store import names
from chalicelib.store.models import EntityModel, SegmentModel
from tests.api.test_routes import body_of, things_of
from tests.kit.api import Api
from tests.kit.faults import client
from tests.kit.world import World

PASSWORD, PIN = "canary-password-7Q", "canary-pin-7Q"
PARSER = base64.b64encode(b"return 'canary-parser-source'").decode()
VALUE = "canary-value"
"""What a client may store, and what the logs must not hold either."""
SECRETS = {"password": PASSWORD, "cpassword": PASSWORD, "pin_code": PIN, "authorization": PASSWORD}
"""Fields that a body may have, with texts that are searched for afterwards."""


def everything(backend):
    """Return all rows of the store as text."""
    if backend.is_exclusive:
        return "\n".join(backend._db.iterdump())
    return json.dumps([client().scan(TableName=m.Meta.table_name)["Items"] for m in (SegmentModel, EntityModel)], default=repr)  # fmt: skip


@pytest.fixture
def lines():
    """Every line of the log."""
    written: list[str] = []
    log.use(written.append)
    return written


@pytest.fixture
def texts(world, configure):
    """The text of a token of each kind."""
    configure(profile_may_send=True)
    subjects = {"device": world.device, "analysis": "a" * 24, "run_user": "b" * 24}
    sent = {"name": "t", "permission": "full"}
    made = {
        kind: tokens.create(kind=kind, profile=world.profile, subject=subjects.get(kind, ""), sent=sent)["token"]
        for kind in ("device", "profile", "analysis", "run_user", "service")
    }
    assert re.fullmatch(r"at[0-9a-f]{32}", made["service"])
    return made


def bodies(row, things):
    """Yield bodies with secrets in them: beside what is valid, and instead of it."""
    body = body_of(row, things)
    if isinstance(body, dict):
        yield body | SECRETS | ({"payload_decoder": PARSER} if row.path.startswith("/device") else {})
        yield dict.fromkeys(body, VALUE)
    elif row.method != "GET":
        yield SECRETS


def call(row, path, body, text):
    """Send secrets in the headers, the path, the query string and the body."""
    query = {"token": text, "password": PASSWORD, "pin_code": PIN}
    return Api(text)(row.method, path, json_body=body, query=query)


def test_no_secret_is_logged_or_stored(world, each_store, texts, lines):
    things = things_of(world)
    victim = World()
    for row in sorted(routes.ALL, key=lambda row: row.method == "DELETE"):
        for body in [*bodies(row, things)] or [None]:
            for text in (texts["profile"], texts["device"]):
                call(row, row.path.format(**things), body, text)
        for text in texts.values():  # in each place of the path
            call(row, row.path.format_map(dict.fromkeys(things, text)), None, victim.profile_token)
    assert victim.admin.delete(f"/device/token/{victim.token}").result == "Token Successfully Removed"
    logged, stored = "".join(lines), everything(each_store)
    events = json.dumps([entity.doc for entity in each_store.list(names.audit(world.profile), "")])
    assert len(lines) > 100 and len(events) > 1_000
    for text in (*texts.values(), world.token, world.profile_token, victim.token, victim.profile_token):
        bare = tokens.tokens.bare(text)
        for place in (logged, stored, events):
            assert bare not in place and bare.replace("-", "") not in place.replace("-", ""), text
            assert bare.removeprefix("at") not in place
    for secret in (PASSWORD, PIN, VALUE, PARSER, "canary-parser-source"):
        assert secret not in logged and secret not in events, secret
    assert PASSWORD not in stored and PIN not in stored


def test_log_names_the_route_and_never_the_path(world, texts, lines):
    for text in texts.values():
        Api(world.profile_token).delete(f"/device/token/{text}", query={"x": text})
    assert {json.loads(line)["route"] for line in lines} == {"/device/token/{device_id_or_token}"}
