"""One-time pins of an authenticator app (TOTP, RFC 6238): 6 digits, a new one every 30 seconds.

The app's secret is never stored. It is derived from a random id and the deployment's secret, as the texts of tokens
are, and shown only until the account has confirmed it with a pin. Each pin works once. The one exception is TagoIO's
command line, which logs in and then makes a token with the same pin: a pin that passed a login makes one token within
5 minutes.
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from chalicelib import errors
from chalicelib.host import clock, secret
from chalicelib.services.accounts import accounts, attempts
from chalicelib.store import Doc

Use = Literal["login", "token"]
STEP_S = 30
TOLERANCE = 1
"""How many steps the clock of a phone may be off, in each direction."""
PASS_MS = 300_000
"""For how long a pin that passed a login makes a token."""


def is_on(account: Doc) -> bool:
    """Return whether a login needs a pin."""
    return bool((account.get("otp") or {}).get("is_on"))


def enable(account: str) -> str:
    """Begin to use an authenticator app; return the ``otpauth`` URI that the app reads. ``confirm`` completes it.

    Raises:
        errors.BadRequest: the account uses one already.

    Source: the form of the URI is Google Authenticator's.
    """

    def changes(doc: Doc) -> Mapping[str, Any]:
        if is_on(doc):
            raise errors.BadRequest("The authenticator is enabled already: disable it first")
        return {"otp": {"id": secrets.token_hex(16), "is_on": False, "last_step": 0}}

    doc = accounts.revise(account, changes)
    uri: str = _totp(doc["otp"]["id"]).provisioning_uri(name=doc["email"], issuer_name="Decant")
    return uri


def confirm(account: str, pin: str) -> None:
    """Turn the authenticator on, with a pin that the app shows.

    Raises:
        errors.BadRequest: nothing is to be confirmed, or the pin is wrong.
        errors.TooManyRequests: too many pins were wrong.
    """
    attempts.check_pins(account)

    def changes(doc: Doc) -> Mapping[str, Any]:
        otp = doc.get("otp")
        if not otp or otp["is_on"]:
            raise errors.BadRequest("No authenticator waits to be confirmed: enable it first")
        step = _step_of(otp, pin)
        if step is None:
            attempts.fail_pin(account)
            raise errors.BadRequest.field("pin_code", "pin_code is wrong: send the one that the app shows now")
        return {"otp": {**otp, "is_on": True, "last_step": step}, "updated_ms": clock.now_ms()}

    accounts.revise(account, changes)


def disable(account: str) -> None:
    """Use no authenticator any more. It is no error if none is used."""
    accounts.change(account, otp=None)


def accept(account: Doc, pin: str | None, use: Use) -> None:
    """Check the pin of a login, if the account needs one, and use it up.

    Args:
        account: its document. The password was right.
        pin: what the client sent.
        use: ``login``: a token may be made with the same pin later. ``token``: a token is made now.

    Raises:
        errors.NeedsPin: there is no pin.
        errors.Denied: it is wrong, was used before, or is older than one that was used.
        errors.TooManyRequests: too many pins were wrong.

    Cost: none without authenticator; else a read and a conditional write.
    """
    if not is_on(account):
        return
    if not pin:
        raise errors.NeedsPin
    attempts.check_pins(account["id"])

    def changes(doc: Doc) -> Mapping[str, Any]:
        otp = doc.get("otp") or {}
        if not otp.get("is_on"):
            return {}
        used = _used(otp, pin, use)
        if used is None:
            attempts.fail_pin(account["id"])
            raise errors.Denied
        return {"otp": used}

    accounts.revise(account["id"], changes)
    attempts.forget_pins(account["id"])


def _used(otp: Doc, pin: str, use: Use) -> Doc | None:
    """Return the state after a pin was used; None if the pin is not accepted."""
    now_ms = clock.now_ms()
    passed = otp.get("login_step")
    if use == "token" and passed and now_ms <= otp["login_until_ms"] and _is_pin(otp["id"], passed, pin):
        return {**otp, "login_step": None}
    step = _step_of(otp, pin)
    if step is None:
        return None
    logged_in = {"login_step": step, "login_until_ms": now_ms + PASS_MS} if use == "login" else {}
    return {**otp, "last_step": step, **logged_in}


def _step_of(otp: Doc, pin: str) -> int | None:
    """Return the step that a pin belongs to, if it is about now and later than the last one that was used."""
    now = clock.now_ms() // 1_000 // STEP_S
    steps = range(max(now - TOLERANCE, otp["last_step"] + 1), now + TOLERANCE + 1)
    found = [step for step in steps if _is_pin(otp["id"], step, pin)]
    return found[0] if found else None


def _is_pin(otp_id: str, step: int, pin: str) -> bool:
    wanted: str = _totp(otp_id).generate_otp(step)
    return hmac.compare_digest(wanted.encode(), pin.encode())


def _totp(otp_id: str) -> Any:
    import pyotp  # noqa: PLC0415 - few requests need it

    derived = hmac.digest(secret.current(), f"one-time pins of {otp_id}".encode(), "sha256")[:20]
    return pyotp.TOTP(base64.b32encode(derived).decode(), interval=STEP_S)
