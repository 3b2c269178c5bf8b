"""Reads the parameters of GET and DELETE /data, in all their spellings, into one query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib import errors
from chalicelib.codec import numbers, times
from chalicelib.codec.keys import LATEST_MS
from chalicelib.codec.periods import INTERVAL_OF_SPELLING, INTERVALS
from chalicelib.codec.querystring import Tree
from chalicelib.schemas import ignored
from chalicelib.schemas.parameters import bound, choice, flag, many, one, parse, required, whole

MAX_QTY = 10_000
DEFAULT_QTY = 15
MAX_SKIP = 36_000_000
"""A device holds no more points than this."""

EDGES = tuple(f"{edge}_{what}" for edge in ("last", "first") for what in ("item", "value", "location", "insert"))
SCALARS = ("count", "avg", "sum")
KINDS = ("default", *EDGES, "min", "max", *SCALARS, "aggregate", "conditional")
AGGREGATES = ("avg", "sum", "min", "max", "count")
COMPARISONS = ("gt", "gte", "lt", "lte", "eq", "ne")
FORMATS = ("json", "csv")
"""What the parameter ``format`` may say."""
PARAMETERS = (
    "query", "variables", "variable", "groups", "group", "series", "serie", "ids", "id", "values", "value", "qty",
    "skip", "ordination", "start_date", "end_date", "timezone", "interval", "function", "details", "detail",
)  # fmt: skip
"""Every parameter of a query, in all spellings. Reading has ``format`` besides."""
_NEEDS_START = ("avg", "sum", "conditional")
_TOLERANCE_MS = 3 * times.DAY_MS
"""A range of a month may be longer by this much: clients count months in several ways."""
_ORDERS = {"desc": False, "descending": False, "asc": True, "ascending": True}


@dataclass(frozen=True, slots=True)
class PointQuery:
    """A query for points. Bounds are milliseconds since 1970 and inclusive; None means no bound."""

    kind: str = "default"
    variables: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    qty: int = DEFAULT_QTY
    """How many points of each variable; in all, if no variables are named."""
    skip: int = 0
    is_ascending: bool = False
    start_ms: int | None = None
    end_ms: int | None = None
    details: bool = False
    interval: str = ""
    function: str = ""
    zone: tzinfo = UTC
    """The time zone of the buckets of ``aggregate``."""
    threshold: int | float | Decimal = 0
    ignored: tuple[str, ...] = ()
    """Parameters that nothing reads; see ``ignored.parameters``."""


def read_query(parameters: Mapping[str, Sequence[str]], now_ms: int) -> PointQuery:
    """Check and translate the parameters. Queries without a date are cached: dashboards repeat them again and again.

    Args:
        parameters: each unescaped name with its texts in the order sent.
        now_ms: the time from which spans count back.

    Raises:
        errors.BadRequest: a parameter breaks a rule; the text names both.

    Source: TagoIO, "Get device data", and the official clients. docs/decisions.md decides what they leave open.
    """
    for name in parameters:
        if "_date" in name:
            return _read(parse(parameters), now_ms)
    return _read_dateless(tuple((name, *texts) for name, texts in parameters.items()))


def read_deletion(parameters: Mapping[str, Sequence[str]], raw: bytes, now_ms: int) -> PointQuery:
    """Read the query of DELETE /data. What it does not know would widen the query, so it is refused.

    Args:
        parameters: names, unescaped, to their texts in the order sent.
        raw: the body, which may be empty or ``{}``.
        now_ms: the time from which spans count back.

    Raises:
        errors.BadRequest: an unknown or empty parameter, a body, or as ``read_query``.
    """
    for name, texts in parameters.items():
        known = name.partition("[")[0]
        if known not in PARAMETERS:
            raise errors.BadRequest.field(name[:50], f"{name[:50]} is not known: use {', '.join(PARAMETERS)}")
        if not all(text.strip() for text in texts):
            raise errors.BadRequest.field(known, f"{known} is empty: name what to delete, or leave it out")
    if raw.strip() not in (b"", b"{}", b"null"):
        raise errors.BadRequest("Name the points to delete in the query string, not in the body")
    query = read_query(parameters, now_ms)
    if query.kind in ("min", "max"):
        reason = f"{query.kind} names no points to delete: read them with it, then name their ids"
        raise errors.BadRequest("Invalid query", {"query": [reason]})
    return query


@lru_cache(maxsize=256)
def _read_dateless(parameters: tuple[tuple[str, ...], ...]) -> PointQuery:
    return _read(parse({name: texts for name, *texts in parameters}), 0)


def _read(tree: Tree, now_ms: int) -> PointQuery:
    kind = choice("query", one(tree, "query") or "default", KINDS)
    order = (one(tree, "ordination") or "descending").lower()
    zone = _zone(one(tree, "timezone"))
    variables = tuple(dict.fromkeys(name.lower() for name in many(tree, "variables", "variable")))
    qty = whole(tree, "qty", DEFAULT_QTY, 1, MAX_QTY)
    if len(variables) * qty > MAX_QTY:
        qty = round(MAX_QTY / len(variables))
    own: dict[str, Any] = {}
    if kind == "conditional":
        own["threshold"] = _threshold(one(tree, "value"))
        own["function"] = choice("function", required(tree, "function"), COMPARISONS)
    else:
        own["values"] = many(tree, "values", "value")
    if kind == "aggregate":
        interval = required(tree, "interval")
        own["interval"] = choice("interval", INTERVAL_OF_SPELLING.get(interval, interval), INTERVALS)
        own["function"] = choice("function", required(tree, "function"), AGGREGATES)
    query = PointQuery(
        kind=kind,
        variables=variables,
        groups=many(tree, "groups", "group", "series", "serie"),
        ids=many(tree, "ids", "id"),
        qty=qty,
        skip=whole(tree, "skip", 0, 0, MAX_SKIP),
        is_ascending=_ORDERS[choice("ordination", order, _ORDERS)],
        start_ms=bound(tree, "start_date", now_ms=now_ms, zone=zone),
        end_ms=bound(tree, "end_date", now_ms=now_ms, zone=zone),
        details=bool(flag(tree, "details") or flag(tree, "detail")),
        ignored=ignored.parameters(tree, (*PARAMETERS, "format")),
        zone=zone,
        **own,
    )
    _check_range(query, now_ms)
    return query


def _check_range(query: PointQuery, now_ms: int) -> None:
    if query.kind not in _NEEDS_START:
        return
    if query.start_ms is None:
        raise errors.BadRequest.field("start_date", "start_date field is required")
    end_ms = query.end_ms if query.end_ms is not None else now_ms
    try:
        longest_ms = times.add_months(query.start_ms, 1) + _TOLERANCE_MS
    except ValueError:
        longest_ms = LATEST_MS
    if end_ms > longest_ms:
        raise errors.BadRequest.field(
            "start_date", f"The maximum range for {query.kind} is 1 month between start_end and end_date"
        )


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise errors.BadRequest.field("timezone", "timezone must be an IANA name such as Europe/Berlin") from None


def _threshold(text: str | None) -> int | float | Decimal:
    if text is None:
        raise errors.BadRequest.field("value", "value field is required")
    number = numbers.parse(text)
    if number is None:
        raise errors.BadRequest.field("value", "value must be a number")
    return number
