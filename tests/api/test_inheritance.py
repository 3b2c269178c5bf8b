"""What a new device gets from its connector and its network: ids, parameters, and the form of its serial number."""

import pytest

from chalicelib import store
from chalicelib.host import cache
from chalicelib.services.devices import catalogue, integrations, serials
from chalicelib.store import names
from tests.kit.world import World

TAKEN = "serie_number belongs to another device of this network: GET /device?serial= finds it"
EUI = "FF-FF-FF-FF-FF-FF-FF-FF"


def network(world, **fields):
    return world.admin.post("/integration/network", {"name": "Radio", **fields}).result["network"]


def connector(world, *networks, **fields):
    return world.admin.post("/integration/connector", {"name": "Sensor", "networks": networks, **fields}).result[
        "connector"
    ]


def device(world, **fields):
    return world.admin.post("/device", {"name": "Device", **fields})


def params(world, made):
    return [(one["key"], one["value"], one["sent"]) for one in world.admin.get(f"/device/{made}/params").result]


def serial_of(world, made):
    return [one["serie_number"] for one in world.admin.get(f"/device/token/{made}?fields=serie_number").result]


# Ids


def test_a_connector_of_one_network_gives_it_to_the_device(world):
    radio = network(world)
    made = device(world, connector=connector(world, radio)).result["device_id"]
    assert world.admin.get(f"/device/{made}").result["network"] == radio
    two = connector(world, radio, catalogue.HTTPS_NETWORK)
    assert device(world, connector=two).message == "network is required with connector"
    assert device(world, connector=two, network=catalogue.HTTPS_NETWORK).status == 200
    refused = device(world, connector=two, network=catalogue.MQTT_NETWORK)
    assert refused.message == f"network must be {radio} or {catalogue.HTTPS_NETWORK} with this connector"


def test_ids_that_are_unknown_here_are_kept(world):
    sent = {"connector": "a" * 24, "network": "b" * 24}
    made = device(world, **sent).result["device_id"]
    shown = world.admin.get(f"/device/{made}").result
    assert {name: shown[name] for name in sent} == sent and params(world, made) == []


def test_those_of_another_profile_count_as_unknown(world):
    other = World()
    radio = network(other, device_parameters=[{"name": "secret"}], serial_number={"required": True, "mask": "00"})
    foreign = connector(other, radio, device_parameters=[{"name": "hidden"}])
    assert device(world, connector=foreign).message == "network is required with connector"
    made = device(world, connector=foreign, network=radio, serie_number="any").result["device_id"]
    assert params(world, made) == [] and serial_of(world, made) == ["any"]
    assert device(world, connector=foreign, network=catalogue.HTTPS_NETWORK).status == 200
    query = {"fields": "id", "resolveConnectorName": "true", "resolveNetworkName": "true", "filter[id]": made}
    (row,) = world.admin.get("/device", query=query).result
    assert row["connector_name"] is None is row["network_name"]


def test_the_list_names_own_and_built_in_ones(world):
    radio = network(world)
    made = device(world, connector=connector(world, radio)).result["device_id"]
    query = {"fields": "id", "resolveConnectorName": "true", "resolveNetworkName": "true"}
    rows = {
        row["id"]: (row["connector_name"], row["network_name"])
        for row in world.admin.get("/device", query=query).result
    }
    assert rows == {made: ("Sensor", "Radio"), world.device: ("Custom HTTPS", "Custom HTTPS")}


def test_devices_keep_the_ids_of_what_was_deleted(world):
    radio = network(world, serial_number={"required": True})
    sensor = connector(world, radio, device_parameters=[{"name": "unit"}])
    made = device(world, connector=sensor, network=radio, serie_number="1").result["device_id"]
    world.admin.delete(f"/integration/network/{radio}")
    world.admin.delete(f"/integration/connector/{sensor}")
    shown = world.admin.get(f"/device/{made}").result
    assert (shown["connector"], shown["network"]) == (sensor, radio)
    assert integrations.connector(world.profile, sensor) is None is integrations.network(world.profile, radio)
    later = device(world, connector=sensor, network=radio).result["device_id"]
    assert params(world, later) == []


def test_a_device_moves_to_a_connector_that_takes_its_network(world):
    radio = network(world)
    sensor = connector(world, radio)
    world.admin.delete(f"/device/token/{world.token}")
    path = f"/device/{world.device}"
    refused = world.admin.put(path, {"connector": sensor, "network": catalogue.HTTPS_NETWORK})
    assert refused.message == f"network must be {radio} with this connector"
    assert world.admin.put(path, {"connector": sensor, "network": radio}).status == 200
    world.admin.put(f"/integration/connector/{sensor}", {"networks": [catalogue.HTTPS_NETWORK]})
    assert world.admin.put(path, {"name": "Same", "connector": sensor, "network": radio}).status == 200


# Parameters

UNIT = {"name": "unit", "label": "Unit", "type": "dropdown", "default": "C", "options": ["C", "F"]}


def test_parameters_that_connector_and_network_define(world):
    radio = network(
        world, device_parameters=[{"name": "port", "default": 5, "type": "number"}, {"name": "unit", "default": "F"}]
    )
    defined = [
        UNIT,
        {"name": "is_on", "default": True, "type": "switch"},
        {"name": "empty"},
        {"name": "list", "default": [1]},
    ]
    sensor = connector(world, radio, device_parameters=defined)
    made = device(world, connector=sensor).result["device_id"]
    assert params(world, made) == [
        ("unit", "C", False), ("is_on", "true", False), ("empty", "", False), ("list", "[1]", False), ("port", "5", False),
    ]  # fmt: skip
    sent = [{"key": "port", "value": "7", "sent": True}, {"key": "own", "value": "x"}]
    made = device(world, connector=sensor, configuration_params=sent).result["device_id"]
    assert params(world, made)[:2] == [("port", "7", True), ("own", "x", False)] and len(params(world, made)) == 6


def test_a_later_change_of_the_definition_changes_no_device(world):
    sensor = connector(world, catalogue.HTTPS_NETWORK, device_parameters=[UNIT])
    made = device(world, connector=sensor).result["device_id"]
    world.admin.put(f"/integration/connector/{sensor}", {"device_parameters": [{**UNIT, "default": "F"}]})
    assert params(world, made) == [("unit", "C", False)]
    assert params(world, device(world, connector=sensor).result["device_id"]) == [("unit", "F", False)]


def test_a_device_has_at_most_60_parameters_in_all(world):
    sensor = connector(world, catalogue.HTTPS_NETWORK, device_parameters=[{"name": f"p{index}"} for index in range(30)])
    sent = [{"key": f"k{index}", "value": "v"} for index in range(31)]
    before = len(world.admin.get("/device").result)
    assert (
        "at most 60 configuration parameters, not 61"
        in device(world, connector=sensor, configuration_params=sent).message
    )
    assert len(world.admin.get("/device").result) == before
    sent[0]["key"] = "p0"  # the client wins, so it takes no room
    made = device(world, connector=sensor, configuration_params=sent, serie_number="S").result["device_id"]
    assert len(params(world, made)) == 60


# Serial numbers


@pytest.mark.parametrize(
    ("rule", "sent", "stored"),
    [
        ({"mask": EUI}, "08-86-ab-56-82-6C-F2-EE", "0886ab56826CF2EE"), ({"mask": EUI}, "0886AB56826CF2EE", "0886AB56826CF2EE"),
        ({"mask": EUI, "case": "upper"}, "0886ab56826cf2ee", "0886AB56826CF2EE"), ({"mask": EUI, "case": "lower"}, "0886AB56826CF2EE", "0886ab56826cf2ee"),
        ({"mask": EUI}, "08-86-AB-56-82-6C-F2", None), ({"mask": EUI}, "08-86-AB-56-82-6C-F2-EG", None), ({"mask": EUI}, "0886AB56826CF2EE0", None),
        ({"mask": "AA-00-PP"}, "ab-12-c3", "ab12c3"), ({"mask": "AA-00-PP"}, "ab-1x-c3", None), ({"mask": "AA"}, "a1", None),
        ({"mask": "0000"}, "1234", "1234"), ({"mask": "0000"}, "12\u0663\u0664", None), ({"mask": "AA"}, "\u00e4b", None), ({"mask": "PP"}, "a ", None),
        ({"case": "upper"}, "imei-1a", "IMEI-1A"), ({"case": ""}, "iMEI-1", "iMEI-1"), ({}, "0-a b", "0-a b"), (None, "0-A b", "0-A b"), ({"mask": ""}, "x-1", "x-1"),
    ],
)  # fmt: skip
def test_serials_get_the_form_of_the_networks_rule(sqlite, rule, sent, stored):
    world = World()
    radio = network(world, serial_number=rule)
    made = device(world, connector=connector(world, radio), serie_number=sent)
    if stored is None:
        assert [*made.body["field_errors"]] == ["serie_number"] and made.message.startswith(
            "serie_number must have the form"
        )
        return
    assert serial_of(world, made.result["device_id"]) == [stored]
    assert [row["id"] for row in world.admin.get("/device", query={"serial": stored}).result] == [
        made.result["device_id"]
    ]
    assert serials.normalised(integrations.network(world.profile, radio), sent) == stored


def test_a_search_takes_each_form_that_the_networks_rule_takes(world):
    radio = network(world, serial_number={"mask": "FF-FF", "case": "upper"})
    masked = device(world, connector=connector(world, radio), serie_number="ab-12").result["device_id"]
    plain = device(world, serie_number="ab12").result["device_id"]

    def found(serial):
        by_list, by_path = (
            {row["id"] for row in world.admin.get(path, query=query).result}
            for path, query in (("/device", {"serial": serial}), (f"/device/find/{serial}", None))
        )
        assert by_list == by_path == {row["id"] for row in world.admin.get(f"/device?filter[serial]={serial}").result}
        return by_list

    assert found("AB-12") == found("ab-12") == found("AB12") == {masked}
    assert found("ab12") == {masked, plain}, "without a mask only as sent"
    assert found("ab-1") == found("x") == found("ab%23") == set()


def test_a_network_can_require_a_serial_number(world):
    radio = network(world, serial_number={"required": True, "label": "EUI"})
    sensor = connector(world, radio)
    for sent in ({}, {"serie_number": None}, {"serie_number": ""}):
        refused = device(world, connector=sensor, **sent)
        assert [*refused.body["field_errors"]] == ["serie_number"]
        assert refused.message == "serie_number is required by the network Radio"
    assert device(world, connector=sensor, serie_number="1").status == 200
    world.admin.put(f"/integration/network/{radio}", {"serial_number": None})
    assert device(world, connector=sensor).status == 200


def test_a_serial_belongs_to_one_device_of_a_network(world):
    radio = network(world, serial_number={"mask": "FF-FF"})
    sensor, elsewhere = connector(world, radio), connector(world, network(world))
    made = device(world, connector=sensor, serie_number="AB-12").result
    refused = device(world, connector=sensor, serie_number="AB12")
    assert [*refused.body["field_errors"]] == ["serie_number"]
    assert refused.message == TAKEN
    assert device(world, connector=elsewhere, serie_number="AB12").status == 200
    other = World()
    assert device(other, serie_number="AB12").status == 200 and device(other, serie_number="AB12").status == 400
    token = {"device": made["device_id"], "name": "t", "permission": "full", "serie_number": "AB-12"}
    assert world.admin.post("/device/token", token).status == 200, "the same device may have it again"
    assert serial_of(world, made["device_id"]) == ["AB12", "AB12"]
    assert world.admin.delete(f"/device/{made['device_id']}").status == 200
    cache.clear_all()
    assert device(world, connector=sensor, serie_number="AB-12").status == 200


def test_a_new_token_follows_the_rule_too(world):
    radio = network(world, serial_number={"mask": "FF", "case": "upper", "required": True})
    sensor = connector(world, radio)
    first, second = (
        device(world, connector=sensor, serie_number=serial).result["device_id"] for serial in ("aa", "bb")
    )

    def add(made, serial):
        sent = {"device": made, "name": "t", "permission": "full", "serie_number": serial}
        return world.admin.post("/device/token", sent)

    assert add(first, "c-c").status == 200 and "CC" in serial_of(world, first)
    assert add(first, "xyz").message.startswith("serie_number must have the form FF")
    assert add(second, "cc").message == TAKEN
    assert add(second, None).status == 200, "only a new device must have one"


def test_a_serial_of_a_device_that_is_gone_is_free(world):
    gone = "c" * 24  # its tokens are being removed
    left = store.Entity(names.profile(world.profile), names.serial("S", gone, "f" * 64), {"device": gone})
    store.current().put(left)
    assert device(world, serie_number="S").status == 200
