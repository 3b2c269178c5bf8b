"""Run users as clients send them, and the parameters of their list. Source: the official clients."""

from typing import Annotated, NotRequired

from pydantic import AfterValidator, Field, StrictBool, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Anything, Label, Tags
from chalicelib.schemas.lists import ListShape

LIST = ListShape(
    fields=(
        "id", "name", "email", "active", "tags", "profile", "timezone", "company", "phone", "language", "newsletter",
        "options", "force_password_change", "last_login", "created_at", "updated_at",
    ),
    default=("id", "name"),
    sortable=(
        "id", "name", "email", "active", "timezone", "company", "phone", "language", "last_login", "created_at",
        "updated_at",
    ),
    filters={
        "id": "text", "name": "text", "email": "text", "company": "text", "phone": "text", "timezone": "text",
        "language": "text", "active": "flag", "last_login": "since", "created_at": "since", "updated_at": "since",
    },
    always=("id",),
)  # fmt: skip


def _email(text: str) -> str:
    name, _, domain = text.strip().partition("@")
    if not name or not domain or "@" in domain:
        raise ValueError("email must be an e-mail address with one @")
    return text.strip()


Email = Annotated[StrictStr, Field(max_length=254), AfterValidator(_email)]
Password = Annotated[StrictStr, Field(min_length=6, max_length=1_000)]
Text = Annotated[StrictStr, Field(max_length=200)] | None


class UserEditIn(TypedDict, total=False):
    """PUT /run/users/{id}; other fields, such as the e-mail address, are ignored."""

    name: Label
    password: Password
    timezone: Label
    company: Text
    phone: Text
    language: Text
    newsletter: StrictBool
    active: StrictBool
    tags: Tags
    options: dict[str, Anything] | None
    custom_preferences: dict[str, Anything] | None
    force_password_change: StrictBool
    logout_sessions: StrictBool


class UserIn(TypedDict):
    """POST /run/users; other fields are ignored."""

    name: Label
    email: Email
    password: Password
    timezone: NotRequired[Label]
    company: NotRequired[Text]
    phone: NotRequired[Text]
    language: NotRequired[Text]
    newsletter: NotRequired[StrictBool]
    active: NotRequired[StrictBool]
    tags: NotRequired[Tags]
    options: NotRequired[dict[str, Anything] | None]
    custom_preferences: NotRequired[dict[str, Anything] | None]
    force_password_change: NotRequired[StrictBool]


create: Body[UserIn] = Body(TypeAdapter(UserIn))
edit: Body[UserEditIn] = Body(TypeAdapter(UserEditIn))
