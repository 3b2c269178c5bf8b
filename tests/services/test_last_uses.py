"""When tokens were last used, over both stores."""

import json

from chalicelib import store
from chalicelib.codec import times
from chalicelib.host import cache, log
from chalicelib.services.access import tokens
from chalicelib.store import names
from tests.kit.billing import counting
from tests.kit.faults import throttled
from tests.kit.world import World, point


def last(world):
    return world.admin.get("/info").result["last_authorization"]


def test_the_last_use_of_a_profile_token_is_shown_to_the_hour(clock, each_store):
    world = World()
    first_ms = clock.now_ms
    assert last(world) == times.to_iso(first_ms)
    clock.advance(3_599)
    assert last(world) == times.to_iso(first_ms)
    clock.advance(2)
    assert last(world) == times.to_iso(clock.now_ms)


def test_device_tokens_stay_without(clock, each_store):
    world = World()
    world.send(point("a"))
    world.read()
    (listed,) = world.admin.get(f"/device/token/{world.device}?fields=last_authorization").result
    assert listed["last_authorization"] is None


def test_it_costs_one_write_an_hour_and_a_read_for_another_process(clock, dynamo):
    world = World()

    def cost():
        with counting() as calls:
            world.admin.get("/info")
        return calls["GetItem"], calls["PutItem"]

    world.admin.get("/info")
    assert cost() == (1, 0), "what /info shows"
    cache.clear_all()
    assert cost() == (4, 0), "the caller, its limits, and the token's last use"
    clock.advance(3_601)
    assert cost()[1] == 1


def test_a_store_that_takes_no_writes_is_only_logged(clock, dynamo):
    world = World()
    lines: list[str] = []
    log.use(lines.append)
    with throttled("PutItem"):
        assert world.admin.get("/info").status == 200
    assert any("unnoted" in json.loads(line) for line in lines)


def test_a_deleted_token_is_not_made_again(clock, each_store):
    world = World()
    from chalicelib.services.access import callers, last_uses

    caller = callers.resolve(text=world.profile_token)
    (listed,) = store.current().list(names.profile(world.profile), names.TOKENS)
    tokens.remove(listed.doc)
    last_uses.note(caller)
    assert store.current().list(names.profile(world.profile), names.TOKENS) == []
