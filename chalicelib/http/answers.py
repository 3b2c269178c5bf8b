"""Writes answers. Every answer, even of a failure, has the same envelope and CORS headers."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import orjson
from chalice.app import Response

from chalicelib import errors, settings
from chalicelib.codec import jsontext
from chalicelib.host.deadline import Limits

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET,POST,PUT,DELETE,OPTIONS",
    "Access-Control-Allow-Headers": (
        "Content-Type,Content-Encoding,Cache-Control,Pragma,X-Requested-With,User-Agent,Idempotency-Key,Authorization,Token,"
        "Device-Token,Account-Token,Profile-Token,Analysis-Token,Network-Token"
    ),
    "Access-Control-Max-Age": "86400",
}
"""Headers of the answer to a preflight, which a browser sends before a request to another origin."""
TOO_LARGE = "The body is over {} bytes: send about 2,000 points a request"
"""The message for a body over the limit, a number of bytes."""
_TOO_LARGE_ANSWER = "The answer is over 5 MB: ask for less"
COMPRESSED_FROM_BYTES = 1_024
"""Answers of this size and more are compressed if the client accepts it: by API Gateway, or by the embedded gateway."""
REQUEST_ID = "X-Request-Id"
"""Header with the id of the request, which its line in the log holds too."""
EXPOSED = f"Retry-After,{REQUEST_ID}"
"""The headers of an answer that a browser shows to a page of another origin."""
RATE_LIMIT, RATE_REMAINING, RATE_RESET = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"
"""Headers of a limited route: the limit of the calendar minute, how much of it is left, and the end of the minute in
seconds since 1970. A browser shows them too."""
EXPOSE = "Access-Control-Expose-Headers"
_ALWAYS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Origin": "*",
    EXPOSE: EXPOSED,
}


Lane = Literal["read", "parse", "hash", "script", "post"]
"""What waits in one line for a thread: long reads of the store, large bodies, passwords, payload parsers, and calls of
clients' servers."""


class _TextResponse(Response):
    """An answer in text, which skips Chalice's checks for header lists and binary types."""

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:
        """Return the answer in API Gateway's format."""
        return {
            "headers": self.headers,
            "multiValueHeaders": {},
            "statusCode": self.status_code,
            "body": self.body,
        }


class Postponed(Response):
    """Stands for an answer that takes too long for the event loop. It exists only in the embedded mode.

    Args:
        finish: returns the answer, or another ``Postponed``. It must run in the event loop, after ``work``.
        limits: the limits of the request.
        work: what must run in a thread first; None if the request must only let others go first.
        lane: with which other work it waits.
    """

    def __init__(
        self, finish: Callable[[], Response], limits: Limits, work: Callable[[], None] | None, lane: Lane
    ) -> None:
        super().__init__(body="", headers={"Access-Control-Allow-Origin": "*"})
        self.finish, self.limits, self.work, self.lane = finish, limits, work, lane

    @property
    def is_read(self) -> bool:
        """Whether the work reads from the store."""
        return self.lane == "read"

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:
        """Return this object for the embedded gateway, which calls ``finish``."""
        return {"postponed": self}


class Json(NamedTuple):
    """A result that is already JSON text."""

    text: str
    headers: dict[str, str] | None = None
    """Headers that the answer has besides."""


class Bare(NamedTuple):
    """A result that is JSON text and goes out without the envelope."""

    text: str


class Page(NamedTuple):
    """A result that is for a browser and has no envelope; see ``http.pages`` and ``http.site``."""

    text: str
    status: int
    headers: dict[str, str]


class Csv(NamedTuple):
    """A result that is CSV text, for a program or a spreadsheet."""

    text: str
    name: str
    """The name under which a browser saves it: letters, digits and points."""


def respond(text: str, status: int = 200, more: dict[str, str] | None = None) -> Response:
    """Return JSON text as an answer."""
    headers: dict[str, str | list[str]] = {**_ALWAYS, **more} if more else {**_ALWAYS}
    if len(text) >= COMPRESSED_FROM_BYTES:
        headers["Vary"] = "Accept-Encoding"
    return _TextResponse(body=text, status_code=status, headers=headers)


def _is_too_large(text: str) -> bool:
    """Return whether a JSON text is too large for an answer, also in the embedded mode: both answer alike.

    Lambda sends the answer as a string inside a JSON text. In Python 3.12's runtime this adds one byte for each quote
    and backslash, three for U+2028 and U+2029, and none for any other character that JSON holds.

    Source: awslambdaric's LambdaMarshaller and simplejson.
    """
    if len(text) * (2 if text.isascii() else 6) <= settings.MAX_SENT_BYTES:
        return False
    size_bytes, escapes = len(text), text.count('"') + text.count("\\")
    if not text.isascii():
        size_bytes = len(text.encode())
        escapes += 3 * (text.count("\u2028") + text.count("\u2029"))
    return size_bytes > settings.MAX_ANSWER_BYTES or size_bytes + escapes > settings.MAX_SENT_BYTES


def _csv(result: Csv) -> Response:
    """Return a table. Raises errors.TooLarge: as ``ok``. CSV may hold control characters, which escape."""
    text = result.text
    size_bytes = len(orjson.dumps(text)) + 3 * (text.count("\u2028") + text.count("\u2029"))
    if size_bytes > settings.MAX_SENT_BYTES:
        raise errors.TooLarge(_TOO_LARGE_ANSWER)
    more = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{result.name}"',
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept, Accept-Encoding",
    }
    return _TextResponse(body=text, status_code=200, headers={**_ALWAYS, **more})


def ok(result: Any) -> Response:
    """Return a result in the envelope, or a page, a table or bare JSON, which have none.

    Raises:
        errors.TooLarge: the answer is over 5 MB, or Lambda would not send it.
    """
    if isinstance(result, Page):
        return _TextResponse(body=result.text, status_code=result.status, headers={**result.headers})
    if isinstance(result, Csv):
        return _csv(result)
    if isinstance(result, Bare):
        return respond(result.text)
    text, headers = result if isinstance(result, Json) else (jsontext.dumps(result), None)
    if _is_too_large(text):
        raise errors.TooLarge(_TOO_LARGE_ANSWER)
    return respond(f'{{"status":true,"result":{text}}}', more=headers)


def failed(message: str, status: int, more: dict[str, str] | None = None, field_errors: Any = None) -> Response:
    """Return a failure in the envelope."""
    answer: dict[str, Any] = {"status": False, "message": message}
    if field_errors:
        answer["field_errors"] = field_errors
    return respond(jsontext.dumps(answer), status, more)


def refused(error: errors.ApiError) -> Response:
    """Return an error in the envelope."""
    more = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else None
    return failed(error.message, error.status, more, error.field_errors)


def preflight() -> Response:
    """Return the answer to a preflight."""
    return respond('{"status":true,"result":null}', more=PREFLIGHT)


def identify(response: Response, request_id: str) -> None:
    """Add the id of the request to an answer of this module: as a header, and to the envelope of a 5xx."""
    response.headers[REQUEST_ID] = request_id
    if response.status_code >= 500 and response.headers["Content-Type"] == "application/json":
        response.body = f'{str(response.body)[:-1]},"request_id":"{request_id}"}}'


def is_ours(response: Response) -> bool:
    """Return whether this module wrote an answer, and not Chalice."""
    return isinstance(response, _TextResponse)
