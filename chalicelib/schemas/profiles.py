"""Profiles, their tokens, and their teams, as clients send them."""

from typing import Annotated, NotRequired

from pydantic import FailFast, Field, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib.codec.tokens import Permission
from chalicelib.schemas import accounts
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Id, Url

Name = Annotated[StrictStr, Field(min_length=1, max_length=100)]
Secret = Annotated[StrictStr, Field(max_length=1_000)]
"""A password or a pin."""
Email = Annotated[StrictStr, Field(min_length=1, max_length=320)]
PerMinute = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Amount = Annotated[StrictInt, Field(ge=0)]


class ProfileIn(TypedDict):
    """POST /profile."""

    name: Name
    logo_url: NotRequired[Url | None]
    banner_url: NotRequired[Url | None]


class ProfileRpm(TypedDict):
    """Requests a minute that a profile allows itself. None: as its plan."""

    data_input: NotRequired[PerMinute | None]
    data_output: NotRequired[PerMinute | None]


class ProfileEditIn(TypedDict):
    """PUT /profile/{id}."""

    name: NotRequired[Name]
    logo_url: NotRequired[Url | None]
    banner_url: NotRequired[Url | None]
    rpm: NotRequired[ProfileRpm | None]
    usage_webhook: NotRequired[Url | None]


class OwnPasswordIn(TypedDict):
    """The password of the account for which a token acts."""

    password: Secret
    pin_code: NotRequired[Secret | None]
    otp_type: NotRequired[StrictStr | None]


class SignInIn(OwnPasswordIn):
    """An account and its password."""

    email: Email


class ProfileTokenIn(SignInIn):
    """POST /profile/{id}/token."""

    name: Name
    permission: Permission
    expire_time: NotRequired[StrictStr | None]


class InvitationIn(TypedDict):
    """POST /profile/{id}/team."""

    email: accounts.Email


class AllocationIn(TypedDict):
    """How much of each service one profile is to have."""

    profile: Id
    input: NotRequired[Amount]
    output: NotRequired[Amount]
    analysis: NotRequired[Amount]
    sms: NotRequired[Amount]
    email: NotRequired[Amount]
    data_records: NotRequired[Amount]
    run_users: NotRequired[Amount]
    push_notification: NotRequired[Amount]
    file_storage: NotRequired[Amount]


create: Body[ProfileIn] = Body(TypeAdapter(ProfileIn))
edit: Body[ProfileEditIn] = Body(TypeAdapter(ProfileEditIn))
delete: Body[OwnPasswordIn] = Body(TypeAdapter(OwnPasswordIn))
create_token: Body[ProfileTokenIn] = Body(TypeAdapter(ProfileTokenIn))
invite: Body[InvitationIn] = Body(TypeAdapter(InvitationIn))
allocate: Body[list[AllocationIn]] = Body(TypeAdapter(Annotated[list[AllocationIn], Field(max_length=100), FailFast()]))
