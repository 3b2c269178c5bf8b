"""Exact limits per calendar minute: how often a profile may connect, publish and receive."""

from chalicelib.services.usage import limits, minutes, rates
from chalicelib.services.usage.minutes import Budget, Counter


class Rates:
    """Counts what each profile does in the current minute. A point sent by HTTP has a rate of its own.

    Source: TagoIO, hard limits: MQTT connect, publish and receive.
    """

    def __init__(self) -> None:
        self._counter = Counter(("publish", "receive"), rates.warn)

    def take(self, profile: str, kind: str) -> bool:
        """Count one and return True, or return False and count nothing if the minute's limit is used up."""
        limit = limits.of(profile).figures.mqtt_per_minute.get(kind)
        return limit is None or self._counter.take((Budget((profile, kind), limit),)).is_allowed


def next_minute_s() -> float:
    """Return the seconds until the next minute has begun."""
    return minutes.left_s() + 0.001
