"""The shapes of tokens."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from chalicelib.codec.tokens import Permission
from chalicelib.openapi.results import Time

Expiry = Annotated[str, Field(description="A time, or `never`")]


class TokenCreated(TypedDict):
    """A new token."""

    token: str
    permission: Permission
    expire_time: Expiry
    expire_date: Expiry


class LoginToken(TokenCreated):
    """A new token of a profile, made by e-mail and password."""

    name: str
    profile: str
    created_by: str | None
    created_at: Time


class RunUserToken(TypedDict):
    """A new token of a run user."""

    token: str
    expire_time: Expiry
    expire_date: Expiry
    name: str
    run_user: str
    created_at: Time


class ServiceCreated(TokenCreated):
    """A new service authorization."""

    name: str
    profile: str
    verification_code: str | None
    additional_parameters: Any


class Privileges(TypedDict):
    """What a network may do with a token, besides its permission."""

    createDevice: bool


class NetworkTokenCreated(TokenCreated):
    """A new token of a network."""

    name: str
    network: str
    privileges: Privileges


class TokenRow(TypedDict, total=False):
    """A token in a list. What the caller may not see is null."""

    token: str | None
    device_id: str | None
    network_id: str | None
    name: str
    type: str
    permission: Permission
    serie_number: str | None
    last_authorization: str | None
    verification_code: str | None
    additional_parameters: Any
    expire_time: Expiry
    ref_id: str
    created_at: Time
    created_by: str | None
