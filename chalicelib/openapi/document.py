"""Builds the document from the route table."""

import functools
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from chalicelib import __version__, settings
from chalicelib.http import answers
from chalicelib.http.route import Route
from chalicelib.openapi import operations, parameters, responses
from chalicelib.openapi.operations import Operation
from chalicelib.schemas.bodies import Body
from chalicelib.services.usage import plans
from chalicelib.services.usage.plans import Plan

Schema = dict[str, Any]
_COMPONENT = "#/components/schemas/{model}"
_DESCRIPTION = (
    "Devices send points, and programs read them. Every answer in JSON has one envelope: `status` and `result`, or "
    "`status` and `message`. A token goes into the header of its kind, or into `Token`.\n\n"
    "`x-permission` is the permission that a token needs, and `x-policy` the grant that an analysis or a run user "
    "needs besides. `x-rate-limit` says how many requests a calendar minute each plan allows; null: any number."
)


class _Schemas(GenerateJsonSchema):
    """JSON Schemas without titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@functools.lru_cache(maxsize=4)
def _text(rows: tuple[Route, ...], _further_plans: str, _default_plan: str) -> str:
    return orjson.dumps(make(rows, plans.load())).decode()


def text(rows: tuple[Route, ...]) -> str:
    """Return the document as JSON. It shows the plans of this installation. Cost: 0.1 s once, then none."""
    current = settings.current()
    return _text(rows, current.plans, current.default_plan)


def make(rows: Iterable[Route], of_plans: Mapping[str, Plan]) -> Schema:
    """Return the document.

    Args:
        rows: the route table.
        of_plans: the price plans by name, for the rates.

    Raises:
        LookupError: a row has no operation in ``operations``, or two types have one name; the text says what to do.

    Source: OpenAPI 3.1.1.
    """
    described = [(row, operations.of(row)) for row in rows]
    types = dict(_types(described))
    schemas, shared = TypeAdapter.json_schemas(
        [(key, "validation", adapter) for key, adapter in types.items()],
        ref_template=_COMPONENT,
        schema_generator=_Schemas,
    )
    components: dict[str, Schema] = shared.get("$defs", {})
    for name in components:
        if "__" in name:
            raise LookupError(f"two types have the name of {name}: rename one of them")
    paths: dict[str, Schema] = {}
    for row, operation in described:
        own = {key[2:]: schema for (key, _), schema in schemas.items() if key[:2] == (row.method, row.path)}
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, operation, own, of_plans)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Decant", "version": __version__, "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./", "description": "The server of this document"}],
        "tags": _tags(row for row, _ in described),
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**components, "Failure": responses.FAILURE}.items())),
            "responses": responses.failures(),
            "headers": responses.HEADERS,
            "securitySchemes": responses.security_schemes(),
        },
    }  # fmt: skip


def _types(described: Iterable[tuple[Route, Operation]]) -> Iterable[tuple[tuple[str, ...], TypeAdapter[Any]]]:
    """Yield the adapter of each answer and body, by method, path and use."""
    for row, operation in described:
        if operation.answer is not None:
            yield (row.method, row.path, "answer"), TypeAdapter(operation.answer)
        if isinstance(row.body, Body):
            yield (row.method, row.path, "body", "application/json"), row.body.adapter
        for media, shape in operation.body.items():
            yield (row.method, row.path, "body", media), TypeAdapter(shape)


def _operation(row: Route, operation: Operation, own: Mapping[Any, Schema], of_plans: Mapping[str, Plan]) -> Schema:
    """Return a row as OpenAPI describes it."""
    first_line = (row.handle.__doc__ or "").partition("\n")[0]
    shown: Schema = {
        "operationId": re.sub(r"\W+", "_", f"{row.method.lower()}{row.path}").rstrip("_"),
        "summary": first_line.rstrip("."),
        "tags": [_tag(row)],
    }
    note = row.note.removeprefix("partly: ").removeprefix("SDK").removeprefix(". ")
    if note:
        shown["description"] = note
    shown["parameters"] = [parameters.of_path(name).shown("path") for name in re.findall(r"{(\w+)}", row.path)]
    shown["parameters"] += [parameter.shown() for parameter in operation.query]
    body = _body(row, own)
    if body:
        shown["requestBody"] = body
    shown["responses"] = _responses(row, operation, own)
    shown["security"] = [{kind: []} for kind in row.who]
    if row.who:
        shown["x-permission"] = row.need
        shown["x-rate-limit"] = {name: plan.limit(row.rate) for name, plan in of_plans.items()}
    if row.grant:
        shown["x-policy"] = row.grant
    return shown


def _body(row: Route, own: Mapping[Any, Schema]) -> Schema | None:
    content = {key[1]: {"schema": schema} for key, schema in own.items() if key[0] == "body"}
    if not content:
        return None
    is_optional = False
    if isinstance(row.body, Body):
        is_optional = row.body.empty is not None
        content["application/json"]["schema"] |= row.body.rules
    limit = f"At most {settings.MAX_BODY_BYTES:,} bytes; also with Content-Encoding gzip or deflate"
    return {"description": limit, "content": content, "required": not is_optional}


def _responses(row: Route, operation: Operation, own: Mapping[Any, Schema]) -> Schema:
    names = (answers.REQUEST_ID, *(responses.LIMITED if row.who else ()))
    content: Schema = {media: {"schema": schema} for media, schema in operation.raw.items()}
    if operation.answer is not None:
        envelope = {"status": {"const": True}, "result": own[("answer",)]}
        content["application/json"] = {
            "schema": {"type": "object", "properties": envelope, "required": [*envelope]},
        }
    success = {"description": "It worked", "headers": responses.headers(names), "content": content}
    shown: Schema = {"200": success} if content else {}
    for status, description in operation.also.items():
        shown[str(status)] = {"description": description, "headers": responses.headers((answers.REQUEST_ID,))}
    for status in sorted(responses.statuses(row)):
        if operation is operations.PAGE:  # a page says why, too
            shown[str(status)] = {**success, "description": responses.FAILURES[status]}
        else:
            shown[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return shown


def _tag(row: Route) -> str:
    return row.handle.__module__.rpartition(".")[2]


def _tags(rows: Iterable[Route]) -> list[Schema]:
    docs = {_tag(row): sys.modules[row.handle.__module__].__doc__ or "" for row in rows}
    return [{"name": name, "description": doc.partition("\n")[0]} for name, doc in docs.items()]
