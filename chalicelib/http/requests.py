"""Reads requests: headers, body, content type and query string."""

import base64
import binascii

from chalice.app import Request

from chalicelib import errors, settings
from chalicelib.codec.querystring import Tree
from chalicelib.schemas import parameters as schema

_FORM = "application/x-www-form-urlencoded"


def headers(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name. Computed once a request."""
    context = request.context
    if "headers" not in context:
        context["headers"] = {name.lower(): text for name, text in request.to_original_event()["headers"].items()}
    lowered: dict[str, str] = context["headers"]
    return lowered


def body(request: Request) -> bytes:
    """Return the body, at most 200,000 bytes.

    Raises:
        errors.TooLarge: the body is longer.
        errors.UnsupportedMedia: the body is compressed.
        errors.BadRequest: the gateway's base64 is invalid, or the text is not UTF-8.
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
    """Return whether the content type is that of a form. If it is not, the body may be read as JSON.

    Raises:
        errors.UnsupportedMedia: the content type is none of JSON, form and text.
    """
    kind = headers(request).get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind == _FORM:
        return True
    if kind in ("", "application/json") or kind.startswith("text/") or kind.endswith("+json"):
        return False
    raise errors.UnsupportedMedia(f"Content-Type {kind[:50]} is not supported, send application/json")


def json_body(request: Request) -> bytes:
    """Return a body that should hold JSON. It may be empty.

    A body with the content type of a form is accepted if it looks like JSON, as curl calls every body a form.

    Raises:
        errors.ApiError: as in ``body`` and ``is_form``.
        errors.UnsupportedMedia: the body is a form.
    """
    raw = body(request)
    if is_form(request) and raw.lstrip()[:1] not in (b"", b"[", b"{"):
        raise errors.UnsupportedMedia("Send application/json")
    return raw


def parameters(request: Request) -> dict[str, list[str]]:
    """Return each unescaped name of the query string with its texts."""
    sent: dict[str, list[str]] = request.to_original_event().get("multiValueQueryStringParameters") or {}
    return sent


def query(request: Request) -> Tree:
    """Read the query string.

    Raises:
        errors.BadRequest: too many or too deeply nested parameters.
    """
    return schema.parse(parameters(request))
