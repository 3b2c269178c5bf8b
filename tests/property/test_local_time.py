"""Local days and buckets, against Python's zoneinfo."""

import random
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from chalicelib.codec import keys, periods, times
from chalicelib.services.points import aggregates

ZONES = sorted(available_timezones() - {"localtime", "Factory", "posixrules"})
ODD = [
    "Africa/Cairo", "Africa/Casablanca", "Africa/Monrovia", "America/Havana", "America/Sao_Paulo", "America/St_Johns",
    "Asia/Beirut", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Manila", "Australia/Lord_Howe", "Europe/Amsterdam",
    "Europe/Berlin", "Europe/Dublin", "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati", "UTC",
]  # fmt: skip
SHORT = [name for name in periods.INTERVALS if name.endswith(("minute", "minutes", "hour"))]
LONG = [name for name in periods.INTERVALS if name not in SHORT]
DAY = timedelta(days=1)


def local(time_ms, zone):
    return times.to_datetime(time_ms).astimezone(zone)


def wall(time_ms, zone):
    return local(time_ms, zone).replace(tzinfo=None)


def changes(zone, year):
    """Return the days of a year before which the offset differs from that after them."""
    noons = [datetime(year, 1, 1, 12, tzinfo=UTC) + DAY * number for number in range(367)]
    offsets = [noon.astimezone(zone).utcoffset() for noon in noons]
    return [noon for noon, (before, after) in zip(noons, pairwise(offsets), strict=False) if before != after]


@st.composite
def moments(draw):
    """A zone and a time: half of them within a day of a change of the zone's offset."""
    zone = ZoneInfo(draw(st.sampled_from(ODD) | st.sampled_from(ZONES)))
    time_ms = draw(st.integers(times.parse_time("1850-01-01"), times.parse_time("2100-01-01")))
    near = changes(zone, times.to_datetime(time_ms).year)
    if near and draw(st.booleans()):
        time_ms = times.from_datetime(draw(st.sampled_from(near))) + draw(st.integers(-86_400_000, 86_400_000 * 2))
        time_ms -= draw(st.sampled_from([0, time_ms % 1_800_000]))  # often exactly at a change, or just before it
        time_ms -= draw(st.sampled_from([0, 1]))
    return zone, time_ms


def label(interval, moment):
    """Return the first day of the period in which a local time lies."""
    day = moment.date()
    if interval == "week":
        return day - DAY * day.weekday()
    if interval == "day":
        return day
    month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[interval]
    return date(day.year, month, 1)


@settings(max_examples=150, deadline=None)
@given(moments(), st.sampled_from(LONG))
def test_long_bucket_is_all_of_a_local_period(moment, interval):
    zone, time_ms = moment
    start_ms, end_ms = periods.bucket(time_ms, interval, zone)
    before, first, own, last, after = (
        label(interval, local(at_ms, zone)) for at_ms in (start_ms - 1, start_ms, time_ms, end_ms - 1, end_ms)
    )
    assert start_ms <= time_ms < end_ms
    assert before < first == last < after
    # A clock that is set back at 00:01 shows a minute of the next day before it shows the end of its own day again.
    assert own == first or label(interval, local(time_ms + 60_000, zone)) == first
    assert periods.bucket(start_ms, interval, zone) == periods.bucket(end_ms - 1, interval, zone) == (start_ms, end_ms)
    assert periods.bucket(end_ms, interval, zone)[0] == end_ms


@settings(max_examples=150, deadline=None)
@given(moments(), st.sampled_from(SHORT))
def test_short_bucket_is_aligned_to_the_local_clock_and_has_one_offset(moment, interval):
    zone, time_ms = moment
    start_ms, end_ms = periods.bucket(time_ms, interval, zone)
    number, _, unit = interval.rpartition(" ")
    step = timedelta(hours=1) if unit == "hour" else timedelta(minutes=int(number or 1))
    midnight = datetime.combine(wall(time_ms, zone).date(), datetime.min.time())

    def index(at_ms):
        return (wall(at_ms, zone) - midnight) // step

    assert start_ms <= time_ms < end_ms <= start_ms + step // timedelta(milliseconds=1)
    offset = local(time_ms, zone).utcoffset()
    assert local(start_ms, zone).utcoffset() == offset == local(end_ms - 1, zone).utcoffset()
    assert index(start_ms) == index(time_ms) == index(end_ms - 1)
    for outside_ms in (start_ms - 1, end_ms):
        assert index(outside_ms) != index(time_ms) or local(outside_ms, zone).utcoffset() != offset


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ODD) | st.sampled_from(ZONES), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
@example("America/Sao_Paulo", date(2018, 11, 4))
@example("America/Sao_Paulo", date(2018, 2, 17))
@example("Africa/Cairo", date(2014, 5, 16))
@example("Asia/Beirut", date(2026, 3, 29))
@example("America/Havana", date(2026, 11, 1))
@example("America/St_Johns", date(2005, 10, 29))
@example("Europe/Berlin", date(2026, 10, 25))
def test_whole_day_is_the_local_day(name, day):
    zone = ZoneInfo(name)
    start_ms, end_ms = (
        times.parse_bound(day.isoformat(), now_ms=0, is_end=is_end, zone=zone) for is_end in (False, True)
    )
    assume(start_ms < end_ms)  # Samoa had no 2011-12-30
    assert local(start_ms, zone).date() == day == local(end_ms, zone).date()
    assert local(start_ms - 1, zone).date() < day < local(end_ms + 1, zone).date()
    assert periods.bucket(start_ms, "day", zone) == (start_ms, end_ms + 1)


def test_day_that_a_zone_left_out_is_empty():
    start_ms, end_ms = (
        times.parse_bound("2011-12-30", now_ms=0, is_end=is_end, zone=ZoneInfo("Pacific/Apia"))
        for is_end in (False, True)
    )
    assert times.to_iso(start_ms) == "2011-12-30T10:00:00.000Z" and end_ms == start_ms - 1


@pytest.mark.parametrize("interval", periods.INTERVALS)
@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "America/New_York", "UTC"])
@pytest.mark.parametrize("time_ms", [keys.EARLIEST_MS, keys.LATEST_MS])
def test_buckets_reach_the_ends_of_time(time_ms, name, interval):
    start_ms, end_ms = periods.bucket(time_ms, interval, ZoneInfo(name))
    assert start_ms <= time_ms and end_ms > start_ms
    assert periods.period_count(time_ms, time_ms, interval, ZoneInfo(name)) == 1


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Europe/Amsterdam", "UTC"]),
    st.integers(times.parse_time("1950-01-01"), times.parse_time("2040-01-01")),
    st.sampled_from(periods.INTERVALS),
    st.floats(0, 40),
)
def test_count_of_buckets_is_their_number(name, start_ms, interval, many):
    zone = ZoneInfo(name)
    first_ms, next_ms = periods.bucket(start_ms, interval, zone)
    end_ms = start_ms + int((next_ms - first_ms) * many)
    counted = 1
    while next_ms <= end_ms:
        next_ms = periods.bucket(next_ms, interval, zone)[1]
        counted += 1
    assert periods.period_count(start_ms, end_ms, interval, zone) == counted


class Asked(tzinfo):
    """A time zone that counts how often it is asked."""

    def __init__(self, name):
        self.zone, self.count = ZoneInfo(name), 0

    def utcoffset(self, moment):
        self.count += 1
        return moment.replace(tzinfo=self.zone).utcoffset() if moment else None

    def dst(self, moment):
        return None

    def fromutc(self, moment):
        self.count += 1
        return self.zone.fromutc(moment.replace(tzinfo=self.zone)).replace(tzinfo=self)


@pytest.mark.parametrize(("interval", "buckets"), [("15 minutes", 7 * 96), ("hour", 7 * 24), ("day", 7), ("week", 1)])
def test_zone_is_asked_for_buckets_and_not_for_points(interval, buckets):
    zone = Asked("Europe/Berlin")
    first_ms = times.parse_bound("2026-03-23", now_ms=0, is_end=False, zone=ZoneInfo("Europe/Berlin"))
    moments = [first_ms + index * 7 * 86_400_000 // 100_000 - 3_600_000 for index in range(100_000)]
    random.Random(1).shuffle(moments)
    buckets_of = aggregates.Buckets(interval, "count", zone)
    for time_ms in moments:
        buckets_of.add("a", [time_ms], [1])
    folded = buckets_of.values()
    assert sum(of["a"] for of in folded.values()) == 100_000
    assert len(folded) <= buckets + 1 and zone.count <= 12 * (buckets + 1)
