"""Invitations to the team of a profile. Each works once, within seven days, and only for the account that was invited.

An invitation belongs to an e-mail address, so nobody learns whether that has an account, and the account may be created
later. Its text is derived from a random id and the deployment's secret, as that of a token. So only a hash of it is
stored, and yet it can be shown to the account with the address.
"""

from typing import Any

from chalicelib import errors, store
from chalicelib.codec import times, tokens
from chalicelib.host import clock, secret
from chalicelib.services.access import reach
from chalicelib.services.accounts import accounts, audit, profiles
from chalicelib.services.usage import limits
from chalicelib.store import Doc, Entity, names

KEPT_MS = 7 * times.DAY_MS
PAUSE_MS = 60_000
"""How long an address is not invited again: nobody can fill its mailbox."""
MAX_WAITING = 100
"""How many invitations of a profile may wait for an answer."""
ACCEPTED = "Invitation Successfully Accepted"
DECLINED = "Invitation Successfully Declined"


def create(*, profile: str, email: str) -> str | None:
    """Invite an address to a profile's team; return the text of the invitation.

    An earlier invitation of the address ends. None: that one is not a minute old, so it stays.

    Raises:
        errors.BadRequest: too many invitations wait.

    Cost: one query, one transaction of three entities, and one more for an earlier invitation.
    """
    email_owner = accounts.email_owner(email)
    waiting = of_profile(profile)
    for known in waiting:
        if known["email_owner"] == email_owner:
            if clock.now_ms() < known["created_ms"] + PAUSE_MS:
                return None
            end(known)
    if len(waiting) >= MAX_WAITING:
        raise errors.BadRequest(f"{MAX_WAITING} invitations wait for an answer: withdraw some of them first")
    token_id, now_ms = tokens.new_token_id(), clock.now_ms()
    text = tokens.invitation(secret.current(), token_id)
    doc: Doc = {
        "hash": tokens.fingerprint(text),
        "token_id": token_id,
        "profile": profile,
        "email": email.strip(),
        "email_owner": email_owner,
        "created_ms": now_ms,
    }
    expires_at = (now_ms + KEPT_MS) // 1000
    store.current().write_all([Entity(owner, name, doc, 1, expires_at) for owner, name in _places(doc)])
    return text


def _places(doc: Doc) -> list[tuple[str, str]]:
    """Return owner and name of each entity of an invitation."""
    name = names.invitation(doc["hash"])
    return [(name, names.INVITATION), (names.profile(doc["profile"]), name), (doc["email_owner"], name)]


def of_profile(profile: str) -> list[Doc]:
    """Return the invitations of a profile that wait for an answer. Cost: one query."""
    return [entity.doc for entity in store.current().list(names.profile(profile), names.INVITATIONS)]


def of_account(account: Doc) -> list[dict[str, Any]]:
    """Return the invitations that wait for an account, with the texts by which it accepts or declines them.

    Cost: one query, and one read an invitation.
    """
    found = store.current().list(accounts.email_owner(account["email"]), names.INVITATIONS)
    return [_show(entity.doc) for entity in found]


def _show(doc: Doc) -> dict[str, Any]:
    return {
        "token": tokens.invitation(secret.current(), doc["token_id"]),
        "profile": doc["profile"],
        "name": name_of(doc),
        "created_at": times.to_iso(doc["created_ms"]),
        "expire_time": times.to_iso(doc["created_ms"] + KEPT_MS),
    }


def name_of(doc: Doc) -> str | None:
    """Return the name of an invitation's profile. Cost: one read."""
    profile = store.current().get(names.profile(doc["profile"]), names.PROFILE)
    return str(profile.doc["name"]) if profile else None


def get_or_raise(text: str) -> Entity:
    """Return an invitation that can be answered. Cost: two reads.

    Raises:
        errors.BadRequest: it was answered or withdrawn, has expired, or its profile was deleted.
    """
    entity = store.current().get(names.invitation(tokens.fingerprint(text)), names.INVITATION)
    if entity is None or "profile" not in entity.doc or limits.of(entity.doc["profile"], is_fresh=True).is_erased:
        raise errors.BadRequest("The invitation was answered or withdrawn, or has expired: ask for another one")
    return entity


def accept(text: str, *, address: str = "") -> str:
    """Make the invited account a member of the profile, and record it in the audit log; return what to answer.

    Args:
        text: the invitation, as the client sent it.
        address: the client's address; empty if it is not known.

    Raises:
        errors.BadRequest: the invitation cannot be answered, or its address has no active account.
        errors.Conflict: it is being answered or withdrawn at the same moment.

    Cost: five reads, one transaction of five entities, and one write.
    """
    entity = get_or_raise(text)
    doc = entity.doc
    account = accounts.find(doc["email"])
    if account is None or not account["active"]:
        raise errors.BadRequest("Create an account with the invited e-mail address, and confirm it, then accept")
    profiles.get_or_raise(doc["profile"])
    profile, member = names.profile(doc["profile"]), names.account(account["id"])
    joined = {"account": account["id"], "role": reach.MEMBER, "created_ms": clock.now_ms()}
    used, *listed = _places(doc)
    puts = [
        Entity(*used, {}, entity.version + 1, entity.expires_at),
        Entity(member, profile, {"role": reach.MEMBER}),
        Entity(profile, names.member(account["id"]), joined),
    ]
    if not store.current().write_all(puts, listed):
        raise errors.Conflict("The invitation is being answered, or the account is in the team already")
    audit.note(profile=doc["profile"], account=account, message="Join the team", address=address)
    return ACCEPTED


def decline(text: str) -> str:
    """Decline an invitation; return what to answer. Raises errors.BadRequest: it cannot be answered."""
    end(get_or_raise(text).doc)
    return DECLINED


def end(doc: Doc) -> None:
    """Remove an invitation. Cost: one transaction."""
    store.current().write_all((), _places(doc))
