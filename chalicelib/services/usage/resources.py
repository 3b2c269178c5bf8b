"""How many objects of each kind a profile may have, and has."""

from chalicelib import errors, store
from chalicelib.host.cache import Cache
from chalicelib.services.usage import limits
from chalicelib.settings import CACHE_S
from chalicelib.store import names

NOUNS = {
    "device": "Device",
    "action": "Action",
    "analysis": "Analysis",
    "profile": "Profile",
    "team": "Team member",
    "am": "Access management",
    "service_authorization": "Service authorization",
    "run_users": "Run users",
    "connectors": "Connector",
    "networks": "Network",
    "dictionary": "Dictionary",
}
"""By the name in the plans: the word in the message."""
_PREFIXES = {
    "device": names.DEVICES,
    "action": names.ACTIONS,
    "analysis": names.ANALYSES,
    "team": names.MEMBERS,
    "am": names.POLICIES,
    "run_users": names.RUN_USERS,
    "connectors": names.CONNECTORS,
    "networks": names.NETWORKS,
}
"""By the name in the plans: where a profile's objects are counted. What is missing does not exist yet."""
_SHOWN = ("device", "analysis", "action", "am", "run_users", "dictionary", "connectors", "networks")
_NEVER = ("dashboard", "dashboard_shared", "tcore", "tcore_cluster")
"""What clients expect in a summary, and no profile has."""
_COUNTED_EACH_TIME = 100
"""Up to this limit, objects are counted for each check. Above, the number may be a minute old."""
_existing: Cache[int] = Cache(ttl_s=CACHE_S)


def check(*, profile: str, resource: str, existing: int | None = None) -> None:
    """Return if the profile may have one more of a resource. Call it before the object is created.

    Args:
        profile: the owner.
        resource: a name of ``NOUNS``.
        existing: how many there are, if the caller knows. None: they are counted.

    Raises:
        errors.PaymentRequired: the plan allows no more.

    Cost: nothing beyond ``limits.of`` if the plan has no limit. Else one query that counts; on DynamoDB half a read for
    4 kB. With a limit above 100 it is made once a minute, and before a refusal. So a profile can exceed a limit up to
    100 only by creations that run at the same moment, and a higher one by what all processes create within a minute.

    Source: TagoIO, "Resource Limits", and the text for access management.
    """
    allowed = limits.of(profile).figures.resources.get(resource)
    if allowed is None:
        return
    if existing is None:
        existing = _count(profile, resource, allowed)
    if existing >= allowed:
        noun = NOUNS[resource]
        raise errors.PaymentRequired(
            f"You have exceeded the maximum limit of {noun} ({allowed}). Please upgrade you plan or contact support."
        )


def _count(profile: str, resource: str, allowed: int) -> int:
    key = f"{profile}/{resource}"
    existing = None if allowed <= _COUNTED_EACH_TIME else _existing.get(key)
    if existing is None or existing >= allowed:
        existing = store.current().count(names.profile(profile), _PREFIXES[resource])
    _existing.put(key, existing + 1)
    return existing


def amounts(*, profile: str) -> dict[str, int]:
    """Return how many objects a profile has, by the names of TagoIO's summary. Cost: one query a kind that exists."""
    owner = names.profile(profile)
    counted = {name: store.current().count(owner, _PREFIXES[name]) if name in _PREFIXES else 0 for name in _SHOWN}
    return counted | {"bucket": counted["device"]} | dict.fromkeys(_NEVER, 0)
