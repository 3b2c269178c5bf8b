"""What the server counts for ``GET /metrics`` while it works. A request costs one call of ``answered``."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NO_ROW = "none"
"""Stands for the row of requests that no row answered."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))
REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
COMMIT_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

Labels = dict[str, str]


class Sample(NamedTuple):
    """One line."""

    value: float
    labels: Labels = {}  # noqa: RUF012 - nobody changes it
    suffix: str = ""


class Histogram:
    """How often something took how long.

    Args:
        bounds_s: the upper bounds of the buckets in seconds, rising. One more bucket has no bound.
    """

    __slots__ = ("_bounds_s", "_counts", "_sum_s")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s, self._counts, self._sum_s = bounds_s, [0] * (len(bounds_s) + 1), 0.0

    def note(self, took_s: float) -> None:
        """Count one. Cost: 0.2 µs."""
        self._counts[bisect_left(self._bounds_s, took_s)] += 1
        self._sum_s += took_s

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """Yield the buckets, each with what all below it have, the sum and the count."""
        total = 0
        for bound, count in zip([*map(str, self._bounds_s), "+Inf"], self._counts, strict=True):
            total += count
            yield Sample(total, labels | {"le": bound}, "_bucket")
        yield Sample(self._sum_s, labels, "_sum")
        yield Sample(total, labels, "_count")


_answers: Counter[tuple[str, str, int]] = Counter()
_times: dict[tuple[str, str], Histogram] = {}


def answered(method: str, row: str, status: int, took_s: float | None = None) -> None:
    """Count an answered request of this process. Cost: 1 µs.

    Args:
        method: what the client sent.
        row: the path of its row, such as ``/device/{device_id}``, or ``NO_ROW``.
        status: 499 if the client went away before its answer.
        took_s: from its arrival to the end of its answer; None if that says nothing, as of a stream.
    """
    key = method if method in METHODS else "other", row
    _answers[*key, status] += 1
    if took_s is not None:
        times = _times.get(key)
        if times is None:
            times = _times[key] = Histogram(REQUEST_S)
        times.note(took_s)


def answer_samples() -> Iterator[Sample]:
    """Yield how many requests were answered, by method, row and status."""
    for (method, row, status), count in sorted(_answers.items()):
        yield Sample(count, {"method": method, "row": row, "status": str(status)})


def time_samples() -> Iterator[Sample]:
    """Yield how long they took, by method and row."""
    for (method, row), times in sorted(_times.items()):
        yield from times.samples({"method": method, "row": row})
