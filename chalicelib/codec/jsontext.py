"""Writes JSON fast, with numbers of any size written exactly."""

import codecs
import json
from decimal import Decimal

import orjson


def dumps(value: object) -> str:
    """Write ``value`` as compact JSON.

    Whole numbers over 64 bits and ``Decimal`` come out digit by digit. The value must hold no NaN or infinity.

    >>> dumps({"a": Decimal("0.12345678901234567890"), "b": 2**64})
    '{"a":0.12345678901234567890,"b":18446744073709551616}'
    """
    try:
        return orjson.dumps(value, default=_fragment).decode()
    except TypeError:  # a whole number over 64 bits
        return _dumps_wide(value)


def bare(raw: bytes) -> bytes | None:
    r"""Return the text of a JSON array or object as clients of MQTT send it; None if the bytes begin like neither.

    A byte order mark before the text is left out, and so are null characters behind it, which programs in C send.

    >>> bare(b"\xef\xbb\xbf[1]\0"), bare(b"21.5\0")
    (b'[1]', None)
    """
    text = raw.removeprefix(codecs.BOM_UTF8)
    if text.lstrip()[:1] not in (b"[", b"{"):
        return None
    return text.rstrip(b"\0 \t\r\n") if text[-1] == 0 else text


def without_surrogates(text: str) -> str:
    r"""Return a JSON text in which halves of surrogate pairs, which no UTF-8 text can hold, are question marks.

    >>> without_surrogates('["a", "\\ud83d"]')
    '["a", "?"]'
    """
    return json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace").decode()


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _dumps_wide(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value)
    return orjson.dumps(value, default=_fragment).decode()
