"""/profile: the profiles of an account, over both stores."""

import pytest

from chalicelib import store
from chalicelib.services.access import callers, tokens
from chalicelib.services.accounts import accounts, profiles
from chalicelib.services.usage import limits, plans
from tests.kit.accounts import PASSWORD
from tests.kit.api import ROUTER, Api
from tests.kit.people import Person, share, world_of
from tests.kit.world import World, point


@pytest.fixture
def person(each_store):
    return Person()


def test_list_has_own_profiles_first_the_oldest_first_and_shared_ones_last(clock, person):
    other = Person("b@x.org")
    clock.advance(1)
    second = person.admin.post("/profile/", {"name": "Second", "logo_url": "https://x.org/l.png"}).result["id"]
    share(other.profile, person)
    listed = person.admin.get("/profile").result
    assert [one["id"] for one in listed] == [person.profile, second, other.profile]
    assert listed[1] == {"id": second, "name": "Second", "logo_url": "https://x.org/l.png", "account": person.account}
    assert listed[2]["from_share"] is True and listed[2]["account"] == other.account
    assert [one["id"] for one in other.admin.get("/profile").result] == [other.profile]


@pytest.mark.parametrize("path", ["/profile", "/profile/"])
def test_paths_with_and_without_a_slash_at_the_end_are_one(path):
    assert ROUTER.find(path) == ("/profile", {})


def test_a_new_profile_has_no_token_and_the_plan_of_the_account(person):
    limits.change(person.profile, plan="starter")
    made = person.admin.post("/profile", {"name": "Second"}, query={"allocate_free_resources": "True"}).result["id"]
    shown = person.admin.get(f"/profile/{made}").result
    assert (
        shown["account_plan"] == "starter" and shown["allocation"]["input"] == plans.load()["starter"].quotas["input"]
    )
    assert person.admin.get(f"/profile/{made}/token").result == []
    refused = person.admin.post("/profile", {"name": "Third"})
    assert refused.status == 402 and "maximum limit of Profile (2)" in refused.message


def test_a_member_cannot_take_over_the_plan_of_the_owner(person):
    limits.change(person.profile, plan="scale")
    other = Person("b@x.org", plan="starter")
    share(person.profile, other)
    made = other.api(person.profile).post("/profile", {"name": "Mine"}).result["id"]
    assert profiles.get_or_raise(made)["account"] == other.account and limits.of(made).plan == "starter"


def test_info_is_complete_and_current_is_the_callers(person):
    shown = person.admin.get("/profile/current").result
    assert shown == person.admin.get(f"/profile/{person.profile}").result
    assert shown["info"].keys() == {
        "id", "account", "name", "logo_url", "banner_url", "region", "rpm", "created_at", "updated_at",
        "usage_webhook",
    }  # fmt: skip
    assert shown["info"]["id"] == person.profile and shown["info"]["account"] == person.account
    assert len(shown["allocation"]) == 9 and set(shown["allocation"].values()) == {9007199254740991}
    assert shown["account_plan"] == "unlimited" and shown["addons"]["mobile"] is False


def test_edit_changes_what_is_sent_and_rpm_goes_to_the_limits(clock, person):
    path = f"/profile/{person.profile}"
    assert person.admin.put(path, {"name": "New", "rpm": {"data_input": 5, "data_output": None}}).result == (
        "Successfully Updated"
    )
    shown = person.admin.get(path).result["info"]
    assert shown["name"] == "New" and shown["rpm"] == {"data_input": 5}
    assert dict(limits.of(person.profile, is_fresh=True).rpm) == {"data_input": 5}
    person.admin.put(path, {"banner_url": "b", "unknown": 1})
    assert person.admin.get(path).result["info"]["rpm"] == {"data_input": 5}
    person.admin.put(path, {"rpm": None})
    assert person.admin.get(path).result["info"]["rpm"] is None
    assert person.admin.put(path, {"rpm": {"data_input": 0}}).status == 400
    assert person.admin.put(path, {"name": ""}).status == 400


def test_a_full_token_manages_all_profiles_of_its_account_and_others_only_their_own(person):
    second = person.admin.post("/profile", {"name": "Second"}).result["id"]
    assert person.api().get(f"/profile/{second}").status == 200
    for permission in ("read", "write"):
        weak = person.api(permission=permission)
        assert weak.get(f"/profile/{second}").status == (404 if permission == "read" else 401)
        assert weak.put(f"/profile/{second}", {"name": "x"}).status == (401 if permission == "read" else 404)
    assert person.api(permission="write").put("/profile/current", {"name": "By a writer"}).status == 200


def test_another_accounts_profile_does_not_exist(person):
    other = Person("b@x.org")
    for method, path in (("GET", ""), ("PUT", ""), ("GET", "/token"), ("GET", "/addons")):
        answer = other.api()(
            method, f"/profile/{person.profile}{path}", json_body={"name": "x"} if method == "PUT" else None
        )
        assert (answer.status, answer.message) == (404, "Profile not found")
    body = {"password": PASSWORD}
    assert other.api().delete(f"/profile/{person.profile}", json_body=body).status == 404
    assert person.admin.get("/profile/current").status == 200


def test_a_member_may_read_but_not_edit_or_delete(person):
    other = Person("b@x.org")
    share(person.profile, other)
    for api in (other.api(), other.api(person.profile)):
        path = f"/profile/{person.profile}"
        assert api.get(path).status == 200
        assert api.put(path, {"name": "x"}).status == 401
        assert api.delete(path, json_body={"password": PASSWORD}).status == 401
        assert api.post(f"{path}/services", {"input": 1}).status == 401
        allocation = [{"profile": person.profile, "input": plans.UNLIMITED}]
        assert api.post("/account/allocation", allocation).status == 401
        assert [one["profile"] for one in api.get("/account/allocation").result] == [other.profile]


def test_a_token_of_a_world_without_accounts_manages_its_own_profile(world):
    assert [one["id"] for one in world.admin.get("/profile").result] == [world.profile]
    assert world.admin.put("/profile/current", {"name": "New"}).status == 200
    assert world.admin.post("/profile", {"name": "Second"}).status == 404
    assert World().admin.get(f"/profile/{world.profile}").status == 404


# Tokens


def test_a_token_needs_the_password_of_the_owner_or_of_a_member(person):
    other, path = Person("b@x.org"), f"/profile/{person.profile}/token"
    wanted = {"name": "t", "permission": "read", "expire_time": "1 day"}
    for wrong in (other.sign_in(), person.sign_in(password="x"), person.sign_in(email="c@x.org")):
        assert person.admin.post(path, wanted | wrong).status == 401
    made = person.admin.post(path, wanted | person.sign_in()).result
    assert made.keys() == {"token", "permission", "expire_time", "expire_date"} and made["token"].startswith("p-")
    assert accounts.acting_for(callers.resolve(text=made["token"])) == person.account
    share(person.profile, other)
    theirs = person.admin.post(path, wanted | other.sign_in(permission="full")).result["token"]
    assert callers.resolve(text=theirs).account == other.account
    assert Api(theirs).get("/profile/current").result["info"]["id"] == person.profile


def test_texts_are_listed_to_who_made_them_and_only_with_permissions_of_the_caller(person):
    other = Person("b@x.org")
    share(person.profile, other)
    mine, theirs = person.token(permission="read", name="mine"), other.token(person.profile, "read", "theirs")
    path = f"/profile/{person.profile}/token"

    def seen(api):
        return {
            one["name"]: one["token"] for one in api.get(path).result if one["name"] in ("mine", "theirs", "Default")
        }

    default = person.admin.token
    assert seen(person.admin) == {"Default": default, "mine": mine, "theirs": None}
    assert seen(Api(mine)) == {"Default": None, "mine": mine, "theirs": None}
    assert seen(Api(theirs)) == {"Default": None, "mine": None, "theirs": theirs}
    fields = {"fields": ["name", "created_by", "type", "ref_id"], "orderBy": "created_at, asc"}
    rows = {row["name"]: row for row in person.admin.get(path, query=fields).result}
    assert rows["theirs"] == {
        "name": "theirs", "created_by": other.account, "type": "profile", "ref_id": person.profile,
    }  # fmt: skip
    assert person.admin.get(path, query={"filter[token]": theirs}).result == []


def test_texts_of_device_tokens_follow_the_same_rule(person):
    other, world = Person("b@x.org"), world_of(person)
    share(world.profile, other)
    member = other.api(world.profile)
    sent = {"device": world.device, "name": "theirs", "permission": "full"}
    theirs = member.post("/device/token", sent).result["token"]
    path = f"/device/token/{world.device}"
    assert {one["name"]: one["token"] for one in member.get(path).result} == {"Default": None, "theirs": theirs}
    assert {one["name"]: one["token"] for one in world.admin.get(path).result} == {
        "Default": world.token, "theirs": theirs,
    }  # fmt: skip


def test_a_deleted_token_is_refused_at_once(person):
    text = person.token()
    path = f"/profile/{person.profile}/token/{text}"
    assert person.admin.delete(path).result == "Token Successfully Removed"
    assert Api(text).get("/info").status == 401 and person.admin.delete(path).status == 404


def test_info_of_a_token_names_its_maker(person):
    shown = person.api().get("/info").result
    assert shown["created_by"] == person.account and shown["ref_id"] == person.profile
    assert person.admin.get("/info").result["created_by"] is None


# Switch


def test_switch_moves_only_the_calling_token_and_it_acts_for_the_same_account(person):
    second = person.admin.post("/profile", {"name": "Second"}).result["id"]
    moving, staying = person.token(), person.token()
    assert Api(moving).put(f"/profile/switch/{second}").result == "Successfully Updated"
    assert Api(moving).get("/profile/current").result["info"]["id"] == second
    assert Api(staying).get("/profile/current").result["info"]["id"] == person.profile
    assert [one["token"] for one in person.admin.get(f"/profile/{second}/token").result] == [moving]
    assert Api(moving).put(f"/profile/switch/{second}").status == 400
    assert Api(moving).put(f"/profile/switch/{person.profile}").status == 200
    assert person.admin.get(f"/profile/{second}/token").result == []


def test_switch_reaches_only_profiles_of_the_account(person):
    other = Person("b@x.org")
    assert person.api().put(f"/profile/switch/{other.profile}").status == 404
    assert person.api(permission="write").put(f"/profile/switch/{person.profile}").status == 401
    share(other.profile, person)
    assert person.admin.put(f"/profile/switch/{other.profile}").status == 200
    moved = callers.resolve(text=person.admin.token, is_fresh=True)
    assert (moved.profile, moved.account) == (other.profile, person.account)
    assert person.admin.put(f"/profile/{other.profile}", {"name": "x"}).status == 401  # still only a member


# What does not exist


def test_what_does_not_exist_is_said_clearly(person):
    path = f"/profile/{person.profile}"
    assert person.admin.get(f"{path}/addons").result == []
    for method, below in (
        ("POST", "addons"), ("DELETE", "mobile"), ("POST", "services"), ("PUT", "service"), ("POST", "service/test/smtp"),
    ):  # fmt: skip
        answer = person.admin(method, f"{path}/{below}", json_body={"input": 1})
        assert answer.status == 400 and "Decant" in answer.message


def test_allocation_is_what_the_plans_say(person):
    limits.change(person.profile, plan="free")
    (row,) = person.admin.get("/account/allocation").result
    quota = plans.load()["free"].quotas["input"]
    assert row["profile"] == person.profile and row["input"] == quota and row["sms"] == plans.UNLIMITED
    same = [{"profile": person.profile, "input": quota}]
    assert person.admin.post("/account/allocation", same).result == "Profile resource allocation Successfully Updated"
    refused = person.admin.post("/account/allocation", [{"profile": person.profile, "input": 5}])
    assert refused.status == 400 and "plan free" in refused.message
    assert person.admin.post("/account/allocation", [{"profile": Person("b@x.org").profile}]).status == 404
    assert person.admin.post("/account/allocation", {}).status == 400


# Usage


def test_summary_and_statistics_are_those_of_the_profile(person):
    world = world_of(person)
    world.send(point("a"), point("b"))
    path = f"/profile/{world.profile}"
    shown = person.admin.get(f"{path}/summary").result
    assert shown["amount"]["device"] == 1 and shown["limit"]["input"] == plans.UNLIMITED
    assert {"limit", "limit_used", "amount", "addons", "tago_run"} <= shown.keys()
    assert person.admin.get(f"{path}/summary?onlyAmount=true").result == {"amount": shown["amount"]}
    listed = person.admin.get(f"{path}/statistics", query={"date": "2026-09-21", "timezone": "UTC"}).result
    assert isinstance(listed, list)
    if store.current().is_exclusive:
        assert shown["limit_used"]["input"] == 2
        assert world.admin.get("/profile/current/statistics").result[0]["input"] == 2
    for below in ("summary", "statistics"):
        assert Person("b@x.org" if below == "summary" else "c@x.org").admin.get(f"{path}/{below}").status == 404
    assert person.admin.get(f"{path}/statistics?periodicity=year").status == 400


def test_webhook_for_alerts_is_set_shown_and_checked(each_store):
    owner = Person()
    assert owner.admin.get("/profile/current").result["info"]["usage_webhook"] is None
    assert owner.admin.put("/profile/current", {"usage_webhook": "https://x.org/alerts"}).status == 200
    assert owner.admin.get("/profile/current").result["info"]["usage_webhook"] == "https://x.org/alerts"
    for wrong in ("ftp://x.org", "https://user@x.org", "x"):
        answer = owner.admin.put("/profile/current", {"usage_webhook": wrong})
        assert answer.status == 400 and list(answer.body["field_errors"]) == ["usage_webhook"], wrong
    assert owner.admin.put("/profile/current", {"usage_webhook": None}).status == 200
    assert owner.admin.get("/profile/current").result["info"]["usage_webhook"] is None


def test_deleted_service_authorization_does_not_come_back(each_store, monkeypatch):
    owner = Person()
    token = owner.admin.post("/serviceauth", {"name": "n"}).result["token"]
    found = tokens.find_or_raise(profile=owner.profile, text=token, kind="service")
    owner.admin.delete(f"/serviceauth/{token}")
    monkeypatch.setattr(tokens, "find_or_raise", lambda **_: found)
    assert owner.admin.put(f"/serviceauth/{token}", {"verification_code": "c"}).status == 404
    assert owner.admin.get("/serviceauth").result == []
