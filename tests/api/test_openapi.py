"""The OpenAPI document: it is valid, complete, committed and served, and it agrees with what the API does.

``tests.kit.openapi`` checks every answer of the suite against it.
"""

import json

import jsonschema_rs
import pytest
from jsonschema_path import SchemaPath
from openapi_spec_validator import OpenAPIV31SpecValidator
from typing_extensions import TypedDict

from chalicelib import routes
from chalicelib.openapi import document, operations, parameters
from chalicelib.schemas import accounts, queries
from chalicelib.services.usage import plans
from deploy import openapi_page
from tests.kit import openapi
from tests.kit.api import Api
from tests.kit.world import point

MADE = openapi.made()
OPERATIONS = [(path, method, shown) for path, item in MADE["paths"].items() for method, shown in item.items()]


def test_document_is_openapi_3_1():
    OpenAPIV31SpecValidator(SchemaPath.from_dict(MADE)).validate()


def test_every_schema_is_a_json_schema():
    for name, schema in MADE["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": openapi.DRAFT, **schema}), name


def test_committed_file_is_what_the_table_says():
    assert openapi_page.PAGE.read_text() == openapi_page.page(), "run `make docs`"


def test_every_row_is_described_once():
    assert {(path, method.upper()) for path, method, _ in OPERATIONS} == {(row.path, row.method) for row in routes.ALL}
    names = [shown["operationId"] for _, _, shown in OPERATIONS]
    assert len({*names}) == len(names)
    left_over = operations.described() - {row.key for row in routes.ALL}
    assert not left_over, f"chalicelib/openapi/operations.py describes rows that do not exist: {sorted(left_over)}"


def test_row_without_a_description_is_an_error_that_says_what_to_add():
    scratch = routes.ALL[0]._replace(path="/scratch")
    with pytest.raises(LookupError, match=r"GET /scratch has no line in chalicelib/openapi/operations.py: add"):
        document.make([scratch], plans.load())


def test_two_types_of_one_name_are_an_error(monkeypatch):
    class PasswordIn(TypedDict):
        other: str

    described = {"GET /a": operations.Operation(accounts.PasswordIn), "GET /b": operations.Operation(PasswordIn)}
    monkeypatch.setattr(operations, "_OPERATIONS", described)
    rows = [routes.ALL[0]._replace(path=path) for path in ("/a", "/b")]
    with pytest.raises(LookupError, match="two types have the name"):
        document.make(rows, plans.load())


@pytest.mark.parametrize(("path", "method", "shown"), OPERATIONS, ids=[f"{one[1]} {one[0]}" for one in OPERATIONS])
def test_operation_says_what_a_client_needs(path, method, shown):
    row = next(row for row in routes.ALL if (row.path, row.method.lower()) == (path, method))
    assert shown["summary"] and shown["tags"] and shown["responses"]
    assert [next(iter(scheme)) for scheme in shown["security"]] == [*row.who]
    assert ("requestBody" in shown) >= (row.body is not None)
    assert "__" not in json.dumps([*MADE["components"]["schemas"]])
    if row.who:
        assert shown["x-permission"] == row.need and {"401", "429"} <= shown["responses"].keys()
        limits = {name: plan.limit(row.rate) for name, plan in plans.load().items()}
        assert shown["x-rate-limit"] == limits and shown["x-rate-limit"]["free"] > 0
    if row.grant:
        assert shown["x-policy"] == row.grant


def test_parameters_of_points_are_those_that_are_read():
    """Some have further spellings, which their description names."""
    text = json.dumps([parameter.shown() for parameter in parameters.POINTS])
    assert all(f'"{name}"' in text or f"`{name}`" in text for name in queries.PARAMETERS)
    assert {parameter.name for parameter in parameters.POINTS} <= {*queries.PARAMETERS}


def test_served_to_anybody_and_compressible(each_store):
    answer = Api().get("/openapi.json")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text) == MADE and answer.headers["vary"] == "Accept-Encoding"


def test_shows_the_plans_of_this_installation(sqlite, configure):
    configure(plans='{"tiny": {"like": "free", "others_per_minute": 3}}')
    shown = Api().get("/openapi.json").result["paths"]["/account/otp/{type}/confirm"]["post"]
    assert shown["x-rate-limit"]["tiny"] == plans.load()["free"].per_minute["POST /account"]
    assert Api().get("/openapi.json").result["paths"]["/profile"]["get"]["x-rate-limit"]["tiny"] == 3


@pytest.mark.parametrize(
    ("sent", "is_allowed"),
    [
        ({}, True),
        ({"variable": "a" * 100}, True),
        ({"variable": "a" * 101}, False),
        ({"variable": ""}, False),
        ({"variable": "a.b"}, False),
        ({"variable": "a\tb"}, False),
        ({"variable": 1}, False),
        ({"value": None}, True),
        ({"value": [1]}, False),
        ({"unit": "u" * 25}, True),
        ({"unit": "u" * 26}, False),
        ({"group": "g" * 101}, False),
        ({"serie": 5}, True),
        ({"serie": "g" * 101}, False),
        ({"location": {"lat": 90, "lng": -180}}, True),
        ({"location": {"lat": 90.1, "lng": 0}}, False),
        ({"location": {"lat": 1}}, False),
        ({"location": {"type": "Point", "coordinates": [1, 2, 3]}}, True),
        ({"location": {"coordinates": [1]}}, False),
        ({"location": {"coordinates": [1, 91]}}, False),
        ({"location": None}, True),
        ({"metadata": {"a": 1}}, True),
        ({"metadata": "a"}, False),
        ({"other": 1}, True),
    ],
    ids=str,
)
def test_rules_of_points_are_those_of_the_api(world, sent, is_allowed):
    body = [point("a") | sent]
    schema = MADE["paths"]["/data"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert openapi.validator(schema).is_valid(body) is is_allowed
    assert (world.api.post("/data", body).status == 200) is is_allowed


def test_answer_with_a_field_that_is_not_listed_fails():
    def check(result, status=200):
        text = json.dumps({"status": True, "result": result})
        openapi.check_answer("GET", "/status", status, "application/json", text)

    status = {"version": "1", "uptime_s": 0, "store": "sqlite", "health": "ok"}
    check(status)
    for wrong in (status | {"more": 1}, status | {"uptime_s": "0"}, {"version": "1"}):
        with pytest.raises(AssertionError, match="not as chalicelib/openapi says"):
            check(wrong)
    with pytest.raises(AssertionError, match="does not list"):
        check(status, 402)


def test_accepted_body_that_is_forbidden_fails():
    openapi.check_accepted("POST", "/device", "application/json", '{"name": "Device"}')
    with pytest.raises(AssertionError, match="accepted a body"):
        openapi.check_accepted("POST", "/device", "application/json", '{"name": 1}')
