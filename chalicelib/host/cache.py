"""A small cache that forgets: by age, by number, and all of it when the store undoes writes."""

import weakref
from typing import Any, Generic, TypeVar

from chalicelib.host import clock

T = TypeVar("T")
_all: "weakref.WeakSet[Cache[Any]]" = weakref.WeakSet()


class Cache(Generic[T]):
    """Values by text, each for at most ``ttl_s`` seconds; the oldest go first when there are more than ``size``."""

    def __init__(self, ttl_s: float, size: int = 10_000) -> None:
        self._ttl_s = ttl_s
        self._size = size
        self._values: dict[str, tuple[float, T]] = {}
        _all.add(self)

    def get(self, key: str) -> T | None:
        """Return the value while it is fresh."""
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] > clock.monotonic_s():
            return found[1]
        del self._values[key]
        return None

    def put(self, key: str, value: T, ttl_s: float | None = None) -> None:
        """Keep ``value``, for ``ttl_s`` seconds if that differs from the cache's own."""
        self._values.pop(key, None)
        if len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = (clock.monotonic_s() + (self._ttl_s if ttl_s is None else ttl_s), value)

    def drop(self, key: str) -> None:
        """Forget one."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()


def clear_all() -> None:
    """Forget everything in every cache of this process."""
    for cache in list(_all):
        cache.clear()
