"""Changes passwords, by a mailed link or after a fresh login, and ends the tokens that the account made."""

from chalicelib.host import mail
from chalicelib.services.access import made
from chalicelib.services.accounts import accounts, attempts, links, profiles, sign_up

ASKED = "If this address has an account, a mail is on its way"
CHANGED = "Password Successfully Changed"


def ask(*, email: str, base_url: str, address: str) -> str:
    """Mail a link that changes the password; return what to answer, which tells nothing about the account.

    Raises:
        errors.TooManyRequests: the address has asked too often.
        errors.BadRequest: no mail is configured.
    """
    mail.current().check()
    attempts.take(address)
    account = accounts.find(email)
    token = links.issue(account["id"], "reset") if account else None
    if account is not None and token is not None:
        text = (
            "Somebody asked to change the password of your account. If it was you, choose a new one within 30 "
            f"minutes:\n\n{base_url}/page/password/{token}\n\nIf it was not you, do nothing.\n"
        )
        mail.current().send(to=account["email"], subject="Change your password", text=text)
    return ASKED + mail.current().note


def by_link(*, token: str, password_hash: str) -> str:
    """Change the password of the account that a mailed token belongs to; return what to answer.

    The mail has proved the address, so an account that waits for its confirmation is active then.

    Raises:
        errors.BadRequest: the token does not work.
    """
    account = links.account_or_raise(token, "reset")["id"]
    end_tokens(account)  # a retry after a failure here finds the token unused
    sign_up.give_profile(account)
    links.use(token, "reset", lambda _: {"password": password_hash, "active": True})
    end_tokens(account)  # those that were made meanwhile
    return CHANGED


def change(*, account: str, password_hash: str) -> str:
    """Change the password of an account whose owner has just logged in; return what to answer."""
    accounts.change(account, password=password_hash, links=None)
    end_tokens(account)
    return CHANGED


def end_tokens(account: str) -> None:
    """End all tokens that an account made in its profiles, but not those of devices; see ``made.delete_made``."""
    for profile in profiles.of_account(account):
        made.delete_made(profile=profile, account=account, keeps_devices=True)
