"""Reads JSON bodies with pydantic, and says in one sentence what is wrong with one."""

from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from chalicelib import errors

T = TypeVar("T")

_BY_TYPE = {
    "missing": "is required",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "list_type": "must be an array",
}


def read_json(adapter: TypeAdapter[T], raw: bytes) -> T:
    """Parse and check a JSON text in one step.

    Raises:
        errors.BadRequest: names the item, the field and the rule, or the place where the JSON breaks.
    """
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        raise explain(error) from None


def explain(error: ValidationError) -> errors.BadRequest:
    """Turn pydantic's report into one message and ``field_errors``, the first problem of each field only."""
    reasons: dict[str, list[str]] = {}
    seen: set[tuple[int | str, ...]] = set()
    finite = {tuple(one["loc"][:2]) for one in error.errors(include_url=False) if one["type"] == "finite_number"}
    for one in error.errors(include_url=False, include_input=False):
        location = one["loc"]
        if one["type"] == "json_invalid":
            return errors.BadRequest(one["msg"])
        place = location[:2] if location and isinstance(location[0], int) else location[:1]
        if place not in seen:
            seen.add(place)
            reason = "must be a finite number" if place in finite else _reason(dict(one))
            owner, text = _name(place, reason)
            reasons.setdefault(owner, []).append(text)
    first, texts = next(iter(reasons.items()))
    message = f"Item {first}: {texts[0]}" if first.isdigit() else texts[0]
    return errors.BadRequest(message, reasons)


def _reason(one: dict[str, Any]) -> str:
    if one["type"] == "value_error":
        return str(one["ctx"]["error"])
    field = next((part for part in one["loc"] if isinstance(part, str)), "")
    if field == "value" and one["type"] != "missing":
        return "must be a string, a number or a boolean"
    known = _BY_TYPE.get(one["type"])
    return known if known else one["msg"][:1].lower() + one["msg"][1:]


def _name(place: tuple[int | str, ...], reason: str) -> tuple[str, str]:
    if not place:
        return "body", f"The body {reason}"
    owner = str(place[0])
    if isinstance(place[0], int):
        return owner, f"{place[1]} {reason}" if len(place) > 1 else f"the item {reason}"
    return owner, f"{owner} {reason}"


def choice(name: str, text: str, allowed: Collection[str]) -> str:
    """Return ``text`` if it is one of ``allowed``.

    Raises:
        errors.BadRequest: it is not; the message lists them.
    """
    if text not in allowed:
        reason = f"{name} must be one of {', '.join(allowed)}"
        raise errors.BadRequest(reason, {name: [reason]})
    return text
