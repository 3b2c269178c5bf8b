"""Notes when tokens were last used, to the hour. Device tokens are left out: sending data must cost no more."""

from chalicelib import errors
from chalicelib.host import clock, log
from chalicelib.host.cache import Cache
from chalicelib.services import entities
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.store import Doc, names

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

    try:
        entities.update(
            owner=tokens.owner_of(caller),
            name=names.token(caller.fingerprint),
            revise=revised,
            conflict="The token is being changed by others",
        )
    except errors.ApiError as error:
        log.line("warning", function="last-use", profile=caller.profile, unnoted=log.cause(error))
