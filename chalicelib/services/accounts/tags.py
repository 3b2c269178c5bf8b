"""The keys of the tags that the objects of a profile have."""

from chalicelib import store
from chalicelib.store import names

_PREFIXES = {
    "device": names.DEVICES,
    "analysis": names.ANALYSES,
    "dashboard": None,
    "action": names.ACTIONS,
    "user": names.RUN_USERS,
}
"""The prefix of the names of each type of object; None: Decant has no objects of this type."""
TYPES = (*_PREFIXES,)
"""The types of objects that have tags."""


def keys(*, profile: str, of: str) -> list[str]:
    """Return the keys of all tags of a type of object, each once, in order.

    Args:
        profile: the owner.
        of: one of ``TYPES``.

    Cost: it reads all objects of this type.
    """
    prefix = _PREFIXES[of]
    docs = [entity.doc for entity in store.current().list(names.profile(profile), prefix)] if prefix else []
    return sorted({tag["key"] for doc in docs for tag in doc.get("tags") or []})
