"""/account: the account of a person, and how it logs in. Several routes need no token."""

from collections.abc import Iterable
from typing import Any

from chalicelib import errors
from chalicelib.codec import tokens as token_texts
from chalicelib.http import pages, requests
from chalicelib.http.answers import Page
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import accounts as schema
from chalicelib.services.access import callers, passwords
from chalicelib.services.accounts import (
    accounts,
    audit,
    closing,
    invitations,
    links,
    logins,
    otp,
    profiles,
    resets,
    sign_up,
)
from chalicelib.services.accounts.otp import Use
from chalicelib.store import Doc

_PASSWORDS = (("password", "New password"), ("again", "Once more"))
_CHOOSE = "Choose a new password"
_CONFIRM = "Confirm your account"


def log_in(call: Call, use: Use | None, email: str | None = None) -> Doc:
    """Return the account whose password the body holds, and whose e-mail address unless it is given.

    Raises: as ``logins.authenticate``.
    """
    return logins.authenticate(
        email=email or call.body["email"], password=call.body["password"], pin=call.body.get("pin_code"), use=use,
        address=requests.address(call.request), matches=lambda *pair: call.hash(lambda: passwords.matches(*pair)),
    )  # fmt: skip


def create(call: Call) -> Any:
    """Create an account, which must confirm its e-mail address."""
    sign_up.require_open(requests.address(call.request))
    sent = {name: value for name, value in call.body.items() if name not in ("password", "cpassword")}
    hashed = call.hash(lambda: passwords.hashed(call.body["password"]))
    return sign_up.create(sent=sent, password_hash=hashed, **_origin(call))


def login(call: Call) -> Any:
    """Log in: list the profiles of the account."""
    return logins.show(log_in(call, "login"))


def create_token(call: Call) -> Any:
    """Create a token of a profile, by e-mail and password."""
    account, profile = log_in(call, "token"), call.body["profile_id"]
    made = logins.create_token(account=account, profile=profile, name=call.body["name"])
    _note(call, account, [profile], "Create a token by e-mail and password")
    return made


def _note(call: Call, account: Doc, profiles_of_it: Iterable[str], message: str) -> None:
    """Record in the audit logs of profiles what an account does without a token of theirs."""
    for profile in profiles_of_it:
        audit.note(profile=profile, account=account, message=message, address=requests.address(call.request))


def request_pin(call: Call) -> Any:
    """Ask for a one-time pin. An authenticator app shows it by itself."""
    schema.otp_type(call.body["otp_type"])
    log_in(call, None)
    return "Use the pin that your authenticator app shows"


def enable_otp(call: Call) -> Any:
    """Begin to use an authenticator app: return the URI that it reads."""
    return otp.enable(_own_account(call))


def disable_otp(call: Call) -> Any:
    """Use no authenticator app any more."""
    account = _own_account(call)
    logins.require_recent(call.caller)  # made with a pin: a stolen password must not turn the app off
    otp.disable(account)
    return "OTP Successfully Disabled"


def _own_account(call: Call) -> str:
    """Return the caller's account, whose e-mail address and password the body holds."""
    schema.otp_type(requests.path_text(call.path["type"]))
    account: str = log_in(call, None)["id"]
    if account != accounts.acting_for(call.caller):
        raise errors.BadRequest.field("email", "email must be that of the account that the token acts for")
    return account


def confirm_otp(call: Call) -> Any:
    """Confirm the authenticator app with a pin that it shows."""
    schema.otp_type(requests.path_text(call.path["type"]))
    otp.confirm(accounts.acting_for(call.caller), call.body["pin_code"])
    return "OTP Successfully Enabled"


def ask_reset(call: Call) -> Any:
    """Mail a link that changes the password."""
    return resets.ask(email=requests.path_text(call.path["email"]), **_origin(call))


def resend(call: Call) -> Any:
    """Mail the link that confirms an account once more."""
    return sign_up.resend(email=requests.path_text(call.path["email"]), **_origin(call))


def _origin(call: Call) -> dict[str, str]:
    return {"base_url": requests.base_url(call.request), "address": requests.address(call.request)}


def reset(call: Call) -> Any:
    """Change the password, with a mailed token or with a fresh token of the account."""
    text = token_texts.from_headers(requests.headers(call.request)) or ""
    if links.has_shape(text):
        account = links.account_or_raise(text, "reset")
        changed = resets.by_link(token=text, password_hash=_new_hash(call, call.body["password"]))
        _note_password(call, account)
        return changed
    caller = callers.resolve(text=text, is_fresh=True)
    if caller is None:
        raise errors.Denied
    account = accounts.get_or_raise(logins.require_recent(caller))
    changed = resets.change(account=account["id"], password_hash=_new_hash(call, call.body["password"]))
    _note_password(call, account)
    return changed


def _note_password(call: Call, account: Doc) -> None:
    owned = [profile["id"] for profile in profiles.owned_by(account["id"])]
    _note(call, account, owned, "Change the password of an account")


def _new_hash(call: Call, password: str) -> str:
    return call.hash(lambda: passwords.hashed(password))


def confirm(call: Call) -> Any:
    """Confirm an account with a mailed token."""
    return sign_up.confirm(call.path["token"])


def info(call: Call) -> Any:
    """Return the account that the token acts for."""
    account = accounts.get_or_raise(accounts.acting_for(call.caller))
    is_trusted = call.caller.kind == PROFILE and call.caller.may("full")
    return accounts.show(account) | {"invitations": invitations.of_account(account) if is_trusted else []}


def edit(call: Call) -> Any:
    """Change the account."""
    accounts.edit(accounts.acting_for(call.caller), call.body)
    return "Account Successfully Updated"


def delete(call: Call) -> Any:
    """Delete the account, with all profiles that it owns."""
    closing.close(logins.require_recent(call.caller))
    return "Account Successfully Deleted"


def plan(call: Call) -> Any:
    """Return the price plan of the account."""
    return accounts.show_plan(accounts.acting_for(call.caller))


@pages.refusing(_CONFIRM)
def confirm_page(call: Call) -> Page:
    """Show a page whose button confirms an account."""
    links.account_or_raise(call.path["token"], "confirm")
    return pages.form(_CONFIRM, "This activates the account of your e-mail address.", "Confirm")


@pages.refusing(_CONFIRM)
def confirm_by_page(call: Call) -> Page:
    """Confirm an account, by the button of the page."""
    return pages.message("Confirmed", sign_up.confirm(call.path["token"]))


@pages.refusing(_CHOOSE)
def password_page(call: Call) -> Page:
    """Show a page that asks for a new password."""
    links.account_or_raise(call.path["token"], "reset")
    text = "All tokens that you made, except those of devices, end."
    return pages.form(_CHOOSE, text, "Change", passwords=_PASSWORDS)


@pages.refusing(_CHOOSE)
def reset_by_page(call: Call) -> Page:
    """Change a password, by the button of the page."""
    account = links.account_or_raise(call.path["token"], "reset")
    sent = requests.form(call.request)
    password = schema.repeated_password(sent.get("password", ""), sent.get("again", ""))
    hashed = _new_hash(call, password)
    changed = resets.by_link(token=call.path["token"], password_hash=hashed)
    _note_password(call, account)
    return pages.message("Changed", changed)


ROUTES = (
    Route(
        "POST", "/account", create, who=(), body=schema.create,
        note="SDK. The account must confirm its address by the mailed link; the answer never tells whether it exists "
        "already. `DECANT_SIGN_UP` opens and closes it; passwords have 8 to 256 characters",
    ),
    Route(
        "GET", "/account", info, who=(PROFILE, ANALYSIS), grant="account/access", rate="GET /account",
        note="SDK. The account that made the token, else the owner of the profile; for a full token with `invitations`",
    ),
    Route(
        "PUT", "/account", edit, rate="PUT /account", need="write", body=schema.edit,
        note="SDK. The e-mail address cannot be changed; the password only by POST /account/passwordreset",
    ),
    Route(
        "DELETE", "/account", delete, rate="DELETE /account", need="full",
        note="SDK. Needs a token that POST /account/profile/token made within 15 minutes, and profiles without other "
        "members",
    ),
    Route(
        "GET", "/account/plan", plan, rate="GET /account",
        note="The plan of the account's oldest profile. Unlimited is 9007199254740991",
    ),
    Route(
        "POST", "/account/login", login, who=(), body=schema.login,
        note="SDK. With an authenticator, a right password without `pin_code` is 401 with the message that TagoIO's "
        "command line reads. Failed logins are limited by account and address",
    ),
    Route(
        "POST", "/account/profile/token", create_token, who=(), body=schema.login_token,
        note="SDK. A full token of a profile that the account owns or is a member of, for three months",
    ),
    Route(
        "POST", "/account/login/otp", request_pin, who=(), body=schema.otp_request,
        note="partly: SDK. `authenticator` only; sms and email are refused with 400",
    ),
    Route(
        "POST", "/account/otp/{type}/enable", enable_otp, rate="POST /account", need="full", body=schema.credentials,
        note="partly: SDK. `authenticator` only. Answers the `otpauth` URI; it is never shown again",
    ),
    Route(
        "POST", "/account/otp/{type}/disable", disable_otp, need="full", body=schema.credentials, rate="POST /account",
        note="SDK. Needs a token that POST /account/profile/token made within 15 minutes, with a pin",
    ),
    Route(
        "POST", "/account/otp/{type}/confirm", confirm_otp, need="full", body=schema.pin, rate="POST /account",
        note="SDK",
    ),
    Route(
        "GET", "/account/passwordreset/{email}", ask_reset, who=(), need="write",
        note="SDK. Mails a link to a page, which works once and for 30 minutes. The answer is always the same",
    ),
    Route(
        "POST", "/account/passwordreset", reset, who=(), body=schema.password,
        note="SDK. Takes the token of a mailed link, or one that POST /account/profile/token made within 15 minutes. "
        "Ends all tokens that the account made, but those of devices",
    ),
    Route(
        "GET", "/account/resend_confirmation/{email}", resend, who=(), need="write",
        note="SDK. The answer is always the same",
    ),
    Route("GET", "/account/confirm/{token}", confirm, who=(), need="write", note="SDK. Works once, for a day"),
    Route("GET", "/page/confirm/{token}", confirm_page, who=(), note="Not TagoIO's: the page of a mailed link"),
    Route("POST", "/page/confirm/{token}", confirm_by_page, who=(), note="Not TagoIO's: the button of that page"),
    Route("GET", "/page/password/{token}", password_page, who=(), note="Not TagoIO's: the page of a mailed link"),
    Route("POST", "/page/password/{token}", reset_by_page, who=(), note="Not TagoIO's: the button of that page"),
)  # fmt: skip
