"""Immutable devices: their window, what they refuse, and that they hide expired points."""

import pytest

from chalicelib import store
from chalicelib.codec import periods
from tests.kit.world import World, point, values

DAY_S = 86_400


def test_immutable_refuses_times_outside_its_window(clock, each_store):
    world = World(type="immutable", chunk_period="day", chunk_retention=2)
    for time in ("2026-09-18T23:59:59.999Z", "2026-09-23T00:00:00.000Z"):
        answer = world.api.post("/data", [point("a"), point("a", time=time)])
        assert answer.status == 400 and answer.message == "Time must be between 2026-09-19 and 2026-09-22"
    assert world.send(point("a", time="2026-09-19"), point("a", time="2026-09-22T23:59:59.999Z")) == "2 Data Added"


@pytest.mark.parametrize(
    ("period", "retention", "first"),
    [("day", 0, "2026-09-21"), ("week", 1, "2026-09-14"), ("month", 3, "2026-06-01"), ("quarter", 1, "2026-04-01")],
)
def test_immutable_window_by_period(clock, each_store, period, retention, first):
    world = World(type="immutable", chunk_period=period, chunk_retention=retention)
    assert world.send(point("a", time=first)) == "1 Data Added"
    answer = world.api.post("/data", point("a", time="2020-01-01"))
    assert answer.message == f"Time must be between {first} and 2026-09-22"


def test_immutable_refuses_edits_deletes_and_ids(immutable_world):
    immutable_world.send(point("a"))
    point_id = immutable_world.read()[0]["id"]
    edit = immutable_world.api.put("/data", {"id": point_id, "value": 2})
    assert (edit.status, edit.message) == (400, "You cannot edit data on immutable device")
    delete = immutable_world.api.delete("/data", query={"ids": point_id})
    assert (delete.status, delete.message) == (400, "Data in immutable devices cannot be deleted")
    read = immutable_world.api.get("/data", query={"ids": point_id})
    assert (read.status, read.message) == (400, "Filter using ID(s) is not supported on Immutable Storage Type")
    assert immutable_world.api.get("/data", query={"ids": point_id, "query": "count"}).status == 400


def test_immutable_has_no_count_limit(immutable_world, monkeypatch):
    monkeypatch.setattr("chalicelib.services.points.fullness.MAX_POINTS", 1)
    immutable_world.send(point("a"), point("b"))
    assert immutable_world.send(point("a")) == "1 Data Added"


def test_immutable_expired_points_are_invisible_to_every_query(clock, each_store):
    world = World(type="immutable", chunk_period="day", chunk_retention=1)
    world.send(point("a", 1, time="2026-09-20T12:00:00Z"), point("a", 2, time="2026-09-21T12:00:00Z"))
    assert world.read(query="count") == 2
    clock.advance(DAY_S)
    assert values(world.read()) == [2]
    for query in ("first_item", "min", "first_insert", "first_value", "last_insert"):
        assert values(world.read(query=query)) == [2]
    assert world.read(query="count") == 1
    assert world.read(query="sum", start_date="2026-09-01", end_date="2026-09-30") == 2
    got = world.read(query="aggregate", function="sum", interval="day", variables="a")
    assert [one["value"] for one in got] == [2]
    clock.advance(DAY_S)
    assert world.read() == [] and world.read(query="last_value") == []


def test_immutable_shorter_retention_takes_effect_at_once(clock, each_store):
    world = World(type="immutable", chunk_period="day", chunk_retention=5)
    world.send(point("a", 1, time="2026-09-18"), point("a", 2, time="2026-09-21"))
    world.admin.put(f"/device/{world.device}", {"chunk_retention": 1})
    assert values(world.read(qty=10)) == [2] and world.read(query="count") == 1


def test_immutable_segment_carries_its_expiry(clock, each_store):
    world = World(type="immutable", chunk_period="week", chunk_retention=1)
    world.send(point("a", 1, time="2026-09-16T12:00:00Z"))
    (item,) = store.current().scan_segments(world.device, "0", "g", newest_first=True, first_page=5)
    assert item.expires_at == 1_790_553_600  # 2026-09-28, a Monday


def test_chunks_are_listed_newest_first(clock, each_store):
    world = World(type="immutable", chunk_period="week", chunk_retention=3)
    for day, count in (("2026-09-21", 3), ("2026-09-20", 2), ("2026-09-14", 1), ("2026-09-01", 4)):
        world.send(*[point("a", number, time=f"{day}T12:00:0{number}Z") for number in range(count)])
    path = f"/device/{world.device}/chunk"
    chunks = world.admin.get(path).result
    assert [one["amount"] for one in chunks] == [3, 3, 4]
    assert chunks[1] == {
        "id": "1789344000_1789948799",
        "amount": 3,
        "from": "2026-09-14T00:00:00.000+00:00",
        "to": "2026-09-20T23:59:59.999+00:00",
    }
    assert world.admin.delete(f"{path}/1789344000_1789948799").result == "Chunk 1789344000_1789948799 deleted"
    assert [one["amount"] for one in world.admin.get(path).result] == [3, 4]
    assert world.read(query="count") == 7


@pytest.mark.parametrize(
    "chunk", ["", "x", "1789344000", "1789344001_1789948799", "1789344000_1789948798", "9" * 30, "_", "1_2_3", "-1_5",
     "9999999999999999999_0", "0_9999999999999999999"],
)  # fmt: skip
@pytest.mark.parametrize("period", ["day", "week", "month", "quarter"])
def test_chunk_that_is_none_is_404(each_store, clock, chunk, period):
    world = World(type="immutable", chunk_period=period, chunk_retention=1)
    answer = world.admin.delete(f"/device/{world.device}/chunk/{chunk or '%20'}")
    assert answer.status == 404 and answer.message == "Chunk not found"


def test_mutable_device_has_no_chunks(world):
    world.send(point("a"))
    assert world.admin.get(f"/device/{world.device}/chunk").result == []
    assert world.admin.delete(f"/device/{world.device}/chunk/0_86399").status == 404
    assert world.read(query="count") == 1


def test_convert_an_empty_inactive_device_and_back(world):
    path, there = f"/device/{world.device}", {"type": "immutable", "chunk_period": "day", "chunk_retention": 2}
    world.send(point("a"))
    assert "inactive" in world.admin.post(f"{path}/convert", there).message
    world.admin.put(path, {"active": False})
    assert "empty" in world.admin.post(f"{path}/convert", there).message
    world.admin.post(f"{path}/empty")
    assert world.admin.post(f"{path}/convert", there).result == "Device type/chunk was converted"
    world.admin.put(path, {"active": True})
    assert world.admin.get(path).result["data_retention"] == "2 day"
    assert "Time must be between" in world.api.post("/data", point("a", time="2020-01-01")).message
    world.admin.put(path, {"active": False})
    assert world.admin.post(f"{path}/convert", {"type": "mutable"}).status == 200
    world.admin.put(path, {"active": True})
    assert world.send(point("a", time="2020-01-01")) == "1 Data Added"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"type": "hybrid"},
        {"type": "immutable"},
        {"type": "immutable", "chunk_period": "day", "chunk_retention": 32},
    ],
)
def test_convert_refuses_bad_settings(world, sent):
    world.admin.put(f"/device/{world.device}", {"active": False})
    assert world.admin.post(f"/device/{world.device}/convert", sent).status == 400


@pytest.mark.parametrize("period", ["day", "week", "month", "quarter"])
def test_nothing_is_stored_that_has_expired_or_that_expiry_would_pass_over(clock, each_store, period):
    longest = {"day": 31, "week": 26, "month": 36, "quarter": 36}[period]
    world = World(type="immutable", chunk_period=period, chunk_retention=longest)
    start_ms, _ = periods.window(clock.now_ms, period, longest)
    assert world.api.post("/data", [point("a", time=start_ms - 1)]).status == 400
    world.send(point("a", time=start_ms))
    (item,) = each_store.scan_segments(world.device, "0", "g", newest_first=True, first_page=5)
    assert clock.now_ms // 1000 < item.expires_at, "DynamoDB would not remove what expired five years ago"
