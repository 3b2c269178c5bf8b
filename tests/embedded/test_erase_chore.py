"""The chore of the embedded mode removes what an erased profile owned, and the next start finds another profile."""

import asyncio

from chalicelib import store
from chalicelib.services.accounts import accounts, profile_erasures, profiles
from chalicelib.services.devices import erasures
from chalicelib.store import names
from embedded import seed
from embedded.__main__ import _erase_profiles
from embedded.workers import Workers
from tests.kit.people import Person, world_of
from tests.kit.world import point
from tests.services.test_erasures import rows


def erase_all(sqlite, tmp_path):
    async def run():
        workers = Workers(tmp_path / "decant.db")
        try:
            erasures.resume()
            await _erase_profiles(workers)
            erasures.resume()
            await _erase_profiles(workers)
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
