"""Actions of a profile. An action adds topics to those whose MQTT messages are always stored."""

from collections.abc import Callable
from typing import Any

from chalicelib import errors
from chalicelib.codec import keys, times, topics
from chalicelib.host import clock
from chalicelib.host.cache import Cache
from chalicelib.schemas.actions import ActionEditIn, ActionIn
from chalicelib.schemas.lists import ListQuery
from chalicelib.services import entities
from chalicelib.services.access import reach
from chalicelib.services.entities import Kind
from chalicelib.services.usage import resources
from chalicelib.settings import CACHE_S
from chalicelib.store import Doc, names

ACTION = Kind("Action", names.ACTIONS)
_active: Cache[list[Doc]] = Cache(ttl_s=CACHE_S)
"""The active actions of a profile."""


def create(*, profile: str, sent: ActionIn) -> str:
    """Create an action; return its id.

    Raises:
        errors.BadRequest: a trigger names a device that the profile does not have; nothing was stored.
        errors.PaymentRequired: the plan allows no more actions.

    Cost: that of ``resources.check``, one conditional write, and half a read for each device that a trigger names.
    """
    _check_devices(profile, sent)
    resources.check(profile=profile, resource="action")
    now_ms, action_id = clock.now_ms(), keys.new_id()
    defaults = {"active": True, "tags": [], "description": None, "lock": False, "trigger_when_unlock": False}
    doc: Doc = {**defaults, **sent, "id": action_id, "profile": profile, "created_ms": now_ms, "updated_ms": now_ms}
    entities.create(ACTION, owner=names.profile(profile), doc=doc)
    _active.drop(profile)
    return action_id


def list_page(*, profile: str, query: ListQuery, may_see: Callable[[Doc], bool] | None = None) -> list[dict[str, Any]]:
    """Return a page of the profile's actions that the caller may see, with the fields that the client asked for."""
    docs = entities.list_all(ACTION, owner=names.profile(profile), may_see=may_see)
    return entities.page([_show(doc) for doc in docs], query)


def get_or_raise(*, profile: str, action: str) -> Doc:
    """Return an action as stored.

    Raises:
        errors.NotFound: the profile has no such action.
    """
    return entities.get_or_raise(ACTION, owner=names.profile(profile), doc_id=action)


def info(*, profile: str, action: str) -> dict[str, Any]:
    """Return an action.

    Raises:
        errors.NotFound: the profile has no such action.
    """
    return _show(get_or_raise(profile=profile, action=action))


def edit(*, profile: str, action: str, sent: ActionEditIn) -> None:
    """Change an action. Fields that are not sent keep their value.

    Raises:
        errors.NotFound: the profile has no such action.
        errors.BadRequest: a trigger names a device that the profile does not have; nothing was changed.
        errors.Conflict: others kept changing it.

    Cost: one read and one conditional write, and half a read for each device that a trigger names.
    """
    _check_devices(profile, sent)
    changes = {**sent, "updated_ms": clock.now_ms()}
    entities.change(ACTION, owner=names.profile(profile), doc_id=action, revise=lambda _: changes)
    _active.drop(profile)


def _check_devices(profile: str, sent: ActionIn | ActionEditIn) -> None:
    for index, trigger in enumerate(sent.get("trigger", ())):
        device = trigger.get("device")
        if device:
            try:
                reach.device_or_raise(profile=profile, device=device)
            except errors.NotFound:
                reason = f"trigger {index} names a device that this profile does not have: {device}"
                raise errors.BadRequest.field("trigger", reason) from None


def delete(*, profile: str, action: str) -> None:
    """Delete an action.

    Raises:
        errors.NotFound: the profile has no such action.
    """
    entities.delete(ACTION, owner=names.profile(profile), doc_id=action)
    _active.drop(profile)


def is_stored(*, device: Doc, topic: str) -> bool:
    """Return whether an action stores the device's messages on this topic. Cost: one read a minute."""
    profile = device["profile"]
    active = _active.get(profile)
    if active is None:
        active = [doc for doc in entities.list_all(ACTION, owner=names.profile(profile)) if doc["active"]]
        _active.put(profile, active)
    return any(_is_triggered(trigger, device, topic) for action in active for trigger in action["trigger"])


def _is_triggered(trigger: dict[str, Any], device: Doc, topic: str) -> bool:
    if not topics.matches(trigger["topic"], topic):
        return False
    if trigger.get("device"):
        return bool(trigger["device"] == device["id"])
    wanted = (trigger["tag_key"], trigger.get("tag_value"))
    return any(wanted in ((tag["key"], tag["value"]), (tag["key"], None)) for tag in device["tags"])


def _show(doc: Doc) -> dict[str, Any]:
    shown = {name: value for name, value in doc.items() if not name.endswith("_ms")}
    return shown | {
        "last_triggered": None,
        "created_at": times.to_iso(doc["created_ms"]),
        "updated_at": times.to_iso(doc["updated_ms"]),
    }
