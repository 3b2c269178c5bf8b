"""Creates, lists and deletes tokens. The text of a token is never stored.

Two entities describe a token. One holds the caller, under the token's fingerprint. The other holds what lists show,
under the token's device or profile.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chalicelib import errors, store
from chalicelib.codec import times, tokens
from chalicelib.codec.tokens import Kind
from chalicelib.host import clock, deadline, secret
from chalicelib.schemas.lists import ListQuery
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services import entities
from chalicelib.services.access import callers, client_ids, reach
from chalicelib.services.access.callers import Caller, Reader
from chalicelib.store import Doc, Entity, names

NEVER = "never"
AUTHORIZED = "authorized_by"
"""In what lists show of a device's token: the service authorization with which a network last used it. Its text is the
token's ``last_authorization``. Source: TagoIO's clients, Utils.sendDownlink."""


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
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Create a token; return ``token``, ``permission``, ``expire_time`` and ``expire_date``.

    Args:
        kind: as in ``new``.
        profile: as in ``new``.
        subject: as in ``new``.
        sent: as in ``new``.
        chosen: as in ``new``.
        giver: who asks for the token, and can give only the permission that it has. None: an operator.
        more: as in ``new``.

    Raises:
        errors.BadRequest: the permission is more than the giver's, or as in ``new``.
        errors.Conflict, errors.Denied: as in ``store_all``.

    Cost: one transaction of two entities; one more with a serial number. If an account makes it, one entity and one
        read more.
    """
    if giver is not None and not giver.may(sent["permission"]):
        has = giver.permission
        reason = f"permission must be {has}, as a token can give only what it has: ask with a token that has full"
        raise errors.BadRequest.field("permission", reason)
    account = giver.account if giver else ""
    token = new(kind=kind, profile=profile, subject=subject, sent=sent, chosen=chosen, account=account, more=more)
    store_all(token.entities)
    return token.shown


def store_all(entities: Sequence[Entity]) -> None:
    """Store what belongs to new tokens, all of it or nothing.

    Raises:
        errors.Conflict: a token with the same text exists already.
        errors.Denied: the account that makes a token has no role in the profile any more; nothing was stored.

    Cost: one transaction; one read for a token that an account makes.
    """
    if not store.current().write_all(entities):
        raise errors.Conflict("This token exists already")
    for entity in entities:
        # Checked afterwards: who removes an account from a profile ends its role first, and then looks for its tokens.
        if entity.name.startswith(names.MADE) and not has_role(entity):
            store.current().write_all((), [(one.owner, one.name) for one in entities])
            raise errors.Denied


def has_role(made: Entity) -> bool:
    """Return whether an account that made a token has a role in the profile. Cost: one read.

    Args:
        made: from ``names.made``.
    """
    profile, account = made.owner.removeprefix(names.profile("")), made.name.split("#")[1]
    return reach.role_of(account=account, profile=profile) is not None


def new(
    *,
    kind: Kind,
    profile: str,
    subject: str,
    sent: TokenIn,
    chosen: str | None = None,
    account: str = "",
    is_login: bool = False,
    more: Mapping[str, Any] | None = None,
) -> NewToken:
    """Make a token, without storing it.

    Args:
        kind: whose token it is.
        profile: the id of the profile.
        subject: the id of the device, analysis, run user or network; empty for the other kinds.
        sent: name, permission, expiry and serial number.
        chosen: the text of the token. None: it is derived.
        account: the account that makes it, or that made the token with which it is made. Empty: none is known.
        is_login: whether the account makes it by e-mail and password.
        more: what lists show besides.

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
        **({"login": True} if is_login else {}),
        **(more or {}),
    }
    # A run user gets a token for each login. Nobody deletes them, so the store must.
    ends_s = -(-expires_ms // 1000) if expires_ms is not None and kind == "run_user" else None
    entities = [
        Entity(names.token(fingerprint), names.TOKEN, caller._asdict(), expires_at=ends_s),
        Entity(owner_of(caller), names.token(fingerprint), listed, expires_at=ends_s),
    ]
    if listed["serie_number"]:
        entities.append(Entity(names.profile(profile), _serial(listed), {"device": subject}))
    if account:
        entities.append(
            Entity(names.profile(profile), names.made(account, fingerprint), {"kind": kind}, expires_at=ends_s)
        )
    expiry = _show_expiry(expires_ms)
    shown = {"token": text, "permission": caller.permission, "expire_time": expiry, "expire_date": expiry}
    return NewToken(entities, shown)


def owner_of(caller: Caller) -> str:
    """Return the owner of what lists show of a token."""
    key_of = _KEYS.get(caller.kind)
    return key_of(caller.subject) if key_of else names.profile(caller.profile)


_KEYS: Mapping[Kind, Callable[[str], str]] = {
    "device": names.device, "analysis": names.analysis, "run_user": names.run_user, "network": names.network,
}  # fmt: skip
"""By kind of caller: the key of what the token is of. The other tokens are the profile's."""


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


def list_page(*, owner: str, kind: Kind, query: ListQuery, reader: Reader) -> list[dict[str, Any]]:
    """Return a page of the tokens of a device or profile, with the fields that the client asked for.

    Args:
        owner: from ``names``.
        kind: whose tokens: an owner may have several kinds.
        query: page, fields, order and filters.
        reader: who asks. A text that it does not see is None, also to filters; so is a code with that text.
    """
    docs = [entity.doc for entity in store.current().list(owner, names.TOKENS)]
    return entities.page([_show_to(reader, doc) for doc in docs if doc["kind"] == kind], query)


def _show_to(reader: Reader, doc: Doc) -> dict[str, Any]:
    hidden = [] if reader.sees(doc) else ["token", "verification_code", "additional_parameters"]
    if AUTHORIZED in doc and not reader.sees(doc[AUTHORIZED]):
        hidden.append("last_authorization")
    return _show(doc) | dict.fromkeys(hidden)


def describe(*, caller: Caller) -> dict[str, Any]:
    """Return the caller's profile token or service authorization, without its text."""
    entity = store.current().get(owner_of(caller), names.token(caller.fingerprint))
    shown = _show(entity.doc) if entity else {}
    hidden = ("token", "device_id", "network_id", "additional_parameters")
    return {name: value for name, value in shown.items() if name not in hidden}


def logged_in_ms(caller: Caller) -> int | None:
    """Return when an account made this token by e-mail and password; None if it did not. Cost: one read."""
    entity = store.current().get(owner_of(caller), names.token(caller.fingerprint))
    return int(entity.doc["created_ms"]) if entity and entity.doc.get("login") else None


def name_of(caller: Caller) -> str:
    """Return the name of the caller's token; empty if it was deleted meanwhile. Cost: half a read."""
    entity = store.current().get(owner_of(caller), names.token(caller.fingerprint), is_consistent=False)
    return str(entity.doc["name"]) if entity else ""


def text_of(listed: Doc) -> str:
    """Return the text of a token, from what lists show of it."""
    return tokens.derive(secret.current(), listed["token_id"], listed["kind"], listed["mask"])


def _show(doc: Doc) -> dict[str, Any]:
    used = times.to_iso(doc["used_ms"]) if doc.get("used_ms") else None
    return {
        "token": text_of(doc),
        "device_id": (callers.of_doc(doc).subject or None) if doc["kind"] == "device" else None,
        "network_id": callers.of_doc(doc).subject if doc["kind"] == "network" else None,
        "name": doc["name"],
        "type": doc["kind"],
        "permission": doc["permission"],
        "serie_number": doc["serie_number"],
        "last_authorization": text_of(doc[AUTHORIZED]) if AUTHORIZED in doc else used,
        "verification_code": doc.get("verification_code"),
        "additional_parameters": doc.get("additional_parameters"),
        "expire_time": _show_expiry(doc["expires_ms"]),
        "ref_id": callers.of_doc(doc).subject or doc["profile"],
        "created_at": times.to_iso(doc["created_ms"]),
        "created_by": callers.of_doc(doc).account or None,
    }


def delete(*, profile: str, text: str, kind: Kind = "device") -> str:
    """Delete a token of the profile; return its subject. Other processes refuse it within a minute.

    Raises:
        errors.NotFound: the profile has no such token of this kind.
    """
    listed = find_or_raise(profile=profile, text=text, kind=kind).doc
    remove(listed)
    return callers.of_doc(listed).subject


def find_or_raise(*, profile: str, text: str, kind: Kind) -> Entity:
    """Return what lists show of a token of the profile. Cost: two reads.

    Raises:
        errors.NotFound: the profile has no such token of this kind.
    """
    bare = tokens.bare(text)
    entity = store.current().get(names.token(tokens.fingerprint(bare)), names.TOKEN) if bare else None
    if entity is None or entity.doc["profile"] != profile or entity.doc["kind"] != kind:
        raise errors.NotFound("Token not found")  # without a second read, whose time would tell that it exists
    return _listed(entity)


def device_of(*, profile: str, text: str) -> str:
    """Return the id of the device of a device token. Cost: two reads.

    Raises:
        errors.NotFound: the profile has no such token.
    """
    return callers.of_doc(find_or_raise(profile=profile, text=text, kind="device").doc).subject


def listed_of(fingerprint: str) -> Entity | None:
    """Return what lists show of a token, or None if it does not exist. Cost: two reads."""
    entity = store.current().get(names.token(fingerprint), names.TOKEN)
    return _listed(entity) if entity else None


def _listed(entity: Entity) -> Entity:
    owner, name = owner_of(callers.of_doc(entity.doc)), entity.owner
    return store.current().get(owner, name) or Entity(owner, name, {**entity.doc, "serie_number": None})


def delete_all(*, owner: str) -> None:
    """Delete every token of an owner: see ``owner_of``. Work that may be long: it calls ``check``."""
    for entity in store.current().list(owner, names.TOKENS):
        remove(entity.doc)
        deadline.check()


def remove(listed: Doc) -> None:
    """Delete what belongs to a token, then end its sessions. All goes at once: a part could not be deleted again.

    Args:
        listed: what lists show of the token.

    Raises:
        errors.Conflict: somebody else changes the token at the same moment.
    """
    fingerprint = listed["fingerprint"]
    caller = callers.of_doc(listed)
    deletes = [(names.token(fingerprint), names.TOKEN), (owner_of(caller), names.token(fingerprint))]
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
