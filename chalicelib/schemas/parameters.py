"""Reads single parameters of a query string. Every error names the parameter and what is allowed."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, tzinfo

from chalicelib import errors
from chalicelib.codec import querystring, times
from chalicelib.codec.querystring import Tree


def parse(parameters: Mapping[str, Sequence[str]]) -> Tree:
    """Read a query string into a tree.

    Args:
        parameters: each unescaped name with its texts in the order sent.

    Raises:
        errors.BadRequest: too many or too deeply nested parameters.
    """
    try:
        return querystring.parse(parameters)
    except ValueError as error:
        raise errors.BadRequest(f"Error on Query String parameters: {error}") from None


def many(tree: Tree, *names: str) -> tuple[str, ...]:
    """Return every text of a list. Its parameter may have several names.

    Raises:
        errors.BadRequest: the parameter is a map.
    """
    texts: list[str] = []
    for name in names:
        value = tree.get(name)
        if value is None:
            continue
        if isinstance(value, dict):
            raise errors.BadRequest.field(name, f"{name} must be a list")
        texts.extend(value)
    return tuple(texts)


def one(tree: Tree, name: str, shown_as: str | None = None) -> str | None:
    """Return a text, or None if it is absent.

    Args:
        tree: the parameters.
        name: the name of the parameter.
        shown_as: the name in errors, if it differs.

    Raises:
        errors.BadRequest: the parameter is a map, or given more than once.
    """
    value = tree.get(name)
    if value is None:
        return None
    shown = shown_as or name
    if isinstance(value, dict):
        raise errors.BadRequest.field(shown, f"{shown} must be a single value")
    if len(value) > 1:
        raise errors.BadRequest.field(shown, f"{shown} is given {len(value)} times")
    return value[0]


def required(tree: Tree, name: str) -> str:
    """Return a text.

    Raises:
        errors.BadRequest: the parameter is absent, a map, or given more than once.
    """
    text = one(tree, name)
    if text is None:
        raise errors.BadRequest.field(name, f"{name} field is required")
    return text


def whole(tree: Tree, name: str, default: int, low: int, high: int) -> int:
    """Return a whole number.

    Raises:
        errors.BadRequest: the text is not a whole number from ``low`` to ``high``.
    """
    text = one(tree, name)
    if text is None:
        return default
    digits = text.removeprefix("-") if low < 0 else text
    if not (digits.isascii() and digits.isdigit()) or len(text) > 15 or not low <= int(text) <= high:
        raise errors.BadRequest.field(name, f"{name} must be a whole number from {low} to {high}")
    return int(text)


def flag(tree: Tree, name: str, shown_as: str | None = None) -> bool | None:
    """Return a boolean in the spellings of all clients, or None if it is absent.

    Raises:
        errors.BadRequest: the text is not true, false, 1 or 0, in upper or lower case.
    """
    text = one(tree, name, shown_as)
    if text is None:
        return None
    shown = shown_as or name
    if text.lower() not in ("true", "false", "1", "0"):
        raise errors.BadRequest.field(shown, f"{shown} must be true or false")
    return text.lower() in ("true", "1")


def choice(name: str, text: str, allowed: Collection[str]) -> str:
    """Return ``text`` if it is allowed.

    Raises:
        errors.BadRequest: it is not allowed; the message lists what is.
    """
    if text not in allowed:
        raise errors.BadRequest.field(name, f"{name} must be one of {', '.join(allowed)}")
    return text


def bound(tree: Tree, name: str, *, now_ms: int, zone: tzinfo = UTC) -> int | None:
    """Return ``start_date`` or ``end_date`` in milliseconds since 1970, or None if it is absent.

    Raises:
        errors.BadRequest: the text is neither a date nor a span.
    """
    text = one(tree, name)
    if text is None:
        return None
    is_end = name == "end_date"
    try:
        return times.parse_bound(text, now_ms=now_ms, is_end=is_end, zone=zone)
    except ValueError as error:
        edge = "end" if is_end else "start"
        reason = f"Invalid {edge} date: {text[:50]!r} {error}: {times.BOUND_FORMS}"
        raise errors.BadRequest.field(name, reason) from None
