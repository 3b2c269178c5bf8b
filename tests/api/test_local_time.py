"""GET /data with a time zone: local days, and the buckets of query=aggregate."""

import pytest

from tests.kit.world import point

BERLIN = {"timezone": "Europe/Berlin"}


def moments(start_ms, count, step_ms):
    """Return points, a step apart."""
    return [point("a", 1, time=start_ms + index * step_ms) for index in range(count)]


def buckets(world, **query):
    got = world.read(query="aggregate", variables="a", **{"function": "count", **query})
    return [(bucket["time"].removesuffix(":00.000Z"), bucket["value"]) for bucket in got]


@pytest.fixture
def half_hours(world):
    """A point every half hour around the two days on which Berlin changes its clocks in 2026."""
    world.send(*moments(1_774_656_000_000, 192, 1_800_000))  # from 2026-03-28
    world.send(*moments(1_792_800_000_000, 192, 1_800_000))  # from 2026-10-24
    return world


@pytest.mark.parametrize(("day", "count"), [("2026-03-29", 46), ("2026-10-25", 50), ("2026-03-30", 48)])
def test_whole_day_has_the_hours_that_the_zone_gives_it(half_hours, day, count):
    bounds = {"start_date": day, "end_date": day, **BERLIN}
    assert half_hours.read(query="count", **bounds) == count
    ((start, counted),) = buckets(half_hours, interval="day", **bounds)
    assert (
        counted == count and start == f"{day[:8]}{int(day[8:]) - 1:02d}T{'22' if day[:10] != '2026-03-29' else '23'}:00"
    )
    assert half_hours.read(query="count", start_date=day, end_date=day) == 48


def test_repeated_hour_is_two_buckets(half_hours):
    got = buckets(half_hours, interval="hour", start_date="2026-10-24T23:00Z", end_date="2026-10-25T02:59Z", **BERLIN)
    assert got == [(f"2026-10-{hour}:00", 2) for hour in ("24T23", "25T00", "25T01", "25T02")]


@pytest.mark.parametrize(
    ("zone", "first"), [("Asia/Kolkata", "2026-01-01T00:30"), ("Asia/Kathmandu", "2026-01-01T00:15"), ("UTC", None)]
)
def test_hours_are_those_of_the_local_clock(world, zone, first):
    world.send(*moments(1_767_225_600_000, 24, 300_000))  # two hours from 2026-01-01
    starts = [start for start, _ in buckets(world, interval="hour", timezone=zone)]
    assert starts[1 if first else 0] == (first or "2026-01-01T00:00")


@pytest.mark.parametrize(
    ("interval", "starts"),
    [
        ("day", ["2026-06-29T22:00", "2026-06-30T22:00"]),
        ("week", ["2026-06-28T22:00"]),
        ("month", ["2026-05-31T22:00", "2026-06-30T22:00"]),
        ("quarter", ["2026-03-31T22:00", "2026-06-30T22:00"]),
        ("year", ["2025-12-31T23:00"]),
    ],
)
def test_long_buckets_begin_at_local_midnight(world, interval, starts):
    world.send(point("a", 3, time="2026-06-30T21:59:59.999Z"), point("a", 4, time="2026-06-30T22:00:00Z"))
    got = buckets(world, interval=interval, function="sum", **BERLIN)
    assert [start for start, _ in got] == starts
    assert [value for _, value in got] == ([3, 4] if len(starts) == 2 else [7])


def test_week_begins_on_monday(world):
    world.send(point("a", 1, time="2026-03-01"), point("a", 2, time="2026-03-02"))
    assert buckets(world, interval="week", function="sum") == [("2026-02-23T00:00", 1), ("2026-03-02T00:00", 2)]


@pytest.mark.parametrize(
    ("spelling", "minutes"),
    [("5 minutes", 5), ("5min", 5), ("10 minute", 10), ("15 min", 15), ("15m", 15), ("30 minutes", 30), ("30mins", 30)],
)
def test_interval_of_several_minutes(world, spelling, minutes):
    world.send(*moments(1_767_225_600_000, 120, 60_000))
    got = buckets(world, interval=spelling, end_date="2026-01-01")
    assert [value for _, value in got] == [minutes] * (120 // minutes)
    assert got[1][0] == f"2026-01-01T00:{minutes:02d}"


@pytest.mark.parametrize("interval", ["5", "7 minutes", "minutes", "5 hours", "60 minutes", "Day"])
def test_unknown_interval_is_refused_with_the_known_ones(world, interval):
    answer = world.api.get("/data", query={"query": "aggregate", "function": "avg", "interval": interval})
    assert answer.status == 400
    assert all(name in answer.message for name in ("minute", "5 minutes", "30 minutes", "week", "quarter"))


def test_count_counts_points_with_and_without_a_number(world):
    world.send(*[point("a", value, time="2026-01-01") for value in (1, 2.5, "text", True, None)])
    world.send(point("b", "x", time="2026-01-01T12:00Z"), point("b", "y", time="2026-01-02"))
    assert buckets(world, interval="day") == [("2026-01-01T00:00", 5)]
    got = world.read(query="aggregate", function="count", interval="day", values=["x", "2.5"])
    assert [(one["variable"], one["time"][:10], one["value"]) for one in got] == [
        ("a", "2026-01-01", 1),
        ("b", "2026-01-01", 1),
    ]
    assert sum(one["value"] for one in world.read(query="aggregate", function="count", interval="year")) == 7


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_ten_thousand_buckets_are_the_limit(world, zone):
    world.send(point("a", 1, time="2026-01-01T00:30:00Z"))
    query = {"query": "aggregate", "function": "count", "interval": "minute", "start_date": "2026-01-01T00:00:00Z"}
    query["timezone"] = zone
    assert world.api.get("/data", query=query | {"end_date": "2026-01-07T22:39:59.999Z"}).status == 200
    answer = world.api.get("/data", query=query | {"end_date": "2026-01-07T22:40:00Z"})
    assert answer.status == 400 and "10001 intervals" in answer.message


def test_sums_of_many_fractions_are_exact(world):
    for start_ms in (1_767_225_600_000, 1_767_229_200_000):
        parts = [1e16, *[0.1] * 1_500, -1e16]
        world.send(*[point("a", value, time=start_ms + index) for index, value in enumerate(parts)])
    (bucket,) = world.read(query="aggregate", variables="a", function="sum", interval="day")
    assert bucket["value"] == 300.0


def test_edges_of_the_zone_apply_to_deletes(half_hours):
    removed = half_hours.api.delete("/data?start_date=2026-10-25&end_date=2026-10-25&timezone=Europe/Berlin&qty=1000")
    assert removed.result == "50 Data Removed"
