"""The team of a profile: invitations, what a member may do, and how its membership ends. Over both stores."""

import contextlib
import hashlib

import pytest

from chalicelib import errors, store
from chalicelib.functions import housekeeping
from chalicelib.host import cache, mqtt
from chalicelib.services.access import admission, callers, passwords
from chalicelib.services.accounts import accounts, invitations, profile_erasures, profiles, teams
from chalicelib.services.devices import devices
from chalicelib.services.usage import limits
from chalicelib.store import names
from tests.kit.accounts import PASSWORD, Mails
from tests.kit.api import Api
from tests.kit.faults import Killed, killed_after
from tests.kit.people import Person, share, world_of
from tests.kit.policies import running
from tests.kit.world import SCHEDULED
from tests.services.test_erasures import rows

ANYBODY = Api()


@pytest.fixture
def owner(clock, each_store):
    return Person("owner@x.org")


@pytest.fixture
def guest(owner):
    return Person("Guest@x.org")


def invitation(owner, email="guest@X.org"):
    """Invite an address; return the text that the mail and the account's list hold."""
    assert owner.admin.post(f"/profile/{owner.profile}/team", {"email": email}).result == "User invited"
    (found,) = invitations.of_account({"email": email})
    return found["token"]


def join(owner, guest):
    ANYBODY.get(f"/profile/team/accept/{invitation(owner, guest.email)}")
    cache.clear_all()


def team(owner):
    return owner.admin.get(f"/profile/{owner.profile}/team").result


def test_an_invitation_makes_the_invited_account_a_member(owner, guest):
    text = invitation(owner)
    (waiting,) = team(owner)
    assert (waiting["email"], waiting["active"], waiting["name"]) == ("guest@X.org", False, "")
    assert waiting["id"] != guest.account  # nobody learns whether an address has an account
    assert guest.admin.get(f"/profile/{owner.profile}").status == 404
    assert ANYBODY.get(f"/profile/team/accept/{text}").result == "Invitation Successfully Accepted"
    (member,) = team(owner)
    assert member.keys() == {"id", "name", "email", "active", "created_at"}
    assert (member["id"], member["email"], member["active"]) == (guest.account, guest.email, True)
    assert [one.get("from_share") for one in guest.admin.get("/profile").result] == [None, True]
    made = guest.admin.post(f"/profile/{owner.profile}/token", guest.sign_in(name="t", permission="full")).result[
        "token"
    ]
    assert Api(made).get("/profile/current").result["info"]["id"] == owner.profile


def test_an_invitation_works_once(owner, guest):
    text = invitation(owner)
    ANYBODY.get(f"/profile/team/accept/{text}")
    for answer in (ANYBODY.get(f"/profile/team/accept/{text}"), ANYBODY.get(f"/profile/team/decline/{text}")):
        assert answer.status == 400 and "ask for another one" in answer.message
    owner.admin.delete(f"/profile/{owner.profile}/team/{guest.account}")
    assert ANYBODY.get(f"/profile/team/accept/{text}").status == 400 and team(owner) == []


def test_an_invitation_lasts_seven_days(clock, owner, guest):
    text = invitation(owner)
    clock.advance(7 * 86_400 - 1)
    assert invitations.get_or_raise(text)
    clock.advance(2)
    assert ANYBODY.get(f"/profile/team/accept/{text}").status == 400
    assert team(owner) == [] and invitations.of_account({"email": guest.email}) == []


def test_an_invitation_is_only_for_the_invited_account(owner, guest):
    other = Person("c@x.org")
    text = invitation(owner)
    assert other.api().get(f"/profile/team/accept/{text}").status == 200  # whoever asks
    assert [one["id"] for one in team(owner)] == [guest.account]
    assert invitations.of_account({"email": other.email}) == []


def test_who_has_no_account_is_invited_alike_and_can_accept_later(owner):
    text = invitation(owner, "new@x.org")
    assert ANYBODY.get(f"/profile/team/accept/{text}").status == 400
    late = Person("new@x.org")
    assert ANYBODY.get(f"/profile/team/accept/{text}").status == 200
    assert [one["id"] for one in team(owner)] == [late.account]


def test_an_unconfirmed_account_cannot_accept(owner):
    accounts.create(name="n", email="n@x.org", password_hash=passwords.hashed("x"), is_active=False)
    assert ANYBODY.get(f"/profile/team/accept/{invitation(owner, 'n@x.org')}").status == 400


def test_the_text_is_stored_only_as_a_hash(owner, guest):
    text = invitation(owner)
    stored = rows(store.current())
    assert text not in stored and hashlib.sha256(text.encode()).hexdigest() in stored


def test_declined_and_withdrawn_invitations_are_gone(clock, owner, guest):
    declined = invitation(owner)
    assert ANYBODY.get(f"/profile/team/decline/{declined}").result == "Invitation Successfully Declined"
    assert ANYBODY.get(f"/profile/team/accept/{declined}").status == 400
    withdrawn = invitation(owner)
    path = f"/profile/{owner.profile}/team"
    assert owner.admin.delete(f"{path}/{team(owner)[0]['id']}").result == "Account Successfully Removed"
    assert ANYBODY.get(f"/profile/team/accept/{withdrawn}").status == 400 and team(owner) == []


def test_another_invitation_of_an_address_replaces_the_first_one_after_a_minute(clock, owner, guest):
    first = invitation(owner)
    assert invitation(owner) == first
    clock.advance(61)
    second = invitation(owner)
    assert second != first and ANYBODY.get(f"/profile/team/accept/{first}").status == 400
    assert ANYBODY.get(f"/profile/team/accept/{second}").status == 200


@pytest.mark.parametrize("email", ["OWNER@x.org ", "no address", "two@at@x.org", ""])
def test_wrong_addresses_are_refused(owner, email):
    assert owner.admin.post(f"/profile/{owner.profile}/team", {"email": email}).status == 400


def test_the_plan_limits_the_team(owner, guest):
    limits.change(owner.profile, plan="starter")
    text = invitation(owner)
    for _ in range(2):
        refused = owner.admin.post(f"/profile/{owner.profile}/team", {"email": "c@x.org"})
        assert refused.status == 402 and "maximum limit of Team member (1)" in refused.message
        with contextlib.suppress(errors.BadRequest):
            invitations.accept(text)
    limits.change(owner.profile, plan="free")
    assert owner.admin.post(f"/profile/{owner.profile}/team", {"email": "d@x.org"}).status == 402


def test_what_a_member_may_not_do(owner, guest):
    join(owner, guest)
    third = Person("third@x.org")
    join(owner, third)
    path = f"/profile/{owner.profile}"
    for api in (guest.admin, guest.api(owner.profile)):
        for answer in (
            api.get(f"{path}/team"), api.post(f"{path}/team", {"email": "d@x.org"}),
            api.delete(f"{path}/team/{third.account}"), api.delete(f"{path}/team/{owner.account}"),
            api.put(path, {"name": "x"}), api.delete(path, json_body={"password": PASSWORD}),
        ):  # fmt: skip
            assert answer.status == 401
    assert len(team(owner)) == 2
    inside = guest.api(owner.profile)
    assert inside.post("/device", {"name": "By a member"}).status == 200
    texts = [one["token"] for one in inside.get(f"{path}/token").result]
    assert inside.token in texts and owner.admin.token not in texts and texts.count(None) == 1


def test_a_member_leaves_and_the_owner_stays(owner, guest):
    join(owner, guest)
    path = f"/profile/{owner.profile}/team"
    assert owner.admin.delete(f"{path}/{owner.account}").status == 400
    assert guest.admin.delete(f"{path}/{guest.account}").result == "Account Successfully Removed"
    assert team(owner) == [] and guest.admin.get(f"/profile/{owner.profile}").status == 404
    assert owner.admin.delete(f"{path}/{guest.account}").status == 404
    assert owner.admin.delete(f"{path}/x").status == 404


def test_a_removed_member_loses_every_token_and_those_made_with_them(clock, owner, guest):
    world = world_of(owner)
    share(world.profile, guest)
    member = guest.api(world.profile)
    sent = {"device": world.device, "name": "by a member", "permission": "full"}
    of_device = member.post("/device/token", sent).result["token"]
    device = member.post("/device", {"name": "By a member"}).result
    owners = owner.api(world.profile).post("/device/token", sent).result["token"]
    for text in (of_device, device["token"], owners):
        assert Api(text).get("/info").status == 200
    assert admission.admit(token=of_device, client_id="theirs", keep_s=None) is not None
    assert admission.admit(token=owners, client_id="ours", keep_s=None) is not None
    owner.admin.delete(f"/profile/{world.profile}/team/{guest.account}")
    for text in (member.token, of_device, device["token"]):
        assert Api(text).get("/info").status == 401 and callers.resolve(text=text, is_fresh=True) is None
    assert mqtt.current().ended == ["theirs"]
    assert Api(owners).get("/info").status == 200 and guest.admin.get("/profile/current").status == 200
    assert store.current().list(names.profile(world.profile), names.made(guest.account, "")) == []
    assert world.admin.get("/device").result  # the devices stay


def test_a_token_that_another_process_still_knows_makes_no_token_after_the_removal(owner, guest):
    join(owner, guest)
    member = callers.resolve(text=guest.token(owner.profile))
    teams.end(profile=owner.profile, account=guest.account)
    with pytest.raises(errors.Denied):
        devices.create(profile=owner.profile, sent={"name": "late"}, giver=member)
    assert store.current().list(names.profile(owner.profile), names.made(guest.account, "")) == []
    assert owner.admin.get("/device").result == []


@pytest.mark.parametrize("operation", ["PutItem", "BatchWriteItem", "TransactWriteItems", "Query", "GetItem"])
@pytest.mark.parametrize("calls", range(4))
def test_a_removal_that_was_killed_is_finished_by_housekeeping(clock, dynamo, operation, calls):
    owner, guest = Person("owner@x.org"), Person("guest@x.org")
    join(owner, guest)
    texts = [guest.token(owner.profile), guest.token(owner.profile)]
    with contextlib.suppress(Killed), killed_after(operation, calls):
        teams.end(profile=owner.profile, account=guest.account)
    cache.clear_all()
    if not dynamo.list(names.ERASURES, ""):
        assert (callers.resolve(text=texts[0]) is None) == (team(owner) == [])
        return
    with running("housekeeping"):
        assert housekeeping.keep_house(SCHEDULED, None)["members"] == 1
    assert team(owner) == [] and all(callers.resolve(text=text) is None for text in texts)
    assert guest.admin.get(f"/profile/{owner.profile}").status == 404


def test_invitations_end_with_the_profile(clock, owner, guest):
    world = world_of(owner)
    teams.invite(profile=profiles.get_or_raise(world.profile), email=guest.email, base_url="")
    (found,) = invitations.of_account({"email": guest.email})
    profile_erasures.begin(profile=world.profile)
    assert ANYBODY.get(f"/profile/team/accept/{found['token']}").status == 400
    for _ in range(2):
        clock.advance(3_600)
        with running("housekeeping"):
            housekeeping.keep_house(SCHEDULED, None)
    assert world.profile not in rows(store.current())


def test_the_mailed_link_is_a_page_and_fetching_it_accepts_nothing(owner, guest):
    mails = Mails()
    text = invitation(owner)
    assert mails.sent[-1]["to"] == "guest@X.org" and mails.token() == text
    assert mails.link() == f"/page/invitation/{text}"
    for _ in range(2):
        page = ANYBODY.get(mails.link())
        assert page.status == 200 and "<form" in page.text and "guest@X.org" in page.text
    assert [one["active"] for one in team(owner)] == [False]
    done = ANYBODY.post(mails.link())
    assert done.status == 200 and "Accepted" in done.text and [one["id"] for one in team(owner)] == [guest.account]
    for again in (ANYBODY.get(mails.link()), ANYBODY.post(mails.link())):
        assert again.status == 400 and "<form" not in again.text


def test_names_in_the_page_are_escaped(owner):
    mails = Mails()
    owner.admin.put("/profile/current", {"name": "<script>x</script>"})
    invitation(owner)
    assert "<script>" not in ANYBODY.get(mails.link()).text


def test_without_mail_the_invitation_is_listed_for_its_account(owner, guest):
    text = invitation(owner)
    (listed,) = guest.admin.get("/account").result["invitations"]
    assert (listed["token"], listed["profile"], listed["name"]) == (text, owner.profile, "Home")
    assert guest.api(permission="read").get("/account").result["invitations"] == []
    assert owner.admin.get("/account").result["invitations"] == []


def test_a_deleted_account_leaves_its_teams_and_its_profiles(clock, owner, guest):
    join(owner, guest)
    inside, world = guest.api(owner.profile), world_of(guest)
    refused = owner.api().delete("/account")
    assert refused.status == 409 and "other members" in refused.message
    assert guest.api().delete("/account").status == 200
    assert inside.get("/info").status == 401 and Api(world.token).get("/info").status == 401
    assert team(owner) == [] and owner.api().delete("/account").status == 200
