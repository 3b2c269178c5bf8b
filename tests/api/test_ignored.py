"""Names that nothing reads stay without effect, but the log and the inspector name them, and never a value."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.host import events, log
from chalicelib.schemas import ignored
from chalicelib.schemas.points import PointIn
from chalicelib.services.devices import ingest
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point, values

SECRET = "the-value"


class Inspector(events.Nobody):
    """Keeps what it is told."""

    def __init__(self):
        self.seen_all = []

    def seen(self, device, title, content):
        self.seen_all.append((device, title, content))


@pytest.fixture
def inspector():
    watcher = Inspector()
    events.use(watcher)
    return watcher


@pytest.fixture
def lines():
    kept: list[str] = []
    log.use(kept.append)
    return kept


TIME = "timestamp; the field is time"


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (point("a", timestamp=SECRET), [TIME]),
        ([point("a", timestamp=SECRET)], [TIME]),
        ([point("a", timestamp=SECRET), point("b")], [TIME]),
        ([point("a", Value=SECRET, metadata={"x": {"y": 1}})], ["Value; the field is value"]),
        (
            [point("a", lat=1, lng=2, name="x", foo=SECRET)],
            ["lat; the field is location", "lng; the field is location", "name; the field is variable", "foo"],
        ),
        ([point("a", **{f"x{number}": SECRET for number in range(9)})], [f"x{number}" for number in range(5)]),
        ([point("a", **{"é" * 80: SECRET})], ["é" * 50]),
        ([point("a", **{"a\nb\x1b\u202e\u2028": SECRET})], ["a?b???"]),
    ],
)
def test_unknown_names_in_points_are_named(world, inspector, lines, sent, named):
    answer = world.api.post("/data", sent)
    assert answer.status == 200
    assert json.loads(lines[-1])["ignored"] == named
    (device, title, content) = inspector.seen_all[-1]
    assert device == world.device and title == "[HTTP] POST /data" and content == "ignored: " + ", ".join(named)
    assert SECRET not in "".join(lines) + content and "\n" not in lines[-1][:-1]


def test_names_that_are_known_are_not_named(world, inspector, lines):
    everything = point(
        "a", unit="C", group="g", serie="s", time="2026-01-01", location={"lat": 1, "lng": 2}, metadata={"timestamp": 1}
    )
    for sent in (point("a"), [point("a")], [point("a"), point("b")], everything, [everything, everything], []):
        assert world.api.post("/data", sent).status == 200
    (found,) = world.read(qty=1)
    world.api.put("/data", {"id": found["id"], "value": 5, "metadata": {"x": 1}})
    world.read(query="last_value", **{"variables[0]": "a", "details": "true", "start_date": "1 day"})
    assert inspector.seen_all == [] and "ignored" not in "".join(lines)


def test_unknown_names_in_a_form_and_an_edit_are_named(world, inspector, lines):
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert world.api.post("/data", raw="variable=a&value=1&ts=5", headers=form).status == 200
    assert json.loads(lines[-1])["ignored"] == ["ts; the field is time"]
    (found,) = world.read()
    world.api.put("/data", [{"id": found["id"], "val": SECRET}])
    assert json.loads(lines[-1])["ignored"] == ["val; the field is value"]
    assert [title for _, title, _ in inspector.seen_all] == ["[HTTP] POST /data", "[HTTP] PUT /data"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=1", ["limit; the parameter is qty"]),
        ("variabels[0]=a&variabels[1]=b", ["variabels; the parameter is variables"]),
        ("from=1%20day&start_date=1%20day&x=y", ["from; the parameter is start_date", "x"]),
        ("Qty=1", ["Qty; the parameter is qty"]),
        ("a%0Ab=1", ["a?b"]),
        ("limit=", None),
    ],
)
def test_unknown_parameters_of_a_read_are_named(world, inspector, lines, query, named):
    world.send(point("a", 1), point("a", 2))
    for _ in range(2):  # the second comes from the cache of queries
        assert len(world.api.get(f"/data?{query}").result) == 2
        assert json.loads(lines[-1]).get("ignored") == named
    told = [content for _, title, content in inspector.seen_all if title == "[HTTP] GET /data"]
    assert told == (["ignored: " + ", ".join(named)] * 2 if named else [])


def test_token_that_is_taken_for_a_name_is_not_logged(world, inspector, lines):
    world.api.get(f"/data?{world.token}=1&x{world.profile_token}=1")
    world.api.post("/data", point("a", **{world.token: 1}))
    told = "".join(lines) + str(inspector.seen_all)
    for secret in (world.token, world.profile_token):
        assert secret not in told and secret[10:30] not in told
    assert "(a token)" in told


def test_unknown_names_in_a_message_are_named(world, inspector, lines):
    payload = json.dumps(point("a", timestamp=SECRET)).encode()
    message = ingest.Message((world.profile, world.device), "c", "tago/data/post", payload, NOW_MS, "1")
    assert ingest.store(message) == 1
    assert inspector.seen_all == [(world.device, "[MQTT] Publish", f"ignored: {TIME}")]
    assert json.loads(lines[-1])["ignored"] == [TIME] and SECRET not in lines[-1]
    assert ingest.store(message._replace(payload=b"just text", unique="2")) == 1 and len(inspector.seen_all) == 1


NAMES = st.text(max_size=60) | st.sampled_from(["timestamp", "value", "variable", 'a":"b', "a\\", "__proto__"])


@given(
    st.dictionaries(NAMES, st.integers() | st.text(max_size=8) | st.lists(st.none(), max_size=2), max_size=8),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_names_leave_the_point_and_the_log_whole(sqlite, more, is_spaced):
    lines: list[str] = []
    log.use(lines.append)
    world = World()
    sent = {name: value for name, value in more.items() if name not in PointIn.__annotations__} | point("a", 1)
    raw = json.dumps(sent, ensure_ascii=False, separators=(" , ", " : ") if is_spaced else None)
    answer = world.api.post("/data", raw=raw)
    if answer.status == 200:
        assert values(world.read()) == [1]
        names = json.loads(lines[0]).get("ignored", [])
        assert len(names) <= ignored.MAX_NAMES and all(len(name) <= 50 + 30 for name in names)
        if not is_spaced:
            assert len(names) == min(ignored.MAX_NAMES, len(sent) - 2)
    assert all(line.count("\n") == 1 and line.endswith("\n") and line[:-1].isprintable() for line in lines)
