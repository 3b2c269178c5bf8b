"""The team of a profile: its members, and the invitations that wait. The owner is not a member."""

import contextlib
from collections.abc import Iterator
from typing import Any

from chalicelib import errors, store
from chalicelib.codec import emails, times
from chalicelib.host import deadline, mail
from chalicelib.services.access import made
from chalicelib.services.access.reach import OWNER
from chalicelib.services.accounts import accounts, invitations
from chalicelib.services.accounts.roles import Reached
from chalicelib.services.usage import resources
from chalicelib.store import Doc, Entity, names

_ID_CHARS = 24
"""An invitation's id in lists: so many digits of its hash."""


def list_of(profile: str) -> list[dict[str, Any]]:
    """Return the members of a profile, and after them the invitations that wait, with ``active`` false.

    An invitation shows nothing of the account that its address may have.

    Cost: two queries, and one read a member.
    """
    joined = [_show_member(entity.doc, account) for entity, account in _members_with_accounts(profile)]
    waiting = invitations.of_profile(profile)
    asked = [_show(_id_of(doc), "", doc["email"], doc["created_ms"], is_active=False) for doc in waiting]
    return [*joined, *asked]


def _members_with_accounts(profile: str) -> list[tuple[Entity, Doc]]:
    """Return the members and their accounts, without those whose account was deleted a moment ago."""
    found = [(entity, accounts.get(entity.doc["account"])) for entity in _members(profile)]
    return [(entity, account) for entity, account in found if account is not None]


def _show_member(member: Doc, account: Doc) -> dict[str, Any]:
    created_ms, is_active = member["created_ms"], account["active"]
    return _show(account["id"], account["name"], account["email"], created_ms, is_active=is_active)


def _show(row_id: str, name: str, email: str, created_ms: int, *, is_active: bool) -> dict[str, Any]:
    created_at = times.to_iso(created_ms)
    return {"id": row_id, "name": name, "email": email, "active": is_active, "created_at": created_at}


def _id_of(invitation: Doc) -> str:
    return str(invitation["hash"])[:_ID_CHARS]


def _members(profile: str) -> list[Entity]:
    return store.current().list(names.profile(profile), names.MEMBERS)


def has_members(profile: str) -> bool:
    """Return whether a profile has members besides its owner. Cost: one query."""
    return bool(_members(profile))


def invite(*, profile: Doc, email: str, base_url: str) -> None:
    """Invite the account with an e-mail address to a profile, by a mail if mails are configured.

    Nothing happens if the address was invited less than a minute ago.

    Args:
        profile: its document.
        email: as the owner sent it.
        base_url: of the API, for the link in the mail.

    Raises:
        errors.BadRequest: the address is no address, or that of the owner or a member; or too many invitations wait.
        errors.PaymentRequired: the plan allows no more members.

    Cost: three queries, a read a member, and a transaction or two.
    """
    key, members = emails.key(email), _members_with_accounts(profile["id"])
    known = [accounts.get(profile.get("account", "")), *(account for _, account in members)]
    if any(emails.key(account["email"]) == key for account in known if account):
        raise errors.BadRequest.field("email", "email is that of the owner, or of a member of the team already")
    others = [doc for doc in invitations.of_profile(profile["id"]) if emails.key(doc["email"]) != key]
    resources.check(profile=profile["id"], resource="team", existing=len(members) + len(others))
    text = invitations.create(profile=profile["id"], email=email)
    if text is not None:
        with contextlib.suppress(errors.BadRequest):  # no mail is configured: the account's owner finds it there
            mail.current().send(
                to=email.strip(),
                subject=f"An invitation to {profile['name']}",
                text=f"You are invited to share {profile['name']}. Accept within seven days:\n\n"
                f"{base_url}/page/invitation/{text}\n\nIf you do not want to, do nothing.\n",
            )


def remove(*, found: Reached, member: str) -> None:
    """Remove a member from the team with all tokens that it made there, or withdraw an invitation.

    A member may remove only itself. Its streams and MQTT sessions end with its tokens.

    Args:
        found: the profile, and who asks.
        member: the id of the account or of the invitation, as the list shows it.

    Raises:
        errors.Denied: a member wants to remove somebody else.
        errors.NotFound: there is no such member.
        errors.BadRequest: it is the owner.
        errors.Unavailable: not all is removed yet; a retry resumes.

    Cost: two queries, three writes, and those of ``made.delete_made``.
    """
    if found.role != OWNER and member != found.account:
        raise errors.Denied
    if member == found.profile.get("account"):
        raise errors.BadRequest("The owner cannot be removed from its profile")
    if store.current().get(names.profile(found.id), names.member(member)) is None:
        _withdraw(found.id, member)
        return
    end(profile=found.id, account=member)


def end(*, profile: str, account: str) -> None:
    """End an account's membership in a profile, with all tokens that it made there.

    Raises:
        errors.Unavailable: not all is removed yet; a retry resumes.
    """
    marker = Entity(names.ERASURES, names.membership(account, profile), {"account": account, "profile": profile})
    store.current().put(marker)
    with contextlib.suppress(deadline.TooLong), deadline.sharing():  # a chore of the embedded mode goes on at once
        for _ in _ending(marker):
            deadline.check()


def _withdraw(profile: str, invitation: str) -> None:
    waiting = [doc for doc in invitations.of_profile(profile) if _id_of(doc) == invitation]
    if not waiting:
        raise errors.NotFound("Team member not found")
    invitations.end(waiting[0])


def _ending(marker: Entity) -> Iterator[None]:
    """Remove a member: first its role, so that it can make no more tokens, then its tokens, then its name.

    It yields after each token.
    """
    account, owner = marker.doc["account"], names.profile(marker.doc["profile"])
    store.current().delete(names.account(account), [owner])
    yield from made.deletions(profile=marker.doc["profile"], account=account)
    store.current().delete(owner, [names.member(account)])
    store.current().delete(marker.owner, [marker.name])


def resume() -> int:
    """Go on with the removal of members that was interrupted; return how many were finished.

    Raises:
        errors.Unavailable, deadline.TooLong: there was too little time; the next call resumes.
    """
    markers = store.current().list(names.ERASURES, names.MEMBERS)
    for marker in markers:
        for _ in _ending(marker):
            deadline.check()
    return len(markers)


def removals() -> Iterator[None]:
    """Go on with the removal of members that was interrupted, a token at each step. Raises errors.Unavailable."""
    for marker in store.current().list(names.ERASURES, names.MEMBERS):
        yield from _ending(marker)
