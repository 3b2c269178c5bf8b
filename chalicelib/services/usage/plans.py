"""The price plans, which limit the requests of a profile. plans.json holds the figures."""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

DEFAULT = "unlimited"
"""The plan of a profile without a plan. It has no limits, as the person who installs Decant owns it."""


class Plan(NamedTuple):
    """The limits of a profile. None means no limit."""

    name: str
    per_minute: dict[str, int]
    """How many requests, by the name of the rate. A route's row names its rate."""
    others_per_minute: int | None
    """How many requests of each route whose row names no rate."""
    mqtt_per_minute: dict[str, int]
    """In the embedded mode: how often a profile may connect, publish and receive."""
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
