"""Creates, lists and deletes tokens. The text of a token is never stored.

Two entities describe a token. One holds the caller, under the token's fingerprint. The other holds what lists show,
under the token's device or profile.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chalicelib import errors, store
from chalicelib.codec import times, tokens
from chalicelib.codec.tokens import Kind, Permission
from chalicelib.host import clock, secret
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import entities
from chalicelib.services.access import callers, client_ids
from chalicelib.services.access.callers import Caller, includes
from chalicelib.store import Doc, Entity, names

NEVER = "never"


class NewToken(NamedTuple):
    """A token that is not stored yet."""

    entities: list[Entity]
    """What to store: all of it, or nothing."""
    shown: dict[str, Any]
    """``token``, ``permission``, ``expire_time`` and ``expire_date``."""


def create(
    *,
    kind: Kind,
    profile: str,
    subject: str = "",
    sent: TokenIn,
    chosen: str | None = None,
    giver: Caller | None = None,
) -> dict[str, Any]:
    """Create a token; return ``token``, ``permission``, ``expire_time`` and ``expire_date``.

    Args:
        kind: as in ``new``.
        profile: as in ``new``.
        subject: as in ``new``.
        sent: as in ``new``.
        chosen: as in ``new``.
        giver: who asks for the token, and can give only the permission that it has. None: an operator.

    Raises:
        errors.BadRequest: the permission is more than the giver's, or as in ``new``.
        errors.Conflict: a token with the text ``chosen`` exists already.

    Cost: one transaction of two entities; one more with a serial number, and one if an account makes it.
    """
    if giver is not None and not giver.may(sent["permission"]):
        has = giver.permission
        reason = f"permission must be {has}, as a token can give only what it has: ask with a token that has full"
        raise errors.BadRequest.field("permission", reason)
    account = giver.account if giver else ""
    token = new(kind=kind, profile=profile, subject=subject, sent=sent, chosen=chosen, account=account)
    store_all(token.entities)
    return token.shown


def store_all(entities: Sequence[Entity]) -> None:
    """Store what belongs to new tokens, all of it or nothing.

    Raises:
        errors.Conflict: a token with the same text exists already.
    """
    if not store.current().write_all(entities):
        raise errors.Conflict("This token exists already")


def new(
    *, kind: Kind, profile: str, subject: str, sent: TokenIn, chosen: str | None = None, account: str = ""
) -> NewToken:
    """Make a token, without storing it.

    Args:
        kind: whose token it is.
        profile: the id of the profile.
        subject: the id of the device, analysis or run user; empty for the other kinds.
        sent: name, permission, expiry and serial number.
        chosen: the text of the token. None: it is derived.
        account: the account that makes it, or that made the token with which it is made. Empty: none is known.

    Raises:
        errors.BadRequest: the expiry is not a time, or ``chosen`` does not have the shape of a token.
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
    caller = Caller(kind, profile, subject, sent["permission"], expires_ms, fingerprint, account)
    listed = {
        **caller._asdict(),
        "name": sent["name"],
        "token_id": token_id,
        "mask": mask,
        "serie_number": sent.get("serie_number"),
        "created_ms": now_ms,
    }
    entities = [
        Entity(names.token(fingerprint), names.TOKEN, caller._asdict()),
        Entity(_owner_of(caller), names.token(fingerprint), listed),
    ]
    if listed["serie_number"]:
        entities.append(Entity(names.profile(profile), _serial(listed), {"device": subject}))
    if account:
        entities.append(Entity(names.profile(profile), names.made(account, fingerprint), {}))
    expiry = _show_expiry(expires_ms)
    shown = {"token": text, "permission": caller.permission, "expire_time": expiry, "expire_date": expiry}
    return NewToken(entities, shown)


def _owner_of(caller: Caller) -> str:
    """Return the owner of what lists show of a token."""
    if caller.kind == "device":
        return names.device(caller.subject)
    if caller.kind == "analysis":
        return names.analysis(caller.subject)
    if caller.kind == "run_user":
        return names.run_user(caller.subject)
    return names.profile(caller.profile)


def _serial(listed: Doc) -> str:
    return names.serial(listed["serie_number"], callers.of_doc(listed).subject, listed["fingerprint"])


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
        raise errors.BadRequest.field("expire_time", reason) from None


def _show_expiry(expires_ms: int | None) -> str:
    return NEVER if expires_ms is None else times.to_iso(expires_ms)


def list_all(*, owner: str) -> list[dict[str, Any]]:
    """Return the tokens of a device or profile, each with every field that a client may ask for."""
    return [_show(entity.doc) for entity in store.current().list(owner, names.TOKENS)]


def list_page(*, device: str, query: ListQuery, reader: Permission) -> list[dict[str, Any]]:
    """Return a page of a device's tokens, with the fields that the client asked for.

    Args:
        device: the id of the device.
        query: page, fields, order and filters.
        reader: the permission of the token that asks. A text that would give it more is None, also to filters.
    """
    rows = list_all(owner=names.device(device))
    return entities.page([row if includes(reader, row["permission"]) else row | {"token": None} for row in rows], query)


def describe(*, caller: Caller) -> dict[str, Any]:
    """Return the caller's profile token, without its text."""
    entity = store.current().get(_owner_of(caller), names.token(caller.fingerprint))
    shown = _show(entity.doc) if entity else {}
    unset = {"verification_code": None, "ref_id": caller.profile, "created_by": None}
    hidden = ("token", "device_id", "network_id")
    return {name: value for name, value in shown.items() if name not in hidden} | unset


def _show(doc: Doc) -> dict[str, Any]:
    return {
        "token": tokens.derive(secret.current(), doc["token_id"], doc["kind"], doc["mask"]),
        "device_id": (callers.of_doc(doc).subject or None) if doc["kind"] == "device" else None,
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
    """Delete a device token of the profile. This process refuses it at once, other processes within a minute.

    Raises:
        errors.NotFound: the profile has no such token.
    """
    bare = tokens.bare(text)
    fingerprint = tokens.fingerprint(bare) if bare else ""
    entity = store.current().get(names.token(fingerprint), names.TOKEN) if bare else None
    if entity is None or entity.doc["profile"] != profile or entity.doc["kind"] != "device":
        raise errors.NotFound("Token not found")
    listed = store.current().get(_owner_of(callers.of_doc(entity.doc)), names.token(fingerprint))
    remove(listed.doc if listed else {**entity.doc, "serie_number": None})


def delete_all(*, device: str) -> None:
    """Delete every token of a device."""
    for entity in store.current().list(names.device(device), names.TOKENS):
        remove(entity.doc)


def remove(listed: Doc) -> None:
    """Delete what belongs to a token, then end its sessions. All goes at once: a part could not be deleted again.

    Args:
        listed: what lists show of the token.

    Raises:
        errors.Conflict: somebody else changes the token at the same moment.
    """
    fingerprint = listed["fingerprint"]
    caller = callers.of_doc(listed)
    deletes = [(names.token(fingerprint), names.TOKEN), (_owner_of(caller), names.token(fingerprint))]
    if listed["serie_number"]:
        deletes.append((names.profile(caller.profile), _serial(listed)))
    if caller.account:
        deletes.append((names.profile(caller.profile), names.made(caller.account, fingerprint)))
    if not store.current().write_all((), deletes):
        raise errors.Conflict("The token is being changed by others, try again")
    callers.forget(fingerprint=fingerprint)
    if caller.kind == "device":
        client_ids.end_sessions(device=caller.subject, fingerprint=fingerprint)


def devices_with_serial(*, profile: str, serial: str) -> set[str]:
    """Return the ids of the profile's devices that have a token with this serial number."""
    listed = store.current().list(names.profile(profile), names.serials(serial))
    return {entity.doc["device"] for entity in listed}
