"""Rates: how often a profile may call each route in a calendar minute, and how often a profile allows itself.

Source: TagoIO, "Rate Limits (Hard limits)" and "Control Tower". That a fair share is left to each device is ours.
"""

from collections.abc import Callable

from chalicelib import errors
from chalicelib.host import log
from chalicelib.host.slot import Slot
from chalicelib.services.usage import limits, plans
from chalicelib.services.usage.limits import Limits
from chalicelib.services.usage.minutes import Budget, Counter, Taken
from chalicelib.store import Doc

SOFT = {"POST /data": "data_input", "GET /data": "data_output"}
"""The rates that devices share fairly, and that a profile or a device may limit further by this name in ``rpm``."""


def warn(text: str) -> None:
    """Log that a bound of the counters is reached."""
    log.line("warning", function="rates", reason=text)


_slot = Slot(lambda: Counter(tuple(SOFT), warn))
use = _slot.use


def take(
    profile: str,
    rate: str | None,
    *,
    name: str,
    sharer: str,
    aggregates: bool,
    device: Callable[[], Doc | None],
    is_gateway: bool,
) -> Taken | None:
    """Count a call of a route; None if nothing limits it.

    Args:
        profile: whose call it is.
        rate: the rate of the route's row.
        name: the rate, or the method and path of a row without a rate. Calls of one name have one counter.
        sharer: the device or other caller that shares the rate with the others of the profile.
        aggregates: whether it reads with ``query=aggregate``, which has a rate of its own besides.
        device: returns the device whose points it stores or reads; None: there is no such device.
        is_gateway: whether API Gateway throttles by method. Then only what it cannot see is counted, and each process
            counts for itself.

    Raises:
        errors.Unavailable: the limits of the profile cannot be read. Calls that store or read points are let through.

    Cost: that of ``limits.of`` and ``device``.
    """
    soft = SOFT.get(rate) if rate else None
    if is_gateway and soft is None:
        return None
    try:
        own = limits.of(profile)
    except errors.Unavailable:
        if soft is None:
            raise
        warn("the limits of a profile cannot be read: its data is not limited")
        return None
    limit = None if is_gateway else own.figures.limit(rate)
    doc = device() if soft else None
    has_soft = soft is not None and bool(own.rpm or (doc and doc.get("rpm")))
    if limit is None and not has_soft and not aggregates:
        return None
    budgets = [] if limit is None else [Budget((profile, name), limit, sharer if soft else "")]
    if aggregates:
        budgets += _budget((profile, plans.AGGREGATE), own.figures.limit(plans.AGGREGATE))
    if has_soft:
        budgets += _soft_budget(own, profile, doc, str(soft), limit)
    return _slot.current().take(budgets) if budgets else None


def give_back(taken: Taken) -> None:
    """Undo the count of a call that was refused for another reason and does not count."""
    _slot.current().give_back(taken)


def _soft_budget(own: Limits, profile: str, device: Doc | None, name: str, hard: int | None) -> list[Budget]:
    """Return the soft limit of a call, if there is one. That of the device replaces that of the profile."""
    rpm = (device.get("rpm") if device else None) or {}
    owner = device["id"] if device and name in rpm else profile
    limit = rpm.get(name, dict(own.rpm).get(name))
    return _budget((owner, name), limit if hard is None or limit is None else min(limit, hard))


def _budget(key: tuple[str, str], limit: int | None) -> list[Budget]:
    return [] if limit is None else [Budget(key, limit)]
