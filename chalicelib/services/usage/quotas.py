"""The quotas of a profile: points that come in and go out in a calendar month, UTC, and points that exist.

In the embedded mode each request looks at the counters, so a quota is exact: only the request that reaches it may pass
it. On AWS the counters note in the profile's limits what is used up, and requests read that from a cache. There a
profile can pass a quota by what it sends or reads until all have noticed: two to three minutes for points that come in
and exist (a batch of the stream, and a minute of cache), and two minutes for each process that reads.
"""

from typing import Any

from chalicelib import errors, store
from chalicelib.codec import hours
from chalicelib.host import deadline, log
from chalicelib.services.usage import alerts, limits, outputs, resources
from chalicelib.services.usage.plans import UNLIMITED

NOUNS = {"input": "Data input", "output": "Data output", "data_records": "Data records"}
"""By the service's name: the words in the message."""
_NEVER = ("analysis", "sms", "email", "push_notification", "file_storage", "tcore", "tcore_cluster", "dashboard_output")
"""Services that clients expect in a summary. Decant has none of them."""
ADDONS = {"custom_dns": False, "mobile": False, "control_tower": False, "profile": False}


def check(*, profile: str, services: tuple[str, ...]) -> None:
    """Return if the profile may still use all of these services.

    Args:
        profile: the profile.
        services: names of ``NOUNS``.

    Raises:
        errors.PaymentRequired: the quota of one is used up.

    Cost: nothing beyond ``limits.of`` on DynamoDB, and for a plan without quotas. If the counters cannot be read, it
    lets the request pass, and the log says so.
    """
    try:
        own = limits.of(profile)
        allowed = own.figures.quotas
        if not allowed:
            return
        used_up = _used_up(used(profile=profile), allowed) if _is_live() else own.blocked_now()
    except errors.Unavailable as error:
        log.line("warning", function="quotas", profile=profile, unchecked=log.cause(error))
        return
    for service in used_up:
        if service in services and service in allowed:
            raise errors.PaymentRequired(
                f"You have exceeded the maximum limit of {NOUNS[service]} ({allowed[service]}). "
                "Please upgrade you plan or contact support."
            )


def require_free_records(*, profile: str, records: int) -> None:
    """Return if a profile may have so many points more than it has.

    Raises:
        errors.PaymentRequired: its plan does not allow them.

    Cost: on DynamoDB one read, if the plan has that quota.
    """
    allowed = limits.of(profile).figures.quotas.get("data_records")
    if allowed is not None and used(profile=profile)["data_records"] + records > allowed:
        raise errors.PaymentRequired(
            f"A restore needs {records} free data records, and the limit is {allowed}: delete points"
        )


def note_output(*, profile: str, device: str, points: int) -> None:
    """Count points that were read. Cost: no write; on AWS sometimes some, see ``outputs``."""
    outputs.note(profile=profile, device=device, points=points)
    if not _is_live() and outputs.is_due():
        with deadline.limited(outputs.WRITE_S):
            _write_outputs()


def _write_outputs() -> None:
    """Write what has waited long enough, and block what is used up. A read does not fail because of it."""
    try:
        for profile in outputs.write(is_all=False):
            settle(profile=profile, announces=False)
    except errors.ApiError as error:
        log.line("warning", function="quotas", unsettled=log.cause(error))


def used(*, profile: str) -> dict[str, int]:
    """Return what a profile has used, by the names of ``NOUNS``. Cost: on DynamoDB one read."""
    usage = store.current().usage(profile)
    points_out = usage.points_out + outputs.pending(profile=profile)
    return {"input": usage.points_in, "output": points_out, "data_records": usage.records}


def settle(*, profile: str, announces: bool = True) -> None:
    """Compare what a profile has used with its quotas: block what is used up, unblock the rest, and announce.

    Call it after the counters or the plan of the profile have changed.

    Args:
        profile: the profile.
        announces: whether alerts are sent. They may take seconds.

    Cost: on DynamoDB one read if its plan has quotas. A write if something is used up, or not any more, or announced.
    """
    own = limits.of(profile)
    allowed = own.figures.quotas
    if not allowed and not own.blocked:
        return
    spent = used(profile=profile)
    if not _is_live():
        blocked = _used_up(spent, allowed)
        if blocked != own.blocked_now():
            limits.change(profile, blocked=blocked, blocked_in=hours.month(hours.now()))
    if announces:
        alerts.announce(profile=profile, used=spent, allowed=allowed)


def summary(*, profile: str) -> dict[str, Any]:
    """Return what a profile may use, has used, and has.

    Returns:
        ``limit`` and ``limit_used`` by service, ``amount`` by kind of object, ``addons``, ``tago_run`` (None), and
        ``alerts``: by service, which of 80, 90 and 100 % was announced in this month. A service without a limit has
        the limit 9007199254740991; nothing uses those that Decant does not have.

    Cost: on DynamoDB two reads, and one query for each kind of object.

    Source: TagoIO's clients; ``alerts`` is ours.
    """
    figures, amounts = limits.of(profile).figures, resources.amounts(profile=profile)
    spent = used(profile=profile) | {"run_users": amounts["run_users"]}
    allowed = figures.quotas | {name: figures.resources[name] for name in ("run_users",) if name in figures.resources}
    used_of_all = spent | dict.fromkeys(_NEVER, 0)
    return {
        "limit": {service: allowed.get(service, UNLIMITED) for service in used_of_all},
        "limit_used": used_of_all,
        "amount": amounts,
        "addons": dict(ADDONS),
        "tago_run": None,
        "alerts": alerts.announced(profile=profile),
    }


def _is_live() -> bool:
    """Return whether the counters of this store are exact at any moment."""
    return store.current().kind == "sqlite"


def _used_up(spent: dict[str, int], allowed: dict[str, int]) -> tuple[str, ...]:
    """Return the services of which the quota is used up."""
    return tuple(service for service in NOUNS if service in allowed and spent[service] >= allowed[service])
