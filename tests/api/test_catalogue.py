"""Devices with the connectors of the catalogue: bodies as devices and network servers send them are stored as points."""

import json

import pytest

from chalicelib.services.devices import catalogue
from tests.docs.test_connectors import EXAMPLES, PAGES, ids
from tests.kit.api import Api

TYPES = {"json": "application/json", "csv": "text/csv", "text": "text/plain"}


def device_of(world, connector, network, **sent):
    """Create a device; return its id, and the API with its token."""
    made = world.admin.post(
        "/device", {"name": "Sensor", "type": "mutable", "connector": connector, "network": network, **sent}
    ).result
    return made["device_id"], Api(made["token"])


def rows(points):
    """Return variable, value and unit of each point, in a fixed order."""
    return sorted((point["variable"], repr(point.get("value")), point.get("unit", "")) for point in points)


def stored(api):
    """Return the rows of the points that a device has stored."""
    return rows(api.get("/data", query={"qty": 99}).result)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_of_each_page_is_stored(world, name):
    kind, body, points = EXAMPLES[name]
    connector, *networks = ids(PAGES[name])
    _, api = device_of(world, connector, networks[-1])
    expected = json.loads(points)
    assert api.post("/data", raw=body, headers={"content-type": TYPES[kind]}).result == f"{len(expected)} Data Added"
    assert stored(api) == rows(expected)


def test_parameter_of_the_connector_is_one_of_the_device(world):
    device, _ = device_of(world, catalogue.CSV_CONNECTOR, catalogue.HTTPS_NETWORK)
    (param,) = world.admin.get(f"/device/{device}/params").result
    assert (param["key"], param["value"]) == ("columns", "")
    own = [{"key": "columns", "value": "a,b [m]", "sent": False}]
    _, api = device_of(world, catalogue.CSV_CONNECTOR, catalogue.HTTPS_NETWORK, configuration_params=own)
    assert api.post("/data", raw="1,2", headers={"content-type": "text/csv"}).result == "2 Data Added"
    assert stored(api) == [("a", "1", ""), ("b", "2", "m")]


def test_a_device_of_custom_mqtt_says_how_other_messages_are_stored(world):
    mqtt = {"connector": catalogue.MQTT_CONNECTOR, "network": catalogue.MQTT_NETWORK}
    for sent, value in (([], "auto"), ([{"key": "payload_type", "value": "hex"}], "hex")):
        device, _ = device_of(world, **mqtt, configuration_params=sent)
        (param,) = world.admin.get(f"/device/{device}/params").result
        assert (param["key"], param["value"], param["sent"]) == ("payload_type", value, False)
    fields = {"fields": "device_parameters"}
    shown = world.admin.get(f"/integration/network/{catalogue.MQTT_NETWORK}", query=fields).result
    (defined,) = shown["device_parameters"]
    assert (defined["type"], defined["default"], defined["options"]) == ("dropdown", "auto", ["auto", "hex"])
    other, _ = device_of(world, catalogue.HTTPS_CONNECTOR, catalogue.HTTPS_NETWORK)
    assert world.admin.get(f"/device/{other}/params").result == []


def test_wrong_body_is_refused_with_the_reason(world):
    _, api = device_of(world, catalogue.HEX_CONNECTOR, catalogue.HTTPS_NETWORK)
    answer = api.post("/data", raw="02", headers={"content-type": "text/plain"})
    assert answer.status == 400
    assert answer.message.startswith("Function Parse Error: Error: Unknown version 2 (connector parser, line ")
    assert stored(api) == []


def test_webhook_that_is_sent_again_is_stored_once(world):
    kind, body, points = EXAMPLES["chirpstack"]
    _, api = device_of(world, catalogue.CHIRPSTACK_CONNECTOR, catalogue.CHIRPSTACK_NETWORK)
    for _ in range(2):
        api.post("/data", raw=body, headers={"content-type": TYPES[kind]})
    assert stored(api) == rows(json.loads(points))


def test_parsers_of_the_catalogue_can_be_read_and_are_public(world):
    listed = world.admin.get("/integration/connector", query={"amount": 99, "fields": ["id", "name", "public"]}).result
    assert {doc["id"] for doc in listed} == set(catalogue.CONNECTORS) and all(doc["public"] for doc in listed)
    shown = world.admin.get(
        f"/integration/network/{catalogue.TTN_NETWORK}", query={"fields": ["payload_decoder"]}
    ).result
    assert shown["payload_decoder"] == catalogue.NETWORKS[catalogue.TTN_NETWORK]["payload_decoder"]
