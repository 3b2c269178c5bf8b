"""The function that seals past days on AWS: when it is asked, what it does, and what is counted meanwhile."""

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest

from chalicelib import errors, store
from chalicelib.codec.sealing import DoesNotFitError
from chalicelib.functions import housekeeping
from chalicelib.functions import sealer as function
from chalicelib.host import deadline, sealer
from chalicelib.host.deadline import Limits
from chalicelib.services.devices import sealings
from chalicelib.services.points import sealing
from chalicelib.services.points.send import Arrival
from chalicelib.store import dynamodb_counters, names
from tests.iot.test_iot import connect, publish
from tests.kit.faults import answered
from tests.kit.policies import running
from tests.kit.sealings import (
    DAY_MS,
    TODAY,
    YESTERDAY,
    before_call,
    fill,
    finish,
    kept_world,
    sealed,
    smalls,
    store_one,
    texts,
    work,
)  # fmt: skip
from tests.kit.world import SCHEDULED, World, point
from tests.services.test_counters import deliver, records  # noqa: F401 - a fixture

HOUR_S = 3_600


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """A few small segments are worth sealing."""
    monkeypatch.setattr(sealings, "LEAST", 3)


@pytest.fixture
def asked(clean_process):
    """What the sealer was asked for: bodies and delays."""
    found = []
    sealer.use(lambda body, delay_s: found.append((body, delay_s)))
    return found


@pytest.fixture
def begun(clock, dynamo):
    """The deployment has sealed for more than an hour."""
    sealings.waits_s()
    clock.advance(HOUR_S)


def at_hour(clock, hour, day=TODAY):
    """Move the clock to an hour of a day, UTC."""
    clock.advance(((day * DAY_MS + hour * HOUR_S * 1_000) - clock.now_ms) / 1_000)


def deliver_message(body):
    with running("sealer"):
        function.seal({"Records": [{"messageId": "1", "body": json.dumps(body)}]}, None)


def body_of(world, **more):
    return {"profile": world.profile, "device": world.device} | more


def amount(world):
    return world.admin.get(f"/device/{world.device}/data_amount").result


def test_first_change_after_one_oclock_asks_for_the_days_before(clock, records, asked):  # noqa: F811
    world = kept_world()
    at_hour(clock, 23)
    store_one(world.doc, point("a", 1))
    deliver(records())
    seen = len(records())
    for hour, expected in ((24.5, 0), (25.1, 1), (25.9, 1), (30, 1), (49.1, 2)):
        at_hour(clock, hour)
        store_one(world.doc, point("a", 2))
        deliver(records()[seen:])
        seen = len(records())
        assert len(asked) == expected, hour
    assert asked[0] == (body_of(world), 0)
    assert dynamodb_counters.days(world.profile, world.device) == {TODAY, TODAY + 1, TODAY + 2}
    deliver(records())
    assert len(asked) == 2, "a batch that comes again asks for nothing"


def test_reads_of_a_device_do_not_keep_its_days_from_being_asked_for(clock, records, asked):  # noqa: F811
    world = kept_world()
    at_hour(clock, 20)
    store_one(world.doc, point("a", 1))
    deliver(records())
    at_hour(clock, 25.1)
    dynamodb_counters.add_output(world.profile, world.device, 1, clock.now_ms)
    store_one(world.doc, point("a", 2))
    deliver(records()[1:])
    assert len(asked) == 1


@pytest.mark.parametrize("months", [None, 6])
def test_nothing_is_asked_for_devices_that_do_not_pay(clock, records, asked, months):  # noqa: F811
    world = kept_world(months) if months else World()
    for hour in (20, 25.5):
        at_hour(clock, hour)
        store_one(world.doc, point("a", hour))
    deliver(records())
    finish(world, clock, TODAY)
    assert asked == [] and sealed(world) == []


def test_setting_turns_sealing_off(clock, records, asked, configure):  # noqa: F811
    configure(sealing=False)
    world = kept_world()
    store_one(world.doc, point("a", 1))
    deliver(records())
    assert dynamodb_counters.days(world.profile, world.device) == set()


def test_queue_that_is_down_does_not_keep_anything_from_being_counted(clock, records):  # noqa: F811
    def refuse(*_):
        raise errors.Unavailable

    sealer.use(refuse)
    world = kept_world()
    for hour in (20, 25.5):
        at_hour(clock, hour)
        store_one(world.doc, point("a", hour))
    assert deliver(records()) == 2


def test_function_does_nothing_in_the_first_hour_and_asks_itself_again(clock, dynamo, asked):
    world = kept_world()
    fill(world)
    deliver_message(body_of(world, days=[YESTERDAY, YESTERDAY]))
    assert asked == [(body_of(world, days=[YESTERDAY, YESTERDAY]), 900)] and sealed(world) == []
    clock.advance(HOUR_S)
    deliver_message(asked[0][0])
    assert len(sealed(world)) == 1


def test_function_seals_then_asks_itself_to_delete(clock, records, asked, begun):  # noqa: F811
    world = kept_world()
    before_ms = clock.now_ms
    fill(world, TODAY - 2, count=4)
    fill(world, YESTERDAY, count=4)
    deliver(records())
    deliver_message(body_of(world))
    assert len(sealed(world)) == 2 and len(smalls(world)) == 8
    assert dynamodb_counters.days(world.profile, world.device) == set()
    while asked:
        body, delay_s = asked.pop()
        clock.advance(delay_s)
        deliver_message(body)
    assert smalls(world) == [] and [item.counted for item in sealed(world)] == [4, 4]
    assert clock.now_ms - before_ms >= 20 * 60_000
    assert store.current().get(names.device(world.device), names.SEALING).doc == {"days": {}}


def test_function_whose_time_is_up_stops_and_resumes(clock, dynamo, asked, begun):
    world = kept_world()
    fill(world, count=5)
    wait_s = work(world)
    clock.advance(wait_s)
    with deadline.using(Limits(clock.elapsed_s + 0.012)):
        left_s = work(world, noted=False)
    assert left_s is not None and 0 < len(smalls(world)) < 5
    clock.advance(left_s)
    assert work(world, noted=False) is None and smalls(world) == []


def test_function_deletes_at_most_200_segments_a_second(clock, dynamo, begun):
    world = kept_world()
    fill(world, count=6)
    clock.advance(work(world))
    before_s = clock.elapsed_s
    work(world, noted=False)
    assert clock.elapsed_s - before_s == pytest.approx(6 / 200)


def test_days_of_a_range_are_worked_off_a_few_at_a_time(clock, dynamo, asked, begun, monkeypatch):
    monkeypatch.setattr(function, "DAYS", 2)
    world = kept_world()
    for day in range(TODAY - 5, TODAY + 1):
        fill(world, day, count=3)
    asked.append((body_of(world, days=[TODAY - 6, TODAY]), 0))
    while asked:
        body, delay_s = asked.pop(0)
        clock.advance(min(delay_s, 900))
        deliver_message(body)
    assert len(sealed(world)) == 5 and len(smalls(world)) == 3, "all but today"


def test_store_that_is_down_raises_so_that_the_message_comes_again(clock, dynamo, asked, begun):
    world = kept_world()
    fill(world)
    with answered("Query", 500, {}), pytest.raises(errors.Unavailable):
        deliver_message(body_of(world, days=[YESTERDAY, YESTERDAY]))
    asked.append((body_of(world), 0))
    while asked:
        body, delay_s = asked.pop()
        clock.advance(delay_s)
        deliver_message(body)
    assert len(sealed(world)) == 1 and smalls(world) == [], "the day was noted"


def test_devices_stored_before_are_found_once(clock, dynamo, asked):
    worlds = [kept_world() for _ in range(3)]
    World().send(point("a", 1))
    for world in worlds[:2]:
        fill(world, TODAY - 3, count=1)
    keep_house()
    assert asked == [], "not in the first hour"
    clock.advance(HOUR_S)
    with pytest.raises(errors.Unavailable), running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, SimpleNamespace(get_remaining_time_in_millis=lambda: 0))
    keep_house()
    assert sorted(body["device"] for body, _ in asked) == sorted(world.device for world in worlds[:2])
    assert {tuple(body["days"]) for body, _ in asked} == {(TODAY - 3, YESTERDAY)}
    keep_house()
    assert len(asked) == 2


def test_search_for_devices_resumes_after_the_last_one(clock, dynamo, asked, begun):
    worlds = [kept_world() for _ in range(3)]
    for world in worlds:
        fill(world, TODAY - 3, count=1)
    sealer.use(lambda body, _: fail_from_the_second(asked, body))
    for _ in range(3):
        with pytest.raises(errors.Unavailable):
            sealings.find()
            raise errors.Unavailable
        asked.append(None)
    assert sorted(body["device"] for body in asked if body) == sorted(world.device for world in worlds)


def fail_from_the_second(asked, body):
    if asked and asked[-1]:
        raise errors.Unavailable
    asked.append(body)


def keep_house():
    with running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, None)


def test_counters_stay_right_whatever_is_delivered_again(clock, records, asked, begun):  # noqa: F811
    world = kept_world()
    fill(world, count=5)
    deliver(records())
    before = store.current().counters(world.profile, world.device)
    wait_s = work(world)
    deliver(records())
    assert store.current().counters(world.profile, world.device) == before, "sealed segments count nothing yet"
    clock.advance(wait_s)
    work(world, noted=False)
    for _ in range(2):
        deliver(records())
        assert store.current().counters(world.profile, world.device) == before
    fill(world, count=4, first=5)
    deliver(records())
    finish(world, clock)
    deliver(records()[-7:])
    deliver(records())
    assert amount(world) == 9 == world.read(query="count") and sum(item.counted for item in sealed(world)) == 9
    world.admin.post(f"/device/{world.device}/empty")
    deliver(records())
    assert amount(world) == 0 and store.current().counters(world.profile).records == 0


def test_counters_of_a_device_that_was_never_counted_add_up_what_is_stored(clock, dynamo, begun):
    world = kept_world()
    fill(world, count=5)
    wait_s = work(world)
    assert store.current().counters(world.profile, world.device).records == 5
    clock.advance(wait_s)
    work(world, noted=False)
    assert store.current().counters(world.profile, world.device).records == 5


def test_late_points_are_seen_at_once_and_sealed_again(clock, dynamo, begun):
    world = kept_world()
    fill(world, count=6, minutes=60)
    finish(world, clock)
    for number in range(4):
        store_one(world.doc, point("v0", f"late {number}", time=YESTERDAY * DAY_MS + number * 3_700_000))
    before = texts(world)
    assert world.read(query="count") == 10 and len(smalls(world)) == 4
    clock.advance(work(world))
    assert texts(world) == before
    work(world, noted=False)
    assert texts(world) == before and smalls(world) == []
    assert sum(item.points for item in sealed(world)) == 10 == sum(item.counted for item in sealed(world))


def test_two_sealers_at_once_seal_once(clock, dynamo, begun):
    for number in range(0, 30, 2):
        world = kept_world()
        fill(world, count=3)
        with before_call(number, lambda world=world: work(world)) as seen:
            work(world)
        finish(world, clock)
        assert smalls(world) == [] and world.read(query="count") == 3, number
        assert [item.points for item in sealed(world)] == [3], number
        if seen[0] < 2 * number:
            break


def test_retention_that_is_changed_while_a_day_is_sealed_is_followed(clock, dynamo, asked, begun):
    for number in range(0, 12, 2):
        world = kept_world()
        fill(world, count=3)
        path = f"/device/{world.device}"

        def change(path=path, world=world):
            assert world.admin.put(path, {"chunk_retention": 24}).status == 200

        with before_call(number, change):
            work(world)
        clock.advance(600)
        keep_house()
        finish(world, clock)
        (item,) = sealed(world)
        assert item.expires_at == 1_853_971_200, "the end of September 2028"


def test_shorter_retention_seals_nothing_more_and_deletes_what_is_sealed(clock, dynamo, begun):
    world = kept_world()
    fill(world, count=3)
    wait_s = work(world)
    world.admin.put(f"/device/{world.device}", {"chunk_retention": 1})
    fill(world, TODAY - 2, count=3)
    clock.advance(wait_s)
    work(world, TODAY - 2)
    work(world, noted=False)
    assert len(sealed(world)) == 1 and len(smalls(world)) == 3 and world.read(query="count") == 6


def test_device_that_does_not_exist_leaves_nothing(clock, dynamo, asked, begun):
    world = kept_world()
    world.admin.delete(f"/device/{world.device}")
    deliver_message(body_of(world, days=[YESTERDAY, YESTERDAY]))
    assert store.current().get(names.device(world.device), names.SEALING) is None and asked == []


@pytest.mark.parametrize("behind_s", [0, 1_790])
def test_reader_and_writer_with_a_clock_behind_see_each_point_once(clock, dynamo, begun, behind_s):
    world = kept_world()
    sent = [point("v0", number, time=YESTERDAY * DAY_MS + number) for number in range(4)]
    at_hour(clock, 0.5)
    for one in sent:
        store_one(world.doc, one)
    before = texts(world)
    at_hour(clock, 1)

    def check():
        clock.now_ms -= behind_s * 1_000
        assert texts(world) == before
        assert [store_one(world.doc, one) for one in sent] == [1] * 4, "a retry"
        assert texts(world) == before and world.read(query="count") == 4
        clock.now_ms += behind_s * 1_000

    check()
    wait_s = work(world)
    check()
    clock.advance(wait_s)
    work(world, noted=False)
    check()
    assert len(sealed(world)) == 1


def test_write_that_was_in_flight_for_28_seconds_meets_the_small_segment(clock, dynamo, begun):
    """A writer that did not look for a sealed twin, as the day had just ended by a clock that is behind."""
    world = kept_world()
    one = point("v0", 1, time=YESTERDAY * DAY_MS)
    device = world.doc
    store_one(device, one)
    fill(world, count=3, first=1)
    at_hour(clock, 1)
    item = store.current().get_segment(world.device, smalls(world)[0])
    wait_s = work(world)
    clock.advance(28)
    assert store.current().put_segments([item], profile=world.profile, now_ms=clock.now_ms) == {0: item}
    assert wait_s >= 20 * 60 and world.read(query="count") == 4


def test_message_that_is_delivered_again_after_six_hours_is_stored_once(clock, dynamo, begun):
    world = kept_world()
    at_hour(clock, 23, YESTERDAY + 1)
    arrival = Arrival(clock.now_ms, "client 1")
    one = point("v0", "without time")
    assert store_one(world.doc, one, arrival=arrival) == 1
    fill(world, TODAY, count=3)
    at_hour(clock, 25.2)
    finish(world, clock, TODAY)
    assert smalls(world) == []
    clock.advance(4 * HOUR_S)
    assert store_one(world.doc, one, arrival=arrival) == 1
    assert world.read(query="count") == 4 and smalls(world) == []


def test_mqtt_message_that_is_delivered_again_after_its_day_was_sealed_is_stored_once(clock, dynamo, begun):
    """With what the policy of the ingest function allows."""
    world = kept_world()
    connect(world.token)
    for number in range(3):
        publish([point("v0", number)], timestamp=clock.now_ms, uuid=str(number))
    day, sent_ms = clock.now_ms // DAY_MS, clock.now_ms
    at_hour(clock, 25.5, day)
    finish(world, clock, day)
    assert smalls(world) == [] and len(sealed(world)) == 1
    publish([point("v0", 1)], timestamp=sent_ms, uuid="1")
    assert world.read(query="count") == 3 and smalls(world) == []
    clock.advance(HOUR_S)
    publish([point("v0", 7)], timestamp=sent_ms, uuid="7")
    assert world.read(query="count") == 4


@pytest.mark.parametrize("late", [1, 12])
def test_large_day_is_sealed_in_several_transactions(clock, dynamo, begun, monkeypatch, late):
    monkeypatch.setattr(sealings, "_SLICE", 4)
    monkeypatch.setattr(sealing, "MAX_POINTS", 3)
    world = kept_world()
    fill(world, count=13, minutes=30)
    before = texts(world)
    finish(world, clock)
    assert texts(world) == before and smalls(world) == [] and len(sealed(world)) >= 5
    monkeypatch.setattr(sealings, "LEAST", 1)
    for number in range(late):
        store_one(world.doc, point("v1", number, time=YESTERDAY * DAY_MS + number * 2_000_003))
    before = texts(world)
    wait_s = work(world)
    assert texts(world) == before
    clock.advance(wait_s)
    finish(world, clock)
    ranges = [(item.low, item.key) for item in sealed(world)]
    assert all(one[1] <= next_one[0] for one, next_one in pairwise(ranges)) and smalls(world) == []
    assert texts(world) == before and sum(item.counted for item in sealed(world)) == 13 + late


@pytest.mark.parametrize("limits", [{"_ITEMS": 2}, {"_BYTES": 300}])
def test_day_that_is_too_much_for_a_transaction_is_sealed_by_halves(clock, dynamo, begun, monkeypatch, limits):
    for name, limit in limits.items():
        monkeypatch.setattr(sealings, name, limit)
    monkeypatch.setattr(sealing, "MAX_POINTS", 3)
    world = kept_world()
    fill(world, count=14)
    before = texts(world)
    finish(world, clock)
    assert texts(world) == before and smalls(world) == [] and len(sealed(world)) >= 5
    assert sum(item.counted for item in sealed(world)) == 14


def test_request_that_does_not_fit_stays_as_it_is(clock, dynamo, begun, monkeypatch):
    world = kept_world()
    fill(world, count=5)
    store_one(world.doc, point("v0", "x" * 4_000, time=YESTERDAY * DAY_MS + 5_400_000))
    before, encode = texts(world), sealing.sealing.encode

    def refuse(device, low, key, held, **more):
        if any(len(row.line) > 4_000 for row in held.rows.values()):
            raise DoesNotFitError
        return encode(device, low, key, held, **more)

    monkeypatch.setattr(sealing.sealing, "encode", refuse)
    finish(world, clock)
    assert texts(world) == before and len(smalls(world)) == 1


def test_long_values_make_parts_that_end_where_the_last_one_ended(clock, dynamo, begun, monkeypatch):
    monkeypatch.setattr(sealings, "_SLICE", 3)
    monkeypatch.setattr(sealing, "MAX_BYTES", 2_000)
    world = kept_world()
    for number in range(12):
        store_one(world.doc, point("v0", "x" * 500, time=YESTERDAY * DAY_MS + number * 60_000))
    before = texts(world)
    finish(world, clock)
    assert texts(world) == before and smalls(world) == []


def test_big_segments_stay_as_they_are(clock, dynamo, begun):
    world = kept_world()
    fill(world, count=3)
    many = [point("v1", number, time=YESTERDAY * DAY_MS + 7_200_000 + number) for number in range(64)]
    world.send(*many)
    before = texts(world)
    finish(world, clock)
    assert texts(world) == before and len(smalls(world)) == 1 and len(sealed(world)) == 1
