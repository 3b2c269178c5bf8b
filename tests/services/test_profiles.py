"""Profiles: a plan of their own, and what their deletion removes."""

import pytest

from chalicelib import errors, store
from chalicelib.host import cache, keys
from chalicelib.services.access import callers
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.services.usage import limits
from chalicelib.store import names
from tests.kit.world import World


def test_profile_has_the_plan_that_it_was_made_with(each_store):
    profiles.create(name="a", plan="free")
    profiles.create(name="b")
    assert sorted((doc["name"], doc["plan"]) for doc in profiles.list_all()) == [("a", "free"), ("b", "unlimited")]


def test_deleted_profile_leaves_no_row_and_its_token_nothing(each_store):
    other = World()
    profile, token = profiles.create(name="a")
    profiles.delete(profile=profile)
    cache.clear_all()
    assert [doc["id"] for doc in profiles.list_all()] == [other.profile]
    assert store.current().list(names.profile(profile), names.ANY) == []
    assert callers.resolve(text=token) is None and callers.resolve(text=other.profile_token) is not None


def test_profile_with_devices_is_not_deleted(world):
    with pytest.raises(errors.Conflict, match="delete them first"):
        profiles.delete(profile=world.profile)
    assert world.admin.get("/device").status == 200
    devices.delete(profile=world.profile, device=world.device)
    profiles.delete(profile=world.profile)
    assert profiles.list_all() == []


def test_plan_is_changed_and_its_key_asked_for(each_store):
    asked = []
    profile, _ = profiles.create(name="a")
    keys.use(asked.append)
    profiles.set_plan(profile=profile, plan="free")
    assert limits.of(profile).plan == limits.of(profile, is_fresh=True).plan == "free"
    assert asked == [{"profile": profile, "plan": "free"}]
    with pytest.raises(errors.BadRequest, match="no plan huge: take free, starter"):
        profiles.set_plan(profile=profile, plan="huge")
    with pytest.raises(errors.NotFound):
        profiles.set_plan(profile="0" * 24, plan="free")
    assert len(asked) == 1 and limits.of(profile).plan == "free"
