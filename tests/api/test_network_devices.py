"""What a network does with its token: it finds and creates devices, and sets their parameters. On both stores."""

from urllib.parse import quote

import pytest

from chalicelib.services.access import tokens
from chalicelib.services.usage import limits
from tests.kit.api import Api
from tests.kit.networks import Network, authorization
from tests.kit.world import World, point

UNKNOWN = "at" + "0" * 32
NOT_FOUND = (404, "Serial number not found")


@pytest.fixture
def network(world):
    return Network(world)


def resolved(api, serial, text=None):
    """Return what a serial number resolves to: a token, or status and message."""
    path = f"/integration/network/resolve/{quote(serial, safe='')}" + (f"/{text}" if text else "")
    answer = api.get(path)
    return answer.result if answer.status == 200 else (answer.status, answer.message)


def test_serial_number_resolves_to_the_token_that_has_it(world, network):
    device, token = network.device("A1")
    world.admin.post("/device/token", {"device": device, "name": "other", "permission": "full"})
    assert resolved(network.api, "A1") == token and Api(token).get("/info").result["id"] == device
    odd = network.device("Ä 1/2+")[1]
    assert resolved(network.api, "Ä 1/2+") == odd
    for unknown in ("A2", "a1", "A", "#", "A1#", f"A1#{device}", "x" * 101, "\0", "Ä"):
        assert resolved(network.api, unknown) == NOT_FOUND


def test_serial_number_is_read_by_the_rule_of_the_network(world):
    network = Network(world, serial_number={"mask": "FF-FF", "case": "upper"})
    token = network.device("aa-01")[1]
    for spelling in ("AA01", "aa01", "aA-01"):
        assert resolved(network.api, spelling) == token
    assert resolved(network.api, "AA02") == NOT_FOUND == resolved(network.api, "not hex")


def test_serial_number_of_before_the_rule_is_still_found(world, network):
    token = network.device("x-1")[1]
    world.admin.put(f"/integration/network/{network.id}", {"serial_number": {"mask": "P0", "case": "upper"}})
    assert resolved(network.api, "x-1") == token


def test_of_several_devices_the_newest_counts(clock, world, network):
    older, other = network.device("S", name="Older"), Network(world)
    clock.advance(1)
    elsewhere = other.device("S", name="In another network")
    assert (resolved(network.api, "S"), resolved(other.api, "S")) == (older[1], elsewhere[1])
    newer = {"name": "New", "network": network.id, "connector": network.connector, "serie_number": "T"}
    clock.advance(1)
    newer = world.admin.post("/device", newer).result
    tokens.create(  # as two requests of one moment, or an earlier version, leave it
        kind="device", profile=world.profile, subject=newer["device_id"],
        sent={"name": "n", "permission": "full", "serie_number": "S"},
    )  # fmt: skip
    found = resolved(network.api, "S")
    assert Api(found).get("/info").result["id"] == newer["device_id"]


def test_network_is_given_no_more_rights_than_it_has(world, network):
    device, full = network.device("S")
    writer = Api(network.new_token("write"))
    assert resolved(network.api, "S") == full
    assert resolved(writer, "S") == (401, "Authorization Denied")
    less = {}
    for permission in ("write", "read"):
        sent = {"device": device, "name": "n", "permission": permission, "serie_number": "S"}
        less[permission] = world.admin.post("/device/token", sent).result["token"]
    assert resolved(writer, "S") == less["write"]
    assert resolved(Api(network.new_token("read")), "S") == (401, "Authorization Denied")
    assert resolved(network.api, "S", authorization(world, "read")) == less["read"]


def test_dead_tokens_and_devices_resolve_to_nothing(clock, world, network):
    device, token = network.device("S")
    world.admin.delete(f"/device/token/{token}")
    assert resolved(network.api, "S") == NOT_FOUND
    sent = {"device": device, "name": "n", "permission": "full", "serie_number": "S", "expire_time": "1 hour"}
    assert resolved(network.api, world.admin.post("/device/token", sent) and "S")
    clock.advance(3_601)
    assert resolved(network.api, "S") == NOT_FOUND
    network.device("T")
    gone = network.device("U")[0]
    world.admin.delete(f"/device/{gone}")
    assert resolved(network.api, "U") == NOT_FOUND != resolved(network.api, "T")


def test_without_an_authorization_only_the_own_profile_is_searched(world, network):
    other = World()
    network.device("S", other)
    assert resolved(network.api, "S") == NOT_FOUND
    own = network.device("S")[1]
    assert resolved(network.api, "S") == own


def test_with_an_authorization_its_profile_is_searched_for_devices_of_this_network(world, network):
    other, third = World(), World()
    text = authorization(other)
    assert resolved(network.api, "S", text) == NOT_FOUND
    network.device("S")
    elsewhere = Network(other)
    elsewhere.device("S")
    network.device("S", third)
    assert resolved(network.api, "S", text) == NOT_FOUND
    theirs = network.device("S", other)[1]
    assert resolved(network.api, "S", text) == theirs
    assert resolved(elsewhere.api, "S") != theirs
    assert resolved(network.api, "S", authorization(world)) not in (theirs, NOT_FOUND)


def test_what_is_no_authorization_is_denied(clock, world, network):
    network.device("S")
    dead = authorization(world)
    world.admin.delete(f"/serviceauth/{dead}")
    expiring = world.admin.post("/serviceauth", {"name": "a", "expire_time": "1 hour"}).result["token"]
    assert resolved(network.api, "S", expiring).count("-") == 4
    clock.advance(3_601)
    for wrong in (
        UNKNOWN,
        "x",
        dead,
        expiring,
        world.profile_token,
        world.token,
        network.token,
        authorization(world, "write"),
    ):
        assert resolved(network.api, "S", wrong) == (401, "Authorization Denied"), wrong


def test_authorization_is_no_token_of_the_caller(world, network):
    network.device("S")
    text = authorization(world)
    for path in ("/integration/network/resolve/S", f"/integration/network/resolve/S/{text}"):
        for token in (None, text, world.token, world.profile_token):
            assert Api(token).get(path, query={"authorization_token": text, "token": network.token}).status == 401


def test_use_of_an_authorization_is_noted(clock, world, network):
    device = network.device("S")[0]
    first, second = (authorization(world) for _ in range(2))
    query = {"fields": "token,last_authorization"}

    def noted():
        (row,) = world.admin.get(f"/device/token/{device}", query={"fields": "serie_number,last_authorization"}).result
        return row["last_authorization"]

    resolved(network.api, "S")
    assert noted() is None
    for text in (first, second, first):
        resolved(network.api, "S", text)
        assert noted() == text  # as TagoIO's clients need it for a downlink
    used = {row["token"]: row["last_authorization"] for row in world.admin.get("/serviceauth", query=query).result}
    assert used[first] and used[second]


def test_authorization_is_shown_only_to_those_whom_it_gives_no_more(world, network):
    device = network.device("S")[0]
    resolved(network.api, "S", authorization(world))
    sent = {"name": "t", "permission": "read"}
    reader = Api(tokens.create(kind="profile", profile=world.profile, sent=sent)["token"])
    (row,) = reader.get(f"/device/token/{device}", query={"fields": "last_authorization"}).result
    assert row["last_authorization"] is None


def test_network_with_the_privilege_creates_devices(world):
    network = Network(world, creates=True, serial_number={"mask": "FF-FF", "case": "upper"},
                      device_parameters=[{"name": "interval", "default": 5}])  # fmt: skip
    sent = {
        "name": "Made", "type": "immutable", "chunk_period": "day", "chunk_retention": 2, "connector": network.connector,
        "serie_number": "aa-01", "tags": [{"key": "k", "value": "v"}], "active": True, "visible": False,
        "payload_decoder": "bm90IG1pbmU=", "description": "ignored", "network": "0" * 24, "profile": "0" * 24,
    }  # fmt: skip
    made = network.api.post("/integration/network/device", sent).result
    assert made.keys() == {"device_id", "token"}
    found = world.admin.get(f"/device/{made['device_id']}").result
    assert (found["network"], found["connector"], found["profile"]) == (network.id, network.connector, world.profile)
    assert (found["type"], found["visible"], found["payload_decoder"]) == ("immutable", False, None)
    assert found["description"] is None and found["tags"] == sent["tags"]
    assert resolved(network.api, "AA01") == made["token"]
    (param,) = world.admin.get(f"/device/{made['device_id']}/params").result
    assert (param["key"], param["value"], param["sent"]) == ("interval", "5", False)
    again = network.api.post("/integration/network/device", sent)
    assert again.status == 400 and [*again.body["field_errors"]] == ["serie_number"]


def test_device_of_a_network_has_its_permission_and_counts_in_its_plan(world):
    network = Network(world, creates=True, permission="write")
    limits.change(world.profile, plan="free")
    for number in range(4):
        made = network.api.post("/integration/network/device", {"name": f"D {number}", "connector": network.connector})
        assert Api(made.result["token"]).post("/data", point("a")).status == 200
        assert Api(made.result["token"]).get("/data").status == 401
    full = network.api.post("/integration/network/device", {"name": "One more", "connector": network.connector})
    assert full.status == 402 and "Device (5)" in full.message


def test_network_without_the_privilege_creates_nothing(world, network):
    sent = {"name": "Made", "connector": network.connector}
    assert network.api.post("/integration/network/device", sent).status == 401
    for token in (network.new_token("read", creates=True), world.profile_token, world.token, authorization(world)):
        assert Api(token).post("/integration/network/device", sent).status == 401
    assert [row["id"] for row in world.admin.get("/device").result] == [world.device]
    made = Api(network.new_token("write", creates=True)).post("/integration/network/device", {"name": "Made"})
    assert made.status == 400 and [*made.body["field_errors"]] == ["connector"]


def test_network_sets_parameters_of_its_devices(world, network):
    device = network.device()[0]
    path = f"/integration/network/{device}/params"
    done = "Device Configuration Parameter Updated"
    assert network.api.post(path, {"key": "a", "value": "1", "sent": True}).result == done
    (param,) = world.admin.get(f"/device/{device}/params").result
    assert network.api.post(path, [{"id": param["id"], "value": "2"}, {"key": "b", "value": 3}]).result == done
    found = [(one["key"], one["value"]) for one in world.admin.get(f"/device/{device}/params").result]
    assert found == [("a", "2"), ("b", "3")]
    assert network.api.post(path, {"value": "x"}).status == 400
    assert network.api.post(path, {"id": "0" * 24, "value": "x"}).status == 404
    assert Api(network.new_token("read")).post(path, {"key": "c", "value": "x"}).status == 401


def test_devices_of_others_do_not_exist_for_a_network(world, network):
    theirs = network.device(world=World())[0]
    for other in (theirs, world.device, Network(world).device()[0], "0" * 24, network.id, network.connector):
        for path, sent in (
            (f"/integration/network/{other}/params", {"key": "a", "value": "1"}),
            ("/integration/network/publish", {"device": other, "topic": "t", "message": "m"}),
        ):
            answer = network.api.post(path, sent)
            assert (answer.status, answer.message) == (404, "Device not found"), path


def test_list_shows_the_devices_of_a_connector_with_their_tokens(clock, world):
    network = Network(world, require_devices_access=True)
    made = {name: network.device(f"S-{name}", name=name) for name in ("Beta", "Alpha")}
    network.device(name="Another connector", connector="1" * 24)
    network.device(world=World())
    path = f"/integration/network/{network.connector}/devices"
    rows = network.api.get(path).result
    assert [(row["name"], row["id"], row["token"]) for row in rows] == [
        (name, *made[name]) for name in ("Alpha", "Beta")
    ]
    assert rows[0].keys() >= {"profile", "bucket", "visible", "active", "last_input", "tags", "created_at", "network"}
    query = {"filter[name]": "B*", "orderBy": "created_at,desc", "page": 1, "amount": 1}
    assert [row["name"] for row in network.api.get(path, query=query).result] == ["Beta"]
    assert [row["name"] for row in network.api.get(path, query={"filter[serial]": "S-Beta"}).result] == ["Beta"]
    assert network.api.get(path, query={"filter[name]": "none"}).result == []
    assert [row["token"] for row in Api(network.new_token("read")).get(path).result] == [None, None]
    other = network.api.get(f"/integration/network/{'1' * 24}/devices").result
    assert [row["name"] for row in other] == ["Another connector"]
    missing = network.api.get(f"/integration/network/{'2' * 24}/devices")
    assert (missing.status, missing.message) == (404, "Connector not found")
    empty = world.admin.post("/integration/connector", {"name": "Empty", "networks": [network.id]}).result["connector"]
    assert network.api.get(f"/integration/network/{empty}/devices").result == []


def test_list_shows_the_newest_token_that_works(clock, world):
    network = Network(world, require_devices_access=True)
    device = network.device()[0]
    clock.advance(1)
    shown = world.admin.post("/device/token", {"device": device, "name": "n", "permission": "read"}).result["token"]
    clock.advance(1)
    world.admin.post("/device/token", {"device": device, "name": "n", "permission": "full", "expire_time": "1 second"})
    clock.advance(2)
    (row,) = network.api.get(f"/integration/network/{network.connector}/devices").result
    assert row["token"] == shown


def test_list_needs_the_consent_of_the_network(world, network):
    refused = network.api.get(f"/integration/network/{network.connector}/devices")
    assert refused.status == 400 and [*refused.body["field_errors"]] == ["require_devices_access"]


def test_changes_to_devices_are_in_the_audit_log_of_the_profile(clock, world):
    network = Network(world, creates=True)
    made = network.api.post("/integration/network/device", {"name": "Made", "connector": network.connector}).result
    clock.advance(1)
    network.api.post(f"/integration/network/{made['device_id']}/params", {"key": "a", "value": "1"})
    found = world.admin.get(f"/profile/{world.profile}/auditlog", query={"resourceName": "device"}).result["events"]
    assert [(event["message"], event["resourceID"], event["who"]) for event in found] == [
        ("Change and add parameters of a device of the network", made["device_id"], "t (network token)"),
        ("Create a device of the network", made["device_id"], "t (network token)"),
    ]
