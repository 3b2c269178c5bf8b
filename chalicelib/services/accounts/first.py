"""Makes the first account of a deployment, and lets an operator help somebody who lost a password."""

import secrets
from typing import NamedTuple

from chalicelib import errors
from chalicelib.services.access import passwords
from chalicelib.services.accounts import accounts, profiles, resets

EMAIL = "admin@localhost"
"""The e-mail address of the first account if none is set."""


class First(NamedTuple):
    """The first account."""

    id: str
    email: str
    password: str
    """A random password that nobody has seen yet. Empty: it was chosen, or the account exists already."""
    is_new: bool
    """Whether it was made now."""


def ensure(*, email: str = EMAIL, password: str | None = None) -> First:
    """Create the first account unless there is one, and give it the profiles that have no owner.

    Args:
        email: its address. It needs no confirmation.
        password: its password; None: a random one. It does not change the password of an account that exists.

    Cost: one read an account and profile; a hash and one transaction for a new account.
    """
    found = next((doc for doc in accounts.list_all() if doc.get("first")), None)
    if found:
        first = First(found["id"], found["email"], "", is_new=False)
    else:  # also if it was deleted: no other account becomes the operator's
        chosen = password or secrets.token_urlsafe(12)
        made = accounts.create(name="Administrator", email=email, password_hash=passwords.hashed(chosen), first=True)
        if made is None:
            raise errors.Conflict(f"The first account cannot be made: another one has the address {email}")
        first = First(made, email, "" if password else chosen, is_new=True)
    for profile in profiles.list_all():
        if not profile.get("account"):
            profiles.adopt(profile, first.id)
    return first


def set_password(*, email: str, password: str) -> None:
    """Set the password of an account, turn its authenticator off, and end the tokens that it made.

    Raises:
        errors.NotFound: no account has this e-mail address.
    """
    account = accounts.find(email)
    if account is None:
        known = ", ".join(doc["email"] for doc in accounts.list_all()) or "none"
        raise errors.NotFound(f"No account has the address {email}; there are: {known}")
    accounts.change(account["id"], password=passwords.hashed(password), active=True, otp=None, links=None)
    resets.end_tokens(account["id"])
