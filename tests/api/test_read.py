"""GET /data: every kind of query and every parameter."""

import json
import random

import pytest

from tests.kit.billing import counting
from tests.kit.faults import hook
from tests.kit.world import World, point, values

HOUR = 3_600_000


def at(minute, second=0):
    return f"2026-01-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:{second:02d}.000Z"


@pytest.fixture
def filled(world):
    """Three variables over five hours, sent out of order in overlapping batches."""
    sent = [point("a", index, time=at(index * 7)) for index in range(40)]
    sent += [point("b", f"text{index}", time=at(index * 20)) for index in range(14)]
    sent += [point("place", time=at(100 + index), value=None, location={"lat": index, "lng": 1}) for index in range(3)]
    random.Random(1).shuffle(sent)
    for start in range(0, len(sent), 9):
        world.send(*sent[start : start + 9])
    world.sent = sent
    return world


def expected(world, *names, ascending=False):
    chosen = [one for one in world.sent if not names or one["variable"] in names]
    return sorted(chosen, key=lambda one: one["time"], reverse=not ascending)


def times_of(points):
    return [one["time"] for one in points]


def test_read_default_is_the_newest_fifteen(filled):
    got = filled.read()
    assert times_of(got) == times_of(expected(filled))[:15]


@pytest.mark.parametrize("ordination", ["ascending", "asc", "ASC", "descending", "desc", "DESC"])
def test_read_ordination(filled, ordination):
    got = filled.read(ordination=ordination, qty=100)
    assert times_of(got) == times_of(expected(filled, ascending=ordination.lower().startswith("asc")))


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(("qty", "skip"), [(1, 0), (7, 3), (10_000, 0), (5, 56), (5, 57), (5, 1_000)])
def test_read_qty_and_skip(filled, ascending, qty, skip):
    got = filled.read(qty=qty, skip=skip, ordination="asc" if ascending else "desc")
    assert times_of(got) == times_of(expected(filled, ascending=ascending))[skip : skip + qty]


def test_read_variables_are_each_given_qty_in_the_requested_order(filled):
    got = filled.read(variables=["b", "A", "nothing"], qty=3)
    assert [one["variable"] for one in got] == ["b"] * 3 + ["a"] * 3
    assert times_of(got[3:]) == times_of(expected(filled, "a"))[:3]
    assert times_of(filled.read(variables=["a", "b"], qty=2, skip=1, ordination="asc")) == [
        *times_of(expected(filled, "a", ascending=True))[1:3],
        *times_of(expected(filled, "b", ascending=True))[1:3],
    ]


def test_read_many_variables_share_the_ten_thousand(filled):
    assert len(filled.read(variables=["a", "b", "place"], qty=10_000)) == 57


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"start_date": at(70)}, 43), ({"end_date": at(70)}, 15), ({"start_date": at(70), "end_date": at(70)}, 1),
        ({"start_date": at(71), "end_date": at(70)}, 0), ({"start_date": "2026-01-01", "end_date": "2026-01-01"}, 57),
        ({"start_date": "2026-01-02"}, 0), ({"end_date": "2025-12-31"}, 0), ({"start_date": "9999-12-31"}, 0),
        ({"end_date": "1100-01-01"}, 0), ({"start_date": at(63, 1), "end_date": at(70)}, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ascending", [False, True])
def test_read_range_is_inclusive(filled, query, count, ascending):
    got = filled.read(qty=100, ordination="asc" if ascending else "desc", **query)
    assert len(got) == count == filled.read(query="count", **query)


def test_read_range_dates(clock, world):
    for hours in (1, 30, 24 * 40):
        world.send(point("a", hours, time=clock.now_ms - hours * HOUR))
    assert values(world.read(start_date="1 day")) == [1]
    assert values(world.read(start_date="2 days", end_date="2 hours")) == [30]
    assert values(world.read(start_date="1 month", end_date="now")) == [1, 30]
    assert values(world.read(end_date="1month")) == [24 * 40]
    assert values(world.read(start_date="2026-09-21", timezone="America/New_York")) == [1]
    assert values(world.read(end_date="2026-09-19")) == [24 * 40]


@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "text", ["x", "-1 day", "1" + "0" * 40, "0000-01-01", "1 day 2 hours", "99999 years", "2026-02-30"]
)
def test_read_bad_date_is_refused(world, name, text):
    answer = world.api.get("/data", query={name: text})
    assert answer.status == 400
    assert answer.message.startswith("Invalid start date" if name == "start_date" else "Invalid end date")


def test_read_details_add_created_at(clock, world):
    world.send(point("a", time="2026-01-01"))
    assert "created_at" not in world.read()[0]
    for spelling in ({"details": "true"}, {"details": "True"}, {"detail": "1"}):
        assert world.read(**spelling)[0]["created_at"] == "2026-09-21T14:13:20.000Z"
    assert "created_at" not in world.read(details="False")[0]


@pytest.mark.parametrize("name", ["groups", "group", "series", "serie"])
def test_read_groups(world, name):
    world.send(
        point("a", 1, group="x"),
        point("a", 2, group="y"),
        point("a", 3, serie="z"),
        point("a", 4, metadata={"group": "x"}),
    )
    assert values(world.read(**{name: "x"})) == [1]
    assert sorted(values(world.read(**{name: ["x", "z"]}))) == [1, 3]
    assert world.read(**{name: "none"}) == []


def test_read_values_compare_as_text_and_as_numbers(world):
    for value in (22, "22", 22.5, True, "true", 10**20):
        world.send(point("a", value))
    assert sorted(map(repr, values(world.read(values="22")))) == ["'22'", "22"]
    assert values(world.read(value="22.50")) == [22.5]
    assert sorted(map(repr, values(world.read(values=["True"])))) == ["True"]
    assert values(world.read(values="1e20")) == [10**20]
    assert world.read(query="count", values=["22", "true"]) == 4


def test_read_ids(filled):
    wanted = [one["id"] for one in filled.read(qty=20)[10:13]]
    assert [one["id"] for one in filled.read(ids=wanted[::-1])] == wanted
    assert [one["id"] for one in filled.read(id=wanted[0])] == wanted[:1]
    assert filled.read(ids=["0" * 24, "x", wanted[0][:20] + "ffff"]) == []
    assert filled.read(ids=wanted, query="count") == 3
    assert len(filled.read(ids=wanted, query="last_item")) == 1
    assert filled.read(ids=wanted, variables="nothing") == []


EDGES = [
    ("last_item", {"a": at(273), "b": at(260), "place": at(102)}),
    ("first_item", {"a": at(0), "b": at(0), "place": at(100)}),
    ("last_value", {"a": at(273), "b": at(260)}),
    ("first_value", {"a": at(0), "b": at(0)}),
    ("last_location", {"place": at(102)}),
    ("first_location", {"place": at(100)}),
]


@pytest.mark.parametrize(("query", "want"), EDGES)
def test_read_edges_per_variable(filled, query, want):
    assert {one["variable"]: one["time"] for one in filled.read(query=query)} == want
    one_each = filled.read(query=query, variables=["place", "a"])
    assert {one["variable"]: one["time"] for one in one_each} == {n: t for n, t in want.items() if n != "b"}


def test_read_edges_within_a_range(filled):
    (got,) = filled.read(query="last_item", variables="a", end_date=at(100))
    assert got["time"] == at(98)
    (got,) = filled.read(query="first_item", variables="a", start_date=at(100))
    assert got["time"] == at(105)
    assert filled.read(query="last_item", variables="place", end_date=at(99)) == []


def test_read_insert_edges_follow_creation(clock, world):
    for value, time in (("first", "2026-05-01"), ("old", "2020-01-01"), ("last", "2023-01-01")):
        world.send(point("a", value, time=time))
        clock.advance(1)
    world.send(point("b", 1, time="2021-01-01"))
    assert values(world.read(query="last_insert")) == ["last", 1]
    assert values(world.read(query="first_insert", variables="a")) == ["first"]
    assert values(world.read(query="last_insert", values="old")) == ["old"]


def test_read_min_and_max_take_numbers_only(world):
    world.send(point("a", 5), point("a", "9"), point("a", True), point("a", -2.5), point("b", 10**20), point("c", "x"))
    assert values(world.read(query="min")) == [-2.5, 10**20]
    assert values(world.read(query="max", variables=["b", "a"])) == [10**20, 5]
    assert world.read(query="max", variables="c") == []


RANGE = {"start_date": "2026-01-01", "end_date": "2026-01-31"}


def test_read_count_avg_and_sum(filled):
    assert filled.read(query="count") == 57
    assert filled.read(query="count", variables=["a", "place"]) == 43
    assert filled.read(query="count", start_date="2027-01-01") == 0
    assert filled.read(query="sum", **RANGE) == sum(range(40))
    assert filled.read(query="avg", variables="a", **RANGE) == 19.5


@pytest.mark.parametrize("query", ["avg", "sum"])
def test_read_avg_and_sum_of_nothing_are_null(world, query):
    world.send(point("a", "text", time="2026-01-02"))
    assert world.read(query=query, **RANGE) is None


PYTHON = {"User-Agent": "TagoIO-SDK|Python|5.1.8 (External; Python/3.11.7 Linux)"}
JAVASCRIPT = {"User-Agent": "TagoIO-SDK|JS|12.3.1 (External; Node.js/v20.1 linux/x64)"}
AGENTS = [
    (PYTHON, "device", "int", "list", "list"), (PYTHON, "profile", "list", "list", "list"),
    (JAVASCRIPT, "device", "int", "float", "list"), (JAVASCRIPT, "profile", "int", "float", "list"),
    ({}, "device", "int", "float", "NoneType"), ({"User-Agent": "curl/8"}, "profile", "int", "float", "NoneType"),
    ({"User-Agent": "x TagoIO-SDK|Python|5"}, "device", "int", "float", "NoneType"),
]  # fmt: skip


def scalars(world, headers, kind):
    """Return the answers of a whole number, a fraction and nothing: to count, avg and sum."""
    world.send(point("a", 3, time="2026-01-02"), point("a", 4, time="2026-01-02"))
    api, path = (world.api, "/data") if kind == "device" else (world.admin, f"/device/{world.device}/data")
    asked = ({"query": "count"}, {"query": "avg", "variables": "a"}, {"query": "sum", "variables": "x"})
    return [api.get(path, query=RANGE | query, headers=headers).result for query in asked]


@pytest.mark.parametrize(("headers", "kind", "whole", "fraction", "nothing"), AGENTS)
def test_read_scalars_have_the_shape_that_the_client_can_read(world, headers, kind, whole, fraction, nothing):
    got = scalars(world, headers, kind)
    assert [type(one).__name__ for one in got] == [whole, fraction, nothing]
    for one, value in zip(got, (2, 3.5), strict=False):
        assert value == (one[0]["value"] if isinstance(one, list) else one)
        assert not isinstance(one, list) or one[0]["time"].endswith("Z")
    assert got[2] in ([], None)


@pytest.mark.parametrize("headers", [{}, PYTHON, JAVASCRIPT])
def test_read_scalars_have_the_shape_that_is_set(world, configure, headers):
    configure(scalar_as_list="true")
    assert [type(one) for one in scalars(world, headers, "device")] == [list, list, list]
    configure(scalar_as_list="false")
    assert scalars(world, headers, "device") == [2, 3.5, None]


@pytest.mark.parametrize("query", ["avg", "sum", "conditional"])
def test_read_needs_a_start_and_at_most_a_month(world, query):
    more = {"value": 1, "function": "gt"} if query == "conditional" else {}
    answer = world.api.get("/data", query={"query": query, **more})
    assert answer.status == 400 and answer.message == "start_date field is required"
    answer = world.api.get(
        "/data", query={"query": query, "start_date": "2026-01-01", "end_date": "2026-03-01", **more}
    )
    assert answer.message == f"The maximum range for {query} is 1 month between start_end and end_date"
    assert world.api.get("/data", query={"query": query, **RANGE, **more}).status == 200
    assert world.api.get("/data", query={"query": query, "start_date": "9999-12-30", **more}).status == 200


@pytest.mark.parametrize(
    ("function", "got"),
    [
        ("gt", [38, 39]),
        ("gte", [37, 38, 39]),
        ("lt", list(range(37))),
        ("lte", list(range(38))),
        ("eq", [37]),
        ("ne", [*range(37), 38, 39]),
    ],
)
def test_read_conditional(filled, function, got):
    query = {"query": "conditional", "function": function, "value": "37", "qty": 100, **RANGE}
    assert sorted(values(filled.read(**query))) == got


@pytest.mark.parametrize(
    "more", [{"function": "gt"}, {"value": 1}, {"value": "x", "function": "gt"}, {"value": 1, "function": "like"}]
)
def test_read_conditional_incomplete_is_refused(world, more):
    assert world.api.get("/data", query={"query": "conditional", **RANGE, **more}).status == 400


def test_read_aggregate(filled):
    query = {"query": "aggregate", "variables": "a", "function": "avg", "interval": "hour", **RANGE}
    got = filled.read(**query)
    assert got[0] == {"time": "2026-01-01T00:00:00.000Z", "value": 4}
    assert [one["time"] for one in got] == [at(60 * hour) for hour in range(5)]
    both = filled.read(**{**query, "variables": ["a", "b"]})
    assert {one["variable"] for one in both} == {"a"}
    assert filled.read(query="aggregate", function="max", interval="year", variables="a")[0]["value"] == 39
    assert filled.read(query="aggregate", function="sum", interval="day", variables="none") == []


def test_read_aggregate_of_calendar_months(world):
    for day in ("2024-02-29", "2024-03-01", "2024-03-31", "2025-02-28"):
        world.send(point("a", 1, time=day))
    got = world.read(query="aggregate", variables="a", function="sum", interval="month")
    assert [(one["time"][:10], one["value"]) for one in got] == [
        ("2024-02-01", 1),
        ("2024-03-01", 2),
        ("2025-02-01", 1),
    ]
    quarters = world.read(query="aggregate", variables="a", function="sum", interval="quarter")
    assert [(one["time"][:10], one["value"]) for one in quarters] == [("2024-01-01", 3), ("2025-01-01", 1)]


def test_read_aggregate_of_too_many_buckets_is_refused_with_their_number(world):
    query = {
        "query": "aggregate",
        "function": "avg",
        "interval": "minute",
        "start_date": "2016-01-01",
        "end_date": "2025-12-31",
    }
    assert world.api.get("/data", query=query).result == []
    world.send(point("a", 1, time="2016-01-01"))
    answer = world.api.get("/data", query=query)
    assert answer.status == 400 and "5260320 intervals" in answer.message
    assert world.api.get("/data", query={"query": "aggregate", "function": "avg", "interval": "minute"}).status == 400


@pytest.mark.parametrize(
    "more",
    [
        {"function": "avg"},
        {"interval": "day"},
        {"function": "median", "interval": "day"},
        {"function": "avg", "interval": "fortnight"},
    ],
)
def test_read_aggregate_incomplete_is_refused(world, more):
    assert world.api.get("/data", query={"query": "aggregate", **more}).status == 400


def test_read_unknown_query_is_refused_with_the_known_ones(world):
    answer = world.api.get("/data", query={"query": "lastvalue"})
    assert answer.status == 400 and "last_value" in answer.message and "aggregate" in answer.message


@pytest.mark.parametrize("text", ["0", "-1", "1000000000", "abc", "10.5", "10001", "١", "1e3", " 5"])
def test_read_bad_qty_is_refused(world, text):
    answer = world.api.get("/data", query={"qty": text})
    assert answer.status == 400 and "qty" in answer.message and answer.body["field_errors"]["qty"]


def test_read_qty_empty_is_absent_and_twice_is_refused(world):
    assert world.api.get("/data?qty=").status == 200
    assert world.api.get("/data?qty=1&qty=2").status == 400


@pytest.mark.parametrize(("text", "status"), [("36000000", 200), ("1000000000000", 400), ("-1", 400), ("x", 400)])
def test_read_skip_is_bounded(world, text, status):
    assert world.api.get("/data", query={"skip": text}).status == status


@pytest.mark.parametrize(
    "bad", [{"ordination": "up"}, {"details": "maybe"}, {"timezone": "Mars/Base"}, {"timezone": "../etc"}]
)
def test_read_bad_parameter_is_refused(world, bad):
    answer = world.api.get("/data", query=bad)
    assert answer.status == 400 and next(iter(bad)) in answer.message


DIALECTS = [
    "variables=a&variables=b",
    "variables[]=a&variables[]=b",
    "variables[0]=a&variables[1]=b",
    "variables%5B0%5D=a&variables=b",
    "variable=a&variables[]=b",
]


@pytest.mark.parametrize("text", DIALECTS)
def test_read_list_dialects_are_alike(filled, text):
    assert {one["variable"] for one in filled.api.get(f"/data?{text}&qty=1").result} == {"a", "b"}


@pytest.mark.parametrize(
    "text",
    [
        "a[b][c][d][e][f]=1",
        "variables[x]=1",
        "query=count&query[x]=1",
        "[x]=1",
        "&".join(f"k{i}=1" for i in range(1_001)),
    ],
)
def test_read_hostile_query_string_is_refused(world, text):
    assert world.api.get(f"/data?{text}").status == 400


def test_read_unknown_parameters_are_ignored(filled):
    assert len(filled.read(origins="x", whatever=["1", "2"])) == 15


@pytest.mark.parametrize("text", [":v", "#n", "attribute_exists(x)", "$gt", '{"S":"x"}', "' OR 1=1 --", "a,b"])
def test_read_expressions_are_plain_text(world, text):
    world.send(point("a", text, group=text), point("a", "other"))
    assert values(world.read(values=text)) == [text]
    assert values(world.read(groups=text)) == [text]
    assert world.read(variables=text) == []
    assert world.read(ids=text) == []


def test_read_answer_over_five_megabytes_is_refused_naming_qty(world):
    sent = [point("a", "x" * 5_900) for _ in range(33)]
    for _ in range(30):
        world.send(*sent)
    answer = world.api.get("/data", query={"qty": 10_000})
    assert answer.status == 413 and "qty" in answer.message
    assert len(world.read(qty=100)) == 100


def test_read_what_another_order_of_sends_gives(world, each_store):
    other = World()
    sent = [
        point(name, index, time=at(index * 13 % 400, 30 * (name == "a")), group="g")
        for index in range(60)
        for name in ("a", "b")
    ]
    batches = [sent[start : start + 7] for start in range(0, len(sent), 7)]
    for batch in batches:
        world.send(*batch)
    for batch in random.Random(3).sample(batches, len(batches)):
        other.send(*batch)
    for query in (
        {"qty": 200},
        {"query": "last_value"},
        {"query": "first_item"},
        {"variables": "a", "ordination": "asc"},
        {"query": "max"},
    ):
        mine, theirs = world.read(**query), other.read(**query)
        assert [stripped(one) for one in mine] == [stripped(one) for one in theirs]


def stripped(one):
    return {name: value for name, value in one.items() if name not in ("id", "device")}


def test_read_rare_variable_leaps_over_what_lies_between(dynamo):
    world = World()
    world.send(point("rare", 1, time="2026-01-01T00:30:00Z"))
    for hour in range(1, 40):
        world.send(point("common", hour, time=at(hour * 60 + 5)))
    read = []
    with hook("after-call.dynamodb.Query", lambda parsed, **_: read.append(len(parsed["Items"]))):
        got = world.read(query="last_value", variables=["common", "rare"])
    assert values(got) == [39, 1] and sum(read) <= 6


def test_read_does_not_read_on_when_it_has_enough(dynamo):
    world = World()
    for hour in range(40):
        world.send(point("a", hour, time=at(hour * 60)))
    with counting() as calls:
        assert len(world.read(qty=3)) == 3
    assert calls == {"Query": 1} and calls


def test_read_text_is_json_as_sent(world):
    world.send(point("a", 'quote " \\ \n \u2028 ü 🌡', metadata={"ключ": ["\t", 1, None, {"x": 0.1}]}))
    (got,) = json.loads(world.api.get("/data").text)["result"]
    assert got["value"] == 'quote " \\ \n \u2028 ü 🌡' and got["metadata"] == {"ключ": ["\t", 1, None, {"x": 0.1}]}


def test_every_kind_of_query_has_one_function():
    from chalicelib.schemas import queries
    from chalicelib.services.points import read

    assert sorted([*read._POINTS, *read.COMPUTED]) == sorted(queries.KINDS)


@pytest.mark.parametrize("end", ["2026-11-01T11:59:59.999Z", "2026-11-01T12:00:00Z", "2026-11-01T12:30:00Z", None])
@pytest.mark.parametrize("start", ["2026-11-01T10:00:00Z", "2026-11-01T10:20:00Z", "2026-11-01T12:10:00Z", None])
def test_count_of_a_range_is_that_of_its_points(world, start, end):
    """Also of segments that begin before the range or end after it, and of ranges that end where an hour does."""
    times_ = [f"2026-11-01T{hour}:{minute:02}:00.000Z" for hour in (9, 10, 11, 12, 13) for minute in range(0, 60, 10)]
    times_ = [time.replace("T9", "T09") for time in times_] + ["2026-11-01T11:59:59.999Z"]
    world.send(*[point("a", 1, time=time) for time in times_])
    for time in times_[::3]:
        world.send(point("b", 2, time=time))
    query = {name: bound for name, bound in (("start_date", start), ("end_date", end)) if bound}
    counted = world.read(query="count", **query)
    assert counted == len(world.read(qty=1_000, **query)) == sum(
        (start or "") <= time.replace(".000", "") and (end is None or time.replace(".000", "") <= end)
        for time in times_ + times_[::3]
    )  # fmt: skip
