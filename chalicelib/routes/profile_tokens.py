"""/profile/{id}/token: the tokens of a profile."""

from typing import Any

from chalicelib import errors
from chalicelib.host import clock
from chalicelib.http.route import PROFILE, Call, Route
from chalicelib.routes.accounts import log_in
from chalicelib.schemas import profiles as schema
from chalicelib.schemas.lists import read_list
from chalicelib.schemas.tokens import PROFILE_LIST
from chalicelib.services.access import reach, tokens
from chalicelib.services.accounts import roles
from chalicelib.store import names


def list_tokens(call: Call) -> Any:
    """List the tokens of a profile."""
    query = read_list(call.query, PROFILE_LIST, clock.now_ms())
    found = roles.reached(call.caller, call.path["profile_id"])
    return tokens.list_page(owner=names.profile(found.id), kind=PROFILE, query=query, reader=found.reader(call.caller))


def create(call: Call) -> Any:
    """Create a token of a profile, with the password of an account that owns it or is a member."""
    sent = call.body
    profile = roles.reached(call.caller, call.path["profile_id"]).id
    account = log_in(call, "token")["id"]
    if reach.role_of(account=account, profile=profile) is None:
        raise errors.Denied
    created = tokens.new(kind=PROFILE, profile=profile, subject="", sent=sent, account=account, is_login=True)
    tokens.store_all(created.entities)
    return created.shown


def delete(call: Call) -> Any:
    """Delete a token of a profile."""
    profile = roles.reached(call.caller, call.path["profile_id"]).id
    tokens.delete(profile=profile, text=call.path["token"], kind=PROFILE)
    return "Token Successfully Removed"


ROUTES = (
    Route(
        "GET", "/profile/{profile_id}/token", list_tokens,
        note="SDK. `last_authorization` is up to an hour old. A text is null if the token that asks has less, or if "
        "another account made the listed token",
    ),
    Route(
        "POST", "/profile/{profile_id}/token", create, need="write", body=schema.create_token,
        note="SDK. With the e-mail address and password of the owner or of a member, for whom the token then acts. "
        "Answers `expire_time` and `expire_date`",
    ),
    Route(
        "DELETE", "/profile/{profile_id}/token/{token}", delete, need="full", note="SDK. Refused elsewhere within 60 s",
    ),
)  # fmt: skip
