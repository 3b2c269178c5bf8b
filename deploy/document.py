"""Completes each API document that Chalice makes.

Chalice imports the whole document at every deployment, and API Gateway then loses what is not in it. So the additions
are made whenever Chalice makes a document. Chalice itself cannot express four things: that the authorizer gets the
whole request, where API keys come from, how API Gateway itself answers, and that a preflight needs no token.
"""

import json
from collections.abc import Iterable
from typing import Any

from chalice.app import Chalice
from chalice.deploy.swagger import SwaggerGenerator

from chalicelib import settings
from chalicelib.functions import authorizer, counters, files, housekeeping, iot_authorizer, iot_ingest, keys, sealer
from chalicelib.http.answers import COMPRESSED_FROM_BYTES, EXPOSE, EXPOSED, PREFLIGHT, REQUEST_ID, TOO_LARGE
from chalicelib.http.route import Route
from deploy import handlers, runtime
from deploy.names import Names

_UNAVAILABLE = (503, "The store is not available, try again")
_CORS = {
    "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
    f"gatewayresponse.header.{EXPOSE}": f"'{EXPOSED}'",
    f"gatewayresponse.header.{REQUEST_ID}": "context.requestId",
}
_CONTENT_TYPE = {"gatewayresponse.header.Content-Type": "'application/json'"}
_RETRY_AFTER = "gatewayresponse.header.Retry-After"
_RETRY_AFTER_S = {"INVALID_API_KEY": 2}
"""After how many seconds a client may try again, by answer. All other 429 and 503: 60."""
_TOO_MANY_REQUESTS = "Too many requests (Retry-After: 60)"

GATEWAY_RESPONSES: dict[str, tuple[int | None, str]] = {
    "UNAUTHORIZED": (401, "Authorization Denied"),
    "ACCESS_DENIED": (401, "Authorization Denied"),
    "INVALID_API_KEY": (503, "The profile is not known everywhere yet, try again"),
    "MISSING_AUTHENTICATION_TOKEN": (404, "Route Not Found"),
    "RESOURCE_NOT_FOUND": (404, "Route Not Found"),
    "REQUEST_TOO_LARGE": (413, TOO_LARGE.format(settings.MAX_BODY_BYTES)),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type: use Content-Encoding gzip, deflate or none"),
    "THROTTLED": (429, _TOO_MANY_REQUESTS),
    "QUOTA_EXCEEDED": (429, "You have exceeded the maximum limit of requests of this month"),
    "AUTHORIZER_FAILURE": _UNAVAILABLE,
    "AUTHORIZER_CONFIGURATION_ERROR": _UNAVAILABLE,
    "INTEGRATION_TIMEOUT": (503, "The request took too long, try again"),
    "INTEGRATION_FAILURE": (503, "The request could not be answered, try again"),
    "DEFAULT_4XX": (None, "The request cannot be understood"),
    "DEFAULT_5XX": (None, "Internal error; the log holds the details under this request's id"),
}
"""Status and message of each answer that API Gateway gives by itself. None keeps the status that it chooses."""


def install(app: Chalice, rows: Iterable[Route], stage: str) -> None:
    """Prepare an app for Chalice's command line.

    Fixes the runtime and the handlers, adds the functions beside the API, requires authorizer and API key on each route
    whose row names callers, and completes each API document. app.py serves only HTTP and does not name the other
    functions: Lambda loads each of them from its own module.
    """
    for function in (authorizer, counters, files, housekeeping, iot_authorizer, iot_ingest, keys, sealer):
        app.register_blueprint(function.bp)
    for row in rows:
        entry = app.routes[row.path][row.method]
        entry.authorizer = authorizer.authorize if row.who else None
        entry.api_key_required = bool(row.who)
    runtime.install()
    handlers.install(app)
    generator: Any = SwaggerGenerator
    if not hasattr(generator, "generate_bare"):
        generator.generate_bare = generator.generate_swagger

    def generate(generator: Any, app: Chalice, rest_api: Any = None) -> dict[str, Any]:
        return complete(generator.generate_bare(app, rest_api), stage)

    generator.generate_swagger = generate


def complete(document: dict[str, Any], stage: str) -> dict[str, Any]:
    """Add to an API document what Chalice cannot express. Changes the document and returns it."""
    document["info"]["title"] = Names(stage).api
    document["x-amazon-apigateway-api-key-source"] = "AUTHORIZER"
    document["x-amazon-apigateway-minimum-compression-size"] = COMPRESSED_FROM_BYTES
    document["x-amazon-apigateway-gateway-responses"] = gateway_responses()
    for definition in document.get("securityDefinitions", {}).values():
        gateway_authorizer = definition.get("x-amazon-apigateway-authorizer")
        if gateway_authorizer is not None:
            # The authorizer reads several headers, so it has no identity source, and its answers must not be cached.
            definition["name"] = "Unused"
            gateway_authorizer.update(type="request", authorizerResultTtlInSeconds=0)
    for methods in document["paths"].values():
        methods["options"] = _preflight(methods)
    return document


def gateway_responses() -> dict[str, Any]:
    """Return the answers that API Gateway gives by itself, in the API's envelope, by the names that AWS gives them."""
    answers: dict[str, Any] = {}
    for name, (status, message) in GATEWAY_RESPONSES.items():
        answer = {"status": False, "message": message}
        if name == "DEFAULT_5XX" or (status or 0) >= 500:
            answer["request_id"] = "$context.requestId"
        text = json.dumps(answer, separators=(",", ":"))
        headers = _CORS | _CONTENT_TYPE
        if status in (429, 503):
            headers[_RETRY_AFTER] = f"'{_RETRY_AFTER_S.get(name, 60)}'"
        answers[name] = {"responseParameters": headers, "responseTemplates": {"application/json": text}}
        if status is not None:
            answers[name]["statusCode"] = str(status)
    return answers


def _preflight(methods: dict[str, Any]) -> dict[str, Any]:
    headers = {"Access-Control-Allow-Origin": "'*'", EXPOSE: f"'{EXPOSED}'", REQUEST_ID: "context.requestId"}
    headers |= {name: f"'{value}'" for name, value in PREFLIGHT.items()}
    parameters = [parameter for method in methods.values() for parameter in method.get("parameters", ())]
    parameter_by_name = {parameter["name"]: parameter for parameter in parameters}
    answer: dict[str, Any] = {
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "responses": {
            "200": {"description": "200 response", "headers": {name: {"type": "string"} for name in headers}},
        },
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "passthroughBehavior": "when_no_match",
            "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "responses": {
                "default": {
                    "statusCode": "200",
                    "responseParameters": {f"method.response.header.{name}": value for name, value in headers.items()},
                    "responseTemplates": {"application/json": '{"status":true,"result":null}'},
                }
            },
        },
    }
    if parameter_by_name:
        answer["parameters"] = list(parameter_by_name.values())
    return answer
