"""Tokens of networks: who makes, sees and ends them, and what they describe. On both stores."""

import re

import pytest

from chalicelib.codec import times
from chalicelib.services.access import made, tokens
from chalicelib.services.accounts import profile_erasures
from chalicelib.store import names
from tests.kit.api import Api
from tests.kit.clock import NOW_MS
from tests.kit.networks import Network
from tests.kit.people import Person, share, world_of
from tests.kit.world import World


@pytest.fixture
def network(world):
    return Network(world)


def test_new_token_says_what_it_is_and_may(world, network):
    sent = {"network": network.id, "name": "Relay", "permission": "write", "privileges": {"createDevice": True}}
    answer = world.admin.post("/integration/network/token", sent).result
    assert re.fullmatch(r"n-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["token"])
    assert (answer["name"], answer["network"], answer["permission"]) == ("Relay", network.id, "write")
    assert (answer["privileges"], answer["expire_time"]) == ({"createDevice": True}, "never")
    bare = {"network": network.id, "name": "Plain"}
    answer = world.admin.post("/integration/network/token", bare).result
    assert (answer["permission"], answer["privileges"]) == ("full", {"createDevice": False})


def test_the_misspelt_privileges_of_clients_count_too(world, network):
    asked, yes, no = {"network": network.id, "name": "n"}, {"createDevice": True}, {"createDevice": False}
    for sent, wanted in (
        ({"previlegies": yes}, yes), ({"previlegies": yes, "privileges": no}, no), ({"previlegies": no, "privileges": yes}, yes),
        ({"previlegies": yes, "privileges": None}, yes), ({"previlegies": None}, no),
    ):  # fmt: skip
        answer = world.admin.post("/integration/network/token", asked | sent).result
        assert answer["privileges"] == wanted, sent
    made = Api(answer["token"]).post("/integration/network/device", {"name": "Made", "connector": network.connector})
    assert made.status == 401
    refused = world.admin.post("/integration/network/token", asked | {"previlegies": "all"})
    assert refused.status == 400 and [*refused.body["field_errors"]] == ["previlegies"]


def test_list_is_newest_first_with_three_fields(clock, world, network):
    for name in ("Second", "Third"):
        clock.advance(1)
        network.new_token("read", name=name)
    path = f"/integration/network/token/{network.id}"
    listed = world.admin.get(path).result
    assert [row["name"] for row in listed] == ["Third", "Second", "t"]
    assert {row.keys() == {"name", "token", "permission"} for row in listed} == {True}
    assert listed[2]["token"] == network.token
    (row,) = world.admin.get(path, query={"filter[name]": "Sec*", "fields": "network_id,device_id,created_at"}).result
    assert row["network_id"] == network.id and row["device_id"] is None


def test_info_describes_the_network(network):
    assert network.api.get("/info").result == {"id": network.id, "name": "Network"}
    for details in ("true", "1", "x"):
        whole = network.api.get("/info", query={"details": details}).result
        assert whole["profile"] == network.world.profile and whole["require_devices_access"] is False
    assert network.api.get("/info", query={"details": "false"}).result.keys() == {"id", "name"}
    bare = network.token.removeprefix("n-")
    for header in ("Network-Token", "Authorization", "token"):
        assert Api().get("/info", headers={header: bare}).result["id"] == network.id


def test_a_token_gives_no_more_than_it_has(world, network):
    sent = {"name": "t", "permission": "write"}
    writer = Api(tokens.create(kind="profile", profile=world.profile, sent=sent)["token"])
    asked = {"network": network.id, "name": "n"}
    refused = writer.post("/integration/network/token", asked | {"permission": "full"})
    assert refused.status == 400 and refused.body["field_errors"].keys() == {"permission"}
    assert writer.post("/integration/network/token", asked).result["permission"] == "write"
    network.new_token("read")
    sent = {"name": "t", "permission": "read"}
    reader = Api(tokens.create(kind="profile", profile=world.profile, sent=sent)["token"])
    texts = {row["permission"]: row["token"] for row in reader.get(f"/integration/network/token/{network.id}").result}
    assert (texts["full"], texts["write"], texts["read"][:2]) == (None, None, "n-")


def test_only_own_networks_have_tokens(world, network):
    catalogue = "00000000000000000000a001"
    for owner, wanted in ((World(), network.id), (world, catalogue), (world, "0" * 24), (world, "x")):
        answer = owner.admin.post("/integration/network/token", {"network": wanted, "name": "n"})
        assert (answer.status, answer.message) == (404, "Network not found")
        assert owner.admin.get(f"/integration/network/token/{wanted}").status == 404


def test_bad_bodies_name_the_field(world, network):
    good = {"network": network.id, "name": "n"}
    for field, value in (
        ("network", None), ("name", ""), ("permission", "all"), ("expire_time", "soon"), ("privileges", "all"),
        ("privileges", {"createDevice": "yes"}),
    ):  # fmt: skip
        answer = world.admin.post("/integration/network/token", good | {field: value})
        assert answer.status == 400 and [*answer.body["field_errors"]] == [field], answer.text


def test_deleted_token_is_refused_and_every_kind_is_deleted_at_its_own_place(world, network):
    for wrong in (world.token, world.profile_token, "x", "n-00000000-0000-4000-8000-000000000000"):
        assert world.admin.delete(f"/integration/network/token/{wrong}").status == 404
    assert world.admin.delete(f"/device/token/{network.token}").status == 404
    assert World().admin.delete(f"/integration/network/token/{network.token}").status == 404
    assert world.admin.delete(f"/integration/network/token/{network.token}").result == "Token Successfully Removed"
    assert network.api.get("/info").status == 401
    assert world.admin.get(f"/integration/network/token/{network.id}").result == []


def test_tokens_end_with_their_network(each_store, world, network):
    other = network.new_token("read")
    assert world.admin.delete(f"/integration/network/{network.id}").result == "Successfully Removed"
    assert network.api.get("/info").status == 401 == Api(other).get("/info").status
    assert each_store.list(names.network(network.id), "") == []


def test_a_token_whose_network_is_gone_is_refused(world, network):
    """A token that was made while the network was being deleted."""
    sent = {"name": "t", "permission": "full"}
    late = tokens.create(kind="network", profile=world.profile, subject=network.id, sent=sent)["token"]
    assert Api(late).get("/info").status == 200
    world.admin.delete(f"/integration/network/{network.id}")
    later = tokens.create(kind="network", profile=world.profile, subject=network.id, sent=sent)["token"]
    assert Api(later).get("/info").status == 401


def test_tokens_end_with_their_profile(each_store, clock, network):
    profile_erasures.begin(profile=network.world.profile)
    assert network.api.get("/info").status == 401
    clock.advance(3_600)
    assert profile_erasures.resume() >= 0
    assert each_store.list(names.network(network.id), "") == []
    assert each_store.get(names.token(tokens.tokens.fingerprint(network.token[2:])), names.TOKEN) is None


def test_tokens_that_a_member_made_end_with_it(each_store):
    owner, guest = Person("a@x.org"), Person("b@x.org")
    world = world_of(owner)
    network = Network(world)
    share(world.profile, guest)
    mine = guest.api(world.profile).post("/integration/network/token", {"network": network.id, "name": "n"}).result
    assert Api(mine["token"]).get("/info").status == 200
    made.delete_made(profile=world.profile, account=guest.account)
    assert Api(mine["token"]).get("/info").status == 401 and network.api.get("/info").status == 200


def test_expired_token_is_refused(clock, network):
    token = network.new_token(expire_time="1 hour")
    assert Api(token).get("/info").status == 200
    clock.advance(3_601)
    assert Api(token).get("/info").status == 401


def test_use_is_noted_to_the_hour(clock, world, network):
    network.api.get("/info")
    query = {"fields": "last_authorization"}
    (row,) = world.admin.get(f"/integration/network/token/{network.id}", query=query).result
    assert row["last_authorization"] == times.to_iso(NOW_MS)


def test_changes_are_in_the_audit_log(clock, world, network):
    world.admin.delete(f"/integration/network/token/{network.token}")
    clock.advance(1)
    found = world.admin.get(f"/profile/{world.profile}/auditlog", query={"resourceName": "network"}).result["events"]
    assert {(event["message"], event["resourceID"]) for event in found} == {
        ("Create a network", network.id),
        ("Create a token of a network", network.id),
        ("Delete a token of a network", network.id),
    }
    assert network.token not in str(found)
