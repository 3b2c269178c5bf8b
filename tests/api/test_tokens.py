"""A token can give only what it has: new tokens, new devices, and the texts that lists show. On both stores."""

import pytest

from chalicelib.services.access import tokens
from tests.kit.api import Api
from tests.kit.world import World, point

PERMISSIONS = ("read", "write", "full")


@pytest.fixture
def callers(world):
    """A caller with a profile token, by permission."""
    made = {
        permission: tokens.create(kind="profile", profile=world.profile, sent={"name": "t", "permission": permission})[
            "token"
        ]
        for permission in PERMISSIONS
    }
    return {permission: Api(text) for permission, text in made.items()}


def may(text):
    """Return what a device token may do, by trying it."""
    reads = Api(text).get("/data").status == 200
    writes = Api(text).post("/data", point("a")).status == 200
    return {(True, True): "full", (True, False): "read", (False, True): "write"}.get((reads, writes))


@pytest.mark.parametrize("wanted", PERMISSIONS)
@pytest.mark.parametrize("giver", ["write", "full"])
def test_new_token_has_no_more_than_the_one_that_asks(world, callers, giver, wanted):
    sent = {"device": world.device, "name": "n", "permission": wanted}
    before = world.admin.get(f"/device/token/{world.device}").result
    answer = callers[giver].post("/device/token", sent)
    if giver in ("full", wanted):
        assert may(answer.result["token"]) == wanted
    else:
        assert answer.status == 400 and answer.body["field_errors"].keys() == {"permission"}
        assert "write" in answer.message and "full" in answer.message
        assert world.admin.get(f"/device/token/{world.device}").result == before


@pytest.mark.parametrize("giver", ["write", "full"])
def test_new_device_gets_a_token_of_the_permission_of_the_one_that_asks(world, callers, giver):
    made = callers[giver].post("/device", {"name": "Made"}).result
    assert may(made["token"]) == giver
    (listed,) = world.admin.get(f"/device/token/{made['device_id']}").result
    assert listed == {"name": "Default", "token": made["token"], "permission": giver}


def test_read_token_makes_nothing(world, callers):
    sent = {"device": world.device, "name": "n", "permission": "read"}
    assert callers["read"].post("/device/token", sent).status == 401
    assert callers["read"].post("/device", {"name": "Made"}).status == 401


def test_list_shows_a_reader_only_the_texts_that_give_it_no_more(world, callers):
    for permission in PERMISSIONS:
        sent = {"device": world.device, "name": permission, "permission": permission}
        world.admin.post("/device/token", sent)
    path = f"/device/token/{world.device}"
    everything = {one["name"]: one["token"] for one in world.admin.get(path).result}
    assert all(everything.values()) and len(everything) == 4
    shown = {one["name"]: one["token"] for one in callers["read"].get(path).result}
    assert shown == {"read": everything["read"], "write": None, "full": None, "Default": None}
    assert callers["write"].get(path).status == 401
    for hidden in ("write", "full"):
        guess = everything[hidden][:5] + "*"
        assert callers["read"].get(path, query={"filter[token]": guess}).result == []
        assert [one["name"] for one in world.admin.get(path, query={"filter[token]": guess}).result] == [hidden]
    for order in ("token,asc", "token,desc", "name,asc"):
        assert len(callers["read"].get(path, query={"orderBy": order, "fields": "token"}).result) == 4


def test_text_of_a_full_token_is_nowhere_in_what_a_reader_reads(world, callers):
    other = World()
    for path in (f"/device/{world.device}", "/device", f"/device/token/{world.device}", "/info", "/action"):
        for text in (world.token, world.profile_token, other.token):
            assert text not in callers["read"].get(path).text
