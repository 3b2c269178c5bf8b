"""Checks what passes between tests and the API against the OpenAPI document.

An answer must have a status, a content type and a shape that the document lists; objects must have no other fields than
those listed. A body that the API has accepted must be one that the document allows.
"""

import functools
import json

import jsonschema_rs

from chalicelib import routes
from chalicelib.openapi import document
from chalicelib.services.usage import plans

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PARSED = ("/data", "/device/{device_id}/data", "/integration/network/data")
"""The paths whose POST takes any body if the device has payload parsers."""


@functools.cache
def made():
    """Return the document."""
    return document.make(routes.ALL, plans.load())


def closed(schema):
    """Return a JSON Schema whose objects have no other fields than those that it lists."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shown = {name: closed(part) for name, part in schema.items()}
    if isinstance(shown.get("properties"), dict) and shown.get("type") == "object":
        shown.setdefault("additionalProperties", False)
    return shown


@functools.cache
def _components(is_closed):
    schemas = made()["components"]["schemas"]
    return {"schemas": closed(schemas) if is_closed else schemas}


def validator(schema, is_closed=False):
    """Return a validator of a schema of the document."""
    return jsonschema_rs.validator_for(
        {"$schema": DRAFT, **(closed(schema) if is_closed else schema), "components": _components(is_closed)}
    )


@functools.cache
def _operation(method, path):
    return made()["paths"].get(path, {}).get(method.lower())


@functools.cache
def _answers(method, path, status):
    """Return the validator of each content type of an answer, None if the document does not list the status."""
    operation = _operation(method, path)
    if operation is None:
        failure = {"$ref": "#/components/schemas/Failure"}
        return {"application/json": validator(failure, is_closed=True)}
    found = operation["responses"].get(str(status))
    if found is None:
        return None
    if "$ref" in found:
        found = made()["components"]["responses"][str(status)]
    return {
        media: validator(content["schema"], is_closed=True) if media == "application/json" else None
        for media, content in found.get("content", {}).items()
    }


@functools.cache
def _bodies(method, path):
    operation = _operation(method, path)
    if operation is None or "requestBody" not in operation or (method == "POST" and path in _PARSED):
        return None
    return validator(operation["requestBody"]["content"]["application/json"]["schema"])


def check_answer(method, path, status, content_type, text):
    """Check an answer. ``path`` is that of the row. One to a method that the path does not have must be a failure."""
    if method in ("OPTIONS", "HEAD"):
        return
    listed = _answers(method, path, status)
    where = f"{method} {path} answered {status}"
    assert listed is not None, f"{where}, which the OpenAPI document does not list: see chalicelib/openapi"
    if not listed:  # the redirects of pages, and 304
        assert not text, f"{where} with a body, which the OpenAPI document does not list"
        return
    media = content_type.partition(";")[0]
    assert media in listed, f"{where} in {media}; the OpenAPI document lists {', '.join(listed)}"
    if listed[media] is not None:
        _assert_valid(listed[media], json.loads(text), f"{where}, but not as chalicelib/openapi says")


def check_accepted(method, path, content_type, text):
    """Check the body of a request that succeeded."""
    allowed = _bodies(method, path)
    if allowed is None or not isinstance(text, str) or not text.strip() or "form" in content_type:
        return
    _assert_valid(allowed, json.loads(text), f"{method} {path} accepted a body that the OpenAPI document forbids")


def _assert_valid(checker, instance, message):
    for error in checker.iter_errors(instance):
        raise AssertionError(f"{message}: {error.message} at {[*error.instance_path]}")
