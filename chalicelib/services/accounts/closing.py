"""Deletes accounts, with the profiles that they own."""

from chalicelib import errors
from chalicelib.services.access.reach import OWNER
from chalicelib.services.accounts import accounts, profile_erasures, profiles, resets, teams


def close(account: str) -> None:
    """Delete an account, the profiles that it owns, its memberships, and the tokens that it made.

    A failure on the way leaves an account that can log in and be deleted again.

    Raises:
        errors.NotFound: there is no such account.
        errors.Conflict: a profile that it owns has other members; nothing was deleted.

    Cost: that of ``profile_erasures.begin`` and ``teams.end`` for each profile, and one transaction.
    """
    doc = accounts.get_or_raise(account)
    roles = profiles.of_account(account)
    owned = [profile for profile, role in roles.items() if role == OWNER]
    if any(teams.has_members(profile) for profile in owned):
        raise errors.Conflict("A profile of the account has other members: remove them first")
    resets.end_tokens(account)
    for profile in roles.keys() - set(owned):
        teams.end(profile=profile, account=account)
    for profile in owned:
        profile_erasures.begin(profile=profile)
    accounts.remove(doc)
