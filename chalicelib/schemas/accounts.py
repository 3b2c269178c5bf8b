"""Accounts and logins as clients send them.

Source: TagoIO, the account routes and the official clients. The length of passwords is ours.
"""

from typing import Annotated, Any, Literal, NotRequired
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.schemas.bodies import Body

MIN_PASSWORD, MAX_PASSWORD = 8, 256
MAX_EMAIL = 254


def check_email(text: str) -> str:
    """Return an e-mail address without blanks around it. Raises ValueError: it is none."""
    text = text.strip()
    before, _, after = text.partition("@")
    if not before or not after or "@" in after or len(text) > MAX_EMAIL or not text.isprintable() or " " in text:
        raise ValueError("email must be an address such as name@example.org")
    return text


def check_password(text: str) -> str:
    """Return a new password. Raises ValueError: it is too short, or so long that hashing it would take too long."""
    if not MIN_PASSWORD <= len(text) <= MAX_PASSWORD:
        raise ValueError(f"password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    _check_encodable(text)
    return text


def _check_encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("password must be Unicode") from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):  # OSError: it is a folder of zones
        raise ValueError("timezone must be the name of a time zone, such as Europe/Berlin") from None
    return text


Email = Annotated[
    StrictStr, AfterValidator(check_email), Field(json_schema_extra={"format": "email", "maxLength": MAX_EMAIL})
]
SentPassword = Annotated[StrictStr, Field(max_length=MAX_PASSWORD), AfterValidator(_check_encodable)]
NewPassword = Annotated[
    StrictStr,
    AfterValidator(check_password),
    Field(json_schema_extra={"minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD}),
]
PersonName = Annotated[StrictStr, Field(min_length=1, max_length=100)]
Zone = Annotated[
    StrictStr,
    Field(max_length=100, description="The name of a time zone, such as Europe/Berlin"),
    AfterValidator(_zone),
]
Text = Annotated[StrictStr, Field(max_length=200)] | None
Pin = Annotated[StrictStr, Field(max_length=20)] | None


class Credentials(TypedDict):
    """POST /account/otp/{type}/enable and …/disable."""

    email: Annotated[StrictStr, Field(max_length=1_000)]
    password: SentPassword


class LoginIn(Credentials):
    """POST /account/login."""

    otp_type: NotRequired[StrictStr | None]
    pin_code: NotRequired[Pin]


class LoginTokenIn(LoginIn):
    """POST /account/profile/token."""

    profile_id: StrictStr
    name: PersonName


class OtpRequestIn(Credentials):
    """POST /account/login/otp."""

    otp_type: StrictStr


class PinIn(TypedDict):
    """POST /account/otp/{type}/confirm."""

    pin_code: Annotated[StrictStr, Field(max_length=20)]


class PasswordIn(TypedDict):
    """POST /account/passwordreset."""

    password: NewPassword


class AccountOptions(TypedDict, total=False):
    """How the account wants things shown."""

    user_view_welcome: StrictBool
    decimal_separator: Annotated[StrictStr, Field(max_length=10)]
    thousand_separator: Annotated[StrictStr, Field(max_length=10)]
    last_whats_new: Annotated[StrictStr, Field(max_length=40)] | None


class AccountEditIn(TypedDict, total=False):
    """PUT /account. Other fields are ignored, so that a client may send all that it got."""

    name: PersonName
    timezone: Zone
    language: Annotated[StrictStr, Field(max_length=20)]
    company: Text
    phone: Text
    newsletter: StrictBool
    developer: StrictBool
    options: AccountOptions | None
    email: StrictStr
    """It must be the present one: it cannot be changed."""
    password: Any
    """It must not be there: POST /account/passwordreset changes it."""


class AccountIn(TypedDict):
    """POST /account."""

    name: PersonName
    email: Email
    password: NewPassword
    cpassword: NotRequired[StrictStr | None]
    timezone: NotRequired[Zone]
    country: NotRequired[Text]
    company: NotRequired[Text]
    phone: NotRequired[Text]
    language: NotRequired[Annotated[StrictStr, Field(max_length=20)]]
    newsletter: NotRequired[StrictBool]
    developer: NotRequired[StrictBool]


def _same_password(sent: AccountIn) -> AccountIn:
    if sent.get("cpassword") not in (None, sent["password"]):
        raise errors.BadRequest.field("cpassword", "cpassword must be the same as password")
    return sent


def _no_password(sent: AccountEditIn) -> AccountEditIn:
    if "password" in sent:
        raise errors.BadRequest.field("password", "password is changed by POST /account/passwordreset")
    return sent


def repeated_password(text: str, again: str) -> str:
    """Return a new password that a form asked for twice. Raises errors.BadRequest: it is none, or they differ."""
    if text != again:
        raise errors.BadRequest("The two passwords differ")
    try:
        return check_password(text)
    except ValueError as error:
        raise errors.BadRequest(str(error)) from None


def otp_type(text: str) -> Literal["authenticator"]:
    """Return the type of a one-time pin. Raises errors.BadRequest: only authenticator apps are supported."""
    if text != "authenticator":
        raise errors.BadRequest.field("otp_type", "otp_type must be authenticator: neither sms nor email is supported")
    return "authenticator"


create: Body[AccountIn] = Body(TypeAdapter(AccountIn), then=_same_password)
edit: Body[AccountEditIn] = Body(
    TypeAdapter(AccountEditIn), then=_no_password, rules={"properties": {"password": False}}
)
credentials: Body[Credentials] = Body(TypeAdapter(Credentials))
login: Body[LoginIn] = Body(TypeAdapter(LoginIn))
login_token: Body[LoginTokenIn] = Body(TypeAdapter(LoginTokenIn))
otp_request: Body[OtpRequestIn] = Body(TypeAdapter(OtpRequestIn))
pin: Body[PinIn] = Body(TypeAdapter(PinIn))
password: Body[PasswordIn] = Body(TypeAdapter(PasswordIn))
