"""What reads of a day cost before and after it is sealed, as docs/architecture.md states it."""

import re
from pathlib import Path

import pytest

from chalicelib.codec import keys, sealed, segments, times
from chalicelib.codec.times import to_iso
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.sealing import seal
from tests.kit.sealings import finish, kept_world, store_one
from tests.kit.world import World, point

PAGE = (Path(__file__).parents[2] / "docs/architecture.md").read_text()
TABLE = dict(re.findall(r"^\| ([^|]+) \| ([^|]+ \| [^|]+) \|$", PAGE.partition("Read of one day")[2], re.MULTILINE))
DAY = NOW_MS - NOW_MS % keys.DAY_MS - keys.DAY_MS
SPAN = {"start_date": to_iso(DAY), "end_date": to_iso(DAY + keys.DAY_MS - 1), "qty": "10000"}


def fill(world):
    """Store a day of points a minute apart, five variables in turn, one a request."""
    device = world.doc
    for number in range(1_440):
        sent = point(f"v{number % 5}", round(20 + number % 97 * 0.37, 2), unit="C", time=to_iso(DAY + number * 60_000))
        store_one(device, sent)


def cost_of(world, **query):
    with counting() as calls:
        answer = world.api.get("/data", query=query).text
    return answer, calls


@pytest.fixture
def decoded(monkeypatch):
    """The bodies that were decoded: small, sealed."""
    counts = [0, 0]

    def counted(number, decode):
        def call(item):
            counts[number] += 1
            return decode(item)

        return call

    for name in ("decode", "decode_header"):
        monkeypatch.setattr(segments, name, counted(0, getattr(segments, name)))
    monkeypatch.setattr(sealed, "decode", counted(1, sealed.decode))
    return counts


def test_rows_and_units_of_a_day_on_dynamodb(dynamo, clock):
    world = kept_world()
    fill(world)
    world.read(qty=1)
    small_text, small = cost_of(world, **SPAN)
    finish(world, clock)
    sealed_text, after = cost_of(world, **SPAN)
    assert sealed_text == small_text
    assert TABLE["reads of 4 kB"] == f"{small.units['read']:.0f} | {after.units['read']:.0f}"


def test_rows_and_bodies_of_a_day_on_sqlite(sqlite, clock, decoded):
    world = World(type="immutable", chunk_period="month", chunk_retention=12)
    fill(world)
    queries = [
        {"query": kind, **{name: SPAN[name] for name in ("start_date", "end_date")}} for kind in ("count", "sum", "max")
    ]
    queries.append(queries[0] | {"query": "aggregate", "interval": "day", "function": "avg"})
    answers = [world.read(**query) for query in queries]
    assert decoded[0] == 3 * 1_440 and TABLE["bodies decoded by `count`, `sum`, `max`, `aggregate` by day"].startswith(
        "1,440"
    )
    clock.now_ms = DAY + 3 * keys.DAY_MS
    seal(world.device)
    rows = sqlite._db.execute("SELECT COUNT(*) FROM sealed").fetchone()[0]
    assert TABLE["rows read"] == f"1,440 | {rows}" and not sqlite._db.execute("SELECT 1 FROM segments").fetchone()
    decoded[:] = [0, 0]
    assert [world.read(**query) for query in queries[:2] + queries[3:]] == answers[:2] + answers[3:]
    assert decoded == [0, 0]
    assert world.read(**queries[2]) == answers[2]
    assert decoded == [0, 2]  # two segments hold the five points that it answers


def test_aggregate_by_hour_reads_bodies_and_summaries_at_once(sqlite, clock, monkeypatch):
    world = World(type="immutable", chunk_period="month", chunk_retention=12)
    fill(world)
    clock.now_ms = DAY + 3 * keys.DAY_MS
    seal(world.device)

    def fail(*_):
        raise AssertionError("a body was read alone")

    monkeypatch.setattr(type(sqlite), "sealed_at", fail)
    bounds = {name: SPAN[name] for name in ("start_date", "end_date")}
    buckets = world.read(query="aggregate", interval="hour", function="count", **bounds)
    assert len(buckets) == 5 * 24 and {bucket["value"] for bucket in buckets} == {12}


def test_statements_of_a_late_post_and_of_a_point_by_its_id(sqlite, clock):
    world = World()
    for number in range(10):
        world.send(point("a", number, time=to_iso(DAY + number * 60_000)))
    (one,) = world.read(qty=1)
    seal(world.device)

    def statements(call):
        found = []
        sqlite._db.set_trace_callback(found.append)
        call()
        sqlite._db.set_trace_callback(None)
        return [sql for sql in found if re.search(r"FROM (segments|sealed)|INTO (segments|sealed)", sql)]

    assert len(statements(lambda: world.send(point("a", 1, time=to_iso(DAY + keys.DAY_MS))))) == 1
    assert len(statements(lambda: world.send(point("a", 1, time=to_iso(DAY + 5 * 60_000 + 1))))) == 2
    assert len(statements(lambda: world.send(point("a", 5, time=to_iso(DAY + 5 * 60_000))))) == 1
    assert len(statements(lambda: world.read(ids=one["id"]))) == 2
    assert times.parse_time(one["time"]) == DAY + 9 * 60_000
