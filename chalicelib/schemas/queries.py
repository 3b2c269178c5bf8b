"""The parameters of GET and DELETE /data, in all their spellings, read into one query."""

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from chalicelib import errors
from chalicelib.codec import numbers, times
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


@dataclass(slots=True)
class PointQuery:
    """A query for points; times are milliseconds since 1970, both bounds inclusive, None open."""

    kind: str = "default"
    variables: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
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


def read_query(tree: Tree, now_ms: int) -> PointQuery:
    """Check and translate the parameters.

    Raises:
        errors.BadRequest: names the parameter and the rule.

    Source: TagoIO, "Get device data"; the official clients; what they leave open is decided in docs/decisions.md.
    """
    if not tree:
        return PointQuery()
    query = PointQuery(kind=choice("query", _one(tree, "query") or "default", KINDS))
    query.variables = list(dict.fromkeys(name.lower() for name in _many(tree, "variables", "variable")))
    query.groups = _many(tree, "groups", "group", "series", "serie")
    query.ids = _many(tree, "ids", "id")
    query.qty = _whole(tree, "qty", DEFAULT_QTY, 1, MAX_QTY)
    query.skip = _whole(tree, "skip", 0, 0, MAX_SKIP)
    query.details = bool(flag(tree, "details") or flag(tree, "detail"))
    order = (_one(tree, "ordination") or "descending").lower()
    query.is_ascending = _ORDERS[choice("ordination", order, _ORDERS)]
    zone = _zone(_one(tree, "timezone"))
    query.start_ms = _bound(tree, "start_date", now_ms, zone, is_end=False)
    query.end_ms = _bound(tree, "end_date", now_ms, zone, is_end=True)
    if query.kind == "conditional":
        query.threshold = _threshold(_one(tree, "value"))
        query.function = choice("function", _required(tree, "function"), COMPARISONS)
    else:
        query.values = _many(tree, "values", "value")
    if query.kind == "aggregate":
        query.interval = choice("interval", _required(tree, "interval"), INTERVALS)
        query.function = choice("function", _required(tree, "function"), AGGREGATES)
    _check_range(query, now_ms)
    if len(query.variables) * query.qty > MAX_QTY:
        query.qty = round(MAX_QTY / len(query.variables))
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


def _many(tree: Tree, *names: str) -> list[str]:
    found: list[str] = []
    for name in names:
        texts = tree.get(name)
        if texts is None:
            continue
        if isinstance(texts, dict):
            raise bad(name, f"{name} must be a list")
        found.extend(texts)
    return found


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
