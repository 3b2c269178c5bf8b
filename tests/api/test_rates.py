"""Rates: what counts, what clients are told, soft limits, and reads that aggregate."""

import pytest

from chalicelib import errors, store
from chalicelib.host import log
from chalicelib.services.usage import limits, rates, resources
from tests.kit.world import World, point

AGGREGATE = {"query": "aggregate", "interval": "hour", "function": "avg", "variables": "a", "start_date": "1 day"}


@pytest.fixture(autouse=True)
def any_number(monkeypatch):
    """Let a profile have any number of devices."""
    monkeypatch.setattr(resources, "check", lambda **_: None)


@pytest.fixture
def free(clock, sqlite):
    """A profile of the plan free, in the embedded mode."""
    world = World()
    limits.change(world.profile, plan="free")
    return world


def remaining(answer):
    return int(answer.headers["x-ratelimit-remaining"])


def test_headers_tell_limit_rest_and_end_of_the_minute(free, clock, configure):
    configure(profile_may_send=True)
    answer = free.api.post("/data", [point("a"), point("b")])
    assert answer.headers["x-ratelimit-limit"] == "250" and remaining(answer) == 249, "a batch is one"
    assert int(answer.headers["x-ratelimit-reset"]) * 1000 == clock.now_ms + 40_000
    exposed = answer.headers["access-control-expose-headers"].lower().split(",")
    assert {*exposed} == {"retry-after", *(name for name in answer.headers if name.startswith("x-"))}
    assert remaining(free.admin.get(f"/device/{free.device}/data")) == 249, "GET has a counter of its own"
    assert remaining(free.admin.post(f"/device/{free.device}/data", point("a"))) == 248, "but no other path has"


def test_a_route_without_limit_has_no_such_header(clock, world):
    for answer in (world.api.post("/data", point("a")), world.api.get("/data"), world.api.get("/status")):
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_what_counts(free, configure):
    configure(profile_may_send=False)
    assert remaining(free.api.post("/data", {"variable": 5})) == 249, "400 counts"
    assert remaining(free.api.post("/data", raw="x" * 300_000)) == 248, "413 counts"
    refused = free.admin.post(f"/device/{free.device}/data", point("a"))
    assert refused.status == 401 and "x-ratelimit-limit" not in refused.headers
    assert free.api.post("/data", point("a"), token="none").status == 401
    assert free.admin("PATCH", "/device").status == 405
    assert remaining(free.api.post("/data", point("a"))) == 247, "401 does not"
    assert remaining(free.admin.get(f"/device/{'0' * 24}")) == 99, "404 counts"


def test_a_deactivated_device_counts(free):
    free.admin.put(f"/device/{free.device}", {"active": False})
    refused = free.api.post("/data", point("a"))
    assert refused.status == 400 and remaining(refused) == 249


def test_refused_call_costs_nothing_in_the_store_and_is_not_counted(free, monkeypatch):
    for _ in range(10):
        free.admin.post("/device", {"name": "Other"})

    def fail(*_, **__):
        raise AssertionError("the store was asked")

    for name in [
        name for name in dir(store.Store) if not name.startswith("_") and callable(getattr(store.Store, name))
    ]:
        monkeypatch.setattr(store.current(), name, fail)
    for _ in range(5):
        refused = free.admin.post("/device", {"name": "Other"})
        assert refused.status == 429 and refused.headers["x-ratelimit-limit"] == "10" and remaining(refused) == 0
        assert refused.body == {"status": False, "message": "Too many requests (Retry-After: 40)"}


@pytest.mark.parametrize(("elapsed_s", "wait_s"), [(0, 40), (39, 1), (39.5, 1), (40, 60), (40.001, 60)])
def test_retry_after_is_the_seconds_to_the_next_minute(free, clock, elapsed_s, wait_s):
    clock.advance(elapsed_s)
    answers = [free.admin.post("/device", {"name": "Other"}) for _ in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert answers[-1].headers["retry-after"] == str(wait_s)
    clock.advance(wait_s)
    assert free.admin.post("/device", {"name": "Other"}).status == 200


def test_profiles_do_not_share_a_limit(free):
    other = World()
    limits.change(other.profile, plan="free")
    assert [free.admin.post("/device", {"name": "Other"}).status for _ in range(11)][-1] == 429
    assert remaining(other.admin.post("/device", {"name": "Other"})) == 9


@pytest.mark.parametrize("name", ["query", "query[]", "query[0]"])
def test_a_read_that_aggregates_has_a_second_rate_on_both_hosts(clock, world, name):
    limits.change(world.profile, plan="free")
    query = {name: "aggregate", **{key: text for key, text in AGGREGATE.items() if key != "query"}}
    assert [world.api.get("/data", query=query).status for _ in range(6)] == [200] * 5 + [429]
    assert world.api.get("/data").status == 200 == world.api.get("/data", query={"variables": "aggregate"}).status
    if store.current().is_exclusive:
        assert remaining(world.api.get("/data")) == 250 - 5 - 3, "the refused one counts in neither"


def test_usage_plans_throttle_on_aws_so_nothing_is_counted_twice(clock, dynamo):
    world = World()
    limits.change(world.profile, plan="free")
    assert {world.admin.post("/device", {"name": "Other"}).status for _ in range(12)} == {200}


def test_a_soft_limit_of_the_profile_is_for_all_its_devices_together(clock, world):
    other = world.admin.post("/device", {"name": "Other"}).result["token"]
    limits.change(world.profile, rpm=(("data_input", 3),))
    statuses = [world.api.post("/data", point("a"), token=token).status for token in (None, other, None, other, None)]
    assert statuses == [200, 200, 200, 429, 429]
    assert world.api.get("/data").status == 200
    clock.advance(40)
    answer = world.api.post("/data", point("a"))
    assert answer.status == 200 and remaining(answer) == 2 and answer.headers["x-ratelimit-limit"] == "3"


def test_a_soft_limit_of_the_device_replaces_that_of_the_profile(clock, world):
    other = world.admin.post("/device", {"name": "Other", "rpm": {"data_input": 4, "data_output": 1}}).result["token"]
    limits.change(world.profile, rpm=(("data_input", 1), ("data_output", 2)))
    assert [world.api.post("/data", point("a"), token=other).status for _ in range(5)] == [200] * 4 + [429]
    assert [world.api.post("/data", point("a")).status for _ in range(2)] == [200, 429]
    assert [world.api.get("/data", token=other).status for _ in range(2)] == [200, 429]
    assert [world.admin.get(f"/device/{world.device}/data").status for _ in range(3)] == [200, 200, 429]


def test_a_soft_limit_is_never_above_the_plans(free):
    free.admin.put(f"/device/{free.device}", {"rpm": {"data_input": 1_000}})
    rates.use(None)
    answer = free.api.post("/data", point("a"))
    assert answer.headers["x-ratelimit-limit"] == "250" and remaining(answer) == 249


def test_a_loud_device_leaves_the_others_their_share(free, clock):
    tokens = [free.admin.post("/device", {"name": "Other"}).result["token"] for _ in range(9)]
    clock.advance(40)
    assert {free.api.get("/data", token=token).status for token in tokens for _ in range(5)} == {200}
    clock.advance(60)
    loud = [free.api.get("/data").status for _ in range(300)]
    assert loud.count(200) == 250 - 45 and loud[-1] == 429
    assert {free.api.get("/data", token=token).status for token in tokens for _ in range(5)} == {200}


def test_too_many_requests_is_an_error_of_services_too():
    error = errors.TooManyRequests(7)
    assert (error.status, error.retry_after_s, error.message) == (429, 7, "Too many requests (Retry-After: 7)")


def test_if_the_limits_cannot_be_read_data_is_let_through_and_no_token_is_made(clock, world, monkeypatch):
    def fail(_):
        raise errors.Unavailable

    lines = []
    log.use(lines.append)
    token = {"device": world.device, "name": "Token", "permission": "full"}
    monkeypatch.setattr("chalicelib.services.usage.rates.limits.of", fail)
    assert rates.take(
        world.profile, "POST /data", name="POST /data", sharer="d", aggregates=False, device=lambda: None, is_gateway=False
    ) is None  # fmt: skip
    assert "its data is not limited" in lines[0]
    if store.current().is_exclusive:
        assert world.api.post("/data", point("a")).status == 200
        assert world.admin.post("/device/token", token).status == 503
