"""Notes when tokens were last used, to the hour. Device tokens are left out: sending data must cost no more.

For these, it notes with which service authorization a network last used them.
"""

from collections.abc import Callable

from chalicelib import errors
from chalicelib.host import clock, log
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.store import Doc, Entity, names

_EVERY_MS = 3_600_000
_noted: Cache[bool] = Cache(ttl_s=_EVERY_MS / 1000)
"""The tokens of which the last use needs no look for an hour, by fingerprint."""


def note(caller: Caller) -> None:
    """Note that a caller uses its token now. It never fails: if the store does not take it, the log says so.

    Cost: none for a device, and within an hour of the last look. Else one read, and one write if no other process has
    noted a use within the hour.
    """
    if caller.kind == "device" or _noted.get(caller.fingerprint):
        return
    _noted.put(caller.fingerprint, True)
    now_ms = clock.now_ms()

    def revised(doc: Doc | None) -> Doc:
        if doc is None:
            raise errors.NotFound("The token was deleted")
        is_recent = now_ms - (doc.get("used_ms") or 0) < _EVERY_MS
        return doc if is_recent else {**doc, "used_ms": now_ms}

    _update(tokens.owner_of(caller), names.token(caller.fingerprint), revised, caller.profile)


def note_authorization(*, giver: Caller, listed: Entity) -> None:
    """Note that a network uses the token of a device with a service authorization. It never fails, as ``note``.

    Args:
        giver: the service authorization.
        listed: what lists show of the device's token.

    Cost: none if the same authorization was noted before; else two reads and a conditional write.
    """
    if listed.doc.get(tokens.AUTHORIZED, {}).get("fingerprint") == giver.fingerprint:
        return
    found = tokens.listed_of(giver.fingerprint)
    given = found and {**giver._asdict(), **{name: found.doc[name] for name in ("token_id", "mask")}}

    def revised(doc: Doc | None) -> Doc:
        if doc is None or given is None:
            raise errors.NotFound("The token was deleted")
        return {**doc, tokens.AUTHORIZED: given}

    _update(listed.owner, listed.name, revised, giver.profile)


def _update(owner: str, name: str, revised: Callable[[Doc | None], Doc], profile: str) -> None:
    try:
        entities.update(owner=owner, name=name, revise=revised, conflict="The token is being changed by others")
    except errors.ApiError as error:
        log.line("warning", function="last-use", profile=profile, unnoted=log.cause(error))
