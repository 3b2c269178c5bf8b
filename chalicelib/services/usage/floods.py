"""Finds devices that flood, for API Gateway's authorizer: each container looks at what it sees itself.

Requests spread over containers, so each takes a quarter of the profile's limit for its own. The authorizer knows
neither query nor body, so only methods and paths count.
"""

import re

from chalicelib.host.slot import Slot
from chalicelib.services.usage import limits, rates
from chalicelib.services.usage.minutes import Minute
from chalicelib.services.usage.shares import Key, Shares

_PATH = re.compile(r"data|device/[^/]+/data")
_PART = 4
"""Which part of a limit a container may hand out before a device counts as loud."""


class Watch:
    """What this container has let through in the current minute."""

    def __init__(self) -> None:
        self._minute, self._number = Minute(), -1
        self._shares = Shares(rates.warn)
        self._used: dict[Key, int] = {}

    def is_loud(self, key: Key, sharer: str, limit: int) -> bool:
        """Return whether a caller takes more than its share; if not, count its call."""
        number = self._minute.number()
        if number != self._number:
            self._number, self._used = number, {}
        used = self._used.get(key, 0)
        if self._shares.is_loud(key, sharer, used, limit, number):
            return True
        self._used[key] = used + 1
        self._shares.count(key, sharer, 1)
        return False


_slot = Slot(Watch)
use = _slot.use


def is_loud(*, profile: str, sharer: str, method: str, path: str) -> bool:
    """Return whether a caller floods, so that its requests must be slowed down for the sake of the others.

    Args:
        profile: whose call it is.
        sharer: the device or other caller.
        method: of the request.
        path: of the request, without the first slash.

    Cost: that of ``limits.of`` for POST and GET of data; else none.
    """
    rate = f"{method} /data"
    if rate not in rates.SOFT or not _PATH.fullmatch(path):
        return False
    limit = limits.of(profile).figures.limit(rate)
    return limit is not None and _slot.current().is_loud((profile, rate), sharer, max(1, limit // _PART))
