"""What payload parsers get: the body of a request, or an MQTT message, as JSON.

Source: TagoIO, "Payload parser": JSON comes as an array, all else as a text.
"""

from collections.abc import Callable
from typing import Any

import orjson
from pydantic import TypeAdapter

from chalicelib import errors
from chalicelib.codec import jsontext
from chalicelib.schemas import points
from chalicelib.schemas.bodies import read_json

OCTETS = "application/octet-stream"
"""The content type of bytes that are no text. API Gateway passes on no other ones unchanged."""
FORM = "application/x-www-form-urlencoded"
_STARTS = (b"[", b"{")
_any = TypeAdapter(Any)


def of_body(raw: bytes, content_type: str) -> str:
    """Return the body of a request as parsers get it: JSON of an array, or of a text.

    Args:
        raw: the body.
        content_type: in lower case and without parameters; empty if the client named none.

    Returns:
        JSON stays JSON, and an object is put into an array. A body without a content type, or with that of a form, as
        curl calls every body, is JSON if it can be read as an array or object. A form that holds a ``variable`` is one
        point. Bytes in ``application/octet-stream`` become hex digits in upper case. All else is a text.

    Raises:
        errors.BadRequest: the body is empty, claims to be JSON and is not, or is not UTF-8.

    Source: TagoIO, changelog of the API, 5.4.0: parsers take any content type. The hex digits are those of its relay.
    """
    if not raw or (content_type != OCTETS and not raw.strip()):
        raise errors.BadRequest("The body is empty: send the payload")
    if content_type == OCTETS:
        return jsontext.dumps(raw.hex().upper())
    if content_type == "application/json" or content_type.endswith("+json"):
        return _array_or_raise(raw)
    if content_type in ("", FORM):
        return _array(raw) or (_form(raw) if content_type else None) or _text(raw)
    return _text(raw)


def of_message(payload: bytes, topic: str, is_hex: Callable[[], bool]) -> str:
    """Return the payload of an MQTT message as parsers get it: JSON of an array.

    JSON stays as it is, but the topic goes into the metadata of what looks like a point. All else, also what only
    begins like JSON, is the value of one point ``payload``.

    Args:
        payload: the bytes that were published.
        topic: goes into the metadata under two names, as some decoders read one and some the other.
        is_hex: returns whether a payload that is not JSON becomes hex digits, and not a text. Called only then.
    """
    about = {"mqtt_topic": topic, "topic": topic}
    bare = jsontext.bare(payload)
    text = None if bare is None else _array(bare)
    if text is None:
        return jsontext.dumps([points.payload_point(payload, about, is_hex=is_hex())])
    items: list[Any] = orjson.loads(text)
    for item in items:
        if isinstance(item, dict) and "variable" in item and isinstance(item.get("metadata") or {}, dict):
            item["metadata"] = {**(item.get("metadata") or {}), **about}
    return jsontext.dumps(items)


def _array(raw: bytes) -> str | None:
    """Return JSON as JSON of an array; None if it is neither an array nor an object."""
    start = raw.lstrip()[:1]
    if start not in _STARTS:
        return None
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    text = raw.decode()
    return text if start == b"[" else f"[{text}]"


def _array_or_raise(raw: bytes) -> str:
    text = _array(raw)
    if text is None:
        read_json(_any, raw)  # says where the JSON breaks
        raise errors.BadRequest("The body must be a JSON object or an array, with finite numbers")
    return text


def _form(raw: bytes) -> str | None:
    """Return a form that is a point as JSON; None for another form, and for what is no form."""
    try:
        (item,) = points.read_points(raw, is_form=True).items
    except errors.BadRequest:
        return None
    return jsontext.dumps([item]) if "variable" in item else None


def _text(raw: bytes) -> str:
    try:
        return jsontext.dumps(raw.decode())
    except UnicodeDecodeError:
        raise errors.BadRequest(f"The body is not UTF-8: send bytes with Content-Type {OCTETS}") from None
