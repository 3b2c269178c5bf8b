"""Configuration parameters of a device."""

from collections.abc import Sequence
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import jsontext, keys
from chalicelib.schemas.devices import MAX_PARAMS, ParamIn
from chalicelib.schemas.queries import bad
from chalicelib.store import Doc, Entity


def list_all(*, device: str, sent_status: bool | None = None) -> list[Doc]:
    """Return ``{"id", "key", "value", "sent"}`` objects in order of creation, all or those with this ``sent``."""
    docs = [entity.doc for entity in store.current().list(f"device#{device}", "param#")]
    docs.sort(key=lambda doc: doc["place"])
    shown = [{name: doc[name] for name in ("id", "key", "value", "sent")} for doc in docs]
    return [doc for doc in shown if sent_status is None or doc["sent"] == sent_status]


def value_of(*, device: str, key: str) -> str | None:
    """Return the value of the first parameter of this key, or None. Cost: one query."""
    return next((one["value"] for one in list_all(device=device) if one["key"] == key), None)


def merge(*, device: str, sent: Sequence[ParamIn]) -> None:
    """Change the parameters that are named by id and add those that are not.

    Raises:
        errors.NotFound: an id that the device does not have; nothing was changed.
        errors.BadRequest: a new one lacks key or value, or there would be more than 60; nothing was changed.
    """
    here = store.current()
    known = {entity.doc["id"]: entity for entity in here.list(f"device#{device}", "param#")}
    place = max((entity.doc["place"] for entity in known.values()), default=0)
    entities = []
    for one in sent:
        old = known.get(one["id"]) if one.get("id") else None
        if old is None and one.get("id"):
            raise errors.NotFound("Configuration parameter not found")
        if old is None:
            for name in ("key", "value"):
                if name not in one:
                    raise bad(name, f"{name} is required")
            place += 1
            param_id = keys.new_id()
            doc: Doc = {"id": param_id, "sent": False, "place": place}
            old = Entity(f"device#{device}", f"param#{param_id}", doc, 0)
        entities.append(old._replace(doc=_changed(old.doc, one), version=old.version + 1))
    count = len({*known, *(entity.doc["id"] for entity in entities)})
    if count > MAX_PARAMS:
        raise errors.BadRequest(f"A device may have at most {MAX_PARAMS} configuration parameters, not {count}")
    for entity in entities:
        here.put(entity)


def _changed(doc: Doc, sent: ParamIn) -> Doc:
    changes: dict[str, Any] = {name: sent[name] for name in ("key", "sent") if name in sent}
    if "value" in sent:
        value = sent["value"]
        changes["value"] = value if isinstance(value, str) else jsontext.dumps(value)
    return {**doc, **changes}


def set_sent(*, device: str, param: str, is_sent: bool) -> None:
    """Note that the device has read a parameter, or has not.

    Raises:
        errors.NotFound: the device has no such parameter.
    """
    merge(device=device, sent=[{"id": param, "sent": is_sent}])


def delete(*, device: str, param: str) -> None:
    """Delete a parameter.

    Raises:
        errors.NotFound: the device has no such parameter.
    """
    here = store.current()
    if not keys.is_id(param) or here.get(f"device#{device}", f"param#{param}") is None:
        raise errors.NotFound("Configuration parameter not found")
    here.delete(f"device#{device}", [f"param#{param}"])
