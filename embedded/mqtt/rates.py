"""Exact limits per calendar minute: how often a profile may connect, publish and receive."""

from chalicelib import store
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.services.usage.plans import DEFAULT, load
from chalicelib.settings import CACHE_S
from chalicelib.store import names

_MINUTE_MS = 60_000
_limits: Cache[dict[str, int]] = Cache(ttl_s=CACHE_S)


class Rates:
    """Counts what each profile does in the current minute.

    Source: TagoIO, hard limits: MQTT connect, publish and receive.
    """

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[tuple[str, str], int] = {}

    def take(self, profile: str, kind: str) -> bool:
        """Count one and return True, or return False and count nothing if the minute's limit is used up."""
        limits = _limits.get(profile)
        if limits is None:
            limits = _limits_of(profile)
            _limits.put(profile, limits)
        limit = limits.get(kind)
        if limit is None:
            return True
        minute = clock.now_ms() // _MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get((profile, kind), 0)
        if count >= limit:
            return False
        self._counts[profile, kind] = count + 1
        return True


def _limits_of(profile: str) -> dict[str, int]:
    entity = store.current().get(names.profile(profile), names.PROFILE)
    plan = load().get(entity.doc.get("plan", DEFAULT) if entity else DEFAULT)
    return plan.mqtt_per_minute if plan else {}


def next_minute_s() -> float:
    """Return the seconds until the next minute begins."""
    return (_MINUTE_MS - clock.now_ms() % _MINUTE_MS) / 1000 + 0.001
