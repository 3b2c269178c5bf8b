"""/serviceauth: the tokens with which a network acts for a profile."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, SERVICE, Call, Route
from chalicelib.schemas import tokens as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.access import service_authorizations, tokens
from chalicelib.services.accounts import roles
from chalicelib.store import names


def list_services(call: Call) -> Any:
    """List the service authorizations of the profile."""
    query = read_list(call.query, schema.SERVICE_LIST, clock.now_ms())
    if call.may_see is not None and not call.may_see(_ANY):
        return []
    reader = roles.reader(call.caller)
    return tokens.list_page(owner=names.profile(call.profile), kind=SERVICE, query=query, reader=reader)


def create_service(call: Call) -> Any:
    """Create a service authorization."""
    return service_authorizations.create(sent=call.body, giver=call.caller)


def edit_service(call: Call) -> Any:
    """Change the verification code of a service authorization."""
    service_authorizations.edit(profile=call.profile, text=call.path["token"], sent=call.body)
    return "Authorization Code Successfully Updated"


def delete_service(call: Call) -> Any:
    """Delete a service authorization."""
    tokens.delete(profile=call.profile, text=call.path["token"], kind=SERVICE)
    return "Token Successfully Removed"


_ANY = {"id": "", "tags": []}
"""Policies name all service authorizations, or none."""
_WHO = (PROFILE, ANALYSIS)
ROUTES = (
    Route(
        "GET", "/serviceauth", list_services, who=_WHO, grant="service_authorization/access",
        note="SDK. Texts and codes are null as in `GET /profile/{id}/token`, but the owner sees those of members too",
    ),
    Route(
        "POST", "/serviceauth", create_service, who=_WHO, need="write", body=schema.create_service,
        grant="service_authorization/create", rate="POST /serviceauth",
        note="SDK. The token never expires unless `expire_time` is sent; its permission is at most that of the token "
        "that asks, which is the default. By itself it opens only `GET /info`; networks are given it",
    ),
    Route(
        "PUT", "/serviceauth/{token}", edit_service, who=_WHO, need="write", body=schema.edit_service,
        grant="service_authorization/edit", note="SDK",
    ),
    Route(
        "DELETE", "/serviceauth/{token}", delete_service, who=_WHO, need="full", grant="service_authorization/delete",
        note="SDK. Refused elsewhere within 60 s",
    ),
)  # fmt: skip
