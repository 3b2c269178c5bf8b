"""Holds an object of which a process has only one, such as the store, the secret or the MQTT broker."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one value. The first call of ``current`` makes it, unless ``use`` has set one.

    Args:
        make: makes the value for AWS. The embedded mode and tests set their own.

    >>> slot = Slot(lambda: "made on first use")
    >>> slot.current()
    'made on first use'
    >>> slot.use("set from outside")
    >>> slot.current()
    'set from outside'
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._value: T | None = None

    def current(self) -> T:
        """Return the value of this process."""
        if self._value is None:
            self._value = self._make()
        return self._value

    def use(self, value: T | None) -> None:
        """Set the value. None forgets it: the next call of ``current`` makes a new one."""
        self._value = value
