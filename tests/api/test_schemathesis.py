"""Requests that schemathesis makes of the OpenAPI document: some that it allows, some that it forbids.

No answer may be a 5xx. ``tests.kit.openapi`` checks status, content type and shape of each.
"""

import base64
import functools
import json
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET

from chalicelib import routes
from chalicelib.services.accounts import attempts
from tests.api.test_routes import things_of, token_for
from tests.kit.accounts import Mails
from tests.kit.api import Api
from tests.kit.files import in_folder
from tests.kit.openapi import made
from tests.kit.parsers import ready
from tests.kit.world import World

ready()
CASES = 50
"""How many requests of each mode and operation. All together take about 80 s of a processor."""
BOUNDED = settings(
    max_examples=CASES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)  # fmt: skip


@functools.cache
def schema():
    return schemathesis.openapi.from_dict(made())


def operation_of(row):
    return made()["paths"][row.path][row.method.lower()]


def modes_of(operation):
    """Return the modes that an operation has: a path can hold any text, so only a body or a query can be forbidden."""
    can_be_wrong = "requestBody" in operation or any(one["in"] == "query" for one in operation["parameters"])
    return (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if can_be_wrong else (GenerationMode.POSITIVE,)


def texts(value):
    """Return a value of a parameter as a client spells it."""
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if one is None or isinstance(one, bool) else str(one) for one in values]


def body_of(case):
    """Return a body as arguments of a call."""
    if case.body is NOT_SET:
        return {}
    body = case.body
    headers = {"content-type": case.media_type}
    if isinstance(body, dict) and case.media_type.endswith("urlencoded"):
        body = urlencode({str(name): texts(value) for name, value in body.items()}, doseq=True)
    elif not isinstance(body, bytes) and case.media_type == "application/json":
        body = json.dumps(body)
    if isinstance(body, bytes):
        return {"raw": base64.b64encode(body).decode(), "base64": True, "headers": headers}
    return {"raw": str(body), "headers": headers}


@pytest.fixture
def files(tmp_path):
    with in_folder(tmp_path) as made:
        yield made


@pytest.mark.parametrize("row", routes.ALL, ids=lambda row: row.key)
def test_no_request_is_answered_otherwise_than_described(sqlite, configure, files, row):
    configure(profile_may_send=True, sign_up="open")
    attempts.use(None)
    Mails()
    world = World()
    things = things_of(world)
    token = token_for(row, world, things)
    operation = operation_of(row)
    takes_nothing = not (row.who or operation["parameters"] or "requestBody" in operation)
    sent = []

    def send(case, names_real_things):
        place = things if names_real_things else {name: str(text) for name, text in case.path_parameters.items()}
        query = {str(name): texts(value) for name, value in (case.query or {}).items()}
        answer = Api(token)(row.method, row.path.format(**place), query=query, **body_of(case))
        assert answer.status < 500, answer.text
        sent.append(answer.status)

    modes = modes_of(operation)
    for mode in modes:
        cases = schema()[row.path][row.method].as_strategy(generation_mode=mode)
        BOUNDED(given(cases, st.booleans())(send))()
    assert len(sent) >= (1 if takes_nothing else CASES * len(modes))
