"""Sealed segments on SQLite: what races with sealing, late points, retries, edits, deletes, and what removes points."""

import contextlib
import hashlib
import json
import sqlite3
from itertools import pairwise
from types import SimpleNamespace

import pytest

from chalicelib import store
from chalicelib.codec import keys, sealed, summaries
from chalicelib.codec.times import to_iso
from chalicelib.host import clock as host_clock
from chalicelib.host import deadline
from chalicelib.services.devices import erasures, retention
from chalicelib.services.points import decoded, filters, rewrite, scan, sealing
from chalicelib.store import names
from chalicelib.store.sqlite_reads import Snapshot
from embedded import sealer
from tests.kit.clock import NOW_MS
from tests.kit.sealing import seal
from tests.kit.world import World, point, values

DAY = NOW_MS - NOW_MS % keys.DAY_MS
MINUTE = 60_000
NOISE = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(4))


def at(minute):
    return to_iso(DAY + minute * MINUTE)


def fill(world, count=100, first=0, name="a"):
    """Send points one by one, a minute apart."""
    for number in range(first, first + count):
        world.send(point(name, number, time=at(number)))


def sealed_of(device):
    return [*store.current().scan_sealed(device, "0", "g", newest_first=False, first_page=100)]


def small_of(device):
    return [*store.current().scan_segments(device, "0", "g", newest_first=False, first_page=100)]


@pytest.fixture
def filled(sqlite, clock):
    """A device with 100 points that came one by one, sealed in four segments."""
    world = World()
    fill(world)
    seal(world.device, at_once=25, max_points=25)
    assert [item.points for item in sealed_of(world.device)] == [25] * 4 and not small_of(world.device)
    return world


@contextlib.contextmanager
def planned(world):
    """Plan one step of sealing everything, as a thread does. The block may change what was read."""
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(Snapshot(store.current().path)) as snapshot:
        patch.setattr(sealer, "BATCH", 1)
        patch.setattr(sealer, "LEFT", 1)
        with snapshot.opened(), store.using(snapshot):
            (place, *_) = sealer._places(world.device, "")
            found = sealer.plan(place, host_clock.now_ms())
    yield found


def test_nothing_changes_in_counters(filled):
    counters = store.current().counters(filled.profile, filled.device)
    assert (counters.points_in, counters.records) == (100, 100)
    assert filled.admin.get(f"/device/{filled.device}/data_amount").result == 100


def test_readers_hold_their_state_across_a_seal(sqlite, clock):
    world = World()
    fill(world)
    everything = filters.Filter(keys.EARLIEST_MS, keys.LATEST_MS)
    for is_ascending in (False, True):
        with contextlib.closing(Snapshot(sqlite.path)) as snapshot, snapshot.opened(), store.using(snapshot):
            walk = scan.walk(world.doc, everything, is_ascending=is_ascending, first_page=2)
            found = [next(walk) for _ in range(3)]
            sqlite_store, store._here.store = store._here.store, None  # the loop's thread seals
            seal(world.device, at_once=30, max_points=20)
            store._here.store = sqlite_store
            found += walk
            texts = [text for segment, indices in found for text in segment.splice(indices, details=True)]
        assert len(texts) == len(set(texts)) == 100
        fill(world, 100, 100 if is_ascending else 0)


def test_end_within_a_sealed_day(filled):
    got = filled.read(start_date=at(10), end_date=at(30), qty=1000)
    assert values(got) == [*range(30, 9, -1)]
    assert filled.read(query="count", start_date=at(10), end_date=at(30)) == 21
    assert values(filled.read(end_date=at(30), qty=3)) == [30, 29, 28]
    assert values(filled.read(start_date=at(30), qty=3, ordination="ascending")) == [30, 31, 32]


def test_late_points_go_into_the_range_that_holds_them(filled):
    filled.send(point("a", -1, time=to_iso(DAY + 30 * MINUTE + 1)))
    before = sealed_of(filled.device)
    seal(filled.device, at_once=25, max_points=25)
    after = sealed_of(filled.device)
    assert [(item.low, item.key) for item in after] == [(item.low, item.key) for item in before]
    assert [item.points for item in after] == [25, 26, 25, 25] and [item.version for item in after] == [1, 2, 1, 1]
    assert values(filled.read(start_date=at(30), end_date=at(31), qty=9)) == [31, -1, 30]


def test_segment_that_grows_too_large_is_divided(filled):
    for number in range(30):
        filled.send(point("b", number, time=to_iso(DAY + 30 * MINUTE + number)))
    seal(filled.device, at_once=100, max_points=25)
    items = sealed_of(filled.device)
    assert [item.points for item in items] == [25, 28, 27, 25, 25]
    assert all(first.key == second.low for first, second in pairwise(items))
    assert values(filled.read(variables="b", qty=100)) == [*range(29, -1, -1)]


def test_late_points_of_a_removed_range_get_a_new_one(filled):
    hole = [one["id"] for one in filled.read(start_date=at(25), end_date=at(49), qty=25)]
    assert filled.api.delete("/data", query={"ids": hole, "qty": 25}).result == "25 Data Removed"
    assert [item.points for item in sealed_of(filled.device)] == [25] * 3
    fill(filled, 10, 30)
    seal(filled.device)
    items = sealed_of(filled.device)
    assert [item.points for item in items] == [25, 10, 25, 25]
    assert all(first.key <= second.low for first, second in pairwise(items))
    assert values(filled.read(qty=100, ordination="ascending")) == [*range(25), *range(30, 40), *range(50, 100)]


def test_last_range_of_a_day_that_is_over_ends_with_the_day(sqlite, clock):
    world = World()
    fill(world, 10)
    clock.now_ms = DAY + keys.DAY_MS + sealing.SETTLED_MS - 1
    seal(world.device)
    assert sealed_of(world.device)[0].key < keys.end_of_day(DAY)
    fill(world, 10, 10)
    clock.now_ms += 1
    seal(world.device)
    (item,) = sealed_of(world.device)
    assert item.key == keys.end_of_day(DAY) and item.points == 20
    fill(world, 10, 20)
    seal(world.device)
    (item,) = sealed_of(world.device)
    assert (item.points, item.version) == (30, 2)
    assert values(world.read(qty=3)) == [29, 28, 27]


def test_large_requests_stay_as_they_are(sqlite, clock):
    world = World()
    fill(world, 10)
    world.send(*[point("a", number, time=to_iso(DAY + 5 * MINUTE + number)) for number in range(sealing.SMALL_POINTS)])
    fill(world, 10, 10)
    before = world.api.get("/data", query={"qty": 1000}).text
    seal(world.device)
    assert [item.points for item in small_of(world.device)] == [sealing.SMALL_POINTS]
    assert world.api.get("/data", query={"qty": 1000}).text == before


def test_delete_that_found_its_points_before_a_seal_removes_these(sqlite, clock):
    world = World()
    fill(world, 60)
    seal(world.device, at_once=30, max_points=60)
    removal = rewrite.Removal(
        scan.walk(world.doc, filters.Filter(DAY + 20 * MINUTE, DAY + 45 * MINUTE), is_ascending=False, first_page=4)
    )
    fill(world, 30, 60)
    seal(world.device, at_once=200, max_points=50)
    assert rewrite.remove(device=world.doc, removal=removal) == 26
    assert values(world.read(qty=100, ordination="ascending")) == [*range(20), *range(46, 90)]


@pytest.mark.parametrize("change", ["edit", "move", "delete", "empty", "retry", "more"])
def test_change_between_plan_and_seal(sqlite, clock, change):
    world = World()
    fill(world, 20)
    (newest,) = world.read(qty=1)
    expected = [*range(20)]
    with planned(world) as found:
        if change == "edit":
            world.api.put("/data", {"id": newest["id"], "value": -1})
            expected[-1] = -1
        elif change == "move":
            world.api.put("/data", {"id": newest["id"], "time": at(-500)})
            expected = [19, *range(19)]
        elif change == "delete":
            world.api.delete("/data", query={"ids": newest["id"]})
            expected.pop()
        elif change == "empty":
            world.admin.post(f"/device/{world.device}/empty")
            expected = []
        elif change == "retry":
            fill(world, 20)
        else:
            fill(world, 5, 20)
            expected += range(20, 25)
        assert found.carry_out() is (change in ("retry", "more"))
    assert values(world.read(qty=100, ordination="ascending")) == expected
    seal(world.device)
    assert values(world.read(qty=100, ordination="ascending")) == expected
    assert world.read(query="count") == len(expected)


def test_of_two_sealers_one_wins(sqlite, clock):
    world = World()
    fill(world, 20)
    before = world.api.get("/data", query={"qty": 100}).text
    with planned(world) as first, planned(world) as second:
        assert first.carry_out() and not second.carry_out()
    assert world.api.get("/data", query={"qty": 100}).text == before
    assert [item.points for item in sealed_of(world.device)] == [20]


def test_retry_of_what_is_sealed(filled):
    """Untouched, edited, moved, partly and wholly deleted: what a GET by its id finds is there, the rest is put back."""
    shown = {one["value"]: one["id"] for one in filled.read(qty=100)}
    filled.api.put("/data", {"id": shown[1], "value": "edited"})
    filled.api.put("/data", {"id": shown[2], "time": at(-100)})
    filled.api.delete("/data", query={"ids": [shown[3], shown[4]], "qty": 2})
    moved = [one for one in filled.read(qty=100) if one["id"] == shown[2]]
    assert moved[0]["time"] == at(-100) and len(filled.read(qty=100)) == 98
    fill(filled)
    got = {one["id"]: one["value"] for one in filled.read(qty=200)}
    assert len(got) == 100 and got[shown[1]] == "edited" and (got[shown[3]], got[shown[4]]) == (3, 4)
    seal(filled.device)
    fill(filled)
    assert {one["id"]: one["value"] for one in filled.read(qty=200)} == got


def test_request_of_several_points_is_completed_in_its_place(sqlite, clock):
    world = World()
    sent = [point(name, number, time=at(number)) for number, name in enumerate("abc")]
    world.send(*sent)
    fill(world, 10, 20)
    seal(world.device)
    before = world.read(qty=100, details="true")
    ids = [one["id"] for one in before if one["variable"] in "bc"]
    world.api.delete("/data", query={"ids": ids, "qty": 2})
    assert world.send(*sent) == "3 Data Added"
    assert [one | {"created_at": 0} for one in world.read(qty=100, details="true")] == [
        one | {"created_at": 0} for one in before
    ]


def test_other_request_with_the_key_of_a_sealed_one_takes_the_next(sqlite, clock, monkeypatch):
    monkeypatch.setattr(keys, "digest_suffix", lambda digest: 7)
    world = World()
    world.send(point("a", 1, time=at(1)))
    seal(world.device)
    world.send(point("a", 2, time=at(1)))
    seal(world.device)
    world.send(point("a", 1, time=at(1)))
    world.send(point("a", 2, time=at(1)))
    assert values(world.read(qty=9)) == [2, 1]


def test_edit_that_does_not_fit_any_more_gets_a_segment_of_its_own(filled, monkeypatch):
    from chalicelib.codec import sealing as codec

    (one,) = filled.read(start_date=at(7), end_date=at(7))
    monkeypatch.setattr(codec, "MAX_BODY_BYTES", len(sealed_of(filled.device)[0].body) + 20)
    assert filled.api.put("/data", {"id": one["id"], "metadata": {"x": NOISE}}).result == "1 item(s) updated"
    (got,) = filled.read(ids=one["id"])
    assert got["metadata"] == {"x": NOISE} and len(filled.read(qty=200)) == 100


@pytest.mark.parametrize("how", ["empty", "chunk", "erase", "retention"])
def test_what_removes_points_removes_sealed_ones(sqlite, clock, how):
    world = World(type="immutable", chunk_period="day", chunk_retention=2)
    fill(world, 30)
    seal(world.device)
    if how == "empty":
        world.admin.post(f"/device/{world.device}/empty")
    elif how == "chunk":
        (chunk,) = world.admin.get(f"/device/{world.device}/chunk").result
        assert chunk["amount"] == 30
        world.admin.delete(f"/device/{world.device}/chunk/{chunk['id']}")
    elif how == "erase":
        erasures.begin(device=world.doc)
    else:
        clock.advance(4 * 86_400)
        assert world.read(query="count") == 0 and world.read() == []
        for _ in retention.purge([(names.profile(world.profile), names.device(world.device))]):
            pass
    assert not sealed_of(world.device) and not small_of(world.device)
    assert store.current().counters(world.profile, world.device).records == 0


def test_sealed_segments_are_skipped_by_their_summaries(filled, monkeypatch):
    opened = []
    monkeypatch.setattr(sealed, "decode", lambda item, decode=sealed.decode: opened.append(item) or decode(item))
    decoded.clear()
    assert values(filled.read(query="conditional", variables="a", function="gte", value="97", start_date=at(0))) == [
        99,
        98,
        97,
    ]
    assert len(opened) == 1
    assert filled.read(values="98", qty=9)[0]["value"] == 98
    assert filled.read(variables="b", qty=9) == []


def test_counts_and_sums_read_summaries(filled, monkeypatch):
    def fail(_):
        raise AssertionError("a body was decoded")

    monkeypatch.setattr(sealed, "decode", fail)
    span = {"start_date": at(-60), "end_date": at(2000)}
    assert filled.read(query="count") == filled.read(query="count", variables="a", **span) == 100
    assert filled.read(query="sum", **span) == sum(range(100)) and filled.read(query="avg", **span) == 49.5
    buckets = filled.read(query="aggregate", interval="day", function="max", **span)
    assert buckets == [{"time": to_iso(DAY), "value": 99}]


def test_summary_of_other_numbers_than_floats_hold(sqlite, clock):
    world = World()
    for number in range(20):
        world.send(
            point("exact", 2**53 + number, time=at(number)), point("few", 1, time=at(number))
        ) if number < 5 else (world.send(point("exact", 2**53 + number, time=at(number))))
    seal(world.device)
    (item,) = sealed_of(world.device)
    summary = summaries.decode(item.summary)
    assert set(summary.unknown) == {"exact", "few"} and not summary.facts
    assert world.read(query="sum", variables="exact", start_date=at(-1)) == sum(2**53 + number for number in range(20))


def test_old_database_gets_the_table(tmp_path):
    from chalicelib.store.sqlite import SqliteStore

    path = tmp_path / "decant.db"
    SqliteStore(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE sealed")
    opened = SqliteStore(path)
    assert opened.sealed_to("any") == ""
    opened.close()


def test_many_late_points_are_divided_as_often_as_needed(sqlite, clock):
    """A closed day gets long late points, which are far too much for two segments."""
    world = World()
    fill(world, 20)
    clock.now_ms = DAY + 3 * keys.DAY_MS
    seal(world.device)
    noise = [hashlib.sha512(bytes([number % 256, number // 256])).hexdigest() * 20 for number in range(150)]
    for number, text in enumerate(noise):
        world.send(point("late", number, time=to_iso(DAY + 10 * MINUTE + number), metadata={"text": text + "🌡" * 400}))
    before = world.api.get("/data", query={"qty": 1000}).text
    seal(world.device)
    items = sealed_of(world.device)
    assert not small_of(world.device) and len(items) > 2
    assert max(len(item.body) for item in items) < 200_000
    assert world.api.get("/data", query={"qty": 1000}).text == before


def test_late_requests_do_not_make_huge_segments(sqlite, clock):
    world = World()
    fill(world, 20)
    clock.now_ms = DAY + 3 * keys.DAY_MS
    seal(world.device)
    for number in range(60):
        sent = [point("late", at, time=to_iso(DAY + 10 * MINUTE + number * 60 + at)) for at in range(60)]
        world.send(*sent)
    seal(world.device)
    assert max(item.points for item in sealed_of(world.device)) <= 2 * sealing.MAX_POINTS


def test_segment_that_holds_only_forwarding_marks(sqlite, clock):
    world = World()
    fill(world, 10)
    seal(world.device)
    for one in world.read(qty=10):
        world.api.put("/data", {"id": one["id"], "time": to_iso(DAY - 9 * keys.DAY_MS)})
    assert [item.points for item in sealed_of(world.device)] == [0]
    start = {"start_date": at(-1)}
    for kind in ("min", "max", "last_value", "first_insert", "count", "sum"):
        assert world.read(query=kind, groups="g", **start) in ([], 0, None), kind
    assert len(world.read(qty=20)) == 10


def damage(sqlite):
    sqlite._db.execute("UPDATE sealed SET body = X'0000'")


def test_damaged_segment_does_not_keep_a_device_from_sending(filled, sqlite):
    damage(sqlite)
    filled.send(point("a", -1, time=to_iso(DAY + 30 * MINUTE + 1)))
    assert filled.read(query="sum", start_date=at(-1), end_date=at(2000)) == sum(range(100)) - 1


def test_edit_and_delete_go_on_where_they_were_interrupted(filled, monkeypatch):
    """Each looks at the clock after each segment, and is interrupted every time."""
    interrupted = []

    def check():
        interrupted.append(1)
        raise deadline.TooLong

    ids = [one["id"] for one in filled.read(qty=100)][::10]
    own = SimpleNamespace(check=check, sharing=deadline.sharing, TooLong=deadline.TooLong)
    monkeypatch.setattr(rewrite, "deadline", own)  # the clock of others goes on

    def finished(*args, **kwargs):
        raw = filled.api.raw(*args, **kwargs)
        while "postponed" in raw:
            if raw["postponed"].work:
                raw["postponed"].work()
            raw = raw["postponed"].finish().to_dict()
        return json.loads(raw["body"])["result"]

    body = [{"id": point_id, "value": "edited"} for point_id in ids]
    assert finished("PUT", "/data", json_body=body) == "10 item(s) updated" and len(interrupted) == 10
    query = {"variables": "a", "qty": 100}
    assert finished("DELETE", "/data", query=query) == "100 Data Removed"
    monkeypatch.undo()
    assert filled.read() == [] and store.current().counters(filled.profile, filled.device).records == 0
