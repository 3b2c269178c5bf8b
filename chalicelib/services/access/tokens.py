"""Tokens: making, listing, resolving and deleting them. The text of one is never stored.

An entity ``token#<hash>`` of its own tells whose a token is; another one lists it under its device or profile.
"""

from typing import Any

from chalicelib import errors, store
from chalicelib.codec import times, tokens
from chalicelib.host import clock, secret
from chalicelib.schemas.devices import ListQuery
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import lists
from chalicelib.services.access import callers, client_ids
from chalicelib.services.access.callers import Grant
from chalicelib.store import ABSENT, Doc, Entity

NEVER = "never"


def create(*, kind: str, profile: str, device: str, sent: TokenIn, chosen: str | None = None) -> dict[str, Any]:
    """Make a token.

    Args:
        kind: device or profile.
        profile: whose it is.
        device: the device's id; empty for a profile token.
        sent: name, permission, expiry and serial.
        chosen: the text it shall have, instead of a derived one.

    Returns:
        ``token``, ``permission``, ``expire_time`` and ``expire_date``.

    Raises:
        errors.BadRequest: the expiry is not a time, or ``chosen`` has not the shape of a token.
        errors.Conflict: ``chosen`` exists already.
    """
    now_ms = clock.now_ms()
    expires_ms = _expiry_ms(sent.get("expire_time"), now_ms)
    token_id, mask = tokens.new_token_id(), ""
    if chosen is not None:
        bare = tokens.bare(chosen)
        if bare is None:
            raise errors.BadRequest("A token must have the shape of a UUID, for a profile with p- in front")
        mask = tokens.mask_for(secret.current(), token_id, bare)
    text = tokens.derive(secret.current(), token_id, kind, mask)
    fingerprint = tokens.fingerprint(str(tokens.bare(text)))
    grant = Grant(kind, profile, device, sent["permission"], expires_ms, fingerprint)
    listed = {
        **grant._asdict(),
        "name": sent["name"],
        "token_id": token_id,
        "mask": mask,
        "serie_number": sent.get("serie_number"),
        "created_ms": now_ms,
    }
    here = store.current()
    owner = _owner(grant)
    here.put(Entity(owner, f"token#{fingerprint}", listed))
    if listed["serie_number"]:
        here.put(Entity(f"profile#{profile}", _serial(listed), {"device": device}))
    if here.put(Entity(f"token#{fingerprint}", "token", grant._asdict()), expected=ABSENT) is not None:
        raise errors.Conflict("This token exists already")
    shown = _show_expiry(expires_ms)
    return {"token": text, "permission": grant.permission, "expire_time": shown, "expire_date": shown}


def _owner(grant: Grant) -> str:
    return f"device#{grant.device}" if grant.device else f"profile#{grant.profile}"


def _serial(listed: Doc) -> str:
    return f"serial#{listed['serie_number']}#{listed['device']}#{listed['fingerprint']}"


def _expiry_ms(text: str | None, now_ms: int) -> int | None:
    if text is None or text == NEVER:
        return None
    try:
        return times.parse_span(text, now_ms, 1)
    except ValueError:
        pass
    try:
        return times.parse_time(text)
    except ValueError:
        reason = "expire_time must be never, a span such as 1 month, or a date"
        raise errors.BadRequest(reason, {"expire_time": [reason]}) from None


def _show_expiry(expires_ms: int | None) -> str:
    return NEVER if expires_ms is None else times.to_iso(expires_ms)


def list_all(*, owner: str) -> list[dict[str, Any]]:
    """Return the tokens of ``device#<id>`` or ``profile#<id>`` with every field that a client may ask for."""
    return [_show(entity.doc) for entity in store.current().list(owner, "token#")]


def list_page(*, device: str, query: ListQuery) -> list[dict[str, Any]]:
    """Return a page of a device's tokens, with the fields asked for."""
    rows = list_all(owner=f"device#{device}")
    name = query.filters.get("name")
    rows = [row for row in rows if name is None or lists.is_like(row["name"], name)]
    return [{field: row[field] for field in query.fields} for row in lists.page(rows, query)]


def describe(*, grant: Grant) -> dict[str, Any]:
    """Return the profile token that ``grant`` came from, without its text."""
    entity = store.current().get(_owner(grant), f"token#{grant.fingerprint}")
    shown = _show(entity.doc) if entity else {}
    unset = {"verification_code": None, "ref_id": grant.profile, "created_by": None}
    hidden = ("token", "device_id", "network_id")
    return {name: value for name, value in shown.items() if name not in hidden} | unset


def _show(doc: Doc) -> dict[str, Any]:
    return {
        "token": tokens.derive(secret.current(), doc["token_id"], doc["kind"], doc["mask"]),
        "device_id": doc["device"] or None,
        "network_id": None,
        "name": doc["name"],
        "type": doc["kind"],
        "permission": doc["permission"],
        "serie_number": doc["serie_number"],
        "last_authorization": None,
        "expire_time": _show_expiry(doc["expires_ms"]),
        "created_at": times.to_iso(doc["created_ms"]),
    }


def delete(*, profile: str, text: str) -> None:
    """Delete a device token of the profile. It stops working here at once, elsewhere within 60 s.

    Raises:
        errors.NotFound: no such token in the profile.
    """
    bare = tokens.bare(text)
    fingerprint = tokens.fingerprint(bare) if bare else ""
    entity = store.current().get(f"token#{fingerprint}", "token") if bare else None
    if entity is None or entity.doc["profile"] != profile or entity.doc["kind"] != "device":
        raise errors.NotFound("Token not found")
    _delete(f"device#{entity.doc['device']}", fingerprint)


def delete_all(*, device: str) -> None:
    """Delete every token of a device."""
    owner = f"device#{device}"
    for entity in store.current().list(owner, "token#"):
        _delete(owner, entity.doc["fingerprint"])


def _delete(owner: str, fingerprint: str) -> None:
    here = store.current()
    here.delete(f"token#{fingerprint}", ["token"])
    callers.forget(fingerprint=fingerprint)
    client_ids.end_sessions(device=owner.removeprefix("device#"), fingerprint=fingerprint)
    listed = here.get(owner, f"token#{fingerprint}")
    if listed is not None:
        if listed.doc["serie_number"]:
            here.delete(f"profile#{listed.doc['profile']}", [_serial(listed.doc)])
        here.delete(owner, [f"token#{fingerprint}"])


def devices_with_serial(*, profile: str, serial: str) -> set[str]:
    """Return the ids of the profile's devices that have a token with this serial number."""
    entities = store.current().list(f"profile#{profile}", f"serial#{serial}#")
    return {entity.doc["device"] for entity in entities}
