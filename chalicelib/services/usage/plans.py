"""The one table of plans: what a profile may ask for. Its figures stand in plans.json."""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

DEFAULT = "unlimited"
"""What a profile has that nobody gave a plan: whoever installs Decant owns it."""


class Plan(NamedTuple):
    """Limits of a profile; None means none."""

    name: str
    per_minute: dict[str, int]
    """``METHOD /resource`` to requests."""
    others_per_minute: int | None
    """For each route that ``per_minute`` does not name."""
    mqtt_per_minute: dict[str, int]
    """connect, publish and receive, to how often; in the embedded mode."""
    requests_per_month: int | None


@lru_cache(maxsize=1)
def load() -> dict[str, Plan]:
    """Return the plans by name.

    Source: TagoIO, hard limits per route; the monthly figures and those of other routes are ours.
    """
    found = json.loads(Path(__file__).with_name("plans.json").read_text())
    return {name: Plan(name, **limits) for name, limits in found.items()}
