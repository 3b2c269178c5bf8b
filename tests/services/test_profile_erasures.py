"""A deleted profile is gone at once, and in the end nothing of it is left, wherever the work was interrupted."""

import contextlib

import pytest

from chalicelib import errors, store
from chalicelib.functions import housekeeping
from chalicelib.host import cache
from chalicelib.services.access import callers, passwords, tokens
from chalicelib.services.accounts import profile_erasures, profiles
from chalicelib.services.devices import erasures
from chalicelib.store import names
from tests.kit.accounts import PASSWORD
from tests.kit.api import Api
from tests.kit.faults import Killed, answer_lost, killed_after
from tests.kit.people import Person, world_of
from tests.kit.policies import running
from tests.kit.world import SCHEDULED, count_stream, point
from tests.services.test_erasures import rows

ACTION = {
    "name": "An action", "type": "mqtt_topic", "trigger": [{"tag_key": "a", "topic": "b"}],
    "action": {"type": "insert_to_device"},
}  # fmt: skip


@pytest.fixture
def person(clock, each_store):
    return Person()


def filled(person, hours=3):
    """Return a second profile of a person, with something of everything."""
    world = world_of(person)
    for hour in range(hours):
        world.send(point("a", hour, time=f"2026-09-{hour + 1:02}T00:00:00Z"))
    api = person.api(world.profile)
    api.post(f"/device/{world.device}/params", {"key": "k", "value": "v"})
    api.post("/device/token", {"device": world.device, "name": "t", "permission": "full", "serie_number": "s-1"})
    api.post("/device", {"name": "Another"})
    api.post("/action", ACTION)
    api.put("/profile/current", {"name": "Doomed", "rpm": {"data_input": 5}})
    for kind, subject in (("analysis", "a" * 24), ("run_user", "b" * 24)):
        sent = {"name": "t", "permission": "full"}
        tokens.create(kind=kind, profile=world.profile, subject=subject, sent=sent)
        below = names.analysis(subject) if kind == "analysis" else names.run_user(subject)
        store.current().put(store.Entity(names.profile(world.profile), below, {"id": subject}))
    network = api.post("/integration/network", {"name": "Radio"}).result["network"]
    store.current().put(store.Entity(names.network(network), "below", {"profile": world.profile}))
    api.post("/integration/connector", {"name": "Sensor", "networks": [network]})
    return world, api


def finish(clock):
    """Do what housekeeping does within two hours."""
    for _ in range(2):
        clock.advance(erasures.SETTLED_S)
        with running("housekeeping"):
            done = housekeeping.keep_house(SCHEDULED, None)
    return done


def test_nothing_is_left_and_others_keep_everything(clock, person, each_store):
    world, _ = filled(person)
    kept = world_of(person)
    kept.send(point("kept"))
    if not each_store.is_exclusive:
        count_stream(world, points_in=3, records=3)
    assert person.api().delete(f"/profile/{world.profile}", json_body={"password": PASSWORD}).result == (
        "Successfully Removed"
    )
    assert [one["id"] for one in person.admin.get("/profile").result] == sorted(
        [person.profile, kept.profile], key=lambda one: (profiles.get_or_raise(one)["created_ms"], one)
    )
    finish(clock)
    left = rows(each_store)
    assert world.profile not in left and world.device not in left and "a" * 24 not in left and "b" * 24 not in left
    assert kept.read(query="count") == 1 and person.admin.get("/profile/current").status == 200
    assert finish(clock)["profiles"] == 0


def test_its_tokens_are_refused_at_once(person, world):
    doomed, api = filled(person)
    device = Api(doomed.token)
    assert device.get("/data").status == 200
    assert api.delete("/profile/current", json_body={"password": PASSWORD}).result == "Successfully Removed"
    for caller in (device, api, doomed.admin):
        assert caller.get("/info").status == 401
    assert person.admin.get(f"/profile/{doomed.profile}").status == 404
    assert person.admin.put(f"/profile/switch/{doomed.profile}").status == 404
    assert (
        person.admin.post(f"/profile/{doomed.profile}/token", person.sign_in(name="t", permission="full")).status == 404
    )
    cache.clear_all()
    assert callers.resolve(text=doomed.token) is None


def test_its_tokens_are_refused_by_another_process_within_a_minute(clock, dynamo):
    person = Person()
    world, _ = filled(person)
    assert Api(world.token).get("/data").status == 200
    before = store.current().get(names.profile(world.profile), names.LIMITS)
    profile_erasures.begin(profile=world.profile)
    limits_elsewhere = before.doc
    assert limits_elsewhere["is_erased"] is False
    clock.advance(61)
    assert Api(world.token).get("/data").status == 401


def test_a_password_is_needed_and_the_only_profile_stays(person):
    path = f"/profile/{person.profile}"
    assert person.admin.delete(path, json_body={"password": "wrong"}).status == 401
    assert person.admin.delete(path, json_body={}).status == 400
    assert person.admin.delete(path).status == 400
    refused = person.admin.delete(path, json_body={"password": PASSWORD})
    assert refused.status == 400 and "only profile" in refused.message
    assert person.api(permission="write").delete(path, json_body={"password": PASSWORD}).status == 401
    assert person.admin.get(path).status == 200


@pytest.mark.parametrize("operation", ["PutItem", "BatchWriteItem", "TransactWriteItems", "Query", "GetItem"])
@pytest.mark.parametrize("calls", range(0, 12, 2))
def test_killed_anywhere_is_finished_by_later_runs(clock, dynamo, operation, calls):
    person = Person()
    world, _ = filled(person, hours=1)
    try:
        with killed_after(operation, calls):
            profile_erasures.begin(profile=world.profile)
            clock.advance(erasures.SETTLED_S)
            with running("housekeeping"):
                housekeeping.keep_house(SCHEDULED, None)
    except Killed:
        pass
    cache.clear_all()
    if not dynamo.list(names.ERASURES, ""):  # killed before the first write
        assert Api(world.token).get("/info").status == 200
        return
    finish(clock)
    left = rows(dynamo)
    assert world.profile not in left and world.device not in left
    assert person.admin.get("/profile/current").status == 200


@pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems", "BatchWriteItem"])
def test_lost_answers_change_nothing(clock, dynamo, operation):
    person = Person()
    world, _ = filled(person, hours=1)
    with answer_lost(operation), contextlib.suppress(errors.Unavailable):
        profile_erasures.begin(profile=world.profile)
    finish(clock)
    assert world.profile not in rows(dynamo)


def test_a_late_write_is_removed_too(clock, dynamo):
    person = Person()
    world, _ = filled(person, hours=1)
    profile_erasures.begin(profile=world.profile)
    with running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, None)
    late = {"name": "late", "permission": "full"}
    tokens.create(kind="profile", profile=world.profile, sent=late)
    finish(clock)
    assert world.profile not in rows(dynamo)


def test_an_account_that_lost_its_role_makes_no_token(person):
    world = world_of(person)
    caller = callers.resolve(text=person.token(world.profile))
    store.current().delete(names.account(person.account), [names.profile(world.profile)])
    with pytest.raises(Exception, match="Authorization Denied"):
        tokens.create(kind="profile", profile=world.profile, sent={"name": "t", "permission": "full"}, giver=caller)
    assert len(tokens.list_all(owner=names.profile(world.profile))) == 2
    assert passwords.matches(PASSWORD, passwords.hashed(PASSWORD))
