"""Which device an MQTT client id belongs to: the broker tells the id of who published, and nothing else for certain."""

import re

from chalicelib import store
from chalicelib.host import clock, mqtt
from chalicelib.host.cache import Cache
from chalicelib.services.access.callers import Grant
from chalicelib.settings import CACHE_S
from chalicelib.store import ABSENT, Entity

_CLIENT_ID = re.compile(r"[A-Za-z0-9_:.,@=-]{1,128}")
"""No ``*``, ``?`` or ``$``, which mean something in a policy, and no ``/``, ``+`` or ``#``, which do in a topic."""
_NAME = "binding"
_RENEW_S = 3_600
_bindings: Cache[tuple[str, str]] = Cache(ttl_s=CACHE_S)


def bind(*, client_id: str, grant: Grant, keep_s: int) -> bool:
    """Give a client id to a device for ``keep_s`` seconds. It lasts an hour less at the least: renewing costs a write.

    Returns:
        False when another device has it, or when it is no id that a policy may name.

    Cost: one read; two writes when it is new, an hour old, or the token another one.
    """
    if _CLIENT_ID.fullmatch(client_id) is None:
        return False
    here = store.current()
    owner, expires_at = f"client#{client_id}", clock.now_ms() // 1000 + keep_s
    doc = {"device": grant.device, "profile": grant.profile, "fingerprint": grant.fingerprint}
    standing = here.get(owner, _NAME)
    if standing is not None:
        if standing.doc["device"] != grant.device:
            return False
        if standing.doc == doc and (standing.expires_at or 0) > expires_at - _RENEW_S:
            return True
    version = standing.version if standing else ABSENT
    here.put(Entity(f"device#{grant.device}", owner, {"fingerprint": grant.fingerprint}, 1, expires_at))
    bound = here.put(Entity(owner, _NAME, doc, version + 1, expires_at), expected=version)
    return bound is None or bound.doc["device"] == grant.device


def end_sessions(*, device: str, fingerprint: str | None = None) -> None:
    """End the MQTT sessions of a device, or only those of one of its tokens. Cost: one read, one call a client id."""
    for entity in store.current().list(f"device#{device}", "client#"):
        if fingerprint in (None, entity.doc["fingerprint"]):
            mqtt.current().disconnect(client_id=entity.name.removeprefix("client#"))


def device_of(*, client_id: str) -> tuple[str, str] | None:
    """Return the profile and device that a client id is bound to, or None. Cost: half a read a minute."""
    found = _bindings.get(client_id)
    if found is None:
        entity = store.current().peek(f"client#{client_id}", _NAME)
        if entity is None:
            return None
        found = entity.doc["profile"], entity.doc["device"]
        _bindings.put(client_id, found)
    return found
