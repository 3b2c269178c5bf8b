"""Numbers of JSON: kept exactly up to 38 digits, refused above that, never rounded silently."""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

MAX_DIGITS = 38
MAX_MAGNITUDE = 10.0**126
_RUNS = bytes.maketrans(b"123456789.", b"0000000000")
_LONG_RUN = b"0" * 16
_LONG_NUMBER = re.compile(rb"[1-9](?:[0-9]{15}|[0-9.]{16})")
_MAX_PENDING, _FLOATS = 1_000, {float}


def may_be_inexact(raw: bytes) -> bool:
    """Return whether a JSON text may hold a number of 16 or more significant digits, which a float may round.

    Cost: a few microseconds for 10 kB. It looks up each byte in a table, and makes the exact test only if there is a
    long run of digits.
    """
    return _LONG_RUN in raw.translate(_RUNS) and _LONG_NUMBER.search(raw) is not None


def loads_exact(raw: bytes | str) -> object:
    """Parse JSON. A fraction that a float would round becomes a ``Decimal``, every other number an int or a float."""
    return json.loads(raw, parse_float=_exact)


def _exact(text: str) -> float | Decimal:
    number = float(text)
    if repr(number) == text:
        return number
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


def problem(value: int | float | Decimal) -> str | None:
    """Return why ``value`` cannot be stored, or None if it can: more than 38 digits, or 1e126 and more.

    >>> problem(10**38), problem(10**37)
    ('has more than 38 digits', None)
    """
    if isinstance(value, int):
        return "has more than 38 digits" if abs(value) >= 10**MAX_DIGITS else None
    if isinstance(value, Decimal) and len(value.as_tuple().digits) > MAX_DIGITS:
        return "has more than 38 digits"
    return None if -MAX_MAGNITUDE < value < MAX_MAGNITUDE else "must be smaller than 1e126"


def matches(value: object, wanted: str) -> bool:
    """Return whether a stored value equals a query string's text, as text or as a number.

    >>> matches(22, "22"), matches(22.0, "22"), matches(True, "True"), matches(1, "true"), matches("22", "22")
    (True, True, True, False, True)
    """
    if isinstance(value, bool):
        return wanted.lower() == ("true" if value else "false")
    if isinstance(value, str):
        return value == wanted
    if isinstance(value, int | float | Decimal):
        number = parse(wanted)
        return number is not None and number == value
    return False


def parse(text: str) -> int | float | Decimal | None:
    """Read a finite number that is written as in JSON; return None if the text is not one."""
    if len(text) > 400 or not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", text, re.ASCII):
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    number = _exact(text)
    return number if -MAX_MAGNITUDE < number < MAX_MAGNITUDE else None


class Sum:
    """The sum of numbers that are added one by one. It is exact if all are whole, else rounded once, at the end."""

    __slots__ = ("_fractions", "_whole", "count")

    def __init__(self) -> None:
        self.count = 0
        """How many numbers were added."""
        self._whole = 0
        self._fractions: list[float] = []

    def add(self, value: int | float | Decimal) -> None:
        """Add a number. A ``Decimal`` counts as the nearest float."""
        self.count += 1
        if isinstance(value, int):
            self._whole += value
            return
        self._fractions.append(float(value))
        self._compact()

    def extend(self, values: Sequence[int | float | Decimal]) -> None:
        """Add many numbers."""
        self.count += len(values)
        if {*map(type, values)} == _FLOATS:
            self._fractions += cast(Sequence[float], values)
        else:
            self._fractions += [float(value) for value in values if not isinstance(value, int)]
            self._whole += sum([value for value in values if isinstance(value, int)])
        self._compact()

    def add_sums(self, count: int, whole: int, fractions: Sequence[float]) -> None:
        """Add ``count`` numbers: the sum of the whole ones, and floats whose exact sum is that of the others."""
        self.count += count
        self._whole += whole
        self._fractions += fractions
        self._compact()

    def _compact(self) -> None:
        if len(self._fractions) >= _MAX_PENDING:
            self._fractions = partials(self._fractions)

    def total(self) -> int | float:
        """Return the sum; 0 of nothing."""
        if not self._fractions:
            return self._whole
        high = float(self._whole)
        return math.fsum([*self._fractions, high, float(self._whole - int(high))])

    def mean(self) -> int | float:
        """Return the sum divided by the count, which must not be 0; a whole number if that is exact."""
        total = self.total()
        if isinstance(total, int) and total % self.count == 0:
            return total // self.count
        return total / self.count


def partials(values: Sequence[float]) -> list[float]:
    """Return the few floats whose exact sum is that of ``values``; ``[0.0]`` if that is 0."""
    parts: list[float] = []
    while (part := math.fsum([*values, *(-known for known in parts)])) != 0:
        parts.append(part)
    return parts or [0.0]


def lesser(state: Any, value: Any) -> Any:
    """Return the lower of two numbers; of equal ones the whole number, of zeros the negative one. None is no number.

    So the lowest of many does not depend on their order.
    """
    if state is None or value < state or (value == state and _is_first(value, state)):
        return value
    return state


def greater(state: Any, value: Any) -> Any:
    """Return the higher of two numbers; see ``lesser``."""
    if state is None or value > state or (value == state and _is_first(value, state)):
        return value
    return state


def _is_first(value: Any, state: Any) -> bool:
    """Return whether ``value`` is taken rather than ``state``, which equals it."""
    if isinstance(state, int) or isinstance(value, int):
        return not isinstance(state, int)
    return math.copysign(1, value) < math.copysign(1, state)
