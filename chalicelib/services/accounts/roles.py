"""Finds the profile that a request names, and the role in it of the account for which the caller acts.

A token acts for the account that made it, else for the owner of its profile. Within its own profile, a token may do
what its permission says. A full token also manages the other profiles of its account.
"""

from typing import NamedTuple

from chalicelib import errors
from chalicelib.codec import keys
from chalicelib.services.access import reach
from chalicelib.services.access.callers import Caller, Reader
from chalicelib.services.access.reach import OWNER, Role
from chalicelib.services.accounts import accounts, profiles
from chalicelib.store import Doc

CURRENT = "current"
"""The id that stands for the caller's profile."""


class Reached(NamedTuple):
    """A profile, and what the caller's account is in it."""

    profile: Doc
    account: str
    """The account for which the caller acts; empty if the caller's profile has no owner yet."""
    role: Role

    @property
    def id(self) -> str:
        """The profile's id."""
        return str(self.profile["id"])

    def reader(self, caller: Caller) -> Reader:
        """Return which texts of the profile's tokens the caller is shown."""
        return Reader(caller.permission, self.account, self.role == OWNER)


def reached(caller: Caller, profile: str) -> Reached:
    """Return a profile that the caller may reach.

    Args:
        caller: a profile token, or an analysis.
        profile: an id as the client sent it, or ``current``.

    Raises:
        errors.NotFound: there is no such profile, the caller's account has no role in it, or the caller is no full
            token and this is not its own profile.
        errors.Denied: the caller's account has no role in the caller's own profile any more.

    Cost: two reads; three for another profile than the caller's.
    """
    is_own = profile in (CURRENT, caller.profile)
    is_manager = caller.kind == "profile" and caller.may("full")
    if not is_own and not (is_manager and keys.is_id(profile)):
        raise errors.NotFound("Profile not found")
    account = accounts.acting_for(caller)
    found = caller.profile if is_own else profile
    role = OWNER if is_own and not caller.account else reach.role_of(account=account, profile=found)
    if role is None:
        raise errors.Denied if is_own else errors.NotFound("Profile not found")
    return Reached(profiles.get_or_raise(found), account, role)


def reader(caller: Caller) -> Reader:
    """Return which texts of tokens of its own profile a profile token is shown. Cost: one read.

    Raises:
        errors.Denied: the caller's account has no role in the profile any more.
    """
    if not caller.account:
        return Reader(caller.permission, accounts.acting_for(caller), is_owner=True)
    role = reach.role_of(account=caller.account, profile=caller.profile)
    if role is None:
        raise errors.Denied
    return Reader(caller.permission, caller.account, role == OWNER)


def owned(caller: Caller, profile: str) -> Reached:
    """Return a profile that the caller's account owns. Cost: as ``reached``.

    Raises:
        errors.NotFound: as ``reached``.
        errors.Denied: as ``reached``, or the account is a member, who may not do this.
    """
    found = reached(caller, profile)
    if found.role != OWNER:
        raise errors.Denied
    return found
