"""/integration/network/token: the tokens of networks."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import NETWORK, Call, Route
from chalicelib.schemas import tokens as schema
from chalicelib.schemas.lists import read_list
from chalicelib.services.access import tokens
from chalicelib.services.accounts import roles
from chalicelib.services.devices import network_tokens


def list_network_tokens(call: Call) -> Any:
    """List the tokens of a network."""
    query = read_list(call.query, schema.LIST, clock.now_ms())
    network, reader = call.path["network_id_or_token"], roles.reader(call.caller)
    return network_tokens.list_page(profile=call.profile, network=network, query=query, reader=reader)


def create_network_token(call: Call) -> Any:
    """Create a token of a network."""
    created = network_tokens.create(sent=call.body, giver=call.caller)
    call.changed = created["network"]
    return created


def delete_network_token(call: Call) -> Any:
    """Delete a token of a network."""
    call.changed = tokens.delete(profile=call.profile, text=call.path["network_id_or_token"], kind=NETWORK)
    return "Token Successfully Removed"


ROUTES = (
    Route(
        "GET", "/integration/network/token/{network_id_or_token}", list_network_tokens, rate="GET /integration/network",
        note="SDK. Texts are null as in `GET /device/token/{device_id_or_token}`",
    ),
    Route(
        "POST", "/integration/network/token", create_network_token, need="write", body=schema.create_of_network,
        rate="POST /integration/network",
        note="SDK. Only of the profile's own networks. `permission` is by default that of the token that asks, and "
        "never more. `privileges.createDevice` lets the network create devices with it; `previlegies` is read, too",
    ),
    Route(
        "DELETE", "/integration/network/token/{network_id_or_token}", delete_network_token, need="full",
        rate="DELETE /integration/network", note="SDK. Refused elsewhere within 60 s",
    ),
)  # fmt: skip
