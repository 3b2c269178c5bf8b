"""Logs in by e-mail and password. A wrong password, an unknown address and an unconfirmed account look alike."""

from collections.abc import Callable
from typing import Any

from chalicelib import errors
from chalicelib.codec import emails, times
from chalicelib.host import clock
from chalicelib.services.access import tokens
from chalicelib.services.access.callers import Caller
from chalicelib.services.accounts import accounts, attempts, otp, profiles
from chalicelib.store import Doc

Matches = Callable[[str, str | None], bool]
"""``passwords.matches``, in a thread if need be."""
RECENT_MS = 900_000
"""For how long a token that was made by e-mail and password may change the password, and delete the account."""
_LASTS = "3 months"


def authenticate(
    *, email: str, password: str, address: str, matches: Matches, pin: str | None = None, use: otp.Use | None = None
) -> Doc:
    """Return the account with this e-mail address and password.

    Args:
        email: as the client sent it.
        password: as the client sent it.
        address: the client's address.
        matches: checks the password. It may raise ``deadline.TooLong``; then this is called again.
        pin: the pin, if the client sent one.
        use: what a pin is used for. None: no pin is needed.

    Raises:
        errors.Denied: the password is wrong, no active account has the address, or the pin is wrong.
        errors.NeedsPin: the password is right, but a pin is missing.
        errors.TooManyRequests: too many tries have failed.

    Cost: a hash and one or two reads, on DynamoDB two more; see ``attempts`` and ``otp``.
    """
    login = attempts.begin(email_key=emails.key(email), address=address)
    account = accounts.find(email)
    is_right = matches(password, account["password"] if account else None)
    if account is None or not is_right or not account["active"]:
        attempts.fail(login)
        raise errors.Denied
    if use is not None:
        otp.accept(account, pin, use)
    attempts.succeed(login)
    return account


def show(account: Doc) -> dict[str, Any]:
    """Return what a login answers: the account, with its profiles. Cost: one read, and one a profile."""
    return {
        "type": "user",
        "id": account["id"],
        "email": account["email"],
        "company": account.get("company"),
        "name": account["name"],
        "phone": account.get("phone"),
        "profiles": [
            {"id": one["id"], "name": one["name"], "logo_url": one.get("logo_url"), "account": one.get("account")}
            for one in profiles.all_of(account["id"])
        ],
    }


def create_token(*, account: Doc, profile: str, name: str) -> dict[str, Any]:
    """Create a full token of a profile for an account that has just logged in. It lasts three months.

    Raises:
        errors.NotFound: the account neither owns the profile nor is a member of it.

    Cost: one read, one transaction of three entities, and one write.
    """
    if profile not in profiles.of_account(account["id"]):
        raise errors.NotFound("Profile not found")
    made = tokens.new(
        kind="profile", profile=profile, subject="", account=account["id"], is_login=True,
        sent={"name": name, "permission": "full", "expire_time": _LASTS},
    )  # fmt: skip
    tokens.store_all(made.entities)
    now_ms = clock.now_ms()
    accounts.revise(account["id"], lambda _: {"last_login_ms": now_ms})
    more = {"name": name, "profile": profile, "created_by": account["id"], "created_at": times.to_iso(now_ms)}
    return made.shown | more


def require_recent(caller: Caller) -> str:
    """Return the account of a full profile token that it made by e-mail and password within 15 minutes.

    Raises:
        errors.BadRequest: the token is older, or was made in another way.
        errors.Denied: it is not a full profile token.

    Cost: one read.
    """
    if caller.kind != "profile" or not caller.may("full"):
        raise errors.Denied
    logged_in_ms = tokens.logged_in_ms(caller)
    if not caller.account or logged_in_ms is None or clock.now_ms() > logged_in_ms + RECENT_MS:
        raise errors.BadRequest(
            "Log in again: this needs a token that POST /account/profile/token made within the last 15 minutes"
        )
    return caller.account
