"""What a profile may use: one small entity with its plan and what is used up, which a request reads from a cache."""

from collections.abc import Callable
from typing import Any, NamedTuple

from chalicelib import store
from chalicelib.codec import hours
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.services.usage import plans
from chalicelib.services.usage.plans import Plan
from chalicelib.settings import CACHE_S
from chalicelib.store import Doc, Entity, names

_limits: Cache["Limits"] = Cache(ttl_s=CACHE_S)


class Limits(NamedTuple):
    """What a profile may use at the moment."""

    plan: str
    """The name of its price plan."""
    key_ready: str = ""
    """On AWS: the plan for which the profile's API key exists and works. Empty: none."""
    blocked: tuple[str, ...] = ()
    """On AWS: the services of which the quota is used up: ``input``, ``output``, ``data_records``."""
    rpm: tuple[tuple[str, int], ...] = ()
    """Requests a minute that the profile allows itself: pairs of ``data_input`` or ``data_output`` and a number."""
    is_erased: bool = False
    """Whether the profile is deleted. Its tokens are refused."""
    blocked_in: str = ""
    """The month, UTC, in which ``blocked`` was noted, such as ``2026-11``. In the next one, what comes in and goes out
    is counted anew."""

    def blocked_now(self) -> tuple[str, ...]:
        """Return the services of which the quota is used up in the current month."""
        if not self.blocked or self.blocked_in == hours.month(hours.now()):
            return self.blocked
        return tuple(service for service in self.blocked if service == "data_records")

    @property
    def figures(self) -> Plan:
        """The figures of the price plan. A plan that the settings do not name any more counts as the default plan."""
        known = plans.load()
        return known.get(self.plan) or known[plans.default()]


def new(profile: str, plan: str) -> Entity:
    """Return the entity of a new profile, to be stored with the profile."""
    return Entity(names.profile(profile), names.LIMITS, _doc(Limits(plan)))


def of(profile: str, *, is_fresh: bool = False) -> Limits:
    """Return the limits of a profile. Cost: no read within a minute of the last one, else half a read; one if fresh."""
    found = None if is_fresh else _limits.get(profile)
    if found is None:
        entity = store.current().get(names.profile(profile), names.LIMITS, is_consistent=is_fresh)
        found = _read(entity.doc) if entity else Limits(_plan_of_old(profile))
        _limits.put(profile, found)
    return found


def change(profile: str, **changes: Any) -> Limits:
    """Change some fields of a profile's limits; return the new limits. Other processes follow within a minute.

    Raises:
        errors.Conflict: others kept changing them.

    Cost: one read and one conditional write.
    """

    def revised(doc: Doc | None) -> Doc:
        before = _read(doc) if doc else Limits(_plan_of_old(profile))
        after = _doc(before._replace(**changes))
        return doc if doc == after else after

    return _change(profile, revised)


def note_key(profile: str, plan: str) -> bool:
    """Note that the API key of a profile for a plan works, or with an empty text that none does.

    Returns:
        Whether the profile still has the plan. If not, nothing is noted.

    Raises:
        errors.Conflict: others kept changing the limits.

    Cost: one read and one conditional write.
    """

    def revised(doc: Doc | None) -> Doc:
        before = _read(doc) if doc else Limits(_plan_of_old(profile))
        after = _doc(before._replace(key_ready=plan) if plan in ("", before.plan) else before)
        return doc if doc == after else after

    return _change(profile, revised).plan == plan


def _change(profile: str, revised: Callable[[Doc | None], Doc]) -> Limits:
    doc = entities.update(
        owner=names.profile(profile),
        name=names.LIMITS,
        revise=revised,
        conflict="The limits of the profile are being changed by others, try again",
    )
    found = _read(doc)
    _limits.put(profile, found)
    return found


def _plan_of_old(profile: str) -> str:
    """Return the plan of a profile that an earlier version stored without limits."""
    entity = store.current().get(names.profile(profile), names.PROFILE)
    return str(entity.doc.get("plan", plans.DEFAULT)) if entity else plans.DEFAULT


def _doc(limits: Limits) -> Doc:
    return {**limits._asdict(), "blocked": [*limits.blocked], "rpm": dict(limits.rpm)}


def _read(doc: Doc) -> Limits:
    return Limits(
        doc["plan"],
        doc["key_ready"],
        tuple(doc["blocked"]),
        tuple(doc["rpm"].items()),
        doc["is_erased"],
        doc.get("blocked_in", ""),
    )
