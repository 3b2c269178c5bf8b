"""Lists, changes and deletes the configuration parameters of a device."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import jsontext, keys
from chalicelib.host.cache import Cache
from chalicelib.schemas.params import MAX_PARAMS, ParamIn
from chalicelib.services import entities
from chalicelib.services.entities import Kind
from chalicelib.settings import CACHE_S
from chalicelib.store import ABSENT, Doc, Entity, names

_ATTEMPTS = 10
_remembered: Cache[list[Doc]] = Cache(ttl_s=CACHE_S)
"""The parameters of a device, as its payload parsers see them."""
PARAM = Kind("Configuration parameter", names.PARAMS)


def list_all(*, device: str, sent_status: bool | None = None) -> list[Doc]:
    """Return ``{"id", "key", "value", "sent"}`` objects in order of creation: all, or only those with this ``sent``."""
    docs = entities.list_all(PARAM, owner=names.device(device))
    docs.sort(key=lambda doc: doc["place"])
    shown = [{name: doc[name] for name in ("id", "key", "value", "sent")} for doc in docs]
    return [doc for doc in shown if sent_status is None or doc["sent"] == sent_status]


def remembered(*, device: str) -> list[Doc]:
    """Return ``{"key", "value", "sent"}`` objects in order of creation. They may be a minute old.

    Cost: none within a minute of the last call, else one query.
    """
    found = _remembered.get(device)
    if found is None:
        found = [{name: doc[name] for name in ("key", "value", "sent")} for doc in list_all(device=device)]
        _remembered.put(device, found)
    return found


def merge(*, device: str, sent: Sequence[ParamIn]) -> None:
    """Change the parameters that have an id, and add the others.

    Raises:
        errors.NotFound: the device has no parameter with a given id; nothing was changed.
        errors.BadRequest: a new parameter lacks key or value, or there would be more than 60; nothing was changed.
        errors.Conflict: others kept changing the same parameter; nothing was changed.

    Cost: one query, and one transaction.
    """
    for _ in range(_ATTEMPTS):
        known = {entity.doc["id"]: entity for entity in store.current().list(names.device(device), PARAM.prefix)}
        changed = revised(device=device, known=known, sent=sent)
        if not changed or store.current().write_all(changed):
            _remembered.drop(device)
            return
    raise errors.Conflict("The configuration parameters are being changed by others, try again")


def revised(*, device: str, known: Mapping[str, Entity], sent: Sequence[ParamIn]) -> list[Entity]:
    """Return the parameters that a client adds or changes, without storing them.

    Args:
        device: the id of the device.
        known: its parameters by id.
        sent: what the client sent.

    Raises:
        errors.NotFound: the device has no parameter with this id.
        errors.BadRequest: a new one lacks key or value, or there would be more than 60.
    """
    docs: dict[str, Doc] = {}
    place = max((entity.doc["place"] for entity in known.values()), default=0)
    for param in sent:
        param_id = param.get("id") or keys.new_id()
        if param.get("id"):
            if param_id not in known:
                raise errors.NotFound("Configuration parameter not found")
            old = docs.get(param_id) or known[param_id].doc
        else:
            place += 1
            old = {"id": param_id, "sent": False, "place": place}
            for name in ("key", "value"):
                if name not in param:
                    raise errors.BadRequest.field(name, f"{name} is required")
        docs[param_id] = _merged(old, param)
    count = len(known.keys() | docs.keys())
    if count > MAX_PARAMS:
        raise errors.BadRequest(f"A device may have at most {MAX_PARAMS} configuration parameters, not {count}")
    versions = {param_id: entity.version for param_id, entity in known.items()}
    return [
        Entity(names.device(device), PARAM.prefix + param_id, doc, versions.get(param_id, ABSENT) + 1)
        for param_id, doc in docs.items()
    ]


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
    _remembered.drop(device)
