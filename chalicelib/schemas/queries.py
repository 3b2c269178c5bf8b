"""The parameters of GET and DELETE /data, in all their spellings, read into one query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib import errors
from chalicelib.codec import numbers, querystring, times
from chalicelib.codec.keys import LATEST_MS
from chalicelib.codec.periods import INTERVALS
from chalicelib.codec.querystring import Tree
from chalicelib.schemas.reading import choice

MAX_QTY = 10_000
DEFAULT_QTY = 15
MAX_SKIP = 36_000_000
"""A device holds no more points than this."""

EDGES = tuple(f"{edge}_{what}" for edge in ("last", "first") for what in ("item", "value", "location", "insert"))
SCALARS = ("count", "avg", "sum")
KINDS = ("default", *EDGES, "min", "max", *SCALARS, "aggregate", "conditional")
AGGREGATES = ("avg", "sum", "min", "max")
COMPARISONS = ("gt", "gte", "lt", "lte", "eq", "ne")
_NEEDS_START = ("avg", "sum", "conditional")
_TOLERANCE_MS = 3 * times.DAY_MS
"""A month of range may be this much longer: clients count months in several ways."""
_ORDERS = {"desc": False, "descending": False, "asc": True, "ascending": True}


@dataclass(frozen=True, slots=True)
class PointQuery:
    """A query for points; times are milliseconds since 1970, both bounds inclusive, None open."""

    kind: str = "default"
    variables: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    qty: int = DEFAULT_QTY
    """Points per variable, or in all when no variables are named."""
    skip: int = 0
    is_ascending: bool = False
    start_ms: int | None = None
    end_ms: int | None = None
    details: bool = False
    interval: str = ""
    function: str = ""
    threshold: int | float | Decimal = 0


def read_query(parameters: Mapping[str, Sequence[str]], now_ms: int) -> PointQuery:
    """Check and translate the parameters. What was read without a date is remembered: dashboards ask again and again.

    Args:
        parameters: names, unescaped, to their texts in the order sent.
        now_ms: what relative dates count from.

    Raises:
        errors.BadRequest: names the parameter and the rule.

    Source: TagoIO, "Get device data"; the official clients; what they leave open is decided in docs/decisions.md.
    """
    for name in parameters:
        if "_date" in name:
            return _read(parse_parameters(parameters), now_ms)
    return _read_dateless(tuple((name, *texts) for name, texts in parameters.items()))


@lru_cache(maxsize=256)
def _read_dateless(parameters: tuple[tuple[str, ...], ...]) -> PointQuery:
    return _read(parse_parameters({name: texts for name, *texts in parameters}), 0)


def parse_parameters(parameters: Mapping[str, Sequence[str]]) -> Tree:
    """Read a query string into a tree.

    Raises:
        errors.BadRequest: too many or too deeply nested parameters.
    """
    try:
        return querystring.parse(parameters)
    except ValueError as error:
        raise errors.BadRequest(f"Error on Query String parameters: {error}") from None


def _read(tree: Tree, now_ms: int) -> PointQuery:
    kind = choice("query", _one(tree, "query") or "default", KINDS)
    order = (_one(tree, "ordination") or "descending").lower()
    zone = _zone(_one(tree, "timezone"))
    variables = tuple(dict.fromkeys(name.lower() for name in _many(tree, "variables", "variable")))
    qty = _whole(tree, "qty", DEFAULT_QTY, 1, MAX_QTY)
    if len(variables) * qty > MAX_QTY:
        qty = round(MAX_QTY / len(variables))
    own: dict[str, Any] = {}
    if kind == "conditional":
        own["threshold"] = _threshold(_one(tree, "value"))
        own["function"] = choice("function", _required(tree, "function"), COMPARISONS)
    else:
        own["values"] = _many(tree, "values", "value")
    if kind == "aggregate":
        own["interval"] = choice("interval", _required(tree, "interval"), INTERVALS)
        own["function"] = choice("function", _required(tree, "function"), AGGREGATES)
    query = PointQuery(
        kind=kind,
        variables=variables,
        groups=_many(tree, "groups", "group", "series", "serie"),
        ids=_many(tree, "ids", "id"),
        qty=qty,
        skip=_whole(tree, "skip", 0, 0, MAX_SKIP),
        is_ascending=_ORDERS[choice("ordination", order, _ORDERS)],
        start_ms=_bound(tree, "start_date", now_ms, zone, is_end=False),
        end_ms=_bound(tree, "end_date", now_ms, zone, is_end=True),
        details=bool(flag(tree, "details") or flag(tree, "detail")),
        **own,
    )
    _check_range(query, now_ms)
    return query


def _check_range(query: PointQuery, now_ms: int) -> None:
    if query.kind not in _NEEDS_START:
        return
    if query.start_ms is None:
        raise bad("start_date", "start_date field is required")
    end_ms = query.end_ms if query.end_ms is not None else now_ms
    try:
        longest_ms = times.add_months(query.start_ms, 1) + _TOLERANCE_MS
    except ValueError:
        longest_ms = LATEST_MS
    if end_ms > longest_ms:
        raise bad("start_date", f"The maximum range for {query.kind} is 1 month between start_end and end_date")


def bad(name: str, reason: str) -> errors.BadRequest:
    """Return the error of one parameter."""
    return errors.BadRequest(reason, {name: [reason]})


def _many(tree: Tree, *names: str) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        texts = tree.get(name)
        if texts is None:
            continue
        if isinstance(texts, dict):
            raise bad(name, f"{name} must be a list")
        found.extend(texts)
    return tuple(found)


def _one(tree: Tree, name: str) -> str | None:
    texts = _many(tree, name)
    if len(texts) > 1:
        raise bad(name, f"{name} is given {len(texts)} times")
    return texts[0] if texts else None


def _required(tree: Tree, name: str) -> str:
    text = _one(tree, name)
    if text is None:
        raise bad(name, f"{name} field is required")
    return text


def _whole(tree: Tree, name: str, default: int, low: int, high: int) -> int:
    if name not in tree:
        return default
    text = str(_one(tree, name))
    if not (text.isascii() and text.isdigit()) or len(text) > 15 or not low <= int(text) <= high:
        raise bad(name, f"{name} must be a whole number from {low} to {high}")
    return int(text)


def flag(tree: Tree, name: str) -> bool | None:
    """Read a boolean in the spellings of all clients; None when absent.

    Raises:
        errors.BadRequest: anything but true, false, 1 or 0, in any case.
    """
    text = _one(tree, name)
    if text is None:
        return None
    if text.lower() not in ("true", "false", "1", "0"):
        raise bad(name, f"{name} must be true or false")
    return text.lower() in ("true", "1")


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise bad("timezone", "timezone must be an IANA name such as Europe/Berlin") from None


def _bound(tree: Tree, name: str, now_ms: int, zone: tzinfo, *, is_end: bool) -> int | None:
    text = _one(tree, name)
    if text is None:
        return None
    try:
        return times.parse_bound(text, now_ms=now_ms, is_end=is_end, zone=zone)
    except ValueError as error:
        raise bad(name, f"Invalid {'end' if is_end else 'start'} date: {text[:50]!r} {error}") from None


def _threshold(text: str | None) -> int | float | Decimal:
    if text is None:
        raise bad("value", "value field is required")
    number = numbers.parse(text)
    if number is None:
        raise bad("value", "value must be a number")
    return number
