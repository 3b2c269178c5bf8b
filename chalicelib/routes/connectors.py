"""/integration/connector: what a device of one kind sends, and what it needs."""

from typing import Any

from chalicelib.host import clock
from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import integrations as schema
from chalicelib.schemas.lists import read_fields, read_list
from chalicelib.services.devices import integrations
from chalicelib.services.devices.integrations import CONNECTOR


def list_connectors(call: Call) -> Any:
    """List connectors."""
    query = read_list(call.query, schema.CONNECTORS, clock.now_ms())
    is_own_only = schema.read_is_own_only(query)
    return integrations.list_page(
        CONNECTOR, profile=call.profile, query=query, is_own_only=is_own_only, may_see=call.may_see
    )


def create(call: Call) -> Any:
    """Create a connector."""
    return {"connector": integrations.create(CONNECTOR, profile=call.profile, sent=call.body)}


def info(call: Call) -> Any:
    """Return a connector."""
    fields = read_fields(call.query, schema.CONNECTORS)
    found = integrations.info(CONNECTOR, profile=call.profile, doc_id=call.path["connector_id"])
    return {name: found[name] for name in fields}


def edit(call: Call) -> Any:
    """Change a connector."""
    integrations.edit(CONNECTOR, profile=call.profile, doc_id=call.path["connector_id"], sent=call.body)
    return "Connector Successfully Updated"


def delete(call: Call) -> Any:
    """Delete a connector."""
    integrations.delete(CONNECTOR, profile=call.profile, doc_id=call.path["connector_id"])
    return "Connector Successfully Deleted"


_WHO = (PROFILE, ANALYSIS)
_RATES = {method: f"{method} /integration/connector" for method in ("GET", "POST", "PUT", "DELETE")}
ROUTES = (
    Route(
        "GET", "/integration/connector", list_connectors, who=_WHO, grant="connector/access", rate=_RATES["GET"],
        note="SDK. The catalogue is listed too, unless `filter[public]` is there. Its connectors are `public`",
    ),
    Route(
        "POST", "/integration/connector", create, need="write", body=schema.create_connector, rate=_RATES["POST"],
        note="SDK. `payload_encoder` is stored, and nothing runs it. A network that is unknown here may be named",
    ),
    Route(
        "GET", "/integration/connector/{connector_id}", info, who=_WHO, grant="connector/access", rate=_RATES["GET"],
        note="SDK. All fields, unless `fields` names some",
    ),
    Route(
        "PUT", "/integration/connector/{connector_id}", edit, need="write", body=schema.edit_connector,
        rate=_RATES["PUT"], note="SDK. Its devices follow within 60 s. Those of the catalogue cannot be changed: 401",
    ),
    Route(
        "DELETE", "/integration/connector/{connector_id}", delete, need="full", rate=_RATES["DELETE"],
        note="SDK. Devices keep its id, and its parser is skipped. Those of the catalogue cannot be deleted: 401",
    ),
)  # fmt: skip
