"""Cuts points into batches and sends them, so that what is sent again is not stored again."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from chalicelib.codec import times
from embedded.client import Api, Refused, Stopped
from embedded.transfer.files import Problems

MAX_POINTS, MAX_BYTES = 1_000, 180_000
"""How many points a batch has at most, and how many bytes its body. The API takes 200 kB."""
_MAX_REFUSED_IN_A_ROW = 25
_PER_POINT = (400, 413)
"""The statuses that can be the fault of some points of a request."""
_WINDOW = re.compile(r"Time must be between (\d{4}-\d\d-\d\d) and (\d{4}-\d\d-\d\d)")


class Checked(NamedTuple):
    """A point that is ready to be sent."""

    where: object
    """Where it comes from, for the list of what was refused: the number of a line."""
    time_ms: int | None
    """Its time in milliseconds since 1970; None: that of its arrival."""
    text: bytes
    """As JSON."""


class Batch(NamedTuple):
    """The points of one request."""

    points: Sequence[Checked]
    entries: int
    """How many entries of the source are done with it, those before it and those without a point included."""


def batches(entries: Iterable[Checked | None], done: int = 0) -> Iterator[Batch]:
    """Cut points into batches. The same entries always give the same batches.

    Args:
        entries: points; None for an entry that has none.
        done: how many entries come before the first.

    Cost: one batch in memory.
    """
    points: list[Checked] = []
    size_bytes = 1
    for point in entries:
        if point is not None:
            if len(points) == MAX_POINTS or (points and size_bytes + len(point.text) + 1 > MAX_BYTES):
                yield Batch(points, done)
                points, size_bytes = [], 1
            points.append(point)
            size_bytes += len(point.text) + 1
        done += 1
    yield Batch(points, done)


class Sender:
    """Sends batches to one device.

    Args:
        api: the server.
        path: of the route that stores.
        problems: gets the points that the server refuses.
        is_strict: whether one refused point stops everything.
    """

    def __init__(self, api: Api, path: str, problems: Problems, *, is_strict: bool = False) -> None:
        self._api, self._path, self._problems, self._is_strict = api, path, problems, is_strict
        self._refused_in_a_row = 0

    def send(self, points: Sequence[Checked], key: str) -> tuple[int, int]:
        """Send points in one request. If the server refuses some, send the others without them.

        If it does not say which, they are sent in halves, each with a key that follows from ``key``. So the same call
        after a kill sends the same requests, and a server that knows ``Idempotency-Key`` stores nothing twice.

        Returns:
            How many points are stored, and how many were sent and not refused. They differ if points are alike in
            all fields, which are one point.

        Raises:
            Stopped: the server cannot be reached, or refuses whatever comes.
        """
        sent = list(points)
        while sent:
            try:
                text = self._api.call("POST", self._path, body=b"[" + b",".join(p.text for p in sent) + b"]", key=key)
            except Refused as error:
                if error.status not in _PER_POINT:
                    raise Stopped(f"The server refuses the points: {error}") from None
                wrong = _wrong(sent, error)
                if not wrong and len(sent) > 1:
                    return self._send_halves(sent, key)
                self._refuse(sent, wrong or {0: error.message})
                sent = [point for index, point in enumerate(sent) if index not in (wrong or {0: ""})]
            else:
                self._refused_in_a_row = 0
                return int(re.match(r"\d+", str(text))[0]), len(sent)  # type: ignore[index]
        return 0, 0

    def _send_halves(self, points: list[Checked], key: str) -> tuple[int, int]:
        middle = len(points) // 2
        first = self.send(points[:middle], f"{key}.0")
        second = self.send(points[middle:], f"{key}.1")
        return first[0] + second[0], first[1] + second[1]

    def _refuse(self, points: list[Checked], wrong: Mapping[int, str]) -> None:
        self._refused_in_a_row = self._refused_in_a_row + 1 if len(points) == 1 else 0
        if self._refused_in_a_row > _MAX_REFUSED_IN_A_ROW:
            raise Stopped(f"The server refuses one point after the other: {wrong[0]}")
        for index, reason in wrong.items():
            if self._is_strict:
                raise Stopped(f"Line {points[index].where}: {reason}")
            self._problems.add(points[index].where, reason)


def _wrong(points: list[Checked], error: Refused) -> dict[int, str]:
    """Return the reasons by index of the points at fault, as far as the answer says."""
    if found := _WINDOW.search(error.message):
        first_ms = times.parse_bound(found[1], now_ms=0, is_end=False)
        last_ms = times.parse_bound(found[2], now_ms=0, is_end=True)
        return {
            index: error.message
            for index, point in enumerate(points)
            if point.time_ms is not None and not first_ms <= point.time_ms <= last_ms
        }
    wrong = {}
    for name, reasons in error.field_errors.items():
        if name.isdecimal() and int(name) < len(points):
            wrong[int(name)] = reasons[0] if isinstance(reasons, list) and reasons else error.message
    return dict(sorted(wrong.items()))
