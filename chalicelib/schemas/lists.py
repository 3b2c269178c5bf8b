"""The parameters that every list has: page, amount, fields, orderBy and filter.

A ``ListShape`` declares which fields a list has and which filters it takes. ``services.entities.page`` answers.

Source: TagoIO, "Managing devices", and the official clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from chalicelib import errors
from chalicelib.codec import patterns, times
from chalicelib.codec.querystring import Tree
from chalicelib.schemas import parameters

MAX_AMOUNT = 10_000
MAX_PAGE = 999_999_999

FilterKind = Literal["text", "flag", "since"]
"""text: equal, where ``*`` matches any text; flag: true or false; since: at or after a date or a span back from now."""


class ListShape(NamedTuple):
    """The fields and filters of a list."""

    fields: tuple[str, ...]
    """Fields that a client may ask for."""
    default: tuple[str, ...]
    """Fields of a row if the client asks for none."""
    sortable: tuple[str, ...]
    filters: Mapping[str, FilterKind]
    always: tuple[str, ...] = ()
    """Fields that each row has, whether or not the client asks for them."""
    order: str = "name,asc"
    """``field,direction`` if the client asks for none."""
    has_tags: bool = True
    """Whether rows have tags to filter by."""


@dataclass(slots=True)
class ListQuery:
    """A page of a list, filtered and sorted."""

    page: int = 1
    amount: int = 20
    fields: list[str] = field(default_factory=list)
    order: str = "name"
    is_ascending: bool = True
    filters: dict[str, Any] = field(default_factory=dict)
    """By field: the wanted text (``*`` matches any text), boolean, or earliest time in milliseconds since 1970."""
    tags: list[dict[str, str]] = field(default_factory=list)
    """Wanted tags, each with a key, a value or both. A row must have all of them."""


def read_list(tree: Tree, shape: ListShape, now_ms: int) -> ListQuery:
    """Read the parameters of a list.

    Args:
        tree: the query string.
        shape: the fields and filters of the list.
        now_ms: the time from which spans count back.

    Raises:
        errors.BadRequest: a parameter breaks a rule; the text names it and what is allowed.
    """
    query = ListQuery(
        page=max(1, parameters.whole(tree, "page", 1, -MAX_PAGE, MAX_PAGE)),
        amount=parameters.whole(tree, "amount", 20, 1, MAX_AMOUNT),
    )
    query.fields = _fields(tree, shape, shape.default)
    name, _, direction = (parameters.one(tree, "orderBy") or shape.order).partition(",")
    query.order = parameters.choice("orderBy", name.strip(), shape.sortable)
    direction = direction.strip().lower() or "asc"
    query.is_ascending = parameters.choice("orderBy", direction, ("asc", "desc")) == "asc"
    filters = tree.get("filter", {})
    if not isinstance(filters, dict):
        raise errors.BadRequest.field("filter", "filter must name a field, as in filter[name]=a*")
    _read_filters(query, filters, shape, now_ms)
    return query


def read_fields(tree: Tree, shape: ListShape) -> list[str]:
    """Return the fields that a client asks for of one object, which has those of the list. All, if it asks for none.

    Raises:
        errors.BadRequest: there is no such field.
    """
    return _fields(tree, shape, shape.fields)


def _fields(tree: Tree, shape: ListShape, default: tuple[str, ...]) -> list[str]:
    asked = [name for text in parameters.many(tree, "fields") for name in text.split(",")]
    chosen = [parameters.choice("fields", name, shape.fields) for name in asked] or default
    return [*dict.fromkeys((*shape.always, *chosen))]


def _read_filters(query: ListQuery, filters: Tree, shape: ListShape, now_ms: int) -> None:
    for name in filters:
        shown_as = f"filter[{name[:50]}]"
        kind = shape.filters.get(name)
        if name == "tags" and shape.has_tags:
            query.tags = _read_tags(filters[name])
        elif kind == "flag":
            query.filters[name] = parameters.flag(filters, name, shown_as)
        elif kind == "since":
            query.filters[name] = _since(shown_as, parameters.one(filters, name, shown_as) or "", now_ms)
        elif kind == "text":
            query.filters[name] = _pattern(shown_as, parameters.one(filters, name, shown_as) or "")
        else:
            known = (*shape.filters, "tags") if shape.has_tags else (*shape.filters,)
            raise errors.BadRequest.field("filter", f"{shown_as} is not known: filter by {', '.join(known)}")


def _read_tags(value: Any) -> list[dict[str, str]]:
    pairs: list[Any] = list(value.values()) if isinstance(value, dict) else [None]
    if not all(isinstance(pair, dict) and pair.keys() <= {"key", "value"} for pair in pairs):
        raise errors.BadRequest.field("filter", "filter[tags] must be a list of key and value")
    return [{part: parameters.one(pair, part, f"filter[tags] {part}") or "" for part in pair} for pair in pairs]


def _pattern(shown_as: str, text: str) -> str:
    if text.count("*") > patterns.MAX_WILDCARDS:
        raise errors.BadRequest.field("filter", f"{shown_as} may have at most {patterns.MAX_WILDCARDS} wildcards")
    return text


def _since(shown_as: str, text: str, now_ms: int) -> int:
    try:
        return times.parse_bound(text, now_ms=now_ms, is_end=False)
    except ValueError:
        raise errors.BadRequest.field("filter", f"{shown_as} must be a date or a span such as 1 day") from None
