"""GET /tags/keys, and devices by their serial number."""

import pytest

from chalicelib.store import Entity, names
from tests.kit.world import World


def tagged(*keys):
    return {"name": "Tagged", "tags": [{"key": key, "value": "v"} for key in keys]}


@pytest.mark.parametrize("kind", ["device", "Device", "DEVICE"])
def test_keys_are_listed_once_and_in_order(world, kind):
    for keys in (("b", "a"), ("a", "C"), ()):
        world.admin.post("/device", tagged(*keys))
    World().admin.post("/device", tagged("foreign"))
    assert world.admin.get(f"/tags/keys/{kind}").result == ["C", "a", "b"]


def test_each_type_has_its_own_keys(each_store):
    world = World()
    for prefix, key in ((names.ANALYSES, "x"), (names.RUN_USERS, "y")):
        each_store.put(Entity(names.profile(world.profile), prefix + "1", {"tags": [{"key": key, "value": ""}]}))
    sent = {"name": "Action", "type": "mqtt_topic", "tags": [{"key": "z", "value": ""}], "trigger": [{"tag_key": "a", "topic": "b"}], "action": {"type": "insert_to_device"}}  # fmt: skip
    world.admin.post("/action", sent)
    listed = {kind: world.admin.get(f"/tags/keys/{kind}").result for kind in ("device", "analysis", "dashboard", "action", "user")}  # fmt: skip
    assert listed == {"device": [], "analysis": ["x"], "dashboard": [], "action": ["z"], "user": ["y"]}


@pytest.mark.parametrize("kind", ["x", "devices", "%2e%2e", "profile"])
def test_unknown_type_names_the_types(world, kind):
    answer = world.admin.get(f"/tags/keys/{kind}")
    assert (answer.status, answer.message) == (400, "type must be one of device, analysis, dashboard, action, user")


def test_devices_are_found_by_serial_number(world):
    elsewhere = {"connector": "a" * 24, "network": "b" * 24}
    for name, serial, more in (("First", "S-1", {}), ("Second", "S 2", {}), ("Third", "S-1", elsewhere)):
        assert world.admin.post("/device", {"name": name, "serie_number": serial, **more}).status == 200
    World().admin.post("/device", {"name": "Foreign", "serie_number": "S-1"})
    found = world.admin.get("/device/find/S-1")
    assert found.result == world.admin.get("/device", query={"serial": "S-1"}).result
    assert [device["name"] for device in found.result] == ["First", "Third"]
    assert [device["name"] for device in world.admin.get("/device/find/S%202").result] == ["Second"]
    assert world.admin.get("/device/find/S-9").result == []
    assert world.admin.get("/device/find/S-1", query={"filter[network]": "0" * 24}).result == []
    found = world.admin.get("/device/find/S-1", query={"filter[network]": "b" * 24}).result
    assert [device["name"] for device in found] == ["Third"]
