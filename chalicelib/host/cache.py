"""A small cache. It drops values that are old or too many, and all values when the store undoes writes."""

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from chalicelib.host import clock

T = TypeVar("T")
_all: "weakref.WeakSet[Cache[Any]]" = weakref.WeakSet()


class _Here(threading.local):
    is_off = False


_here = _Here()


class Cache(Generic[T]):
    """Values by key, each kept for ``ttl_s`` seconds. If there would be more than ``size``, the oldest is dropped."""

    def __init__(self, ttl_s: float, size: int = 10_000) -> None:
        self._ttl_s = ttl_s
        self._size = size
        self._values: dict[str, tuple[float, T]] = {}
        _all.add(self)

    def get(self, key: str) -> T | None:
        """Return the value, or None if there is none or it is too old."""
        entry = self._values.get(key)
        if entry is None or _here.is_off:
            return None
        if entry[0] > clock.monotonic_s():
            return entry[1]
        del self._values[key]
        return None

    def put(self, key: str, value: T, ttl_s: float | None = None) -> None:
        """Keep ``value``, for the cache's own time or for ``ttl_s`` seconds."""
        if _here.is_off:
            return
        self._values.pop(key, None)
        if len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = (clock.monotonic_s() + (self._ttl_s if ttl_s is None else ttl_s), value)

    def drop(self, key: str) -> None:
        """Forget the value of one key."""
        if not _here.is_off:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Forget every value."""
        self._values.clear()


def clear_all() -> None:
    """Forget everything in every cache of this process."""
    for cache in list(_all):
        cache.clear()


@contextlib.contextmanager
def bypassed() -> Iterator[None]:
    """Ignore every cache in this thread: it reads an older state of the store, which must not get into a cache."""
    _here.is_off = True
    try:
        yield
    finally:
        _here.is_off = False
