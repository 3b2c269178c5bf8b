"""Counts points that are read: first in memory, so that a read costs no write.

On AWS a process writes what it has gathered during a later read: for a profile at most once a minute, for a device at
most once in ten minutes. What a process has gathered is lost if it ends, or gets no further read: at most what it read
in a minute for a profile, and in ten minutes for a device. The embedded mode writes every two seconds.
"""

import threading
from collections.abc import Iterator

from chalicelib import errors, store
from chalicelib.host import clock, log

PROFILE_S, DEVICE_S = 60.0, 600.0
"""How long points of a profile, and of a device, are gathered on AWS."""
AT_ONCE, WRITE_S = 5, 1.0
"""How many owners a read on AWS writes at most, and how long that may take. The next such read is a second later."""
LOOK_S = 5.0
"""How often the waiting owners are looked at, if none was due."""
MOST = 20_000
"""How many owners may wait. Points of more devices count for their profile, not for themselves."""
_Key = tuple[str, str | None]
_lock = threading.Lock()
_waiting: dict[_Key, list[float]] = {}
"""By profile and device, or by profile alone: points, last time in milliseconds, and since when (``monotonic_s``)."""

_look_s = [0.0]
"""When it is worth while to look for something that is due (``monotonic_s``)."""


def note(*, profile: str, device: str, points: int) -> None:
    """Note that points of a device were read. Cost: none. It may be called in any thread."""
    now_ms, now_s = clock.now_ms(), clock.monotonic_s()
    keys: tuple[_Key, ...] = ((profile, None), (profile, device))
    with _lock:
        for key in keys:
            waiting = _waiting.get(key)
            if waiting is not None:
                waiting[0] += points
                waiting[1] = now_ms
            elif len(_waiting) < MOST or key[1] is None:
                _waiting[key] = [points, now_ms, now_s]


def pending(*, profile: str) -> int:
    """Return how many points of a profile were read by this process and are not in the store yet."""
    return int(_waiting.get((profile, None), (0,))[0])


def is_due() -> bool:
    """Return whether something has waited long enough on AWS. Cost: seldom more than a look at the clock."""
    now_s = clock.monotonic_s()
    if now_s < _look_s[0]:
        return False
    with _lock:
        found = next(_due(now_s), None)
    _look_s[0] = now_s + (LOOK_S if found is None else WRITE_S)
    return found is not None


def write(*, is_all: bool = True) -> list[str]:
    """Write what was gathered; return the profiles of which something was written.

    Args:
        is_all: whether everything is written. If not, only what has waited long enough, and at most ``AT_ONCE`` owners.

    If the store does not take it, the rest stays for the next time, and the log says so: reads do not fail because of
    it. Cost: on DynamoDB one or two writes an owner.
    """
    now_s = clock.monotonic_s()
    with _lock:
        keys = [*_waiting] if is_all else [key for key, _ in zip(_due(now_s), range(AT_ONCE), strict=False)]
    written: list[str] = []
    for profile, device in keys:
        with _lock:
            points, last_ms, _ = _waiting.pop((profile, device))
        try:
            store.current().add_output(profile, device, int(points), int(last_ms))
        except errors.Unavailable as error:
            log.line("warning", function="outputs", profile=profile, uncounted=log.cause(error))
            _put_back((profile, device), points, last_ms, now_s)
            break
        if device is None:
            written.append(profile)
    return written


def clear() -> None:
    """Forget what was gathered. For tests."""
    _waiting.clear()
    _look_s[0] = 0.0


def _due(now_s: float) -> Iterator[_Key]:
    for key, waiting in _waiting.items():
        if now_s - waiting[2] >= (PROFILE_S if key[1] is None else DEVICE_S):
            yield key


def _put_back(key: _Key, points: float, last_ms: float, now_s: float) -> None:
    """Let points wait again, from now on: a store that is down is not asked by each read."""
    with _lock:
        waiting = _waiting.setdefault(key, [0, last_ms, now_s])
        waiting[0] += points
        waiting[2] = now_s
