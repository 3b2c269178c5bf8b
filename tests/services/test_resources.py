"""How many objects of each kind a profile may have, over both stores."""

import json

import pytest

from chalicelib import errors
from chalicelib.services.usage import limits, resources
from tests.kit.billing import counting
from tests.kit.world import World

TEXT = "You have exceeded the maximum limit of {} ({}). Please upgrade you plan or contact support."
TRIGGER = {"topic": "a", "tag_key": "k", "tag_value": "v"}
ACTION = {"name": "Keep", "type": "mqtt_topic", "trigger": [TRIGGER], "action": {"type": "insert_to_device"}}


def use_plan(configure, world, **figures):
    configure(plans=json.dumps({"own": figures}))
    limits.change(world.profile, plan="own")


def test_one_device_too_many_is_refused_and_room_is_used_again(configure, world):
    use_plan(configure, world, resources={"device": 3})
    made = [world.admin.post("/device", {"name": "ddd"}).result["device_id"] for _ in range(2)]
    refused = world.admin.post("/device", {"name": "ddd"})
    assert (refused.status, refused.message) == (402, TEXT.format("Device", 3))
    assert resources.amounts(profile=world.profile)["device"] == 3
    world.admin.delete(f"/device/{made[0]}")
    assert world.admin.post("/device", {"name": "ddd"}).status == 200
    assert world.admin.post("/device", {"name": "ddd"}).status == 402


def test_actions_have_a_limit_of_their_own(configure, world):
    use_plan(configure, world, resources={"action": 1})
    assert world.admin.post("/action", ACTION).status == 200
    refused = world.admin.post("/action", ACTION)
    assert (refused.status, refused.message) == (402, TEXT.format("Action", 1))
    assert len(world.admin.get("/action").result) == 1
    assert world.admin.post("/device", {"name": "ddd"}).status == 200


@pytest.mark.parametrize("resource", resources.NOUNS)
def test_each_resource_has_a_text_and_takes_a_known_number(configure, world, resource):
    use_plan(configure, world, resources={resource: 2})
    resources.check(profile=world.profile, resource=resource, existing=1)
    with pytest.raises(errors.PaymentRequired) as refused:
        resources.check(profile=world.profile, resource=resource, existing=2)
    assert refused.value.message == TEXT.format(resources.NOUNS[resource], 2)


def test_a_large_limit_is_counted_once_a_minute_and_before_a_refusal(clock, configure, dynamo, monkeypatch):
    monkeypatch.setattr(resources, "_COUNTED_EACH_TIME", 2)
    world, other = World(), World()
    use_plan(configure, world, resources={"device": 4})
    assert limits.of(world.profile).plan == "own"

    def queries(expect):
        with counting() as calls:
            answer = world.admin.post("/device", {"name": "ddd"})
        assert answer.status == expect, answer.text
        return calls["Query"]

    assert [queries(200), queries(200), queries(200)] == [1, 0, 0]
    assert [queries(402), queries(402)] == [1, 1]
    assert limits.of(other.profile).plan == "unlimited"


def test_the_unlimited_plan_costs_no_count(dynamo):
    world = World()
    world.admin.post("/device", {"name": "ddd"})
    with counting() as calls:
        world.admin.post("/device", {"name": "ddd"})
    assert dict(calls) == {"GetItem": 1, "PutItem": 2, "TransactWriteItems": 1}, "the audit log, and the device"


def test_counts_leave_out_what_has_expired(clock, each_store):
    from chalicelib.store import Entity

    for number in range(5):
        each_store.put(Entity("profile#p", f"device#{number}", {}, 1, clock.now_ms // 1000 + number or None))
    each_store.put(Entity("profile#p", "devicf", {}))
    each_store.put(Entity("profile#q", "device#1", {}))
    assert each_store.count("profile#p", "device#") == 4


def test_a_count_goes_on_from_page_to_page(dynamo, monkeypatch):
    pages = [{"Count": 2, "LastEvaluatedKey": {"owner": {"S": "a"}}}, {"Count": 3}]
    monkeypatch.setattr("chalicelib.store.calls.call", lambda *_, **__: pages.pop(0))
    assert dynamo.count("profile#p", "device#") == 5


def test_amounts_have_the_names_of_the_summary(world):
    amounts = resources.amounts(profile=world.profile)
    assert {name for name, amount in amounts.items() if amount} == {"device", "bucket"}
    assert list(amounts) == [
        "device", "analysis", "action", "am", "run_users", "dictionary", "connectors", "networks", "bucket",
        "dashboard", "dashboard_shared", "tcore", "tcore_cluster",
    ]  # fmt: skip
