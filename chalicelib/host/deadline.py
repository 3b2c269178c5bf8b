"""How long the current work may take.

A request ends at its own limit, and before the end of the Lambda function. In the embedded mode, a part of a request
has only a share of the event loop's time. A part that has used up its share raises ``TooLong``, and its caller does it
again in a thread, or resumes it.
"""

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

from chalicelib import errors
from chalicelib.host import clock

SPARE_S = 3.0
"""Time that is kept for the last call of AWS and for writing the answer: a function that Lambda cuts off sends none."""


class Limits:
    """Times of ``clock.monotonic_s``. Another thread may move ``end_s`` to end the work.

    Args:
        end_s: when the work must end.
        is_strict: whether AWS may not be called after ``end_s``, not even to save what was done.
    """

    __slots__ = ("end_s", "is_strict", "share_end_s")

    def __init__(self, end_s: float = math.inf, *, is_strict: bool = False) -> None:
        self.end_s, self.is_strict = end_s, is_strict
        self.share_end_s = math.inf


class TooLong(Exception):
    """A part of a request has used up its share of the event loop's time. It can be done again, or resumed."""


class _Here(threading.local):
    limits = Limits()
    share_s = math.inf


_here = _Here()
_WASTED = 0.1
"""The part of its time that the event loop may spend on tries of one profile that turn out to be too long."""
_LEAST_S = 0.0002
"""A share below this is not worth a try."""
_too_long_s: dict[str, float] = {}
"""When a try of each profile was last given up."""


def begin(context: Any, limit_s: float = math.inf) -> None:
    """Note when the work of this thread must end.

    Args:
        context: Lambda's context object; None if nothing cuts the work off.
        limit_s: how long the work may take from now.
    """
    if context is not None:
        limit_s = min(limit_s, context.get_remaining_time_in_millis() / 1000 - SPARE_S)
    _here.limits = Limits(clock.monotonic_s() + limit_s)


def end() -> None:
    """Forget the limits of this thread's work."""
    _here.limits = _Here.limits


def current() -> Limits:
    """Return the limits of this thread's work."""
    return _here.limits


@contextlib.contextmanager
def using(limits: Limits) -> Iterator[None]:
    """Work under these limits, which another thread or an earlier part of the request has begun."""
    before, _here.limits = _here.limits, limits
    try:
        yield
    finally:
        _here.limits = before


def limited(limit_s: float) -> contextlib.AbstractContextManager[None]:
    """Work that may call AWS for ``limit_s`` from now, or as long as the work that it is a part of."""
    return using(Limits(within(limit_s), is_strict=True))


def set_share(seconds: float) -> None:
    """Set the share of a part that runs in this thread, in seconds. By default there is no limit."""
    _here.share_s = seconds
    _too_long_s.clear()


class sharing:
    """Context manager: gives a part of a request its share of the loop's time. Then ``check`` raises TooLong.

    Args:
        profile: whose request it is. Soon after one of its tries was given up, its share is smaller.
    """

    __slots__ = ("_limits", "_profile")

    def __init__(self, profile: str = "") -> None:
        self._profile, self._limits = profile, _here.limits

    def __enter__(self) -> None:
        self._limits.share_end_s = clock.monotonic_s() + _share_s(self._profile)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._limits.share_end_s = math.inf
        if kind is TooLong:
            _too_long_s[self._profile] = clock.monotonic_s()


def would_exceed(seconds: float) -> bool:
    """Return whether work that takes so long would exceed the share of this thread."""
    return seconds >= _here.share_s


def is_worth_a_try(profile: str) -> bool:
    """Return whether the share of a profile is long enough for a try, after its last tries."""
    return _share_s(profile) >= _LEAST_S


def _share_s(profile: str) -> float:
    last_s = _too_long_s.get(profile)
    return _here.share_s if last_s is None else min(_here.share_s, (clock.monotonic_s() - last_s) * _WASTED)


def check() -> None:
    """Return if there is time left. Work that may take long calls this from time to time.

    Raises:
        TooLong: the share is used up.
        errors.Unavailable: the request has reached its end.
    """
    limits, now_s = _here.limits, clock.monotonic_s()
    if now_s >= limits.share_end_s:
        raise TooLong
    if now_s >= limits.end_s:
        raise errors.Unavailable("The request takes too long: ask for less, or narrow start_date and end_date")


def is_over() -> bool:
    """Return whether ``check`` would raise."""
    now_s = clock.monotonic_s()
    return now_s >= _here.limits.share_end_s or now_s >= _here.limits.end_s


def has_passed() -> bool:
    """Return whether the remaining time is only enough to answer."""
    return clock.monotonic_s() >= _here.limits.end_s


def within(limit_s: float) -> float:
    """Return when work that may take ``limit_s`` from now must stop, as a time of ``clock.monotonic_s``."""
    return min(clock.monotonic_s() + limit_s, _here.limits.end_s)
