"""Stored points follow the present retention of their device: for every reader at once, and on the disk later."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import errors, store
from chalicelib.codec import keys, periods
from chalicelib.functions import housekeeping
from chalicelib.host import clock as app_clock
from chalicelib.host import deadline
from chalicelib.schemas.points import Sent
from chalicelib.services.devices import retention
from chalicelib.services.points import send
from chalicelib.store.models import SegmentModel
from embedded.chores import purge_daily
from embedded.workers import Workers
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, client, hook, killed_after
from tests.kit.policies import running
from tests.kit.tables import empty_tables
from tests.kit.world import SCHEDULED, World, point, values
from tests.services.test_counters import deliver, records  # noqa: F401 - a fixture

DAY_S, DAY_MS = 86_400, 86_400_000
SETTLED_S = 600
OLD_MS, NEW_MS = NOW_MS - DAY_MS, NOW_MS
TABLE = SegmentModel.Meta.table_name


@pytest.fixture
def one_day(clock, each_store):
    """A device that keeps a day besides the current one, with a point of yesterday and one of today."""
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", "old", time=OLD_MS))
    world.send(point("a", "new", time=NEW_MS))
    return world


def keep(world, count):
    world.admin.put(f"/device/{world.device}", {"chunk_retention": count})


def look(world):
    """Return the values that are there, oldest first, after checking that every reader sees as many."""
    found = values(world.read(qty=1_000, ordination="ascending"))
    chunks = world.admin.get(f"/device/{world.device}/chunk").result
    assert world.read(query="count") == len(found) == sum(one["amount"] for one in chunks)
    assert world.read(query="count", variables="a") == len(found)
    assert world.admin.get(f"/device/{world.device}/data_amount").result == len(found)
    assert values(world.read(query="last_value", variables="a")) == found[-1:]
    assert values(world.read(query="first_value")) == found[:1]
    return found


def stored(world):
    """Return the segments that are stored, whether they have expired or not."""
    return [*store.current().scan_segments(world.device, "0", "g", newest_first=False, first_page=9)]


def remove_expired(world):
    """Remove what DynamoDB's expiry removes, which goes only by ``expires_at``."""
    for item in stored(world):
        if item.expires_at is not None and item.expires_at * 1000 <= app_clock.now_ms():
            client().delete_item(TableName=TABLE, Key={"device": {"S": item.device}, "key": {"S": item.key}})


def follow(context=None):
    """Run the housekeeping on AWS."""
    with running("housekeeping"):
        return housekeeping.keep_house(SCHEDULED, context)["retentions"]


def keep_house(world, clock):
    """Do what removes expired points, on either store."""
    if store.current().is_exclusive:
        store.current().remove_expired(store.current().expired(("", ""))[0])
        for _ in retention.purge(retention.immutable_devices()):
            pass
        return
    clock.advance(SETTLED_S)
    follow()
    remove_expired(world)


def amounts(world):
    return [store.current().counters(world.profile, device).records for device in (world.device, None)]


def test_longer_retention_keeps_what_was_stored_before(one_day, clock):
    keep(one_day, 20)
    for days in (5, 5, 5, 4):
        clock.advance(days * DAY_S - SETTLED_S)
        keep_house(one_day, clock)
        assert look(one_day) == ["old", "new"]
    clock.advance(DAY_S)
    keep_house(one_day, clock)
    assert look(one_day) == ["new"] and len(stored(one_day)) == 1
    clock.advance(DAY_S)
    keep_house(one_day, clock)
    assert look(one_day) == [] == stored(one_day)


def test_longer_retention_shows_again_what_has_expired_and_is_still_stored(one_day, clock):
    clock.advance(2 * DAY_S)
    assert look(one_day) == []
    keep(one_day, 20)
    assert look(one_day) == ["old", "new"]
    keep_house(one_day, clock)
    assert look(one_day) == ["old", "new"]


def test_longer_retention_does_not_bring_back_what_was_removed(one_day, clock):
    clock.advance(DAY_S)
    keep_house(one_day, clock)
    keep(one_day, 20)
    assert look(one_day) == ["new"]
    assert one_day.send(point("a", "old", time=OLD_MS)) == "1 Data Added"
    assert look(one_day) == ["old", "new"]


def test_shorter_retention_removes_what_it_does_not_keep(one_day, clock):
    keep(one_day, 0)
    assert look(one_day) == ["new"] and len(stored(one_day)) == 2
    keep_house(one_day, clock)
    assert look(one_day) == ["new"] and len(stored(one_day)) == 1
    keep(one_day, 20)
    assert look(one_day) == ["new"]


def test_removing_lowers_the_counters_of_device_and_profile(clock, sqlite):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", time=OLD_MS), point("a", time=NEW_MS))
    assert amounts(world) == [2, 2]
    keep(world, 0)
    keep_house(world, clock)
    assert amounts(world) == [1, 1]
    clock.advance(2 * DAY_S)
    keep_house(world, clock)
    assert amounts(world) == [0, 0]


def test_embedded_mode_purges_when_it_starts(clock, sqlite):
    world = World(type="immutable", chunk_period="day", chunk_retention=0)
    world.send(*[point("a", time=NOW_MS - hour * keys.HOUR_MS) for hour in range(9)])
    clock.advance(DAY_S)

    async def start():
        workers = Workers(sqlite.path)
        chore = asyncio.create_task(purge_daily(sqlite, workers))
        while stored(world):
            await asyncio.sleep(0)
        chore.cancel()
        workers.close()

    asyncio.run(start())
    assert stored(world) == [] and amounts(world) == [0, 0]


def test_points_at_the_edge_of_the_window(clock, each_store):
    world = World(type="immutable", chunk_period="day", chunk_retention=3)
    edge_ms = periods.period_start(NOW_MS, "day") - DAY_MS
    world.send(*[point("a", number, time=edge_ms + number - 5) for number in range(10)])
    assert look(world) == [*range(10)]
    keep(world, 1)
    assert look(world) == [5, 6, 7, 8, 9]
    assert world.read(query="count", start_date=edge_ms - 3, end_date=edge_ms + 1) == 2
    keep_house(world, clock)
    assert look(world) == [5, 6, 7, 8, 9]


def test_chunk_of_a_longer_retention_is_listed_and_deleted(one_day, clock):
    clock.advance(3 * DAY_S)
    keep(one_day, 20)
    path = f"/device/{one_day.device}/chunk"
    old, new = sorted(one["id"] for one in one_day.admin.get(path).result)
    assert one_day.admin.delete(f"{path}/{old}").status == 200
    assert look(one_day) == ["new"]
    keep(one_day, 0)
    assert one_day.admin.get(path).result == []
    assert one_day.admin.delete(f"{path}/{new}").status == 200 and stored(one_day) == []


def test_request_sent_again_after_its_points_expired(one_day, clock):
    again = point("a", "old", time=OLD_MS)
    clock.advance(DAY_S)
    assert "Time must be between" in one_day.api.post("/data", [again]).message
    keep(one_day, 20)
    assert one_day.send(again) == "1 Data Added"
    assert look(one_day) == ["old", "new"]


def test_retry_is_kept_although_its_segment_had_expired(clock, dynamo):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", "old", time=OLD_MS), point("a", "new", time=NEW_MS))
    clock.advance(3 * DAY_S)
    keep(world, 20)
    assert world.send(point("a", "old", time=OLD_MS), point("a", "new", time=NEW_MS)) == "2 Data Added"
    remove_expired(world)
    assert look(world) == ["old", "new"]


@pytest.mark.parametrize(
    "sent", [{"type": "mutable"}, {"type": "immutable", "chunk_period": "month", "chunk_retention": 3}]
)
def test_conversion_needs_no_removal_of_expired_points_and_does_not_bring_them_back(one_day, clock, sent):
    path = f"/device/{one_day.device}"
    one_day.admin.put(path, {"active": False})
    assert "empty" in one_day.admin.post(f"{path}/convert", sent).message
    clock.advance(2 * DAY_S)
    assert one_day.admin.post(f"{path}/convert", sent).status == 200
    one_day.admin.put(path, {"active": True})
    assert values(one_day.read()) == [] and one_day.read(query="count") == 0
    assert one_day.admin.get(f"{path}/data_amount").result == 0
    one_day.send(point("a", "fresh", time=NEW_MS + 2 * DAY_MS))
    clock.advance(40 * DAY_S)
    keep_house(one_day, clock)
    assert values(one_day.read(qty=9)) == ["fresh"]


def test_unrelated_change_and_the_same_retention_leave_no_marker(one_day):
    one_day.admin.put(f"/device/{one_day.device}", {"name": "Other"})
    keep(one_day, 1)
    assert store.current().list("retentions", "") == []
    keep(one_day, 2)
    assert len(store.current().list("retentions", "")) == (0 if store.current().is_exclusive else 1)


def test_purge_takes_an_hour_a_step_and_goes_by_the_settings_of_the_moment(clock, sqlite):
    world, mutable, other = World(type="immutable", chunk_period="day", chunk_retention=9), World(), World()
    start_ms = periods.period_start(NOW_MS, "day") - 5 * DAY_MS
    for hour in range(6):
        world.send(*[point("a", hour, time=start_ms + hour * keys.HOUR_MS + number) for number in range(3)])
    for mine in (mutable, other):
        mine.send(point("a", time="2001-01-01"))
    keep(world, 2)
    steps = retention.purge(retention.immutable_devices())
    for left in (15, 12):
        while sum(item.points for item in stored(world)) == left + 3:
            next(steps)
        assert sum(item.points for item in stored(world)) == left
    keep(world, 9)
    assert {*steps} == {None} and world.read(query="count") == 12
    assert mutable.read(query="count") == other.read(query="count") == 1


def raw(world):
    """Return the items of a device, as DynamoDB holds them, by key."""
    items = client().scan(TableName=TABLE)["Items"]
    return {item["key"]["S"]: item for item in items if item["device"]["S"] == world.device}


def test_stored_segments_get_the_expiry_of_the_present_retention_and_nothing_else_changes(clock, dynamo):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", time=OLD_MS), point("a", time=NEW_MS))
    before = raw(world)
    keep(world, 20)
    assert follow() == 0 and raw(world) == before, "a process may still store by the settings before"
    clock.advance(SETTLED_S)
    assert follow() == 1 and store.current().list("retentions", "") == []
    for item in stored(world):
        time_ms = keys.key_time_ms(item.key)
        assert item.expires_at == periods.expiry_ms(time_ms, "day", 20) // 1000
    after = raw(world)
    for item in [*before.values(), *after.values()]:
        del item["expires_at"]
    assert after == before and follow() == 0


def test_counters_count_a_change_of_expiry_as_nothing(clock, records):  # noqa: F811
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", time=OLD_MS), point("a", time=NEW_MS))
    deliver(records())
    before = store.current().counters(world.profile, world.device)
    keep(world, 20)
    clock.advance(SETTLED_S)
    changes = len(records())
    assert follow() == 1 and len(records()) == changes + 2
    deliver(records())
    assert store.current().counters(world.profile, world.device) == before
    keep(world, 0)
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 1
    clock.advance(SETTLED_S)
    follow()
    deliver(records())
    assert amounts(world) == [1, 1] and look(world) == [1]


@pytest.mark.parametrize(
    "sent", [{"type": "mutable"}, {"type": "immutable", "chunk_period": "day", "chunk_retention": 9}]
)
def test_points_of_a_process_with_the_settings_before_follow_too(clock, dynamo, sent):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    path, before = f"/device/{world.device}", world.doc
    world.admin.put(path, {"active": False})
    world.admin.post(f"{path}/convert", sent)
    clock.advance(60)
    send.store_points(device=before, sent=Sent([point("a", "late", time=NOW_MS)], b"late"))
    clock.advance(SETTLED_S)
    follow()
    clock.advance(5 * DAY_S)
    remove_expired(world)
    world.admin.put(path, {"active": True})
    assert values(world.read()) == ["late"]


def test_edit_of_a_converted_device_does_not_keep_an_expiry(clock, dynamo):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    path, before = f"/device/{world.device}", world.doc
    world.admin.put(path, {"active": False})
    world.admin.post(f"{path}/convert", {"type": "mutable"})
    world.admin.put(path, {"active": True})
    send.store_points(device=before, sent=Sent([point("a", "late"), point("a", "later")], b"late"))
    (one, _) = world.read()
    clock.advance(SETTLED_S)
    edits = []

    def edit_first(**_):
        edits.append(one)
        if len(edits) == 1:
            assert world.api.put("/data", {"id": one["id"], "value": "edited"}).status == 200

    with hook("before-parameter-build.dynamodb.UpdateItem", edit_first):
        follow()
    assert edits and [item.expires_at for item in stored(world)] == [None]


def test_segment_that_is_removed_meanwhile_does_not_come_back(clock, dynamo):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", time=OLD_MS), point("a", time=NEW_MS))
    keep(world, 20)
    clock.advance(SETTLED_S)

    def remove(params, **_):
        if params["TableName"] == TABLE:
            dynamo.drop_segments(world.device, "0", "g", profile=world.profile)

    with hook("before-parameter-build.dynamodb.UpdateItem", remove):
        assert follow() == 1
    assert raw(world) == {}


@pytest.fixture
def unbalanced(monkeypatch):
    """Let the housekeeping do nothing but the changes of retention."""
    monkeypatch.setattr(housekeeping, "_CHORES", {"retentions": retention.resume})


@pytest.mark.parametrize("operation", ["UpdateItem", "Query", "GetItem", "BatchWriteItem"])
@pytest.mark.parametrize("calls", range(3))
def test_killed_anywhere_is_finished_by_the_next_run(clock, dynamo, unbalanced, operation, calls):
    world = World(type="immutable", chunk_period="day", chunk_retention=9)
    world.send(*[point("a", day, time=NOW_MS - day * DAY_MS) for day in range(7)])
    keep(world, 3)
    clock.advance(SETTLED_S)
    try:
        with killed_after(operation, calls):
            follow()
    except Killed:
        assert store.current().list("retentions", "") != []
    follow()
    assert store.current().list("retentions", "") == [] and look(world) == [3, 2, 1, 0]
    assert [item.expires_at for item in stored(world)] == [
        periods.expiry_ms(NOW_MS - day * DAY_MS, "day", 3) // 1000 for day in (3, 2, 1, 0)
    ]


def test_run_without_time_left_notes_how_far_it_came(clock, dynamo, unbalanced):
    world = World(type="immutable", chunk_period="day", chunk_retention=9)
    world.send(*[point("a", day, time=NOW_MS - day * DAY_MS) for day in range(7)])
    keep(world, 20)
    clock.advance(SETTLED_S)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 6_000)
    updates = []

    def slow(**_):
        updates.append(1)
        clock.advance(1)

    try:
        with hook("before-call.dynamodb.UpdateItem", slow), pytest.raises(errors.Unavailable):
            follow(context)
        (marker,) = store.current().list("retentions", "")
        assert len(updates) == 3 and marker.doc["from"] == stored(world)[3].key
        with hook("before-call.dynamodb.UpdateItem", slow), hook("before-call.dynamodb.PutItem", slow):
            assert follow() == 1
        assert len(updates) == 7 + 1 and store.current().list("retentions", "") == [], "the segments, and the epoch"
    finally:
        deadline.begin(None)


def test_marker_of_an_erased_device_is_removed(clock, dynamo):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    keep(world, 2)
    world.admin.delete(f"/device/{world.device}")
    assert follow() == 1 and store.current().list("retentions", "") == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(-1, 6)),
        st.tuples(st.just("again"), st.integers(0, 20)),
        st.tuples(st.just("keep"), st.integers(0, 5)),
        st.tuples(st.just("advance"), st.integers(1, 60)),
        st.tuples(st.sampled_from(["keep house", "expire"]), st.just(0)),
    ),
    max_size=14,
)


class Model:
    """A device as a plain list: of each point its value, its time, and the expiry that its segment carries."""

    def __init__(self, clock):
        self.clock, self.kept, self.sent, self.points = clock, 1, [], {}

    @property
    def start_ms(self):
        """The start of the window."""
        return periods.window(self.clock.now_ms, "day", self.kept)[0]

    def accepts(self, time_ms):
        """Return whether a point of this time may be stored."""
        return self.start_ms <= time_ms <= periods.window(self.clock.now_ms, "day", self.kept)[1]

    def store(self, value, time_ms):
        """Store a point. If it is there already, its segment gets the present expiry."""
        self.points[value] = (time_ms, periods.expiry_ms(time_ms, "day", self.kept))

    def follow(self):
        """Remove what is not kept, and give the rest the present expiry."""
        self.points = {
            value: (time_ms, periods.expiry_ms(time_ms, "day", self.kept))
            for value, (time_ms, _) in self.points.items()
            if time_ms >= self.start_ms
        }

    def visible(self):
        """Return the values that a reader sees, in order of time."""
        kept = [(time_ms, value) for value, (time_ms, _) in self.points.items() if time_ms >= self.start_ms]
        return [value for _, value in sorted(kept)]


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(STEPS)
def test_history_with_changes_of_retention_against_a_plain_model(clock, each_store, steps):
    empty_tables()
    clock.now_ms = NOW_MS
    world, model = World(type="immutable", chunk_period="day", chunk_retention=1), Model(clock)
    for number, (step, amount) in enumerate(steps):
        if step in ("send", "again") and (step == "send" or model.sent):
            if step == "send":
                model.sent.append((number, clock.now_ms - amount * DAY_MS - number))
            value, time_ms = model.sent[-1 if step == "send" else amount % len(model.sent)]
            answer = world.api.post("/data", [point("a", value, time=time_ms)])
            assert answer.status == (200 if model.accepts(time_ms) else 400)
            if answer.status == 200:
                model.store(value, time_ms)
        elif step == "keep":
            keep(world, amount)
            model.kept = amount
        elif step == "advance":
            clock.advance(amount * 3_600)
        elif step == "keep house":
            keep_house(world, clock)
            model.follow()
        elif step == "expire" and not each_store.is_exclusive:
            remove_expired(world)
            model.points = {value: found for value, found in model.points.items() if found[1] > clock.now_ms}
        assert values(world.read(qty=1_000, ordination="ascending")) == model.visible()
    assert look(world) == model.visible()
    keep_house(world, clock)
    model.follow()
    assert len(stored(world)) == len(model.points)
