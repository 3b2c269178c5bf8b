"""The authorizer hands a device that floods the key of a slow plan, and never a quiet one."""

import pytest

from chalicelib.codec import tokens
from chalicelib.functions.authorizer import authorize
from chalicelib.host import secret
from chalicelib.services.usage import floods, limits, plans
from tests.kit.billing import counting
from tests.kit.world import World

ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/api/"


@pytest.fixture
def fleet(clock, dynamo):
    """A profile of the plan free with ten devices."""
    world = World()
    world.tokens = [world.token, *(world.admin.post("/device", {"name": "Other"}).result["token"] for _ in range(9))]
    limits.change(world.profile, plan="free")
    floods.use(None)
    return world


def is_loud(token, call="POST/data"):
    """Return whether the key is that of the slow plan."""
    key = authorize({"type": "REQUEST", "methodArn": ARN + call, "headers": {"token": token}}, None)
    return key["usageIdentifierKey"] == tokens.api_key(secret.current(), "", plans.LOUD)


def test_a_device_that_floods_is_loud_and_the_others_never_are(fleet, clock):
    assert not any(is_loud(token) for token in fleet.tokens)
    clock.advance(40)
    assert [is_loud(fleet.token) for _ in range(200)].count(False) == 62 - 9, "a quarter of 250, less nine reserved"
    assert not any(is_loud(token) for token in fleet.tokens[1:] for _ in range(5))
    clock.advance(60)
    assert not is_loud(fleet.token)


def test_a_lone_device_is_never_loud(fleet):
    assert not any(is_loud(fleet.token) for _ in range(300))


def test_only_post_and_get_of_data_count(fleet):
    calls = ("PUT/data", "DELETE/data", "GET/device", "GET/info", f"GET/device/{fleet.device}/data_amount", "GET/")
    for call in calls:
        assert not any(is_loud(token, call) for token in fleet.tokens[:2] for _ in range(70)), call
    assert not any(is_loud(token) for token in fleet.tokens[:2])
    assert any(is_loud(fleet.token) for _ in range(70))
    path = f"GET/device/{fleet.device}/data"
    is_loud(fleet.token, "GET/data")
    assert any(is_loud(fleet.profile_token, path) for _ in range(70)), "a profile token counts as one device"


def test_a_plan_without_limits_has_no_loud_device(clock, dynamo):
    world = World()
    other = world.admin.post("/device", {"name": "Other"}).result["token"]
    assert not any(is_loud(token) for token in (world.token, other) for _ in range(500))


def test_it_costs_half_a_read_a_minute(fleet):
    is_loud(fleet.token)
    with counting() as calls:
        assert not any(is_loud(fleet.token) for _ in range(10))
    assert not calls
