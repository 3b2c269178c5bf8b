"""What a sealed segment is made of: requests, points, and the text that many points share."""

from typing import NamedTuple

NO_VALUE, VALUE, RAW = 0, 1, 2
"""What the column of values holds: nothing, the text of the value, or the whole line."""


class Request(NamedTuple):
    """What a sealed segment keeps of a request."""

    check: bytes
    """4 bytes of its digest."""
    created_us: int
    """When it arrived, in microseconds since 1970."""


class Row(NamedTuple):
    """A point of a sealed segment. Rows sort in the order of every answer: by time, arrival and id."""

    time_ms: int
    created_us: int
    id: str
    home: str
    """Its place: the key of its request, and its index there. It is the id, unless an edit moved the point."""
    variable: str
    kinds: int
    line: str
    is_exact: bool


class Template(NamedTuple):
    """The text that many points share. A point's line is ``start``, value, ``middle``, group, time, and its tail."""

    name: int
    """Index into the names of the variables."""
    holds: int
    """NO_VALUE, VALUE or RAW."""
    start: str
    middle: str
