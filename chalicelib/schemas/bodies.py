"""Reads JSON bodies with pydantic. If a body breaks a rule, one sentence says which."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from chalicelib import errors
from chalicelib.codec import times

T = TypeVar("T")

MAX_FIELD_ERRORS = 20
MAX_FIELD_ERROR_CHARS = 18_000
"""Reasons are in ASCII, so ``field_errors`` has at most 20 kB."""
_VALUE = "must be a string, a number or a boolean"
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


class Body(Generic[T]):
    """The JSON body of a route.

    Args:
        adapter: checks the shape.
        then: makes the checks that a shape cannot express, and may return another shape. Raises ``errors.BadRequest``.
        empty: makes what an empty body means. Without it, an empty body is an error.
        rules: what ``then`` checks, as far as JSON Schema can say it. For the OpenAPI document.
    """

    def __init__(
        self,
        adapter: TypeAdapter[Any],
        *,
        then: Callable[[Any], T] | None = None,
        empty: Callable[[], T] | None = None,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        self.adapter, self._then, self.empty, self.rules = adapter, then, empty, rules or {}

    def __call__(self, raw: bytes) -> T:
        """Check the body and return what the client sent.

        Raises:
            errors.BadRequest: not JSON, or a field that breaks a rule.
        """
        if not raw.strip():
            if self.empty is None:
                raise errors.BadRequest("The body is empty: send JSON")
            return self.empty()
        sent: T = read_json(self.adapter, raw)
        return sent if self._then is None else self._then(sent)


def read_json(adapter: TypeAdapter[T], raw: bytes) -> T:
    """Parse and check a JSON text in one step.

    Raises:
        errors.BadRequest: names the item, the field and the rule, or the place where the JSON breaks.
    """
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        raise _explain(_problems(error)) from None


def read_items(adapter: TypeAdapter[list[T]], raw: bytes) -> list[T]:
    """Parse and check a JSON array in one step.

    Args:
        adapter: of a list with ``FailFast``. Without it, a wrong body of 200 kB costs a second.
        raw: the text.

    Raises:
        errors.BadRequest: as ``read_json``, with at most 20 wrong items.
    """
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        problems = _problems(error)
    index = problems[0]["loc"][0] if problems[0]["loc"] else None
    if isinstance(index, int):
        problems += _problems_after(index, adapter, from_json(raw))
    raise _explain(problems)


def _problems(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=False)


def _problems_after(index: int, adapter: TypeAdapter[list[T]], items: list[Any]) -> list[ErrorDetails]:
    """Return the problems of the next wrong items, at most 19."""
    problems: list[ErrorDetails] = []
    wrong = 1
    for later, item in enumerate(items[index + 1 :], index + 1):
        try:
            adapter.validate_python([item])
        except ValidationError as error:
            problems += [{**problem, "loc": (later, *problem["loc"][1:])} for problem in _problems(error)]
            wrong += 1
            if wrong == MAX_FIELD_ERRORS:
                break
    return problems


def _explain(problems: Sequence[ErrorDetails]) -> errors.BadRequest:
    """Turn pydantic's report into one message and ``field_errors``, with only the first problem of each field."""
    reasons: dict[str, list[str]] = {}
    seen: set[tuple[int | str, ...]] = set()
    chars = 0
    finite = {tuple(problem["loc"][:2]) for problem in problems if problem["type"] == "finite_number"}
    for problem in problems:
        location = problem["loc"]
        if problem["type"] == "json_invalid":
            refusal = errors.BadRequest(problem["msg"])
            refusal.reason = "the body is not JSON"
            return refusal
        place = location[:2] if location and isinstance(location[0], int) else location[:1]
        if place not in seen:
            seen.add(place)
            reason = "must be a finite number" if place in finite else _reason(dict(problem))
            field, text = _name(place, reason)
            chars += len(text) + 10
            if chars > MAX_FIELD_ERROR_CHARS or (len(reasons) == MAX_FIELD_ERRORS and field not in reasons):
                break
            reasons.setdefault(field, []).append(text)
    first, texts = next(iter(reasons.items()))
    message = f"Item {first}: {texts[0]}" if first.isdigit() else texts[0]
    refusal = errors.BadRequest(message, reasons)
    kind, location = problems[0]["type"], problems[0]["loc"][:2]
    where = " ".join(str(part) for part in location if kind != "extra_forbidden")
    refusal.reason = f"body {where}: {_VALUE if 'value' in location and kind != 'missing' else kind}"
    return refusal


def _reason(problem: dict[str, Any]) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    field = next((part for part in problem["loc"] if isinstance(part, str)), "")
    if field == "value" and problem["type"] != "missing":
        return _VALUE
    if field == "time":
        return f"is not a time: {times.TIME_FORMS}"
    known = _BY_TYPE.get(problem["type"])
    return known if known else problem["msg"][:1].lower() + problem["msg"][1:]


def _name(place: tuple[int | str, ...], reason: str) -> tuple[str, str]:
    if not place:
        return "body", f"The body {reason}"
    field = str(place[0])
    if isinstance(place[0], int):
        return field, _sentence(str(place[1]), reason) if len(place) > 1 else f"the item {reason}"
    return field, _sentence(field, reason)


def _sentence(field: str, reason: str) -> str:
    """Return a reason with the name of the field in front, unless it is a sentence already."""
    return reason if reason.startswith(f"{field} ") or reason[:1].isupper() else f"{field} {reason}"
