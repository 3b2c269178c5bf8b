"""Reads the parameters of a query of the audit log, and keeps them in the query's id.

Source: TagoIO, "Audit log", and the official clients. That the id holds the query is ours: so nothing need be stored.
"""

import base64
from typing import NamedTuple

import orjson

from chalicelib import errors
from chalicelib.codec import times
from chalicelib.codec.querystring import Tree
from chalicelib.schemas.parameters import bound, choice, one, whole

RESOURCES = (
    "account", "action", "am", "analysis", "connector", "dashboard", "device", "dictionary", "network", "profile",
    "run", "runuser",
)  # fmt: skip
"""The names of what changes. ``account`` is ours."""
MAX_RANGE_MS = 7 * times.DAY_MS
MAX_LIMIT = 1_000
_MAX_CHARS = 100
_MAX_ID_CHARS = 2_000


class AuditQuery(NamedTuple):
    """A query of the audit log. Bounds are milliseconds since 1970 and inclusive; an empty text filters nothing."""

    start_ms: int
    end_ms: int
    resource_name: str
    resource_id: str
    find: str
    """Text to find in the message, in who made the change, in the id or in the address, without regard to case."""
    limit: int


def read_query(tree: Tree, now_ms: int) -> AuditQuery:
    """Read the parameters. Without dates, the query asks for the last 7 days.

    Raises:
        errors.BadRequest: a parameter breaks a rule, or the range is longer than 7 days; the text names it.
    """
    end_ms = bound(tree, "end_date", now_ms=now_ms)
    start_ms = bound(tree, "start_date", now_ms=now_ms)
    end_ms = now_ms if end_ms is None else end_ms
    start_ms = end_ms - MAX_RANGE_MS if start_ms is None else start_ms
    if not 0 <= end_ms - start_ms <= MAX_RANGE_MS:
        raise errors.BadRequest.field(
            "start_date", "start_date must be at most 7 days before end_date, which is now by default"
        )
    name = one(tree, "resourceName")
    return AuditQuery(
        max(start_ms, 0),
        max(end_ms, 0),
        choice("resourceName", name, RESOURCES) if name else "",
        _text(tree, "resourceID"),
        _text(tree, "find"),
        whole(tree, "limit", 100, 1, MAX_LIMIT),
    )


def _text(tree: Tree, name: str) -> str:
    text = one(tree, name) or ""
    if len(text) > _MAX_CHARS:
        raise errors.BadRequest.field(name, f"{name} must have at most {_MAX_CHARS} characters")
    return text


def to_id(query: AuditQuery) -> str:
    """Return the id of a query, from which ``from_id`` reads the query again."""
    parameters = {
        "start_date": times.to_iso(query.start_ms),
        "end_date": times.to_iso(query.end_ms),
        "resourceName": query.resource_name,
        "resourceID": query.resource_id,
        "find": query.find,
        "limit": str(query.limit),
    }
    set_ones = {name: text for name, text in parameters.items() if text}
    return base64.urlsafe_b64encode(orjson.dumps(set_ones)).decode().rstrip("=")


def from_id(text: str) -> AuditQuery:
    """Return the query of an id.

    Raises:
        errors.NotFound: the text is not an id from ``to_id``.
    """
    try:
        if len(text) > _MAX_ID_CHARS:
            raise ValueError("too long")
        parameters = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        tree: Tree = {str(name): [str(value)] for name, value in parameters.items()}
        return read_query(tree, times.parse_time(parameters["end_date"]))
    except (ValueError, LookupError, AttributeError, TypeError, errors.BadRequest):
        raise errors.NotFound("Query not found") from None
