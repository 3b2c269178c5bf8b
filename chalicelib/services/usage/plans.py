"""The price plans, which limit what a profile may use. plans.json holds the figures; the settings may add plans."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib import settings

DEFAULT = "unlimited"
"""The plan without limits: the person who installs Decant owns it."""
UNLIMITED = 9_007_199_254_740_991
"""What clients read where a plan has no limit: they want a finite number. It is JavaScript's largest exact one."""


AGGREGATE = "GET /data?query=aggregate"
"""The second rate of a read that aggregates. No row names it, as it depends on the query."""
WAITING, LOUD = "waiting", "loud"
"""The two API keys that profiles share on AWS: of profiles whose own key does not exist yet, and of devices that use
more than their share."""


class Plan(NamedTuple):
    """The limits of a profile. None, or a name that is missing, means no limit."""

    name: str
    per_minute: dict[str, int]
    """How many requests, by the name of the rate. A route's row names its rate."""
    others_per_minute: int | None
    """How many requests of each route whose row names no rate."""
    mqtt_per_minute: dict[str, int]
    """In the embedded mode: how often a profile may connect, publish and receive."""
    requests_per_month: int | None
    resources: dict[str, int]
    """How many of each kind of object may exist, such as devices; ``profile`` is per account."""
    quotas: dict[str, int]
    """How many points may come in and go out in a month (``input``, ``output``), and exist (``data_records``)."""

    def limit(self, rate: str | None) -> int | None:
        """Return how many requests a minute a rate allows, or None for any number."""
        return self.others_per_minute if rate is None or not self.per_minute else self.per_minute[rate]


def load() -> dict[str, Plan]:
    """Return the plans by name. Cost: they are read once.

    Raises:
        ValueError: the setting for further plans, or the one for the default plan, breaks a rule; the text says which.

    Source: TagoIO, hard limits per route and resource limits. The quotas, the monthly figures and those of other routes
    are ours.
    """
    current = settings.current()
    return _load(current.plans, current.default_plan)


def check(further: str, default_plan: str) -> None:
    """Return if these values of the two settings can be used. Raises ValueError: as ``load``."""
    _load(further, default_plan)


def default() -> str:
    """Return the name of the plan of new profiles."""
    return settings.current().default_plan


@lru_cache(maxsize=8)
def _load(further: str, default_plan: str) -> dict[str, Plan]:
    builtin: dict[str, Any] = json.loads(Path(__file__).with_name("plans.json").read_text())
    figures = builtin | _further(further, builtin)
    if default_plan not in figures:
        raise ValueError(f"DECANT_DEFAULT_PLAN must be {' or '.join(figures)}, not {default_plan!r}")
    return {name: Plan(name, **limits) for name, limits in figures.items()}


def _further(text: str, builtin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the plans that the setting adds or replaces."""
    if not text:
        return {}
    try:
        sent = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except OSError as error:
        raise ValueError(f"DECANT_PLANS cannot be read: {error.strerror}: {text}") from None
    except ValueError as error:
        raise ValueError(f"DECANT_PLANS is not JSON: {error}") from None
    if not isinstance(sent, dict):
        raise ValueError("DECANT_PLANS must be an object with plans by name")
    return {name: _merged(name, own, builtin) for name, own in sent.items()}


def _merged(name: str, own: Any, builtin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a plan: its own, and those of the plan that it is like."""
    if not isinstance(own, dict) or not name.isidentifier():
        raise ValueError(f"DECANT_PLANS: {name!r} must be a word, with an object of figures")
    like = own.get("like", DEFAULT)
    if like not in builtin:
        raise ValueError(f"DECANT_PLANS: like of {name} must be {' or '.join(builtin)}, not {like!r}")
    figures = dict(builtin[like])
    for part, value in own.items():
        if part == "like":
            continue
        if part not in figures:
            raise ValueError(f"DECANT_PLANS: {name} must hold {', '.join(figures)} or like, not {part!r}")
        figures[part] = _figures(f"{name}: {part}", value, builtin["free"][part], figures[part])
    if 0 < len(figures["per_minute"]) < len(builtin["free"]["per_minute"]):
        raise ValueError(f"DECANT_PLANS: {name}: per_minute must name every rate: let the plan be like one that does")
    return figures


def _figures(where: str, value: Any, known: Any, inherited: Any) -> Any:
    """Return the checked figures of a part of a plan: one number, or numbers by name."""
    if not isinstance(known, dict):
        return _figure(where, value)
    if not isinstance(value, dict):
        raise ValueError(f"DECANT_PLANS: {where} must be an object with figures by name")
    for name in value:
        if name not in known:
            raise ValueError(f"DECANT_PLANS: {where} does not know {name!r}, only {', '.join(known)}")
    checked = {name: _figure(f"{where} {name}", figure) for name, figure in value.items()}
    return {name: figure for name, figure in (inherited | checked).items() if figure is not None}


def _figure(where: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < UNLIMITED:
        raise ValueError(f"DECANT_PLANS: {where} must be a whole number from 0 on, or null for no limit, not {value!r}")
    return value
