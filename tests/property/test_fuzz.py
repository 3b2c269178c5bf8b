"""Generated query strings, forms and JSON bodies: every answer is in the envelope, and none is a 5xx."""

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.host import cache
from chalicelib.schemas import queries
from tests.kit.world import World, point

FUZZ = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
WEIRD = st.sampled_from([
    "NaN", "nan", "Infinity", "-inf", "1e999", "-1e999", "--5", "-5", "0", "1", "10001", "9" * 30, "1e5", "01", "1.5", "٣",
    "true", "False", "null", "[]", "{}", "a,asc", "asc", "name,asc", "*", "*a*", "*" * 12, "\0", "\ud7ff", "\U0001f321",
    "%", "now", "never", "1 day", "1M", "999999999 y", "5 minutes", "2026-02-30", "2026-01-31", "2026-01-31T24:00:00z",
    "2026-12-31T23:59:60Z", "9999-12-31", "1100-01-01", "0000-00-00", "Europe/Berlin", "Pacific/Apia", "../etc", "Europe",
    "utc", "aggregate", "conditional", "last_value", "avg", "sum", "count", "min", "hour", "week", "gt", "0" * 24, "x" * 300,
])  # fmt: skip
TEXTS = WEIRD | st.text(st.characters(codec="utf-8"), max_size=12) | st.floats().map(str) | st.integers().map(str)
PLACES = st.sampled_from(
    ["", "[]", "[0]", "[1]", "[x]", "[key]", "[lat]", "[tags][0][key]", "[a][b][c][d][e]", "[", "]"]
)
LISTED = ("page", "amount", "fields", "orderBy", "filter", "serial", "resolveBucketName", "sent_status", "details")
NAMES = st.sampled_from([*queries.PARAMETERS, *LISTED]) | st.text(max_size=4)
PAIRS = st.lists(st.tuples(st.builds(str.__add__, NAMES, PLACES), TEXTS), max_size=5)
VALID = st.fixed_dictionaries(
    {},
    optional={
        "query": st.sampled_from(queries.KINDS),
        "interval": st.sampled_from(["minute", "15 min", "hour", "week", "quarter", "year"]),
        "function": st.sampled_from([*queries.AGGREGATES, *queries.COMPARISONS]),
        "timezone": st.sampled_from(["UTC", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Kiritimati"]),
        "start_date": WEIRD,
        "end_date": WEIRD,
        "value": WEIRD,
        "qty": st.sampled_from(["1", "10000"]),
    },
)
PATHS = st.sampled_from([
    "/data", "/data", "/data", "/device", "/action", "/info", "/device/params", "/device/{}", "/device/{}/data", "/status",
    "/device/{}/params", "/device/{}/chunk", "/device/{}/data_amount", "/device/token/{}",
])  # fmt: skip
FORM_NAMES = st.sampled_from(["variable", "value", "unit", "group", "serie", "time", "location", "metadata", "x"])


@pytest.fixture
def fuzzed(each_store):
    """A device with points of every kind, and an immutable one."""
    world = World()
    world.send(*[point("a", value, time=f"2026-01-{day:02d}") for day, value in enumerate((1, 2.5, "x", True), 1)])
    world.send(point("b", 10**30, time="9999-12-31T23:59:59.999Z"), point("b", -1, time="1100-01-01"))
    world.send({"variable": "c", "location": {"lat": 1, "lng": 2}, "metadata": {"a": 1}})
    yield world
    cache.clear_all()


@FUZZ
@given(st.sampled_from(["GET", "GET", "GET", "DELETE"]), PATHS, VALID, PAIRS)
def test_query_string_of_any_kind_is_answered(fuzzed, method, path, valid, pairs):
    if method == "DELETE":
        path = "/data"
    api = fuzzed.admin if "{}" in path or path in ("/device", "/action") else fuzzed.api
    answer = api(method, path.format(fuzzed.device) + "?" + urlencode([*valid.items(), *pairs]))
    assert answer.status in (200, 400), answer.text
    json.loads(answer.text, parse_constant=pytest.fail)


@FUZZ
@given(st.lists(st.tuples(st.builds(str.__add__, FORM_NAMES, PLACES), TEXTS), max_size=6), st.booleans())
def test_form_of_any_kind_is_stored_or_refused(fuzzed, pairs, is_escaped):
    pairs = [("variable", "form"), *pairs]
    raw = urlencode(pairs) if is_escaped else "&".join(f"{name}={text}" for name, text in pairs)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = fuzzed.api.post("/data", raw=raw, headers=headers)
    assert answer.status in (200, 400), answer.text
    assert fuzzed.api.get("/data?qty=1").status == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FORM_NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
ITEMS = st.dictionaries(FORM_NAMES, JSON, max_size=5).map(lambda item: {"variable": "json"} | item)


@FUZZ
@given(ITEMS | st.lists(ITEMS | JSON, max_size=4), st.integers(0, 400), st.sampled_from(["POST", "PUT"]))
def test_json_of_any_kind_is_stored_or_refused_also_if_it_is_cut(fuzzed, sent, cut, method):
    raw = json.dumps(sent)
    for text in (raw, raw[:cut], quote(raw)):
        answer = fuzzed.api(method, "/data", raw=text, headers={"Content-Type": "application/json"})
        assert answer.status in (200, 400), answer.text
        assert len(answer.body.get("field_errors", {})) <= 20
    assert fuzzed.api.get("/data?qty=1").status == 200
