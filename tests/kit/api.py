"""Calls the app with API Gateway proxy events, behind its authorizer, and checks each answer: envelope and shape."""

import json
from urllib.parse import parse_qsl, urlencode

from app import app
from chalicelib import routes, store
from chalicelib.functions import authorizer
from deploy import document
from embedded.router import Router
from tests.kit import openapi
from tests.kit.policies import running

ROUTER = Router(app.routes)
"""Finds the resource of a path, as API Gateway does."""
PROTECTED = {(row.path, row.method) for row in routes.ALL if row.who}
"""The resources and methods that the authorizer guards."""


def ask_authorizer(headers, method="GET", path="/"):
    """Return the authorizer's answer, or the name of the gateway response if it allows nothing."""
    event = {
        "type": "REQUEST",
        "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:api/api/{method}{path}",
        "headers": headers,
    }
    with running("authorizer"):
        try:
            answer = authorizer.authorize(event, None)
        except Exception:
            return "AUTHORIZER_FAILURE"
    (statement,) = answer["policyDocument"]["Statement"]
    return answer if statement["Effect"] == "Allow" else "ACCESS_DENIED"


def authorized(headers, method="GET", path="/"):
    """Return the context from the authorizer, or the name of the gateway response if it allows nothing."""
    answer = ask_authorizer(headers, method, path)
    return answer if isinstance(answer, str) else answer["context"]


def answer_of_the_gateway(name):
    """Return the answer that API Gateway gives without calling the app, as the API's document defines it."""
    response = document.gateway_responses()[name]
    headers = {
        name.removeprefix("gatewayresponse.header."): value.strip("'").replace("context.requestId", "test")
        for name, value in response["responseParameters"].items()
    }
    return {
        "statusCode": int(response["statusCode"]),
        "headers": headers,
        "body": response["responseTemplates"]["application/json"].replace("$context.requestId", "test"),
    }


class Answer:
    """An answer of the app, with its envelope checked; ``result`` and ``message`` read the envelope."""

    def __init__(self, raw):
        self.status = raw["statusCode"]
        self.headers = {name.lower(): value for name, value in raw["headers"].items()}
        self.text = raw["body"]
        if not self.headers["content-type"].startswith("application/json"):  # a page or file, which has no envelope
            self.body = {"status": self.status < 400, "result": self.text, "message": self.text}
            return
        self.body = json.loads(raw["body"])
        if "openapi" in self.body:  # the one document that has no envelope
            self.body = {"status": True, "result": self.body}
        assert self.headers["content-type"] == "application/json"
        assert self.headers["access-control-allow-origin"] == "*"
        if self.status < 400:
            assert self.body["status"] is True and "result" in self.body, self.body
        else:
            assert self.body["status"] is False and isinstance(self.body["message"], str), self.body

    @property
    def result(self):
        """The result of a request that succeeded."""
        assert self.status < 400, (self.status, self.text)
        return self.body["result"]

    @property
    def message(self):
        """The message of a request that was refused."""
        assert self.status >= 400, (self.status, self.text)
        return self.body["message"]


class Api:
    """Calls the real app with the events that API Gateway sends; over DynamoDB, the authorizer runs first.

    Args:
        token: the token of the caller.
        context: the authorizer context to send; if None, the authorizer makes it.
        address: where the caller's requests come from.
    """

    def __init__(self, token=None, context=None, address="192.0.2.1"):
        self.token = token
        self.address = address
        self.context = context
        self.address = address

    def __call__(self, method, path, **kwargs):
        return Answer(self.raw(method, path, **kwargs))

    def raw(self, method, path, *, json_body=None, raw=None, query=None, headers=None, token=None, base64=False):
        """Send a request; return the answer as the app gives it to API Gateway."""
        path, _, text = path.partition("?")
        place = ROUTER.find(path)
        assert place is not None, f"no route has the path {path}"
        resource, parameters = place
        parsed: dict[str, list[str]] = {}
        pairs = parse_qsl(text, keep_blank_values=True)
        for name, value in [*pairs, *parse_qsl(urlencode(query or {}, doseq=True), keep_blank_values=True)]:
            parsed.setdefault(name, []).append(value)
        token = token or self.token
        sent = {"content-type": "application/json"} if json_body is not None else {}
        sent |= {"token": token} if token else {}
        sent |= headers or {}
        event = {
            "requestContext": {
                "resourcePath": resource,
                "httpMethod": method,
                "requestId": "test",
                "identity": {"sourceIp": self.address},
                "domainName": "api.example.org",
                "path": f"/api{path}",
            },
            "multiValueQueryStringParameters": parsed or None,
            "path": path,
            "headers": {name: value for name, value in sent.items() if value is not None},
            "pathParameters": parameters,
            "stageVariables": None,
            "body": json.dumps(json_body) if json_body is not None else raw,
            "isBase64Encoded": base64,
        }
        if self.context is not None:
            event["requestContext"]["authorizer"] = self.context
        elif not store.current().is_exclusive and (resource, method) in PROTECTED:
            context = authorized(event["headers"], method, path)
            if isinstance(context, str):
                return answer_of_the_gateway(context)
            event["requestContext"]["authorizer"] = context
        with running("http"):
            answer = app(event, None)
        self._check(method, resource, event, answer)
        return answer

    def _check(self, method, resource, event, answer):
        """Check a finished answer of a row, and what it has accepted, against the OpenAPI document."""
        if "postponed" in answer:
            return
        headers = {name.lower(): text for name, text in answer["headers"].items()}
        openapi.check_answer(method, resource, answer["statusCode"], headers["content-type"], answer["body"])
        if answer["statusCode"] < 300 and not event["isBase64Encoded"]:
            sent = {name.lower(): text for name, text in event["headers"].items()}
            openapi.check_accepted(method, resource, sent.get("content-type", ""), event["body"])

    def get(self, path, **kwargs):
        """Send a GET request."""
        return self("GET", path, **kwargs)

    def post(self, path, json_body=None, **kwargs):
        """Send a POST request."""
        return self("POST", path, json_body=json_body, **kwargs)

    def put(self, path, json_body=None, **kwargs):
        """Send a PUT request."""
        return self("PUT", path, json_body=json_body, **kwargs)

    def delete(self, path, **kwargs):
        """Send a DELETE request."""
        return self("DELETE", path, **kwargs)
