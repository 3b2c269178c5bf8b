"""What all operations share: failures, headers, and the tokens that they take."""

from collections.abc import Iterator
from typing import Any

from chalicelib.codec.tokens import Kind
from chalicelib.http import answers
from chalicelib.http.route import Route

Schema = dict[str, Any]
FAILURES = {
    400: "The request breaks a rule. `field_errors` has the reasons by field, or by the index of an item",
    401: "No valid token, or one without the permission. The text is always the same",
    402: "The plan of the profile allows no more of something",
    404: "There is no such object, or it belongs to another profile",
    409: "Others changed the same object at the same time, again and again",
    413: "The body or the answer is over its limit",
    414: "The URL is over 8 kB",
    415: "The content type or encoding of the body is not supported",
    429: "The limit of the calendar minute, or the monthly quota of requests, is used up",
    431: "The headers are over 10 kB",
    500: "A bug. The log holds the details under the id of the request",
    503: "The store did not answer in time. A retry is safe",
}
"""Every failure, by its status."""
_WITH_RETRY = (429, 503)

_WHOLE: Schema = {"type": "integer"}
HEADERS: dict[str, Schema] = {
    answers.REQUEST_ID: {"description": "The id of the request, as in the log", "schema": {"type": "string"}},
    answers.RATE_LIMIT: {"description": "The limit of the calendar minute", "schema": _WHOLE},
    answers.RATE_REMAINING: {"description": "How much of the limit is left", "schema": _WHOLE},
    answers.RATE_RESET: {"description": "The end of the minute in seconds since 1970", "schema": _WHOLE},
    "Retry-After": {"description": "After how many seconds to try again", "schema": _WHOLE},
}  # fmt: skip
LIMITED = (answers.RATE_LIMIT, answers.RATE_REMAINING, answers.RATE_RESET)
"""The headers of an operation with a limit, if the plan of the profile limits it."""

_KINDS: dict[Kind, tuple[str, str]] = {
    "device": ("Device-Token", "The token of a device"),
    "profile": ("Profile-Token", "A token of a profile"),
    "analysis": ("Analysis-Token", "The token of an analysis, which policies govern"),
    "network": ("Network-Token", "A token of a network"),
    "run_user": ("Token", "A token of a run user, whom policies govern"),
    "service": ("Token", "A service authorization"),
}
"""The header for each kind of token. The header ``Token`` takes every kind."""

FAILURE: Schema = {
    "title": "Failure",
    "description": "The envelope of a request that was refused, or that failed.",
    "type": "object",
    "properties": {
        "status": {"const": False},
        "message": {"type": "string", "description": "What is wrong, for the developer of the client"},
        "field_errors": {
            "type": "object",
            "description": "The reasons by field, or by the index of an item",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "request_id": {"type": "string", "description": "The id of the request, with a status of 500 and above"},
    },
    "required": ["status", "message"],
}


def security_schemes() -> dict[str, Schema]:
    """Return the kinds of token as OpenAPI describes them."""
    return {
        kind: {"type": "apiKey", "in": "header", "name": header, "description": f"{text}. Also as `Authorization`"}
        for kind, (header, text) in _KINDS.items()
    }


def headers(names: tuple[str, ...]) -> dict[str, Schema]:
    """Return references to headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def failures() -> dict[str, Schema]:
    """Return the failures as components, by status."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    shown = {}
    for status, description in FAILURES.items():
        more = ("Retry-After",) if status in _WITH_RETRY else ()
        shown[str(status)] = {
            "description": description, "headers": headers((answers.REQUEST_ID, *more)), "content": content,
        }  # fmt: skip
    return shown


def statuses(row: Route) -> Iterator[int]:
    """Yield the status of each failure that an operation may answer."""
    is_write = row.method != "GET" or row.need != "read"
    yield from (400, 404, 413, 414, 431, 500, 503)
    if row.who or row.path.startswith(("/account", "/profile")):
        yield from (401, 429)
    if row.who and (is_write or row.rate == "GET /data"):
        yield 402
    if is_write:
        yield 409
    if row.method != "GET":
        yield 415
