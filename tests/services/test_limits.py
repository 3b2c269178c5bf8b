"""What a profile may use, in one entity, over both stores."""

from chalicelib import store
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import limits
from chalicelib.services.usage.limits import Limits
from chalicelib.store import names


def test_a_new_profile_has_the_limits_of_its_plan(each_store):
    profile, _ = profiles.create(name="a", plan="free")
    assert limits.of(profile) == Limits("free")
    assert limits.of(profile).figures.limit("POST /device") == 10


def test_changes_are_kept_and_seen_at_once(each_store):
    profile, _ = profiles.create(name="a")
    assert limits.of(profile).blocked == ()
    limits.change(profile, blocked=("input",), rpm=(("data_input", 5),))
    assert limits.of(profile) == limits.of(profile, is_fresh=True)
    assert limits.of(profile).blocked == ("input",) and limits.of(profile).rpm == (("data_input", 5),)
    version = store.current().get(names.profile(profile), names.LIMITS).version
    limits.change(profile, blocked=("input",))
    assert store.current().get(names.profile(profile), names.LIMITS).version == version


def test_a_profile_of_an_earlier_version_keeps_its_plan(each_store):
    profile, _ = profiles.create(name="a", plan="starter")
    store.current().delete(names.profile(profile), [names.LIMITS])
    assert limits.of(profile).plan == "starter"
    limits.change(profile, blocked=("output",))
    assert limits.of(profile, is_fresh=True) == Limits("starter", blocked=("output",))


def test_a_plan_that_is_gone_counts_as_the_default(each_store):
    profile, _ = profiles.create(name="a", plan="gone")
    assert limits.of(profile).figures.name == "unlimited"
