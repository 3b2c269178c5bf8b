"""Requests in, answers out: the one envelope, CORS, sizes, content types, and one log line a request."""

import base64
import binascii
import time
from collections.abc import Callable
from typing import Any, TypeVar

from chalice.app import Request, Response
from pydantic import TypeAdapter

from chalicelib import errors, settings
from chalicelib.codec import jsontext, querystring
from chalicelib.host import deadline, log
from chalicelib.schemas.queries import parse_parameters
from chalicelib.schemas.reading import read_json

T = TypeVar("T")

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET,POST,PUT,DELETE,OPTIONS",
    "Access-Control-Allow-Headers": (
        "Content-Type,Cache-Control,Pragma,X-Requested-With,User-Agent,Idempotency-Key,Authorization,Token,"
        "Device-Token,Account-Token,Profile-Token,Analysis-Token,Network-Token"
    ),
    "Access-Control-Max-Age": "86400",
}
"""What a browser asks for before it sends a request of another origin."""
_ALWAYS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After",
}
_FORM = "application/x-www-form-urlencoded"
_MESSAGES = {404: "Route Not Found", 405: "Method Not Allowed", 415: "Unsupported Media Type"}
_BROKEN = "Internal error; the log holds the details under this request's id"


def respond(text: str, status: int = 200, more: dict[str, str] | None = None) -> Response:
    """Return finished JSON text as an answer."""
    return Response(body=text, status_code=status, headers={**_ALWAYS, **(more or {})})


def ok(result: Any) -> Response:
    """Answer ``result`` in the envelope."""
    return ok_text(jsontext.dumps(result))


def ok_text(result: str) -> Response:
    """Answer JSON text in the envelope.

    Raises:
        errors.TooLarge: over 5 MB; Lambda would cut it.
    """
    if len(result) > settings.MAX_ANSWER_BYTES:
        raise errors.TooLarge("The answer is over 5 MB: ask for less")
    return respond(f'{{"status":true,"result":{result}}}')


def failed(message: str, status: int, more: dict[str, str] | None = None, field_errors: Any = None) -> Response:
    """Answer a failure in the envelope."""
    answer: dict[str, Any] = {"status": False, "message": message}
    if field_errors:
        answer["field_errors"] = field_errors
    return respond(jsontext.dumps(answer), status, more)


def envelope(event: Request, get_response: Callable[[Request], Response]) -> Response:
    """Chalice middleware: turns every failure into the envelope and logs the request.

    Chalice makes its own bodies for a wrong method and for an exception nobody caught; those are replaced.
    """
    started_s = time.perf_counter()
    deadline.begin(event.lambda_context)
    try:
        response = get_response(event)
    except errors.ApiError as error:
        if error.__cause__ is not None:
            log.note(event, cause=_name_cause(error.__cause__))
        response = failed(error.message, error.status, error.headers, error.field_errors)
    if "Access-Control-Allow-Origin" not in response.headers:
        status = response.status_code
        allow = {name: str(value) for name, value in response.headers.items() if name == "Allow"}
        response = failed(_MESSAGES.get(status, _BROKEN), status, allow)
    log.request(event, response.status_code, (time.perf_counter() - started_s) * 1000)
    return response


def _name_cause(cause: BaseException) -> str:
    """Return AWS's code of a store's error, else its kind; the text may hold data and is left out."""
    inner = cause.__cause__ if isinstance(cause, errors.ApiError) and cause.__cause__ else cause
    response = getattr(inner, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(inner).__name__)


def headers(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name, made once a request."""
    context = request.context
    if "headers" not in context:
        context["headers"] = {name.lower(): text for name, text in request.to_original_event()["headers"].items()}
    found: dict[str, str] = context["headers"]
    return found


def body(request: Request) -> bytes:
    """Return the body as bytes; never more than 200,000.

    Raises:
        errors.TooLarge: it is longer.
        errors.UnsupportedMedia: it is compressed.
        errors.BadRequest: the gateway's base64 is broken.
    """
    encoding = headers(request).get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise errors.UnsupportedMedia(f"Content-Encoding {encoding[:50]} is not supported, send the body as it is")
    sent = request.to_original_event().get("body") or ""
    if len(sent) > settings.MAX_BODY_BYTES * 4 // 3 + 4:
        raise _too_large()
    if request.to_original_event().get("isBase64Encoded"):
        try:
            raw = base64.b64decode(sent, validate=True)
        except binascii.Error:
            raise errors.BadRequest("The body is not base64") from None
    else:
        try:
            raw = sent.encode()
        except UnicodeEncodeError:
            raise errors.BadRequest("The body is not UTF-8") from None
    if len(raw) > settings.MAX_BODY_BYTES:
        raise _too_large()
    return raw


def _too_large() -> errors.TooLarge:
    return errors.TooLarge(f"The body is over {settings.MAX_BODY_BYTES} bytes")


def is_form(request: Request) -> bool:
    """Tell whether the content type is a form's, or else one that may be read as JSON.

    Raises:
        errors.UnsupportedMedia: it is neither JSON, nor a form, nor text.
    """
    kind = headers(request).get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind == _FORM:
        return True
    if kind in ("", "application/json") or kind.startswith("text/") or kind.endswith("+json"):
        return False
    raise errors.UnsupportedMedia(f"Content-Type {kind[:50]} is not supported, send application/json")


def read(request: Request, adapter: TypeAdapter[T]) -> T:
    """Read the JSON body.

    Raises:
        errors.ApiError: as ``body`` and ``is_form``, or what is wrong with which field.
    """
    if is_form(request):
        raise errors.UnsupportedMedia("Send application/json")
    raw = body(request)
    if not raw.strip():
        raise errors.BadRequest("The body is empty: send JSON")
    return read_json(adapter, raw)


def parameters(request: Request) -> dict[str, list[str]]:
    """Return the query string's names to their texts, unescaped."""
    found: dict[str, list[str]] = request.to_original_event().get("multiValueQueryStringParameters") or {}
    return found


def query(request: Request) -> querystring.Tree:
    """Read the query string.

    Raises:
        errors.BadRequest: too many or too deeply nested parameters.
    """
    return parse_parameters(parameters(request))
