"""The price plans: what a profile may ask for. plans.json holds the figures."""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

DEFAULT = "unlimited"
"""The plan of a profile without one: the person who installs Decant owns it."""


class Plan(NamedTuple):
    """Limits of a profile; None means none."""

    name: str
    per_minute: dict[str, int]
    """Requests by rate. A route's row names its rate."""
    others_per_minute: int | None
    """Requests of each route whose row names no rate."""
    mqtt_per_minute: dict[str, int]
    """How often to connect, publish and receive; in the embedded mode."""
    requests_per_month: int | None

    def limit(self, rate: str | None) -> int | None:
        """Return how many requests a minute a rate allows, or None for any number."""
        return self.others_per_minute if rate is None or not self.per_minute else self.per_minute[rate]


@lru_cache(maxsize=1)
def load() -> dict[str, Plan]:
    """Return the plans by name.

    Source: TagoIO, hard limits per route; the monthly figures and those of other routes are ours.
    """
    figures = json.loads(Path(__file__).with_name("plans.json").read_text())
    return {name: Plan(name, **limits) for name, limits in figures.items()}
