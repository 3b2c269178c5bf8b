"""Actions of a profile: which messages, beside those on the topics that always are, are stored."""

from typing import Any

from chalicelib import errors, store
from chalicelib.codec import keys, times, topics
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.schemas.actions import ActionEditIn, ActionIn
from chalicelib.schemas.devices import ListQuery
from chalicelib.services import lists
from chalicelib.settings import CACHE_S
from chalicelib.store import ABSENT, Doc, Entity

_ATTEMPTS = 10
_active: Cache[list[Doc]] = Cache(ttl_s=CACHE_S)


def create(*, profile: str, sent: ActionIn) -> str:
    """Make an action; return its id."""
    now_ms, action_id = clock.now_ms(), keys.new_id()
    defaults = {"active": True, "tags": [], "description": None, "lock": False, "trigger_when_unlock": False}
    doc: Doc = {**defaults, **sent, "id": action_id, "profile": profile, "created_ms": now_ms, "updated_ms": now_ms}
    store.current().put(Entity(f"profile#{profile}", f"action#{action_id}", doc), expected=ABSENT)
    _active.drop(profile)
    return action_id


def list_page(*, profile: str, query: ListQuery) -> list[dict[str, Any]]:
    """Return a page of the profile's actions, with the fields asked for."""
    rows = [_show(entity.doc) for entity in store.current().list(f"profile#{profile}", "action#")]
    rows = [row for row in rows if _fits(row, query)]
    return [{name: row[name] for name in dict.fromkeys(("id", *query.fields))} for row in lists.page(rows, query)]


def _fits(row: dict[str, Any], query: ListQuery) -> bool:
    for name, wanted in query.filters.items():
        value = row.get(name)
        if isinstance(wanted, str) and not lists.is_like(str(value), wanted):
            return False
        if isinstance(wanted, bool) and value != wanted:
            return False
    return lists.has_tags(row["tags"], query.tags)


def info(*, profile: str, action: str) -> dict[str, Any]:
    """Return an action.

    Raises:
        errors.NotFound: no such action, or another profile's.
    """
    return _show(_entity_or_raise(profile, action).doc)


def edit(*, profile: str, action: str, sent: ActionEditIn) -> None:
    """Change an action; fields that are not sent stay.

    Raises:
        errors.NotFound: no such action, or another profile's.
        errors.Conflict: others kept changing it.
    """
    for _ in range(_ATTEMPTS):
        entity = _entity_or_raise(profile, action)
        doc = {**entity.doc, **sent, "updated_ms": clock.now_ms()}
        if store.current().put(entity._replace(doc=doc, version=entity.version + 1), expected=entity.version) is None:
            _active.drop(profile)
            return
    raise errors.Conflict("The action is being changed by others, try again")


def delete(*, profile: str, action: str) -> None:
    """Delete an action.

    Raises:
        errors.NotFound: no such action, or another profile's.
    """
    _entity_or_raise(profile, action)
    store.current().delete(f"profile#{profile}", [f"action#{action}"])
    _active.drop(profile)


def is_stored(*, device: Doc, topic: str) -> bool:
    """Tell whether an action says that a device's message on this topic is stored. Cost: one read a minute."""
    profile = device["profile"]
    found = _active.get(profile)
    if found is None:
        entities = store.current().list(f"profile#{profile}", "action#")
        found = [entity.doc for entity in entities if entity.doc["active"]]
        _active.put(profile, found)
    return any(_is_triggered(trigger, device, topic) for action in found for trigger in action["trigger"])


def _is_triggered(trigger: dict[str, Any], device: Doc, topic: str) -> bool:
    if not topics.matches(trigger["topic"], topic):
        return False
    if trigger.get("device"):
        return bool(trigger["device"] == device["id"])
    wanted = (trigger["tag_key"], trigger.get("tag_value"))
    return any(wanted in ((tag["key"], tag["value"]), (tag["key"], None)) for tag in device["tags"])


def _entity_or_raise(profile: str, action: str) -> Entity:
    entity = store.current().get(f"profile#{profile}", f"action#{action}") if keys.is_id(action) else None
    if entity is None:
        raise errors.NotFound("Action not found")
    return entity


def _show(doc: Doc) -> dict[str, Any]:
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return shown | {
        "last_triggered": None,
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc["updated_ms"]),
    }
