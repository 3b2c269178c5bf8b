"""Properties of the codec: times, keys, numbers, query strings, segments, aggregates."""

import json
import random
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.codec import keys, numbers, patterns, periods, querystring, segments, times
from chalicelib.codec.segment import HAS_VALUE, Draft, Item, Moved
from chalicelib.services.points import aggregates

TIMES = st.integers(keys.EARLIEST_MS, keys.LATEST_MS)
SUFFIXES = st.integers(0, keys.SUFFIX_COUNT - 1)


def noise(seed, size):
    source = random.Random(seed)
    return "".join(
        source.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/") for _ in range(size)
    )


@given(TIMES)
def test_time_written_and_read_is_the_same(time_ms):
    text = times.to_iso(time_ms)
    assert len(text) == 24 and text.endswith("Z")
    assert times.parse_time(text) == times.canonical_ms(text) == time_ms


@given(TIMES, st.integers(-14 * 60, 14 * 60))
def test_time_of_any_offset_is_the_same_moment(time_ms, minutes):
    zone = timezone(timedelta(minutes=minutes))
    if not 86_400_000 < time_ms - keys.EARLIEST_MS < keys.LATEST_MS - keys.EARLIEST_MS - 86_400_000:
        return
    moment = (times.EPOCH + timedelta(milliseconds=time_ms)).astimezone(zone)
    assert times.parse_time(moment.isoformat()) == times.parse_time(str(moment)) == time_ms


@given(st.text(max_size=40))
@example("2026-W01-1T00:00:00.000Z")
@example("2026-13-01T00:00:00.000Z")
@example("9" * 20)
def test_time_of_any_text_is_a_time_or_a_value_error(text):
    for read in (times.parse_time, lambda t: times.parse_bound(t, now_ms=0, is_end=True)):
        try:
            assert keys.EARLIEST_MS <= read(text) <= keys.LATEST_MS
        except ValueError:
            pass
    quick = times.canonical_ms(text)
    assert quick is None or times.to_iso(quick) == text


@given(st.integers() | st.floats())
@example(10**40)
@example(float("inf"))
def test_time_of_any_number_is_a_time_or_a_value_error(number):
    try:
        assert keys.EARLIEST_MS <= times.parse_time(number) <= keys.LATEST_MS
    except ValueError:
        pass


SPANS = [
    ("1 day", 86_400_000), ("10d", 864_000_000), ("5 minutes", 300_000), ("5min", 300_000), ("2 hours", 7_200_000),
    ("1 ms", 1), ("3S", 3), ("30 sec", 30_000), ("2 weeks", 1_209_600_000), ("1w", 604_800_000), ("4  hh", 14_400_000),
]  # fmt: skip


@pytest.mark.parametrize(("text", "span_ms"), SPANS)
def test_span_counts_back_from_now(text, span_ms):
    assert times.parse_span(text, 10**12) == 10**12 - span_ms


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("1M", "2026-02-28"),
        ("1 month", "2026-02-28"),
        ("1 quarter", "2025-12-31"),
        ("1 year", "2025-03-31"),
        ("13 MM", "2025-02-28"),
        ("2yy", "2024-03-31"),
    ],
)
def test_span_of_months_is_a_calendar_step(text, got):
    assert times.to_iso(times.parse_span(text, times.parse_time("2026-03-31")))[:10] == got


@pytest.mark.parametrize(
    "text",
    [
        "day",
        "a day",
        "1 day 2 hours",
        "-1 day",
        "1.5 day",
        "1 DAY",
        "",
        "1",
        "1000000000 years",
        "999999999y",
        "1 fortnight",
        "1 ss s",
    ],
)
def test_span_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        times.parse_span(text, 10**12)


@given(TIMES, TIMES, SUFFIXES, SUFFIXES)
def test_key_order_is_time_order(a_ms, b_ms, a, b):
    first, second = keys.segment_key(a_ms, a), keys.segment_key(b_ms, b)
    assert len(first) == len(second) == 20
    assert (first < second) == ((a_ms, a) < (b_ms, b))
    assert keys.key_time_ms(first) == a_ms and keys.key_suffix(first) == a


@given(TIMES, TIMES, st.integers(0, keys.HOUR_MS - 1), SUFFIXES)
def test_key_bounds_hold_every_segment_that_may_matter(start_ms, end_ms, into_ms, suffix):
    low, high = keys.key_bounds(start_ms, end_ms)
    newest_ms = min(keys.hour_of(end_ms) * keys.HOUR_MS + into_ms, keys.LATEST_MS)
    if newest_ms >= start_ms:
        assert low <= keys.segment_key(newest_ms, suffix) <= high


def as_decimal(number):
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


NUMBERS = st.integers(-(10**38) + 1, 10**38 - 1) | st.floats(
    allow_nan=False, allow_infinity=False, min_value=-1e125, max_value=1e125
)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=7)


@given(NUMBERS | DECIMALS.map(lambda d: d.normalize()))
@example(-0.0)
@example(0.1 + 0.2)
@example(Decimal("0.12345678901234567890123456789012345678"))
@example(Decimal("968551266.3529424"))
def test_number_survives_a_round_trip(number):
    from chalicelib.codec import jsontext

    if isinstance(number, Decimal) and len(number.as_tuple().digits) > 38:
        return
    text = jsontext.dumps({"a": number})
    back = numbers.loads_exact(text)["a"]
    assert as_decimal(back) == as_decimal(number) and str(back).startswith("-") == str(number).startswith("-")
    assert numbers.problem(number) is None
    raw = text.encode()
    if not numbers.may_be_inexact(raw):
        assert as_decimal(json.loads(raw)["a"]) == as_decimal(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_of_a_float_is_never_taken_for_inexact_in_vain(number):
    back = numbers.loads_exact(json.dumps([number]))[0]
    assert isinstance(back, float) and back == number


NAMES = st.sampled_from(["variables", "groups", "a"])
TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8), min_size=1, max_size=5
)


@given(st.dictionaries(NAMES, TEXTS, max_size=3))
def test_query_string_dialects_are_alike(lists):
    repeated = urlencode(lists, doseq=True)
    empty = "&".join(f"{name}[]={quote(text)}" for name, texts in lists.items() for text in texts)
    numbered = "&".join(f"{name}[{i}]={quote(text)}" for name, texts in lists.items() for i, text in enumerate(texts))
    escaped = numbered.replace("[", "%5B").replace("]", "%5D")
    for text in (repeated, empty, numbered, escaped):
        assert querystring.parse(gather(text)) == lists


def gather(text):
    found = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


@given(st.dictionaries(st.text("ab[]019", max_size=12), st.lists(st.text(max_size=3), max_size=3), max_size=6))
def test_query_string_of_any_keys_is_read_or_refused(parameters):
    try:
        querystring.parse(parameters)
    except ValueError:
        pass


LINE = st.fixed_dictionaries({"value": st.text(max_size=200), "group": st.text(max_size=10)})


@given(
    st.integers(-(10**6), 10**9),
    st.lists(st.tuples(st.integers(0, keys.HOUR_MS - 1), st.sampled_from("abc"), LINE), min_size=1, max_size=60),
)
def test_segment_survives_a_round_trip(hour, points):
    start_ms = max(keys.EARLIEST_MS, min(hour * keys.HOUR_MS, keys.LATEST_MS - keys.HOUR_MS))
    start_ms -= start_ms % keys.HOUR_MS
    drafts = [
        Draft(start_ms + into_ms, name, HAS_VALUE, json.dumps({"variable": name, **line})[1:], False)
        for into_ms, name, line in sorted(points, key=lambda one: one[0])
    ]
    segment = segments.build("d" * 24, drafts, keys.segment_key(drafts[-1].time_ms, 7), 5_042)
    segment.digest = b"x"
    item = segments.encode(segment)
    assert segments.pack("d" * 24, drafts, segment.key, 5_042, digest=b"x", expires_at=None) == item
    assert item.points == len(points)
    back, header = segments.decode(item), segments.decode_header(item)
    assert [back.time_ms - offset for offset in back.offsets] == [draft.time_ms for draft in drafts]
    assert [back.names[number] for number in back.variables] == [draft.variable for draft in drafts]
    assert back.lines == [draft.line for draft in drafts]
    assert (header.offsets, header.variables, header.names) == (back.offsets, back.variables, back.names)
    texts = back.splice(range(len(drafts)), details=True)
    decoded = [json.loads(text) for text in texts]
    assert [one["id"] for one in decoded] == [back.point_id(index) for index in range(len(drafts))]
    assert {one["created_at"] for one in decoded} == {"1970-01-01T00:00:00.005Z"}


@given(st.integers(0, 10**16), st.dictionaries(st.integers(0, 9), st.integers(0, 10**16)), st.sets(st.integers(0, 9)))
def test_segment_keeps_arrivals_origins_and_forwarding_marks(created_us, arrivals, gone):
    drafts = [Draft(1_000 + number, "a", HAS_VALUE, f'"value":{number}}}', False) for number in range(10)]
    segment = segments.build("d" * 24, drafts, keys.segment_key(1_009, 7), created_us)
    segment.moved = {index: Moved(f"{index:024x}", arrival) for index, arrival in arrivals.items()}
    for index in gone:
        segment.kill(index, forward="f" * 20)
    for back in (segments.decode(segments.encode(segment)), segments.decode_header(segments.encode(segment))):
        assert back.created_us == created_us and (back.moved, back.forwards) == (segment.moved, segment.forwards)
        assert [back.order(index) for index in range(10)] == [
            (1_000 + index, arrivals.get(index, created_us), back.point_id(index)) for index in range(10)
        ]
    for index in gone:
        segment.put(index, drafts[index])
    restored = segments.decode(segments.encode(segment))
    assert (restored.points, restored.forwards, restored.is_sorted) == (10, {}, True)
    assert restored.lines == [draft.line for draft in drafts]
    segment.put(0, drafts[5])
    assert not segments.decode(segments.encode(segment)).is_sorted


def test_segment_header_longer_than_a_page_is_still_read():
    drafts = [Draft(index * 7, f"variable{index}{noise(index, 60)}", 0, '"a":1}', False) for index in range(2_000)]
    segment = segments.build("d", drafts, keys.segment_key(drafts[-1].time_ms, 1), 0)
    item = segments.encode(segment)
    assert item.body[0] != ord("{")
    assert segments.decode_header(item).names == [draft.variable for draft in drafts]


@given(
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(-1000, 1000)), max_size=60),
    st.sampled_from(["minute", "hour", "day", "month", "quarter", "year"]),
    st.sampled_from(["avg", "sum", "min", "max", "count"]),
)
def test_aggregate_agrees_with_a_plain_model(points, interval, function):
    model = {}
    for time_ms, value in points:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        parts = {"minute": 5, "hour": 4, "day": 3, "month": 2, "quarter": 2, "year": 1}[interval]
        place = [moment.year, moment.month, moment.day, moment.hour, moment.minute][:parts]
        if interval == "quarter":
            place[1] = (place[1] - 1) // 3 * 3 + 1
        model.setdefault(tuple((place + [1, 1])[:3] + place[3:] if parts < 3 else place), []).append(value)
    apply = {"avg": lambda v: sum(v) / len(v), "sum": sum, "min": min, "max": max, "count": len}[function]
    expected = {times.from_datetime(datetime(*place, tzinfo=UTC)): apply(found) for place, found in model.items()}
    buckets = aggregates.Buckets(interval, function)
    for time_ms, value in points:
        buckets.add("a", [time_ms], [value])
    times_ms, values = zip(*sorted(points), strict=True) if points else ((), ())
    buckets.add("b", times_ms, values)
    assert buckets.values() == {start_ms: {"a": value, "b": value} for start_ms, value in expected.items()}


@given(st.lists(st.integers(-(10**37), 10**37) | st.floats(-1e125, 1e125), max_size=30), st.integers(1, 100))
@example([0.1, -0.1], 1)
@example([1e100, 1.0, -1e100], 1)
@example([0.1], 1_500)
def test_sum_is_rounded_once(values, times_over):
    added = numbers.Sum()
    for value in values * times_over:
        added.add(value)
    exact = sum((Fraction(value) for value in values), Fraction(0)) * times_over
    assert added.count == len(values) * times_over
    if all(isinstance(value, int) for value in values):
        assert added.total() == exact and isinstance(added.total(), int)
    else:
        assert added.total() == float(exact) and isinstance(added.total(), float)


@pytest.mark.parametrize(
    ("period", "at", "start"),
    [
        ("week", "2026-03-01", "2026-02-23"), ("week", "2026-03-02", "2026-03-02"), ("month", "2024-02-29", "2024-02-01"),
        ("quarter", "2026-12-31", "2026-10-01"), ("year", "2026-12-31", "2026-01-01"), ("day", "1969-12-31", "1969-12-31"),
        ("week", "1969-12-28", "1969-12-22"),
    ],
)  # fmt: skip
def test_period_starts_where_the_calendar_says(period, at, start):
    assert times.to_iso(periods.period_start(times.parse_time(at + "T13:14:15Z"), period))[:10] == start


@given(TIMES, TIMES, st.sampled_from([*periods.INTERVALS, "week"]))
def test_period_count_is_that_of_the_starts(a_ms, b_ms, period):
    a_ms, b_ms = sorted((a_ms, b_ms))
    count = periods.period_count(a_ms, b_ms, period)
    assert count >= 1
    if count < 50:
        starts = [periods.period_start(a_ms, period)]
        while len(starts) < count:
            starts.append(periods.shift(starts[-1], period, 1))
        assert starts[-1] == periods.period_start(b_ms, period)
    assert periods.period_count(b_ms + 1, a_ms, period) == 0


def test_item_that_would_not_fit_is_refused():
    drafts = [Draft(0, "a", 0, json.dumps(noise(index, 6_000)), False) for index in range(120)]
    with pytest.raises(ValueError, match="more than"):
        segments.encode(segments.build("d", drafts, keys.segment_key(0, 1), 0))


def test_item_is_deflated_only_when_that_saves_a_unit():
    small = segments.encode(segments.build("d", [Draft(0, "a", 0, '"a":1}', False)], keys.segment_key(0, 1), 0))
    assert isinstance(small, Item) and small.body[0] == ord("{")


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_pattern_matches_what_a_regular_expression_matches(pattern, text):
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None
    assert patterns.matches(pattern, text) is expected
