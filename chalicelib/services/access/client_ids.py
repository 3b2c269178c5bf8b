"""Binds MQTT client ids to devices. A message's client id is the only proof of its sender that the broker gives."""

import re

from chalicelib import store
from chalicelib.host import clock, events, mqtt
from chalicelib.host.cache import Cache
from chalicelib.services.access.callers import Caller
from chalicelib.settings import CACHE_S
from chalicelib.store import ABSENT, Entity, names

_CLIENT_ID = re.compile(r"[A-Za-z0-9_:.,@=-]{1,128}")
"""Without ``*``, ``?`` and ``$``, which policies treat specially, and ``/``, ``+`` and ``#``, which topics do."""
_RENEW_S = 3_600
_bindings: Cache[tuple[str, str]] = Cache(ttl_s=CACHE_S)


def bind(*, client_id: str, caller: Caller, keep_s: int | None) -> bool:
    """Bind a client id to the device of a token.

    Args:
        client_id: as the client sent it.
        caller: the device, by its token.
        keep_s: how long the binding lasts; None: it does not expire. As renewing costs writes, it may end up to an hour
            earlier.

    Returns:
        Whether it is bound. False if another device has the client id, or if a policy cannot name it.

    Cost: one read; two writes if the binding is new, an hour old, or made with another token.
    """
    if _CLIENT_ID.fullmatch(client_id) is None:
        return False
    owner = names.client(client_id)
    expires_at = None if keep_s is None else clock.now_ms() // 1000 + keep_s
    doc = {"device": caller.subject, "profile": caller.profile, "fingerprint": caller.fingerprint}
    binding = store.current().get(owner, names.BINDING)
    if binding is not None:
        if binding.doc["device"] != caller.subject:
            return False
        if binding.doc == doc and _lasts(binding.expires_at, expires_at):
            return True
    version = binding.version if binding else ABSENT
    # Listed first: a binding that no device lists could not be ended. An entry too many ends with its time.
    listed = {"fingerprint": caller.fingerprint}
    store.current().put(Entity(names.device(caller.subject), owner, listed, 1, expires_at))
    conflict = store.current().put_if(Entity(owner, names.BINDING, doc, version + 1, expires_at), version=version)
    if conflict is None or (conflict.existing is not None and conflict.existing.doc["device"] == caller.subject):
        return True
    store.current().put(Entity(names.device(caller.subject), owner, listed, 1, clock.now_ms() // 1000))
    return False


def _lasts(expires_at: int | None, wanted_expires_at: int | None) -> bool:
    """Return whether a binding lasts long enough, so that it need not be renewed."""
    return expires_at is None or (wanted_expires_at is not None and expires_at > wanted_expires_at - _RENEW_S)


def end_sessions(*, device: str, fingerprint: str | None = None) -> None:
    """End the MQTT sessions of a device, or only those of one of its tokens. Check who listens to its events.

    A binding that does not expire is deleted. One that expires stays, as its session may still end later.

    Cost: one read, one call a client id.
    """
    events.current().revoked(device)
    for entity in store.current().list(names.device(device), names.CLIENTS):
        if fingerprint in (None, entity.doc["fingerprint"]):
            mqtt.current().disconnect(client_id=entity.name.removeprefix(names.CLIENTS))
            if entity.expires_at is None:
                store.current().delete(entity.name, [names.BINDING])
                store.current().delete(entity.owner, [entity.name])


def device_of(*, client_id: str) -> tuple[str, str] | None:
    """Return the profile and the device to which a client id is bound, or None. Cost: half a read a minute."""
    sender = _bindings.get(client_id)
    if sender is None:
        entity = store.current().get(names.client(client_id), names.BINDING, is_consistent=False)
        if entity is None:
            return None
        sender = entity.doc["profile"], entity.doc["device"]
        _bindings.put(client_id, sender)
    return sender
