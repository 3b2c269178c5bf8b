"""Creates accounts for anybody who asks, and confirms their e-mail addresses.

A new account must confirm its address before it can log in. No answer tells whether an address has an account.
"""

from typing import Any

from chalicelib import errors, settings
from chalicelib.host import mail
from chalicelib.services.accounts import accounts, attempts, links, profiles
from chalicelib.store import Doc

CREATED = "Account created: confirm it by the link in the mail"
RESENT = "If an account waits for its confirmation, a mail is on its way"


def require_open(address: str) -> None:
    """Check whether somebody at an address may create an account now, before its password is hashed.

    Raises:
        errors.BadRequest: nobody may, or no mail could reach its owner.
        errors.TooManyRequests: the address has asked too often.
    """
    if settings.current().sign_up == "closed":
        raise errors.BadRequest("Sign-up is closed: ask the operator of this server, who can set DECANT_SIGN_UP=open")
    mail.current().check()
    attempts.check(address)


def create(*, sent: dict[str, Any], password_hash: str, base_url: str, address: str) -> str:
    """Create an account that is not confirmed, with a mail to its address; return what to answer.

    If the address has an account, its owner is told so by mail, and nothing else happens. An account that is not
    confirmed gets what the sign-up has chosen whose link is used: nobody can choose a password for somebody else.

    Args:
        sent: name, email and more, without the password.
        password_hash: from ``passwords.hashed``.
        base_url: of the API, for the link.
        address: the client's address.

    Raises:
        errors.TooManyRequests: the address has asked too often.
    """
    attempts.take(address)
    more = {name: value for name, value in sent.items() if name not in ("name", "email")}
    account = accounts.find(sent["email"])
    if account is None:
        fields = {**more, "password_hash": password_hash, "is_active": False}
        created = accounts.create(name=sent["name"], email=sent["email"], **fields)
        account = accounts.get_or_raise(created) if created else accounts.find(sent["email"])
    if account is not None and account["active"]:
        _mail_existing(account)
    elif account is not None:
        _mail_link(account, base_url, {**more, "name": sent["name"], "password": password_hash})
    return CREATED + mail.current().note


def _mail_existing(account: Doc) -> None:
    if links.may_mail(account["id"]):
        text = "Somebody tried to create an account with this e-mail address, which has one already.\n"
        mail.current().send(to=account["email"], subject="You have an account already", text=text)


def _mail_link(account: Doc, base_url: str, chosen: Doc) -> None:
    token = links.issue(account["id"], "confirm", chosen)
    if token is not None:
        text = (
            "Somebody created an account with this e-mail address. If it was you, and just now, confirm it within a "
            "day:\n\n"
            f"{base_url}/page/confirm/{token}\n\nIf it was not you, do nothing.\n"
        )
        mail.current().send(to=account["email"], subject="Confirm your account", text=text)


def resend(*, email: str, base_url: str, address: str) -> str:
    """Mail the link once more if an account waits for its confirmation; return what to answer, always the same.

    Raises:
        errors.TooManyRequests: the address has asked too often.
        errors.BadRequest: no mail is configured.
    """
    mail.current().check()
    attempts.take(address)
    account = accounts.find(email)
    if account is not None and not account["active"]:
        _mail_link(account, base_url, links.chosen(account, "confirm"))
    return RESENT + mail.current().note


def confirm(token: str) -> str:
    """Activate an account, and give it its first profile; return what to answer.

    Raises:
        errors.BadRequest: the token does not work.

    Cost: four reads, one transaction and one conditional write.
    """
    account = links.account_or_raise(token, "confirm")
    give_profile(account["id"])  # first: a retry must not find the token used up and the profile missing
    links.use(token, "confirm", lambda doc: {**links.chosen(doc, "confirm", token), "active": True})
    return "Account Successfully Confirmed"


def give_profile(account: str) -> None:
    """Create an account's first profile, unless it has one: without a profile it cannot have a token.

    The profile has no token: one that nobody asked for would outlive a password that was stolen and changed.
    """
    if not profiles.of_account(account):
        profiles.add(sent={"name": "Default"}, account=account)
