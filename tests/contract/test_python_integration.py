"""TagoIO's own Python client: connectors and networks."""

import base64
from datetime import datetime

import pytest
from tagoio_sdk.infrastructure.api_request import TagoIORequestError
from tagoio_sdk.modules.Resources.IntegrationConnector import Connectors
from tagoio_sdk.modules.Resources.IntegrationNetwork import Networks

from tests.contract.conftest import own_methods

METHODS = {
    Connectors: {"list", "info", "create", "edit", "delete"},
    Networks: {"listNetwork", "info", "create", "edit", "delete", "tokenList", "tokenCreate", "tokenDelete"},
}
DECODER = base64.b64encode(b"payload = [];").decode()
UNIT = {"name": "unit", "label": "Unit", "type": "dropdown", "default": "C", "group": "main", "options": ["C", "F"]}


@pytest.mark.parametrize("module", METHODS, ids=lambda module: module.__name__)
def test_every_method_of_the_client_is_known_here(module):
    assert own_methods(module) == METHODS[module]


def test_networks(resources):
    networks = resources.integration.networks
    rule = {"mask": "FF-FF", "case": "upper", "required": True}
    made = networks.create({"name": "Python radio", "payload_decoder": DECODER, "serial_number": rule})["network"]
    assert networks.info(made) == {"id": made, "name": "Python radio"}
    assert networks.info(made, ["serial_number", "payload_decoder"]) == {
        "id": made, "serial_number": rule, "payload_decoder": DECODER,
    }  # fmt: skip
    assert {"id": made, "name": "Python radio"} in networks.listNetwork({"filter": {"public": True}, "amount": 100})
    assert "Custom MQTT" in [one["name"] for one in networks.listNetwork({"amount": 100})]
    assert networks.edit(made, {"name": "Other"}) == "Network Successfully Updated"
    assert networks.delete(made) == "Successfully Removed"
    with pytest.raises(TagoIORequestError, match="Network not found"):
        networks.info(made)


def test_tokens_of_a_network(resources):
    networks = resources.integration.networks
    network = networks.create({"name": "Python relay"})["network"]
    made = networks.tokenCreate(network, {"name": "Relay", "permission": "full", "expire_time": "never"})
    assert (made["name"], made["network"], made["token"][:2]) == ("Relay", network, "n-")
    assert networks.tokenList(network) == [{"name": "Relay", "token": made["token"], "permission": "full"}]
    (row,) = networks.tokenList(network, {"fields": ["name", "created_at"], "filter": {"name": "Re*"}})
    assert isinstance(row["created_at"], datetime)
    assert networks.tokenDelete(made["token"]) == "Token Successfully Removed"
    assert networks.tokenList(network) == []


def test_connectors_and_what_a_device_gets_from_them(resources):
    connectors, networks = resources.integration.connectors, resources.integration.networks
    network = networks.create({"name": "Radio", "serial_number": {"mask": "FF-FF", "case": "upper"}})["network"]
    sent = {"name": "Python sensor", "networks": [network], "device_parameters": [UNIT], "payload_decoder": DECODER}
    made = connectors.create(sent)["connector"]
    found = connectors.info(made)
    assert {name: found[name] for name in sent} == sent and isinstance(found["created_at"], datetime)
    assert connectors.info(made, ["name"]) == {"id": made, "name": "Python sensor"}
    assert {"id": made, "name": "Python sensor"} in connectors.list({"filter": {"public": True}, "amount": 100})
    device = resources.devices.create(
        {"name": "Sensor", "type": "mutable", "connector": made, "network": network, "serie_number": "ab-12"}
    )["device_id"]
    (param,) = resources.devices.paramList(device)
    assert (param["key"], param["value"], param["sent"]) == ("unit", "C", False)
    (token,) = resources.devices.tokenList(device, {"fields": ["serie_number"]})
    assert token["serie_number"] == "AB12"
    assert connectors.edit(made, {"description": "d"}) == "Connector Successfully Updated"
    assert connectors.delete(made) == "Connector Successfully Deleted"
    networks.delete(network)
    assert resources.devices.info(device)["connector"] == made
