"""/serviceauth: tokens with which a network acts for a profile, over both stores."""

import re

import pytest

from chalicelib.services.usage import limits
from tests.kit.api import Api
from tests.kit.people import Person, share


@pytest.fixture
def person(each_store):
    return Person()


def test_its_life(person):
    sent = {"name": "Net", "verification_code": "code", "additional_parameters": {"a": [1]}}
    made = person.admin.post("/serviceauth", sent).result
    assert re.fullmatch("at[0-9a-f]{32}", made["token"])
    assert (made["name"], made["profile"], made["additional_parameters"]) == ("Net", person.profile, {"a": [1]})
    assert made["expire_time"] == "never" and made["permission"] == "full"
    assert person.admin.get("/serviceauth").result == [{"name": "Net", "token": made["token"]}]
    path = f"/serviceauth/{made['token']}"
    assert person.admin.put(path, {"verification_code": "new"}).result == "Authorization Code Successfully Updated"
    fields = {"fields": ["verification_code", "additional_parameters", "type"]}
    assert person.admin.get("/serviceauth", query=fields).result == [
        {"verification_code": "new", "additional_parameters": {"a": [1]}, "type": "service"}
    ]
    shown = Api(made["token"]).get("/info").result
    assert shown["name"] == "Net" and shown["type"] == "service" and shown["verification_code"] == "new"
    assert shown["ref_id"] == person.profile and "token" not in shown
    assert [one["name"] for one in person.admin.get("/profile/current/token").result] == ["Default"]
    assert person.admin.delete(path).result == "Token Successfully Removed"
    assert Api(made["token"]).get("/info").status == 401 and person.admin.delete(path).status == 404


def test_it_opens_nothing_but_info(person):
    text = person.admin.post("/serviceauth", {"name": "Net"}).result["token"]
    for path in ("/device", "/profile", "/account", "/data", "/serviceauth"):
        assert Api(text).get(path).status == 401


def test_it_gives_no_more_than_the_token_that_asks_and_shows_no_more(person):
    writer = person.api(permission="write")
    assert writer.post("/serviceauth", {"name": "n", "permission": "full"}).status == 400
    assert writer.post("/serviceauth", {"name": "n"}).result["permission"] == "write"
    strong = person.admin.post("/serviceauth", {"name": "strong", "verification_code": "c"}).result["token"]
    query = {"fields": ["token", "name", "verification_code"], "filter[name]": "strong"}
    assert person.api(permission="read").get("/serviceauth", query=query).result == [
        {"token": None, "name": "strong", "verification_code": None}
    ]
    assert person.admin.get("/serviceauth", query=query).result[0]["token"] == strong


def test_the_owner_sees_those_of_members_and_a_member_only_its_own(person):
    guest = Person("b@x.org")
    share(person.profile, guest)
    inside = guest.api(person.profile)
    theirs = inside.post("/serviceauth", {"name": "theirs"}).result["token"]
    mine = person.admin.post("/serviceauth", {"name": "mine"}).result["token"]
    assert {one["name"]: one["token"] for one in person.admin.get("/serviceauth").result} == {
        "mine": mine, "theirs": theirs,
    }  # fmt: skip
    assert {one["name"]: one["token"] for one in inside.get("/serviceauth").result} == {"mine": None, "theirs": theirs}
    person.admin.delete(f"/profile/{person.profile}/team/{guest.account}")
    assert Api(theirs).get("/info").status == 401


def test_another_profiles_service_does_not_exist(person):
    text = person.admin.post("/serviceauth", {"name": "n"}).result["token"]
    other = Person("b@x.org")
    assert other.admin.get("/serviceauth").result == []
    assert other.admin.put(f"/serviceauth/{text}", {"verification_code": "x"}).status == 404
    assert other.admin.delete(f"/serviceauth/{text}").status == 404
    for wrong in (person.admin.token, "x", "at" + "0" * 32):
        assert person.admin.delete(f"/serviceauth/{wrong}").status == 404


def test_bad_bodies_and_the_plan(person):
    for sent in (
        {},
        {"name": ""},
        {"name": "n", "permission": "all"},
        {"name": "n", "additional_parameters": "x" * 10_001},
    ):
        assert person.admin.post("/serviceauth", sent).status == 400
    limits.change(person.profile, plan="free")
    for number in range(10):
        person.admin.post("/serviceauth", {"name": str(number)})
    refused = person.admin.post("/serviceauth", {"name": "n"})
    assert refused.status == 402 and "Service authorization (10)" in refused.message
