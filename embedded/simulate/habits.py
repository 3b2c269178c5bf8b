"""How a device behaves: it sends on time, late or twice, and sometimes it is silent for a while."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from embedded.simulate import kinds
from embedded.simulate.kinds import Point

_SILENT, _LATE, _TWICE = 0.003, 0.01, 0.02
"""How likely each is at a reading."""


class Send(NamedTuple):
    """One request or message. Equal ones are sent as the same bytes, so the API stores them once."""

    number: int
    points: list[Point]
    is_late: bool = False
    is_again: bool = False


class Habits:
    """One device.

    Args:
        seed: see ``kinds.nature``.
        number: the number of the device.
        every_s: how often it measures.
    """

    def __init__(self, seed: int, number: int, every_s: int) -> None:
        self._seed, self._number, self._every_s = seed, number, every_s
        self._random = random.Random(f"{seed}/{number}/habits")  # noqa: S311 - no secret
        self._silent = 0
        self._held: list[tuple[int, list[Point]]] = []
        """Readings that are late, with how many others come before them."""
        self.left_out = 0
        """How many readings nobody will ever send, as the device was silent."""

    def sends(self, time_s: int) -> Iterator[Send]:
        """Yield what the device sends at the time of a reading: usually one request."""
        points = kinds.reading(self._seed, self._number, time_s, self._every_s)
        if self._is_silent():
            self.left_out += bool(points)
            return
        if points and self._random.random() < _LATE:
            self._held.append((self._random.randint(2, 10), points))
        elif points:
            yield Send(self._number, points)
            if self._random.random() < _TWICE:
                yield Send(self._number, points, is_again=True)
        self._held = [(left - 1, points) for left, points in self._held]
        for _, late in [held for held in self._held if held[0] < 0]:
            yield Send(self._number, late, is_late=True)
        self._held = [held for held in self._held if held[0] >= 0]

    def _is_silent(self) -> bool:
        if not self._silent and self._random.random() < _SILENT:
            self._silent = self._random.randint(10, 100)
        self._silent = max(0, self._silent - 1)
        return self._silent > 0
