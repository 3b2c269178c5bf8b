"""A deleted device is gone at once, and in the end nothing of it is left, wherever the work was interrupted."""

import pytest

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.functions import housekeeping
from chalicelib.host import cache
from chalicelib.schemas.points import Sent
from chalicelib.services.devices import devices, erasures
from chalicelib.store.models import EntityModel, SegmentModel
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, client, killed_after, throttled
from tests.kit.policies import running
from tests.kit.world import SCHEDULED, World, count_stream, point

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


def fill(world, hours=60):
    world.send(*[point("a", hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(hours)])
    world.admin.post(f"/device/{world.device}/params", {"key": "k", "value": "v"})
    world.admin.post(
        "/device/token", {"device": world.device, "name": "t", "permission": "full", "serie_number": "s-1"}
    )


def rows(backend):
    """Return everything in the store as text, without the audit log, which names what was deleted."""
    if backend.is_exclusive:
        if backend.in_transaction:
            backend.commit()
        return "\n".join(line for line in backend._db.iterdump() if "'audit#" not in line)
    items = [item for m in (SegmentModel, EntityModel) for item in client().scan(TableName=m.Meta.table_name)["Items"]]
    return str([item for item in items if not item.get("owner", {"S": ""})["S"].startswith("audit#")])


def keep_house(clock):
    clock.advance(erasures.SETTLED_S)
    with running("housekeeping"):
        return housekeeping.keep_house(SCHEDULED, None)["erased"]


def test_nothing_of_an_erased_device_is_left_and_the_profile_keeps_its_sums(clock, each_store):
    world, other = World(), World()
    fill(world)
    world.send(*[point(f"v{number}", time=HOUR_START) for number in range(300)])
    fill(other, 2)
    before = each_store.counters(world.profile)
    world.admin.delete(f"/device/{world.device}")
    keep_house(clock)
    assert world.device not in rows(each_store) and other.device in rows(each_store)
    assert each_store.counters(world.profile).points_in == before.points_in
    assert other.read(query="count") == 2
    assert keep_house(clock) == 0


def test_what_the_stream_counted_stays_with_the_profile(clock, dynamo):
    world = World()
    world.send(point("a"))
    count_stream(world, points_in=7, records=3)
    world.admin.delete(f"/device/{world.device}")
    assert keep_house(clock) == 1
    assert dynamo.counters(world.profile).points_in == 7 and world.device not in rows(dynamo)


@pytest.mark.parametrize("operation", ["PutItem", "BatchWriteItem", "TransactWriteItems", "Query", "GetItem"])
@pytest.mark.parametrize("calls", range(4))
def test_killed_anywhere_is_finished_by_the_next_run(clock, dynamo, operation, calls):
    world = World()
    fill(world)
    try:
        with killed_after(operation, calls):
            world.admin.delete(f"/device/{world.device}")
    except Killed:
        pass
    cache.clear_all()
    if world.admin.get(f"/device/{world.device}").status == 200 and not dynamo.list("erasures", ""):
        return
    keep_house(clock)
    assert world.admin.get(f"/device/{world.device}").status == 404
    assert world.device not in rows(dynamo)


def test_store_that_fails_half_way_hides_the_device_and_the_next_run_resumes(clock, dynamo, monkeypatch):
    clock.take_pauses(monkeypatch)
    dynamo._sleep = clock.advance
    world = World()
    fill(world)
    with throttled("BatchWriteItem"), pytest.raises(errors.Unavailable):
        devices.delete(profile=world.profile, device=world.device)
    assert world.admin.delete(f"/device/{world.device}").result == "Successfully Removed"
    assert world.api.get("/data").status == 401 and world.admin.get("/device").result == []
    keep_house(clock)
    assert world.device not in rows(dynamo)


def test_points_that_arrive_late_are_removed_by_a_later_run(clock, dynamo):
    world = World()
    fill(world, 2)
    doc = world.doc
    world.admin.delete(f"/device/{world.device}")
    from chalicelib.services.points import send

    send.store_points(device=doc, sent=Sent([point("late")], b"late"))
    assert keep_house(clock) == 1
    assert world.device not in rows(dynamo)


def test_embedded_mode_finishes_at_once(sqlite):
    world = World()
    fill(world)
    world.admin.delete(f"/device/{world.device}")
    assert store.current().list("erasures", "") == [] and world.device not in rows(sqlite)
