"""Query strings of any kind, on every route that reads: an answer or a refusal that names its reason, never a 5xx."""

import collections
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib import routes
from chalicelib.schemas.queries import PARAMETERS
from tests.kit.world import World, point

PATHS = sorted({row.path for row in routes.ALL if row.method == "GET" and row.who})
LISTS = ("page", "amount", "fields", "orderBy", "serial", "resolveBucketName", "sent_status", "filter")
FIELDS = ("id", "name", "tags", "active", "last_input", "created_at", "token", "permission", "lock", "type", "zzz")
KEYS = st.sampled_from(["", "0", "1", "key", "value", "x", "99999999999999999999"])
NAMES = st.one_of(
    st.sampled_from(PARAMETERS + LISTS),
    st.builds("{}[{}]".format, st.sampled_from(PARAMETERS + LISTS), KEYS),
    st.builds("filter[{}]".format, st.sampled_from(FIELDS)),
    st.builds("filter[tags][{}][{}]".format, KEYS, KEYS),
    st.builds("filter[{}][{}]".format, st.sampled_from(FIELDS), KEYS),
    st.text(max_size=6),
)
VALUES = st.one_of(
    st.sampled_from(
        ["--5", "-5", "5", "0", "", "1e999", "NaN", "Infinity", "null", "true", "False", "**a*", "*" * 11, "name,asc",
         "visible,asc", "last_input,desc", "tags", ",", "1 day", "2026-02-30", "9999-12-31T23:59:59.999Z", "0000-01-01",
         "Europe/Berlin", "../x", "last_value", "avg", "aggregate", "conditional", "min", "gt", "day", "month", "½", "٣",
         "9" * 30, "1_000", " 5", "\x00", "a\nb"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12),
)  # fmt: skip
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@pytest.fixture
def filled(each_store):
    world = World(tags=[{"key": "a", "value": "b"}])
    world.send(point("a", 1), point("b", "x"), point("c", location={"lat": 1, "lng": 2}))
    trigger = [{"device": world.device, "topic": "a"}]
    sent = {"name": "Keep", "type": "mqtt_topic", "trigger": trigger, "action": {"type": "insert_to_device"}}
    world.things = {"action_id": world.admin.post("/action", sent).result["action"]}
    world.things |= {"device_id": world.device, "device_id_or_token": world.device}
    return world


@pytest.mark.parametrize("path", PATHS)
@given(QUERIES)
@example([("page", "--5")])
@example([("amount", "--5")])
@example([("filter[tags][0][key][x]", "1")])
@example([("orderBy", "visible,asc")])
@example([("orderBy", "last_input,asc")])
@example([("filter[id]", "zzz")])
@example([("query", "conditional"), ("function", "gt"), ("value", "1e999"), ("start_date", "1 day")])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_string_breaks_a_route(filled, path, query):
    text = "&".join(f"{quote(name, errors='replace')}={quote(value, errors='replace')}" for name, value in query)
    for api in (filled.admin, filled.api):
        answer = api.get(f"{path.format_map(collections.defaultdict(lambda: '0' * 24, filled.things))}?{text}")
        assert answer.status in (200, 400, 401, 404), (answer.status, answer.text)
        assert answer.status == 200 or len(answer.message) < 1_000
