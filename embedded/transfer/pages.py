"""Reads the points of a device page by page, none left out and none twice."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from embedded.client import Api, Refused, Stopped

MAX_QTY = 10_000
_TOO_LARGE = 413
Point = dict[str, Any]


class Cursor(NamedTuple):
    """From where to read on. The next page begins with the time of the last point that was read."""

    start: str | None = None
    """The time; None: from the beginning."""
    skip: int = 0
    """How many points of this time were read before those in ``seen``."""
    seen: tuple[str, ...] = ()
    """The ids of the last points of this time that were read."""

    def after(self, points: list[Point]) -> "Cursor":
        """Return the cursor behind further points.

        >>> Cursor("T", 0, ("1",)).after([{"id": "2", "time": "T"}, {"id": "3", "time": "U"}])
        Cursor(start='U', skip=0, seen=('3',))
        >>> Cursor("T", 0, ("1",)).after([{"id": "2", "time": "T"}, {"id": "3", "time": "T"}])
        Cursor(start='T', skip=1, seen=('2', '3'))
        """
        if not points:
            return self
        time = points[-1]["time"]
        seen = tuple(point["id"] for point in points if point["time"] == time)
        is_same = time == self.start
        return Cursor(time, self.skip + len(self.seen) if is_same else 0, seen)


class Range(NamedTuple):
    """Which points of a device to read."""

    path: str
    """Of the route: ``/data``, or ``/device/{id}/data``."""
    start: str | None = None
    end: str | None = None
    """The first and last time, as ISO 8601, both inclusive. None: no bound."""
    variable: str | None = None
    """None: all."""


def read(api: Api, what: Range, cursor: Cursor) -> Iterator[tuple[list[Point], Cursor]]:
    """Yield pages of points in rising order of time, each with the cursor from which to read on.

    A page begins with the points of the last time that was read, which are recognised by their ids, so nothing is lost
    if some of them were deleted meanwhile. Only if they are many are they skipped by their number.
    Points that arrive meanwhile with a later time are read as well.

    Raises:
        Refused: the server refuses.
        Stopped: the server cannot be reached, or goes back in time.

    Cost: a request for 10,000 points, or for as many as fit into an answer. One page in memory.
    """
    qty, last = MAX_QTY, set[str]()
    while True:
        if len(cursor.seen) > qty // 2:
            cursor = Cursor(cursor.start, cursor.skip + len(cursor.seen))
        start = cursor.start or what.start
        query = [("ordination", "ascending"), ("qty", str(qty))]
        query += [("start_date", start)] if start else []
        query += [("end_date", what.end)] if what.end else []
        query += [("variables", what.variable)] if what.variable else []
        query += [("skip", str(cursor.skip))] if cursor.skip else []
        try:
            page = api.call("GET", what.path, query=query)
        except Refused as error:
            if error.status != _TOO_LARGE or qty == 1:
                raise
            qty //= 2
            continue
        known, ids = set(cursor.seen), {point["id"] for point in page}
        fresh = [point for point in page if point["id"] not in known]
        is_stuck = len(page) >= qty and ids <= last | known
        last = ids
        if is_stuck or (fresh and cursor.start is not None and fresh[0]["time"] < cursor.start):
            raise Stopped("The server answers the same points again and again")  # it would never end
        cursor = cursor.after(fresh)
        if fresh:
            yield fresh, cursor
        if len(page) < qty:
            return
