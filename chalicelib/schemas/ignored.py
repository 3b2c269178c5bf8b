"""Names that a client sent and that nothing reads. They are no error, but its developer should hear of them."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from chalicelib.codec import tokens

MAX_NAMES = 5
MAX_CHARS = 50
_LOOKED_AT_BYTES = 20_000
"""How much of a body is searched. The first point ends before, if it keeps its own limits."""
_LONGEST_CHARS = 500
_DECODER = json.JSONDecoder()
_FIELDS = {
    "time": "timestamp timestamps ts date datetime at created_at measured_at",
    "variable": "variables name key field sensor metric",
    "value": "values val v reading measurement data",
    "location": "lat lng lon long latitude longitude coordinates position gps geo",
    "group": "series serial batch",
    "unit": "units uom",
    "metadata": "meta tags attributes properties",
}
_PARAMETERS = {
    "qty": "limit amount count size quantity max",
    "skip": "offset",
    "ordination": "order orderby order_by sort sortby direction",
    "start_date": "start from since begin after",
    "end_date": "end to until before",
    "variables": "name names key keys variabels",
    "timezone": "tz time_zone",
}
_MEANT_FIELD = {name: field for field, names in _FIELDS.items() for name in names.split()}
_MEANT_PARAMETER = {name: parameter for parameter, names in _PARAMETERS.items() for name in names.split()}
"""What is probably meant by a name in lower case."""


def parameters(sent: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the parameters of a query that are not known, described as in ``fields``.

    >>> parameters(["qty", "limit"], ["qty"])
    ('limit; the parameter is qty',)
    """
    return _describe(sent, known, _MEANT_PARAMETER, "parameter")


def fields(raw: bytes, items: list[Any], known: Collection[str]) -> tuple[str, ...]:
    """Return the names in the first point that are not known, at most five, each with the name that is meant.

    Args:
        raw: the body as JSON, as far as it is JSON.
        items: the points in it. Those of a body that is no JSON may have more names than the known ones.
        known: the names that are read.

    Cost: a microsecond for one point with no other names, up to ten for others.

    >>> fields(b'{"variable": "a", "timestamp": 5, "x": 1}', [{"variable": "a"}], ["variable"])
    ('timestamp; the field is time', 'x')
    """
    if not items:
        return ()
    if len(items) == 1 and raw.count(b'":') == len(items[0]):  # as many keys as were read: the case of most requests
        return ()
    text = raw[:_LOOKED_AT_BYTES].decode(errors="replace")
    try:
        first, _ = _DECODER.raw_decode(text, max(0, text.find("{")))
    except (ValueError, RecursionError):
        first = items[0]
    return _describe(first, known, _MEANT_FIELD, "field") if isinstance(first, dict) else ()


def _describe(names: Iterable[str], known: Collection[str], meant: Mapping[str, str], word: str) -> tuple[str, ...]:
    described = []
    for sent in names:
        if sent not in known:
            name = tokens.masked(sent[:_LONGEST_CHARS])[:MAX_CHARS]
            folded = name.lower()
            wanted = folded if folded in known else meant.get(folded)
            # What is no text, such as a line feed or the mark of another writing direction, could forge a line.
            shown = "".join(char if char.isprintable() else "?" for char in name)
            described.append(f"{shown}; the {word} is {wanted}" if wanted else shown)
            if len(described) == MAX_NAMES:
                break
    return tuple(described)
