"""The accounts of a stage, as far as a deployer makes and helps them."""

import getpass
import os
import sys
from collections.abc import Callable

from chalicelib import errors
from chalicelib.schemas.accounts import check_email, check_password
from chalicelib.services.accounts import accounts, first
from deploy.parts import RefusedError


def first_account() -> str:
    """Make the first account unless there is one, print it at once, and return its id.

    ``DECANT_EMAIL`` and ``DECANT_PASSWORD`` choose it. It gets the profiles that have no owner.

    Raises:
        RefusedError: one of the two breaks a rule.
    """
    email = _checked("DECANT_EMAIL", check_email) or first.EMAIL
    made = first.ensure(email=email, password=_checked("DECANT_PASSWORD", check_password))
    if made.is_new:
        print(f"\nAccount         {made.email}", flush=True)
    if made.password:
        print(f"Password        {made.password}   (shown only this once)", flush=True)
    return made.id


def _checked(variable: str, check: Callable[[str], str]) -> str | None:
    text = os.environ.get(variable)
    try:
        return check(text) if text else None
    except ValueError as error:
        raise RefusedError(f"{variable}: {error}") from None


def set_password(wanted: str | None) -> int:
    """Ask for a new password of an account, and set it. The store of the stage is in use.

    Args:
        wanted: the e-mail address of the account; None: the first account.

    Raises:
        RefusedError: there is no such account, or the password breaks a rule.
    """
    email = wanted or next((doc["email"] for doc in accounts.list_all()), first.EMAIL)
    text = getpass.getpass("New password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    try:
        first.set_password(email=email, password=check_password(text))
    except errors.Unavailable:
        raise
    except (ValueError, errors.ApiError) as error:
        raise RefusedError(str(error)) from None
    print(f"The password of {email} is set. Its authenticator is off, and the tokens that it made have ended.")
    return 0
