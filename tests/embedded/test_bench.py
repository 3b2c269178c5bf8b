"""The benchmark compares like with like: its loader stores what POST stores, and the naive server answers the same."""

import asyncio
import json
from urllib.parse import parse_qsl

from fastapi import Request

from bench import fill, naive, scenes
from chalicelib import store
from chalicelib.store.sqlite import SqliteStore
from tests.kit.api import Api

POINTS = 1_440


def scene():
    """Return the queries of the first scene, at a device of one day."""
    start = fill.start_of(POINTS)
    day = scenes.span(start, 1)
    queries = [query.split("&start_date")[0] + f"&{day}" for _, query in scenes.singles().queries.values()]
    return [*queries, f"query=sum&{day}", f"query=min&{day}", f"query=max&{day}"]


def ask_naive(token, query):
    request = Request(
        {"type": "http", "method": "GET", "query_string": query.encode(), "headers": [(b"token", token.encode())]}
    )
    return json.loads(asyncio.run(naive.read(request)).body)["result"]


def comparable(result):
    """Return an answer without what differs between two servers: ids, devices and groups."""
    if isinstance(result, list):
        kept = [{name: one.get(name) for name in ("variable", "value", "time")} for one in result]
        kept = [one | {"value": round(one["value"], 6)} for one in kept]
        return sorted(kept, key=lambda one: (one["variable"], one["time"])) if kept and "id" not in result[0] else kept
    return round(result, 6)


def test_loader_and_naive_server_give_the_answers_of_the_api(tmp_path, monkeypatch):
    token = fill.decant(tmp_path / "data", {"day": POINTS}, is_sealed=False)["day"]
    naive_token = fill.naive_server(tmp_path / "naive.db", {"day": POINTS})["day"]
    monkeypatch.setattr(naive, "db", naive.connect(tmp_path / "naive.db"), raising=False)
    sqlite = SqliteStore(tmp_path / "data" / "decant.db")
    store.use(sqlite)
    api = Api(token)
    try:
        for query in scene():
            answer = comparable(api.get("/data", query=dict(parse_qsl(query))).result)
            other = comparable(ask_naive(naive_token, query))
            if "query=m" in query:  # of equal values, either may be taken
                answer, other = ([(one["variable"], one["value"]) for one in each] for each in (answer, other))
            assert answer == other, query
        assert store.current().counters(api.get("/info").result["profile"]).records == POINTS
    finally:
        sqlite.close()
        naive.db.close()


def test_growth_compares_the_same_query_on_both_devices():
    class Run:
        def __init__(self, p50):
            self.p50 = p50

    names = [f"GET 1,000, {size:,} one by one" for size in (scenes.SMALL, scenes.LARGE)]
    kept = {names[0]: {"decant": Run(2.0)}, names[1]: {"decant": Run(3.0)}, "GET count, a year": {"decant": Run(9.0)}}
    assert scenes.growth(kept, "decant") == {"GET 1,000": 1.5}
    assert scenes.growth({**kept, names[1]: {"decant": None}}, "decant") == {}
    assert [scene.name for scene in scenes.scenes("a year")] == ["a year"]
