"""What every list has in common: wildcards, order and pages."""

import re
from typing import Any

from chalicelib.schemas.devices import ListQuery


def page(rows: list[dict[str, Any]], query: ListQuery) -> list[dict[str, Any]]:
    """Sort rows as asked, equal ones by id or token, and cut out the page."""
    rows = sorted(rows, key=lambda row: row.get("id") or row["token"])
    rows.sort(key=lambda row: _rank(row[query.order]), reverse=not query.is_ascending)
    return rows[(query.page - 1) * query.amount :][: query.amount]


def _rank(value: Any) -> tuple[bool, str]:
    """Rank absent values first, text without regard to case."""
    return (value is not None, value.casefold() if isinstance(value, str) else repr(value))


def has_tags(tags: list[dict[str, str]], wanted: list[dict[str, str]]) -> bool:
    """Tell whether each wanted tag, which may name a key only, is among ``tags``."""
    return all(any(all(tag[part] == text for part, text in one.items()) for tag in tags) for one in wanted)


def is_like(text: str, pattern: str) -> bool:
    """Tell whether a text fits a pattern in which ``*`` stands for anything, without regard to case.

    >>> is_like("Immutable one", "*MUTABLE*"), is_like("one", "on"), is_like("a.b", "a?b")
    (True, False, False)
    """
    parts = (re.escape(part) for part in re.sub(r"\*+", "*", pattern).split("*"))
    return re.fullmatch(".*?".join(parts), text, re.IGNORECASE | re.DOTALL) is not None
