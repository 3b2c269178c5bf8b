"""The chore of the embedded mode removes what an erased profile owned, and the next start finds another profile."""

import asyncio
import math

from chalicelib import store
from chalicelib.host import deadline
from chalicelib.services.access import callers, tokens
from chalicelib.services.accounts import accounts, profile_erasures, profiles
from chalicelib.services.devices import erasures
from chalicelib.store import names
from embedded import seed
from embedded.chores import erase_profiles, remove_members
from embedded.workers import Workers
from tests.kit.people import Person, share, world_of
from tests.kit.world import point
from tests.services.test_erasures import rows


def erase_all(sqlite, tmp_path):
    async def run():
        workers = Workers(tmp_path / "decant.db")
        try:
            erasures.resume()
            await erase_profiles(workers)
            erasures.resume()
            await erase_profiles(workers)
        finally:
            workers.close()

    if sqlite.in_transaction:
        sqlite.commit()
    asyncio.run(run())


def test_chore_leaves_nothing(sqlite, tmp_path):
    person = Person()
    world = world_of(person)
    world.send(point("a"))
    for number in range(20):
        world.admin.post("/device", {"name": f"Device {number}"})
    profile_erasures.begin(profile=world.profile)
    erase_all(sqlite, tmp_path)
    assert world.profile not in rows(sqlite) and world.device not in rows(sqlite)
    assert person.admin.get("/profile/current").status == 200


def test_next_start_takes_another_profile_of_the_first_account(sqlite, tmp_path):
    first = seed.seed(profile_token=None, device_token=None, password="a long password")
    account = accounts.list_all()[0]["id"]
    (seeded,) = profiles.owned_by(account)
    kept = profiles.add(sent={"name": "Kept"}, account=account)
    profile_erasures.erase(profile=seeded["id"], account=account)
    erase_all(sqlite, tmp_path)
    assert store.current().get(names.EMBEDDED, names.SEED) is None
    again = seed.seed(profile_token=None, device_token=None)
    assert [doc["id"] for doc in profiles.list_all()] == [kept] and again.device_token != first.device_token
    assert store.current().get(names.EMBEDDED, names.SEED).doc["profile"] == kept


def test_chore_ends_all_tokens_of_a_removed_member_however_short_its_share(sqlite, tmp_path):
    owner, member = Person("o@x.org"), Person("m@x.org")
    share(owner.profile, member)
    giver = callers.resolve(text=member.token(profile=owner.profile))
    sent = {"name": "n", "permission": "full"}
    made = [tokens.create(kind="profile", profile=owner.profile, sent=sent, giver=giver)["token"] for _ in range(200)]
    deadline.set_share(0.000_1)
    try:
        assert owner.admin.delete(f"/profile/{owner.profile}/team/{member.account}").status == 200
        assert store.current().list(names.ERASURES, names.MEMBERS), "it is too long for the request"
        asyncio.run(remove_members(None))
    finally:
        deadline.set_share(math.inf)
    assert not store.current().list(names.ERASURES, names.MEMBERS)
    assert not any(callers.resolve(text=text) for text in made)


def test_start_after_the_seeded_profile_was_deleted_and_the_server_killed(sqlite):
    wanted = "p-00000000-0000-4000-8000-000000000001"
    seed.seed(profile_token=wanted, device_token=None, password="a long password")
    account = accounts.list_all()[0]["id"]
    (seeded,) = profiles.owned_by(account)
    kept = profiles.add(sent={"name": "Kept"}, account=account)
    profile_erasures.erase(profile=seeded["id"], account=account)  # and no chore comes to its work
    again = seed.seed(profile_token=wanted, device_token=None)
    assert again.profile_token == wanted and callers.resolve(text=wanted).profile == kept


def test_first_account_that_was_deleted_is_made_anew_and_no_stranger_becomes_it(sqlite):
    stranger = Person("stranger@x.org")
    seeded = seed.seed(profile_token=None, device_token=None, email="op@x.org", password="a long password")
    assert seeded.email == "op@x.org" and seeded.profile_token != stranger.owner_token
    accounts.remove(accounts.find("op@x.org"))
    again = seed.seed(profile_token=None, device_token=None, email="op@x.org")
    assert again.email == "op@x.org" and again.password
