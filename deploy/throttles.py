"""The limits that API Gateway keeps: those of the stage, of the price plans, and of the keys that profiles share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.http import site
from chalicelib.http.route import Route
from chalicelib.services.usage import plans
from chalicelib.services.usage.plans import LOUD, WAITING, Plan

REQUESTS_PER_SECOND, REQUEST_BURST = 2_000, 4_000
"""What a stage accepts from all callers together."""
SHARED_KEYS = {WAITING: (50, 100), LOUD: (1, 1)}
"""Requests a second, and requests at once, of all clients together that use a shared API key. Nobody waits for long."""
ANONYMOUS_PER_SECOND = 20
"""What the stage accepts of each route without a token, from all callers together: a password costs processor time."""
FILES_PER_SECOND = 200
"""The same for the files of the console, of which one page needs ten at once."""

_FILES = f"{site.CONSOLE}/{{name}}"


def plan_throttles(plan: Plan, rows: Sequence[Route]) -> dict[str, dict[str, float]]:
    """Return the limits of a price plan by ``/resource/METHOD``. Routes without a limit or a caller are left out.

    API Gateway throttles by token buckets, not by calendar minutes. A bucket holds the requests of one minute and
    refills evenly. ``rateLimit`` is in requests a second.

    Args:
        plan: the price plan.
        rows: the route table.
    """
    throttles: dict[str, dict[str, float]] = {}
    for row in rows:
        limit = plan.limit(row.rate) if row.who else None  # whoever needs no token has no key
        if limit is not None:
            throttles[f"{row.path}/{row.method}"] = {"burstLimit": limit, "rateLimit": round(limit / 60, 4)}
    return throttles


@dataclass(frozen=True)
class UsagePlan:
    """A usage plan of API Gateway: of a price plan, or of a key that profiles share."""

    name: str
    """Without the stage's prefix."""
    by_route: dict[str, dict[str, float]] = field(default_factory=dict)
    """Limits of each key by ``/resource/METHOD``."""
    of_key: dict[str, float] | None = None
    """Limits of a key over all routes."""
    quota: dict[str, Any] | None = None


def usage_plans(rows: Sequence[Route]) -> dict[str, UsagePlan]:
    """Return the usage plans by name: those of the shared keys first, then those of the price plans."""
    shared = [
        UsagePlan(name, of_key={"rateLimit": float(rate), "burstLimit": burst})
        for name, (rate, burst) in SHARED_KEYS.items()
    ]
    priced = [
        UsagePlan(plan.name, plan_throttles(plan, rows), None, plan_quota(plan)) for plan in plans.load().values()
    ]
    return {plan.name: plan for plan in (*shared, *priced)}


def stage_limits(rows: Sequence[Route]) -> dict[str, tuple[int, int]]:
    """Return requests a second, and at once, of all callers together: of any route, and of each without a token.

    The names are those of API Gateway's settings: ``~1path~1of~1resource/METHOD``, or ``*/*`` for any route.
    """
    rates = {
        f"{row.path.replace('/', '~1')}/{row.method}": FILES_PER_SECOND if row.path == _FILES else ANONYMOUS_PER_SECOND
        for row in rows
        if not row.who
    }
    return {"*/*": (REQUESTS_PER_SECOND, REQUEST_BURST)} | {name: (rates[name],) * 2 for name in sorted(rates)}


def plan_quota(plan: Plan) -> dict[str, Any] | None:
    """Return the monthly quota of a price plan as API Gateway takes it, or None if the number is unlimited."""
    return {"limit": plan.requests_per_month, "offset": 0, "period": "MONTH"} if plan.requests_per_month else None
