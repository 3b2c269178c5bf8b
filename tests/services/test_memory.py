"""How much memory one request takes at most, whatever is stored."""

import tracemalloc

import pytest

from chalicelib.codec import keys, segments
from chalicelib.codec.segment import Draft
from chalicelib.codec.times import to_iso
from chalicelib.services.points import decoded, directory
from chalicelib.services.points.directory import Span
from tests.kit.clock import NOW_MS
from tests.kit.sealing import seal
from tests.kit.world import World, values

HOUR = NOW_MS // keys.HOUR_MS
SEGMENTS = 840
IN_EACH = 12
MAX_PEAK_BYTES = 40_000_000


@pytest.fixture
def large(sqlite):
    """A device with 10,080 points of 15.7 kB, twelve an hour, in turn of the variables a and b."""
    world = World()
    line = (
        '"variable":"%s","value":%d,"metadata":{"text":"'
        + "x" * 15_600
        + '"},"group":"g","time":"2026-01-01T00:00:00.000Z"}'
    )
    for first in range(0, SEGMENTS, 100):
        items = []
        for number in range(first, min(first + 100, SEGMENTS)):
            time_ms = (HOUR - number) * keys.HOUR_MS
            drafts = [Draft(time_ms, "ab"[at % 2], 1, line % ("ab"[at % 2], number), False) for at in range(IN_EACH)]
            key = keys.segment_key(time_ms, number)
            items.append(segments.pack(world.device, drafts, key, NOW_MS, digest=bytes(32), expires_at=None))
        sqlite.put_segments(items, profile=world.profile, now_ms=NOW_MS)
    span = Span(HOUR - SEGMENTS, HOUR)
    directory.widen(device=world.device, spans={"a": span, "b": span})
    return world


def peak(call):
    """Return what ``call`` returns, and the most bytes that it took at once."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_answer_that_is_too_large_is_given_up_early(large):
    for query in (
        "qty=10000",
        "qty=10000&ordination=asc",
        "qty=10000&variables=a",
        "qty=5000&variables=a&variables=b",
        "qty=5000&variables=a&variables=b&ordination=asc",
        "qty=4000&skip=20&variables=a&variables=b&details=true",
    ):
        answer, peak_bytes = peak(lambda query=query: large.api.get(f"/data?{query}"))
        assert answer.status == 413 and "5 MB" in answer.message, query
        assert peak_bytes < MAX_PEAK_BYTES, (query, peak_bytes)


def test_points_that_are_skipped_are_not_kept(large):
    for query, numbers in (
        ("qty=2&skip=1211", [100, 101]),  # on the edge of two segments
        ("qty=2&skip=605&variables=a", [100, 101]),
        ("qty=2&skip=605&variables=a&variables=b", [100, 101, 100, 101]),
    ):
        answer, peak_bytes = peak(lambda query=query: large.read(**dict_of(query)))
        assert values(answer) == numbers, query
        assert peak_bytes < MAX_PEAK_BYTES, (query, peak_bytes)


def dict_of(query):
    parsed: dict[str, list[str]] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        parsed.setdefault(name, []).append(value)
    return parsed


def test_delete_keeps_only_what_it_needs(large):
    removed, peak_bytes = peak(lambda: large.api.delete("/data?qty=2000").result)
    assert removed == "2000 Data Removed" and peak_bytes < MAX_PEAK_BYTES


def test_segments_that_are_kept_decoded_are_small(large, sqlite):
    segments._decode_shared.cache_clear()
    large.read(qty=100)
    items = sqlite.scan_segments(large.device, "0", "g", newest_first=True, first_page=2)
    item = next(iter(items))
    assert len(item.body) < 8_192, "deflated well"
    assert segments.decode_shared(item) is not segments.decode_shared(item)
    assert segments._decode_shared(item) is None


def test_sealed_segments_are_read_one_page_at_a_time(sqlite, clock, monkeypatch):
    """60 sealed segments of 512 points and 64 kB of metadata each: what is decoded is let go as the walk goes on."""
    world = World()
    for day in range(60):
        day_ms = NOW_MS - NOW_MS % keys.DAY_MS - day * keys.DAY_MS
        items = []
        for number in range(512):
            time_ms = day_ms + number * 60_000
            text = "x" * 100 + str(number)
            line = f'"variable":"a","value":{number},"group":"g","time":"{to_iso(time_ms)}","metadata":{{"text":"{text}"}}}}'
            key = keys.segment_key(time_ms, number)
            draft = Draft(time_ms, "a", 1, line, False)
            items.append(segments.pack(world.device, [draft], key, NOW_MS, digest=bytes(32), expires_at=None))
        sqlite.put_segments(items, profile=world.profile, now_ms=NOW_MS)
    directory.widen(device=world.device, spans={"a": Span(HOUR - 61 * 24, HOUR)})
    assert seal(world.device) == 60
    decoded.clear()
    monkeypatch.setattr(decoded, "MAX_SEGMENTS", 1)
    bounds = {"start_date": to_iso(NOW_MS - 100 * keys.DAY_MS), "end_date": to_iso(NOW_MS + 1)}
    for query in (
        {"query": "aggregate", "interval": "hour", "function": "avg", **bounds},
        {"query": "first_insert"},
        {"query": "count", "groups": "g"},
        {"qty": 2, "skip": 30_000},
    ):
        answer, peak_bytes = peak(lambda query=query: world.api.get("/data", query=query))
        assert answer.status == 200, answer.text
        assert peak_bytes < 8_000_000, (query, peak_bytes)
