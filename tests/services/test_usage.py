"""What devices and profiles have used: input, output and records, by month and hour, over both stores."""

import sqlite3

import pytest

from chalicelib import store
from chalicelib.codec import hours, times
from chalicelib.functions import housekeeping
from chalicelib.schemas.statistics import StatisticsQuery, read_statistics
from chalicelib.services.devices import devices
from chalicelib.services.usage import outputs, quotas, statistics
from chalicelib.store import dynamodb_counters, names
from chalicelib.store.sqlite import SqliteStore
from chalicelib.store.sqlite_reads import Snapshot
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import throttled
from tests.kit.policies import running
from tests.kit.world import SCHEDULED, World, point
from tests.services.test_counters import deliver, records  # noqa: F401 - a fixture

DAY_S = 86_400
HOUR = NOW_MS // hours.HOUR_MS


@pytest.fixture(params=["sqlite", "dynamo"])
def settled(request):
    """A function that makes the counters include all that was stored and read, in each of the two stores."""
    sqlite_store = request.getfixturevalue(request.param) if request.param == "sqlite" else None
    read = None if sqlite_store else request.getfixturevalue("records")
    done = [0]

    def settle():
        outputs.write()
        if read is not None:
            batch = read()
            deliver(batch[done[0] :])
            done[0] = len(batch)

    return settle


def usage(world):
    return [store.current().usage(world.profile, device)[:3] for device in (world.device, None)]


def ask(world, **query):
    return world.admin.get(f"/device/{world.device}/statistics", query=query).result


def test_input_output_and_records_are_counted_for_device_and_profile(clock, settled):
    world = World()
    other = World.__new__(World)
    made = devices.create(profile=world.profile, sent={"name": "Other"})
    other.profile, other.device, other.api = world.profile, made["device_id"], type(world.api)(made["token"])
    world.send(point("a", 1), point("a", 2), point("b", 3))
    other.send(point("a", 1))
    world.read(qty=2)
    world.read(query="count")
    world.read(query="aggregate", interval="hour", function="sum", variables="a", start_date="1 day")
    world.api.delete("/data", query={"variables": "b", "qty": 1})
    settled()
    assert usage(world) == [(3, 4, 2), (4, 4, 3)]
    assert usage(other)[0] == (1, 0, 1)


def test_a_refused_request_and_a_retry_count_nothing(clock, settled):
    world = World()
    sent = point("a", 1, time=NOW_MS)
    world.send(sent)
    world.send(sent)
    world.api.post("/data", [point("a"), {"value": 1}])
    world.api.get("/data", query={"query": "nothing"})
    settled()
    assert usage(world) == [(1, 0, 1), (1, 0, 1)]


def test_a_new_month_begins_with_nothing_used(clock, settled):
    world = World()
    world.send(point("a"), point("b"))
    world.read()
    settled()
    clock.advance(10 * DAY_S)  # the 1st of October
    assert usage(world) == [(0, 0, 2), (0, 0, 2)]
    world.send(point("a"))
    settled()
    assert usage(world) == [(1, 0, 3), (1, 0, 3)]
    assert dict(quotas.used(profile=world.profile)) == {"input": 1, "output": 0, "data_records": 3}


def test_statistics_are_totals_of_the_month_at_the_end_of_each_hour(clock, settled):
    world = World()
    world.send(point("a"), point("b"))
    world.read(qty=1)
    settled()
    clock.advance(2 * 3_600)
    world.send(point("c"))
    settled()
    clock.advance(3_600)
    rows = ask(world)
    assert [row["time"][11:16] for row in rows] == ["17:13", "16:00", "15:00", "14:00"]
    assert [(row["device_input"], row["device_output"]) for row in rows] == [(3, 1), (3, 1), (2, 1), (2, 1)]
    query = read_statistics({}, clock.now_ms)
    own = statistics.of_profile(profile=world.profile, query=query)
    assert [(row["input"], row["output"], row["data_records"]) for row in own] == [
        (3, 1, 3), (3, 1, 3), (2, 1, 2), (2, 1, 2),
    ]  # fmt: skip


def test_days_are_of_the_time_zone_and_months_of_utc(clock, settled):
    world = World()
    world.send(point("a"))
    settled()
    clock.advance(8 * 3_600)  # 22:13 UTC, the next day in Berlin
    world.send(point("b"))
    settled()
    rows = ask(world, periodicity="day", timezone="Europe/Berlin", start_date="2026-09-20", end_date="2026-09-22")
    assert rows == [
        {"time": times.to_iso(clock.now_ms), "device_input": 2},
        {"time": "2026-09-20T22:00:00.000Z", "device_input": 1},
    ]
    assert [row["time"] for row in ask(world, date="2026-09-21", timezone="Europe/Berlin")][
        -1
    ] == "2026-09-21T14:00:00.000Z"
    clock.advance(20 * DAY_S)
    world.send(point("c"))
    settled()
    months = ask(world, periodicity="month", timezone="America/New_York")
    assert [(row["time"][:7], row["device_input"]) for row in months] == [("2026-10", 1), ("2026-09", 2)]


def test_a_device_that_was_silent_long_still_has_its_hours(clock, settled):
    world = World()
    world.send(point("a"))
    settled()
    clock.advance(100 * DAY_S)
    assert ask(world) == [{"time": times.to_iso(clock.now_ms)}]
    assert ask(world, date="2026-09-22")[0] == {"time": "2026-09-22T23:00:00.000Z", "device_input": 1}
    assert ask(world, date="2026-09-20") == []


def test_hours_are_kept_for_fourteen_months(clock, settled):
    world = World()
    world.send(point("a"))
    settled()
    clock.advance(428 * DAY_S)
    world.send(point("b"))
    settled()
    current = store.current()
    kept = current.history(world.profile, None, HOUR - 1, HOUR + 1)
    if current.kind == "sqlite":
        assert [row.hour for row in kept] == [clock.now_ms // hours.HOUR_MS]
    else:
        entity = current.list(names.profile(world.profile), names.HOURS)[0]  # the older one has expired
        assert entity.name == names.hour(clock.now_ms // hours.HOUR_MS)
        assert entity.expires_at == (clock.now_ms // hours.HOUR_MS + hours.KEPT) * 3_600


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"periodicity": "week"}, "periodicity must be one of hour, day, month"),
        ({"timezone": "Mars"}, "timezone must be an IANA name"),
        ({"date": "yesterday"}, "date must be a day such as 2026-01-31"),
        ({"date": "2026-02-31"}, "date must be a day such as 2026-01-31"),
        ({"start_date": "2026-09-02", "end_date": "2026-09-01"}, "end_date must not be before start_date"),
        ({"start_date": "2026-07-01", "end_date": "2026-09-01"}, "The maximum range for hour is 1 month"),
        ({"start_date": "x", "end_date": "2026-09-01"}, "Invalid start date"),
        ({"start_date": "2024-01-01", "end_date": "2026-09-01", "periodicity": "month"}, "for month is 12 month"),
    ],
)
def test_bad_parameters_of_statistics_are_refused(world, query, reason):
    refused = world.admin.get(f"/device/{world.device}/statistics", query=query)
    assert refused.status == 400 and reason in refused.message


def test_a_whole_month_of_hours_is_allowed():
    query = read_statistics({"start_date": ["2026-08-01"], "end_date": ["2026-08-31"]}, NOW_MS)
    assert isinstance(query, StatisticsQuery) and times.to_iso(query.end_ms) == "2026-08-31T23:59:59.999Z"


def test_bucket_amount_is_that_of_the_device(world):
    world.send(point("a"), point("b"))
    paths = [f"/{noun}/{world.device}/data_amount" for noun in ("bucket", "device")]
    assert [world.admin.get(path).result for path in paths] == [2, 2]


def test_last_output_is_shown(clock, settled):
    world = World()
    path = f"/device/{world.device}"
    assert world.admin.get(path).result["last_output"] is None
    world.send(point("a"))
    clock.advance(5)
    world.read()
    settled()
    assert world.admin.get(path).result["last_output"] == times.to_iso(clock.now_ms)
    (listed,) = world.admin.get("/device?fields=last_output").result
    assert listed["last_output"] == times.to_iso(clock.now_ms)
    (listed,) = world.admin.get("/device?fields=last_input&orderBy=last_output").result
    assert listed["last_input"] is not None


def test_a_read_costs_no_write_until_a_minute_has_passed(clock, dynamo):
    world = World()
    world.send(point("a"))
    world.read()

    def cost():
        with counting() as calls:
            world.read()
        return dict(calls)

    assert cost() == {"Query": 1}
    clock.advance(61)
    calls = cost()
    assert calls["UpdateItem"] == 1 and calls["PutItem"] == 1, "the profile, and its first output of the hour"
    assert outputs.pending(profile=world.profile) == 0 and usage(world)[1][1] == 3
    clock.advance(30)
    assert "UpdateItem" not in cost()
    clock.advance(601)
    assert cost()["UpdateItem"] == 2, "the profile and the device"
    assert usage(world)[0][1] == 5


def test_reads_do_not_fail_if_their_output_cannot_be_written(clock, dynamo):
    world = World()
    world.send(point("a"))
    world.read()
    clock.advance(61)
    with throttled("UpdateItem"):
        assert len(world.read()) == 1
        with counting() as calls:
            world.read()
    assert "UpdateItem" not in calls, "tried again only after another minute"
    clock.advance(61)
    world.read()
    assert usage(world)[1][1] == 4


def test_gathered_output_is_bounded(clock, monkeypatch, sqlite):
    monkeypatch.setattr(outputs, "MOST", 3)
    for number in range(10):
        outputs.note(profile="p", device=f"d{number}", points=1)
    assert outputs.pending(profile="p") == 10
    assert outputs.write() == ["p"] and sqlite.usage("p").points_out == 10
    assert [sqlite.usage("p", f"d{number}").points_out for number in range(3)] == [1, 1, 0]


def test_counters_of_an_earlier_version_are_opened_and_go_on(clock, tmp_path):
    with sqlite3.connect(tmp_path / "old.db") as db:
        db.execute(
            "CREATE TABLE counters (owner TEXT PRIMARY KEY, input INTEGER NOT NULL, records INTEGER NOT NULL, "
            "last_input_ms INTEGER) WITHOUT ROWID"
        )
        db.execute("INSERT INTO counters VALUES ('profile#p', 100, 50, 7)")
    db.close()
    opened = SqliteStore(tmp_path / "old.db")
    assert opened.usage("p") == (0, 0, 50, 7, None)
    opened.add_output("p", None, 3, 9)
    assert opened.usage("p") == (0, 3, 50, 7, 9) and opened.counters("p") == (100, 50, 7)
    opened.close()


def test_a_snapshot_sees_what_was_committed(clock, sqlite):
    sqlite.add_output("p", None, 4, 9)
    snapshot = Snapshot(sqlite.path)
    assert snapshot.usage("p") == sqlite.usage("p") == (0, 4, 0, None, 9)
    assert snapshot.history("p", None, HOUR, HOUR) == sqlite.history("p", None, HOUR, HOUR)
    snapshot.close()


def test_what_a_unit_undoes_is_not_used(clock, sqlite):
    sqlite.add_output("p", None, 1, 5)
    with pytest.raises(ZeroDivisionError), sqlite.unit():
        sqlite.add_output("p", None, 10, 9)
        assert sqlite.usage("p").points_out == 11
        raise ZeroDivisionError
    assert sqlite.usage("p") == (0, 1, 0, None, 5)


def test_an_erased_device_leaves_no_hours(clock, settled):
    world = World()
    world.send(point("a"))
    settled()
    world.admin.delete(f"/device/{world.device}")
    settled()
    clock.advance(3_601)
    with running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, None)
    settled()
    assert [row[1:] for row in store.current().history(world.profile, world.device, 0, HOUR + 5)] == [(0, 0, 0)]
    assert usage(world)[1] == (1, 0, 0)


def test_the_housekeeping_corrects_what_a_cut_off_function_left_out(clock, records, monkeypatch):  # noqa: F811
    world = World()
    world.send(point("a"), point("b"))
    deliver(records())

    def keep_house():
        with running("housekeeping"):
            return housekeeping.keep_house(SCHEDULED, None)["balanced"]

    assert keep_house() == 0 and usage(world)[1] == (2, 0, 2)
    world.send(point("c"), point("d"))
    with monkeypatch.context() as cut_off:
        cut_off.setattr(dynamodb_counters, "add_to_profile", lambda *_: None)
        deliver(records())
    assert usage(world) == [(4, 0, 4), (2, 0, 2)]
    assert keep_house() == 1 and usage(world) == [(4, 0, 4), (4, 0, 4)]
    assert keep_house() == 0


def test_what_was_sent_before_an_upgrade_is_not_of_this_month(clock, records):  # noqa: F811
    world = World()
    world.send(point("a"), point("b"))
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(dynamodb_counters, "add_to_profile", lambda *_: None)
        deliver(records())
    with running("housekeeping"):
        housekeeping.keep_house(SCHEDULED, None)
    assert usage(world)[1] == (0, 0, 2)


def test_data_is_stored_and_counted_for_devices_if_the_profile_cannot_be_counted(clock, records, monkeypatch):  # noqa: F811
    from chalicelib import errors

    def down(*_):
        raise errors.Unavailable

    world = World()
    world.send(point("a"))
    monkeypatch.setattr(dynamodb_counters, "add_to_profile", down)
    assert deliver(records()) == 1 and usage(world) == [(1, 0, 1), (0, 0, 0)]


def test_months_are_attributes_that_end_with_the_month(clock, records):  # noqa: F811
    world = World()
    for _ in range(3):
        world.send(point("a"))
        deliver(records()[-1:])
        clock.advance(31 * DAY_S)
    raw = dynamodb_counters.get(dynamodb_counters.EntityModel, dynamodb_counters.key(world.profile, world.device))
    assert [name for name in raw if name.startswith("in ")] == ["in 2026-11"]
    assert raw["input"]["N"] == "3"
