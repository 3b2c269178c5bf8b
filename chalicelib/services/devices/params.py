"""Lists, changes and deletes the configuration parameters of a device."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import jsontext, keys
from chalicelib.schemas.params import MAX_PARAMS, ParamIn
from chalicelib.services import entities
from chalicelib.services.entities import Kind
from chalicelib.store import Doc, names

PARAM = Kind("Configuration parameter", names.PARAMS)


def list_all(*, device: str, sent_status: bool | None = None) -> list[Doc]:
    """Return ``{"id", "key", "value", "sent"}`` objects in order of creation: all, or only those with this ``sent``."""
    docs = entities.list_all(PARAM, owner=names.device(device))
    docs.sort(key=lambda doc: doc["place"])
    shown = [{name: doc[name] for name in ("id", "key", "value", "sent")} for doc in docs]
    return [doc for doc in shown if sent_status is None or doc["sent"] == sent_status]


def value_of(*, device: str, key: str) -> str | None:
    """Return the value of the first parameter with this key, or None. Cost: one query."""
    return next((param["value"] for param in list_all(device=device) if param["key"] == key), None)


def merge(*, device: str, sent: Sequence[ParamIn]) -> None:
    """Change the parameters that have an id, and add the others.

    Raises:
        errors.NotFound: the device has no parameter with a given id; nothing was changed.
        errors.BadRequest: a new parameter lacks key or value, or there would be more than 60; nothing was changed.
        errors.Conflict: others kept changing the same parameter.

    Cost: one query, and one conditional write a parameter.
    """
    owner = names.device(device)
    known = {entity.doc["id"]: entity for entity in store.current().list(owner, PARAM.prefix)}
    check(known, sent)
    place = max((entity.doc["place"] for entity in known.values()), default=0)
    for param in sent:
        entity = known.get(param.get("id") or "")
        if entity is None:
            place += 1
            new: Doc = {"id": keys.new_id(), "sent": False, "place": place}
            entities.create(PARAM, owner=owner, doc=_merged(new, param))
        else:
            revise = partial(_merged, sent=param)
            entities.change(PARAM, owner=owner, doc_id=entity.doc["id"], revise=revise, entity=entity)


def check(known: Collection[str], sent: Sequence[ParamIn]) -> None:
    """Check parameters before the first of them is stored.

    Args:
        known: the ids of the device's parameters.
        sent: what the client sent.

    Raises:
        errors.NotFound: the device has no parameter with this id.
        errors.BadRequest: a new one lacks key or value, or there would be more than 60.
    """
    count = len(known)
    for param in sent:
        if param.get("id"):
            if param["id"] not in known:
                raise errors.NotFound("Configuration parameter not found")
            continue
        count += 1
        for name in ("key", "value"):
            if name not in param:
                raise errors.BadRequest.field(name, f"{name} is required")
    if count > MAX_PARAMS:
        raise errors.BadRequest(f"A device may have at most {MAX_PARAMS} configuration parameters, not {count}")


def _merged(doc: Doc, sent: ParamIn) -> Doc:
    changes: dict[str, Any] = {name: sent[name] for name in ("key", "sent") if name in sent}
    if "value" in sent:
        value = sent["value"]
        changes["value"] = value if isinstance(value, str) else jsontext.dumps(value)
    return {**doc, **changes}


def set_sent(*, device: str, param: str, is_sent: bool) -> None:
    """Note whether the device has read a parameter.

    Raises:
        errors.NotFound: the device has no such parameter.
    """
    merge(device=device, sent=[{"id": param, "sent": is_sent}])


def delete(*, device: str, param: str) -> None:
    """Delete a parameter.

    Raises:
        errors.NotFound: the device has no such parameter.
    """
    entities.delete(PARAM, owner=names.device(device), doc_id=param)
