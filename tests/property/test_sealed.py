"""Sealing changes no answer: the text of every answer is the same before, between and after steps of sealing."""

from decimal import Decimal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chalicelib.codec import jsontext, keys
from chalicelib.codec.times import to_iso
from tests.kit.clock import NOW_MS
from tests.kit.sealing import seal
from tests.kit.tables import empty_tables
from tests.kit.world import World

DAY = NOW_MS - NOW_MS % keys.DAY_MS
VALUES = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(
        [0.1, 0.2, -0.3, -0.0, 0.0, 1e-320, 1.0, 1e100, -1e100, 2**53 + 1, 10**30, Decimal("0.12345678901234567890")]
    ),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.sampled_from([True, False, "on", "off", "1", 'a "text", with \\ and \n', None]),
)
TIMES = st.one_of(
    st.integers(0, 5 * keys.HOUR_MS).map(lambda ms: DAY + ms),
    st.integers(0, 30).map(lambda minute: DAY + 2 * keys.HOUR_MS + minute * 60_000),
    st.sampled_from([DAY - 1, DAY, DAY + keys.HOUR_MS, DAY - keys.HOUR_MS, DAY - 5 * keys.DAY_MS]),
)
POINT = st.fixed_dictionaries(
    {"variable": st.sampled_from(["a", "b", "long_name"]), "time": TIMES, "value": VALUES},
    optional={
        "unit": st.sampled_from(["C", '"', "}"]),
        "group": st.sampled_from(["g", 'h"', "\\"]),
        "metadata": st.sampled_from([{"group": "g"}, {"time": "2026-01-01T00:00:00.000Z", "x": [1, {"unit": "C"}]}]),
        "location": st.just({"lat": 1.5, "lng": -2}),
    },
)
REQUESTS = st.lists(st.lists(POINT, min_size=1, max_size=4), min_size=8, max_size=40)
STEPS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20), st.booleans()), min_size=1, max_size=4)


def queries():
    """Yield queries of every kind that sealing may concern."""
    middle = {"start_date": to_iso(DAY + keys.HOUR_MS), "end_date": to_iso(DAY + 2 * keys.HOUR_MS + 600_000)}
    for bounds in ({"start_date": to_iso(DAY - 9 * keys.DAY_MS), "end_date": to_iso(DAY + keys.DAY_MS)}, middle):
        for ordination in ("descending", "ascending"):
            yield {"qty": 1000, "ordination": ordination, **bounds}
            yield {"qty": 5, "skip": 3, "ordination": ordination, **bounds}
            yield {"qty": 3, "variables": ["b", "a"], "ordination": ordination, **bounds}
        for kind in (
            "last_value",
            "first_value",
            "last_location",
            "first_item",
            "last_insert",
            "first_insert",
            "min",
            "max",
        ):
            yield {"query": kind, **bounds}
            yield {"query": kind, "variables": "a", **bounds}
        for kind in ("count", "sum", "avg"):
            yield {"query": kind, **bounds}
            yield {"query": kind, "variables": ["a", "long_name"], **bounds}
            yield {"query": kind, "groups": "g", **bounds}
            yield {"query": kind, "values": ["on", "1"], **bounds}
        for function in ("avg", "sum", "min", "max", "count"):
            for interval, zone in (
                ("minute", "UTC"),
                ("hour", "Asia/Kathmandu"),
                ("day", "America/New_York"),
                ("month", "UTC"),
            ):
                if interval == "minute" and bounds != middle:
                    continue  # too many of them
                yield {"query": "aggregate", "interval": interval, "function": function, "timezone": zone, **bounds}
        for function in ("gt", "gte", "lt", "lte", "eq", "ne"):
            yield {"query": "conditional", "function": function, "value": "0", "variables": "a", **bounds}
        yield {"groups": ['h"', "\\"], "qty": 1000, "details": "true", **bounds}
        yield {"values": ["true", "0.1"], "qty": 1000, **bounds}


def texts(world):
    asked = [*queries()]
    answers = [world.api.get("/data", query=query) for query in asked]
    assert {answer.status for answer in answers} == {200}
    return {str(query): answer.text for query, answer in zip(asked, answers, strict=True)}


def compare(world, before):
    """Compare all answers with those before."""
    for query, text in texts(world).items():
        assert text == before[query], query


def send(world, request):
    sent = [{name: value for name, value in one.items() if value is not None} for one in request]
    headers = {"content-type": "application/json"}
    assert world.api.post("/data", raw=jsontext.dumps(sent), headers=headers).status == 200


@settings(max_examples=6, phases=[Phase.generate], deadline=None, suppress_health_check=[*HealthCheck])
@given(REQUESTS, STEPS)
def test_sealing_changes_no_answer(clock, sqlite, requests, steps):
    empty_tables()
    clock.now_ms = NOW_MS
    world = World()
    clock.advance(60)
    for request in requests:
        clock.advance(0.001)
        send(world, request)
    before = texts(world)
    for at_once, max_points, is_later in steps:
        if is_later:
            clock.advance(90_000)
        seal(world.device, at_once=at_once, max_points=max_points, steps=3)
        compare(world, before)
    seal(world.device)
    compare(world, before)
    for request in requests:
        send(world, request)
    compare(world, before)
