"""Reads requests: headers, body, content type and query string."""

import base64
import codecs
import re
import zlib
from functools import lru_cache
from urllib.parse import parse_qs, unquote

from chalice.app import Request

from chalicelib import errors, settings
from chalicelib.codec.querystring import Tree
from chalicelib.http import answers
from chalicelib.schemas import parameters as schema
from chalicelib.schemas import payloads
from chalicelib.schemas.parameters import choice
from chalicelib.schemas.queries import FORMATS
from chalicelib.services.points.read import AsList

_GZIP, _ZLIB, _RAW = 31, 15, -15
_CODINGS: dict[str, tuple[int, ...]] = {
    "": (), "identity": (), "gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW),
}  # fmt: skip
"""The formats of each content encoding, as zlib's ``wbits``. Clients disagree on what deflate means."""
_WIDE = re.compile(r"charset\s*=\s*[\"']?utf-?(16|32)", re.IGNORECASE)


def headers(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name. Computed once a request."""
    context = request.context
    if "headers" not in context:
        context["headers"] = {name.lower(): text for name, text in request.to_original_event()["headers"].items()}
    lowered: dict[str, str] = context["headers"]
    return lowered


def body(request: Request) -> bytes:
    """Return the body, inflated, without a byte order mark at its start and NULs at its end.

    At most 200,000 bytes, or ``DECANT_MAX_INFLATED_BYTES`` if the client compressed it.

    Raises:
        errors.TooLarge: the body is longer.
        errors.UnsupportedMedia: a content encoding other than gzip and deflate, or a text in UTF-16 or UTF-32.
        errors.BadRequest: the gateway's base64 is invalid, the text is not UTF-8, or the body cannot be inflated.
    """
    found = headers(request)
    coding = _coding(found["content-encoding"]) if "content-encoding" in found else ()
    limit = settings.current().max_inflated_bytes if coding else settings.MAX_BODY_BYTES
    event = request.to_original_event()
    sent = event.get("body") or ""
    if len(sent) > limit * 4 // 3 + 4:
        raise _too_large(limit)
    if event.get("isBase64Encoded"):
        raw = _unbase64(sent)
        if coding and raw:
            raw = _inflate(raw, coding, limit)
    else:  # also if API Gateway has inflated the body: then it leaves the header
        try:
            raw = sent.encode()
        except UnicodeEncodeError:
            raise errors.BadRequest("The body is not UTF-8") from None
    if len(raw) > limit:
        raise _too_large(limit)
    content_type = found.get("content-type", "")
    if raw and (b"\0" in raw or raw[:1] > b"\x7f" or "charset" in content_type.lower()):
        return raw if _kind(request) == payloads.OCTETS else _without_marks(raw, content_type)
    return raw


def _kind(request: Request) -> str:
    """Return the content type of the body, in lower case and without parameters; empty if there is none."""
    return headers(request).get("content-type", "").partition(";")[0].strip().lower()


def payload(request: Request, raw: bytes) -> str:
    """Return a body as payload parsers get it, which take any content type; see ``payloads.of_body``.

    Args:
        request: the request.
        raw: its body.

    Raises:
        errors.TooLarge: it is over 200,000 bytes, also if the client compressed it.
        errors.BadRequest: as ``payloads.of_body``.
    """
    if len(raw) > settings.MAX_BODY_BYTES:
        raise _too_large(settings.MAX_BODY_BYTES)
    return payloads.of_body(raw, _kind(request))


def _coding(encoding: str) -> tuple[int, ...]:
    """Return the formats of a content encoding, as zlib's ``wbits``; none if it changes nothing."""
    coding = _CODINGS.get(encoding.strip().lower())
    if coding is None:
        raise errors.UnsupportedMedia(f"Content-Encoding {encoding[:50]} is not supported: use gzip, deflate or none")
    return coding


def _unbase64(sent: str) -> bytes:
    try:
        return base64.b64decode(sent, validate=True)
    except ValueError:
        raise errors.BadRequest("The body is not base64") from None


def _inflate(raw: bytes, coding: tuple[int, ...], limit: int) -> bytes:
    """Inflate a body, and stop as soon as it proves too long.

    Args:
        raw: what the client sent.
        coding: the formats to try, as zlib's ``wbits``.
        limit: the length in bytes above which the body is refused.
    """
    for window_bits in coding:
        inflater = zlib.decompressobj(window_bits)
        try:
            inflated = inflater.decompress(raw, limit + 1)
        except zlib.error:
            continue
        if len(inflated) > limit:
            raise errors.TooLarge(
                f"The body inflates to over {limit} bytes: send about 2,000 points a request, or have "
                "DECANT_MAX_INFLATED_BYTES raised, to at most 2000000"
            )
        if inflater.eof and not inflater.unused_data:
            return inflated
    raise errors.BadRequest(
        "The body is not one complete stream of its Content-Encoding: compress all of it, or leave that header out"
    )


def _without_marks(raw: bytes, content_type: str) -> bytes:
    """Return a body without a byte order mark and NULs at its end. Refuse UTF-16 and UTF-32.

    JSON and forms begin with ASCII, so UTF-16 and UTF-32 show by a mark or a NUL at the start.
    """
    raw = raw.rstrip(b"\0")
    named = _WIDE.search(content_type)
    if named or raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in raw[:2]:
        start = raw[:4]
        is_32 = start in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE) or start.count(0) == 3
        bits = named[1] if named else "32" if is_32 else "16"
        raise errors.UnsupportedMedia(f"UTF-{bits} is not supported: send UTF-8")
    return raw.removeprefix(codecs.BOM_UTF8)


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(answers.TOO_LARGE.format(limit))


def is_form(request: Request) -> bool:
    """Return whether the content type is that of a form. If it is not, the body may be read as JSON.

    Raises:
        errors.UnsupportedMedia: the content type is none of JSON, form and text.
    """
    kind = _kind(request)
    if kind == payloads.FORM:
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


def scalars_as_list(request: Request, *, is_profile: bool) -> AsList:
    """Return in which cases the client needs a list for the answers to count, avg and sum.

    TagoIO's JavaScript client cannot read null. The Python client reads neither null nor fractions, and under a profile
    token no number at all. Others can read everything.

    Source: the official clients, Device.getData and Resources.devices.getDeviceData.
    """
    wanted = settings.current().scalar_as_list
    if wanted != "auto":
        return "always" if wanted == "true" else "never"
    agent = headers(request).get("user-agent", "")
    if not agent.startswith("TagoIO-SDK|"):
        return "never"
    if not agent.startswith("TagoIO-SDK|Python|"):
        return "nothing"
    return "always" if is_profile else "fractions"


_RANGE = re.compile(r"\s*([\w*.+-]+/[\w*.+-]+)\s*(?:;\s*(?!q\s*=)[^;,]*)*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")
"""A media range of an Accept header, and its quality."""


def wants_csv(request: Request) -> bool:
    """Return whether the client prefers CSV to JSON: by the parameter ``format``, else by the header ``Accept``.

    CSV must be named there, and with a higher quality than JSON if that is named too.

    Raises:
        errors.BadRequest: ``format`` is neither csv nor json.
    """
    sent = parameters(request)
    if "format" in sent:
        return choice("format", sent["format"][-1].lower(), FORMATS) == "csv"
    accepted = headers(request).get("accept", "")
    return "text/" in accepted.lower() and _prefers_csv(accepted)


@lru_cache(maxsize=64)
def _prefers_csv(accepted: str) -> bool:
    """Return whether an Accept header prefers CSV.

    >>> _prefers_csv("text/csv"), _prefers_csv("text/csv, */*"), _prefers_csv("text/csv, application/json")
    (True, True, False)
    >>> _prefers_csv("text/csv;q=0.5, */*"), _prefers_csv("application/json;q=0.9, text/csv;header=present")
    (False, True)
    """
    parts = [_RANGE.fullmatch(part) for part in accepted.lower().split(",")]
    quality = {part[1]: float(part[2] or 1) for part in parts if part}
    of_csv, of_json = quality.get("text/csv", 0.0), quality.get("application/json")
    if of_json is not None:
        return of_csv > of_json
    return of_csv > 0 and of_csv >= quality.get("application/*", quality.get("*/*", 0.0))


def form(request: Request) -> dict[str, str]:
    """Return the fields of a form that a page of ours sent. Raises errors.ApiError: as ``body``."""
    try:
        fields = parse_qs(body(request).decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise errors.BadRequest("The form cannot be read") from None
    return {name: texts[0] for name, texts in fields.items()}


def path_text(text: str) -> str:
    """Return a part of the path, percent-decoded; ``+`` stays. API Gateway passes it on as the client sent it.

    Raises:
        errors.BadRequest: it is not UTF-8.

    >>> path_text("a+b%40x.org")
    'a+b@x.org'
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise errors.BadRequest("The path is not UTF-8") from None


def address(request: Request) -> str:
    """Return the address of the client, as the gateway knows it; empty if it does not."""
    return str(request.context.get("identity", {}).get("sourceIp") or "")


def base_url(request: Request) -> str:
    """Return the base URL of the API for links: the setting, else the address at which API Gateway was called.

    The header ``Host`` is not asked: anybody could have the links of others lead to another server.
    """
    if settings.current().url:
        return settings.current().url.rstrip("/")
    context = request.context
    path = str(context.get("path", ""))
    stage = path.removesuffix(str(request.to_original_event().get("path", path)))
    return f"https://{context.get('domainName', '')}{stage}"


def parameters(request: Request) -> dict[str, list[str]]:
    """Return each unescaped name of the query string with its texts."""
    sent: dict[str, list[str]] = request.to_original_event().get("multiValueQueryStringParameters") or {}
    return sent


def asks_to_aggregate(request: Request) -> bool:
    """Return whether the query string says ``query=aggregate``, in any spelling."""
    return any(
        "aggregate" in texts and name.partition("[")[0] == "query" for name, texts in parameters(request).items()
    )


def query(request: Request) -> Tree:
    """Read the query string.

    Raises:
        errors.BadRequest: too many or too deeply nested parameters.
    """
    return schema.parse(parameters(request))
