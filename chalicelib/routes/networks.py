"""/integration/network: how devices reach Decant, and what they need for it."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import integrations as schema
from chalicelib.schemas.lists import read_fields, read_list
from chalicelib.services.devices import integrations
from chalicelib.services.devices.integrations import NETWORK


def list_networks(call: Call) -> Any:
    """List networks."""
    query = read_list(call.query, schema.NETWORKS, clock.now_ms())
    is_own_only = schema.read_is_own_only(query)
    return integrations.list_page(
        NETWORK, profile=call.profile, query=query, is_own_only=is_own_only, may_see=call.may_see
    )


def create(call: Call) -> Any:
    """Create a network."""
    return {"network": integrations.create(NETWORK, profile=call.profile, sent=call.body)}


def info(call: Call) -> Any:
    """Return a network."""
    fields = read_fields(call.query, schema.NETWORKS)
    found = integrations.info(NETWORK, profile=call.profile, doc_id=call.path["network_id"])
    return {name: found[name] for name in fields}


def edit(call: Call) -> Any:
    """Change a network."""
    integrations.edit(NETWORK, profile=call.profile, doc_id=call.path["network_id"], sent=call.body)
    return "Network Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a network."""
    integrations.delete(NETWORK, profile=call.profile, doc_id=call.path["network_id"])
    return "Successfully Removed"


_WHO = (PROFILE, ANALYSIS)
_RATES = {method: f"{method} /integration/network" for method in ("GET", "POST", "PUT", "DELETE")}
ROUTES = (
    Route(
        "GET", "/integration/network", list_networks, who=_WHO, grant="network/access", rate=_RATES["GET"],
        note="SDK. The catalogue is listed too, unless `filter[public]` is there",
    ),
    Route(
        "POST", "/integration/network", create, need="write", body=schema.create_network, rate=_RATES["POST"],
        note="SDK. `public` and `payload_encoder` are stored, and nothing uses them: no other profile sees the network",
    ),
    Route(
        "GET", "/integration/network/{network_id}", info, who=_WHO, grant="network/access", rate=_RATES["GET"],
        note="SDK. All fields, unless `fields` names some",
    ),
    Route(
        "PUT", "/integration/network/{network_id}", edit, need="write", body=schema.edit_network, rate=_RATES["PUT"],
        note="SDK. Its devices follow within 60 s. Those of the catalogue cannot be changed: 401",
    ),
    Route(
        "DELETE", "/integration/network/{network_id}", delete, need="full", rate=_RATES["DELETE"],
        note="SDK. Its tokens end, devices keep its id, and its parser is skipped. Those of the catalogue cannot be "
        "deleted: 401",
    ),
)  # fmt: skip
