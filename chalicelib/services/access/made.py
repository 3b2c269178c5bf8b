"""Tokens by the account that made them: they end with the account's role, and move to another of its profiles."""

from collections.abc import Iterator

from chalicelib import errors, store
from chalicelib.host import deadline
from chalicelib.services.access import callers, tokens
from chalicelib.services.access.callers import Caller
from chalicelib.store import Entity, names


def delete_made(*, profile: str, account: str, keeps_devices: bool = False) -> None:
    """Delete tokens; see ``deletions``. Work that may be long: it calls ``deadline.check`` after each token."""
    for _ in deletions(profile=profile, account=account, keeps_devices=keeps_devices):
        deadline.check()


def deletions(*, profile: str, account: str, keeps_devices: bool = False) -> Iterator[None]:
    """Delete every token of a profile that an account made, and those that were made with them; end their sessions.

    This process refuses them at once, other processes within a minute. It yields after each token.

    Args:
        profile: the id of the profile.
        account: the id of the account.
        keeps_devices: whether the tokens of devices stay, as devices must not fall silent.

    Cost: one query; two reads and one transaction a token, but none for a token that stays.
    """
    owner = names.profile(profile)
    for entity in store.current().list(owner, names.made(account, "")):
        if keeps_devices and entity.doc.get("kind") == "device":
            continue
        listed = tokens.listed_of(entity.name.rpartition("#")[2])
        if listed is None:
            store.current().delete(owner, [entity.name])
        else:
            tokens.remove(listed.doc)
        yield


def move(*, caller: Caller, profile: str, account: str) -> None:
    """Move the calling profile token to another profile, where it acts for the same account, also for another owner.

    Args:
        caller: the token.
        profile: the profile to which it moves.
        account: the account for which it acts, which has a role in that profile.

    Raises:
        errors.Denied: the token or the account's role in the profile does not exist any more; nothing was changed.
        errors.Conflict: somebody else changes the token at the same moment.

    Cost: three reads and one transaction of five entities at most.
    """
    stored, listed = (
        store.current().get(names.token(caller.fingerprint), names.TOKEN),
        tokens.listed_of(caller.fingerprint),
    )
    if stored is None or listed is None:
        raise errors.Denied
    moved = caller._replace(profile=profile, account=account)
    made = Entity(names.profile(profile), names.made(account, caller.fingerprint), {"kind": caller.kind})
    puts = [
        stored._replace(doc=moved._asdict(), version=stored.version + 1),
        Entity(names.profile(profile), listed.name, {**listed.doc, **moved._asdict()}),
        made,
    ]
    deletes = [(listed.owner, listed.name)]
    if caller.account:
        deletes.append((listed.owner, names.made(caller.account, caller.fingerprint)))
    if not store.current().write_all(puts, deletes):
        raise errors.Conflict("The token is being changed by others, try again")
    callers.forget(fingerprint=caller.fingerprint)
    if not tokens.has_role(made):
        tokens.remove(puts[1].doc)
        raise errors.Denied
