"""Requests that are sent again: each point that was deleted since is stored again, all others stay as they are."""

import json

import pytest

from chalicelib import store
from chalicelib.codec import keys, segments
from chalicelib.host import events
from chalicelib.schemas.points import Sent
from chalicelib.services.points import send
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point, values

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
THREE = [point("a", number, time=HOUR_START + number, group="g") for number in range(3)]
ELSEWHERE = HOUR_START - 7 * keys.HOUR_MS


@pytest.fixture
def told():
    """What listeners are told: the value and the id of each point."""

    class Watcher:
        def __init__(self):
            self.points = []

        def stored(self, device, items):
            for item in items:
                segment = segments.decode(item)
                texts = segment.splice(range(len(segment.offsets)), details=False)
                self.points += [(one["value"], one["id"]) for one in map(json.loads, texts)]

        def seen(self, device, title, content):
            pass

    watcher = Watcher()
    events.use(watcher)
    return watcher.points


@pytest.fixture
def ids(world):
    """The ids of the three points that were sent, by rising time."""
    world.send(*THREE)
    return [one["id"] for one in world.read(ordination="asc")]


def amounts(world):
    return store.current().counters(world.profile, world.device)


def test_deleted_point_is_stored_again_with_its_id_and_the_others_are_not(world, ids):
    world.api.delete("/data", query={"values": "1"})
    assert world.send(*THREE) == "3 Data Added"
    got = world.read(ordination="asc")
    assert values(got) == [0, 1, 2] and [one["id"] for one in got] == ids
    assert world.send(*THREE) == "3 Data Added" and world.read(query="count") == 3
    assert amounts(world).records == 3


def test_import_in_three_requests_after_a_delete_of_most_is_whole_again(world):
    parts = [
        [point("a", 1_000 * part + at, time=HOUR_START + 37 * (1_000 * part + at)) for at in range(1_000)]
        for part in range(3)
    ]
    for part in parts:
        world.send(*part)
    assert world.api.delete("/data", query={"qty": 2_001}).result == "2001 Data Removed"
    for part in parts:
        assert world.send(*part) == "1000 Data Added"
    assert sorted(values(world.read(qty=10_000))) == list(range(3_000))


def test_deleted_points_of_a_segment_are_restored_in_one_write(world, monkeypatch):
    sent = [point("a", at, time=HOUR_START + at) for at in range(3_000)]
    world.send(*sent)
    world.api.delete("/data", query={"qty": 2_999})
    changes, replace = [], store.current().replace_segment
    monkeypatch.setattr(store.current(), "replace_segment", lambda *a, **k: changes.append(1) or replace(*a, **k))
    assert world.send(*sent) == "3000 Data Added"
    assert len(changes) == 1 and world.read(query="count") == 3_000


def test_request_of_several_hours_is_completed_in_each(world):
    sent = [point("a", hour, time=HOUR_START - hour * keys.HOUR_MS + at) for hour in range(4) for at in range(2)]
    world.send(*sent)
    first = world.read(qty=100)
    world.api.delete("/data", query={"ids": [one["id"] for one in first[::3]]})
    assert world.send(*sent) == "8 Data Added"
    assert world.read(qty=100) == first


def test_edited_point_is_there_and_the_edit_wins(world, ids):
    world.api.put("/data", {"id": ids[0], "value": "edited", "time": HOUR_START + 1})
    world.api.delete("/data", query={"ids": ids[1]})
    assert world.send(*THREE) == "3 Data Added"
    assert {one["id"]: one["value"] for one in world.read()} == {ids[0]: "edited", ids[1]: 1, ids[2]: 2}


@pytest.mark.parametrize("moves", [[ELSEWHERE], [ELSEWHERE, ELSEWHERE - keys.HOUR_MS], [ELSEWHERE, HOUR_START]])
def test_moved_point_is_there_until_it_is_deleted(world, ids, moves):
    for time in moves:
        world.api.put("/data", {"id": ids[1], "time": time})
    assert world.send(*THREE) == "3 Data Added" and world.read(query="count") == 3
    (moved,) = world.read(ids=ids[1])
    assert moved["time"] != "2026-09-21T14:00:00.001Z"
    world.api.delete("/data", query={"ids": ids[1]})
    assert world.send(*THREE) == "3 Data Added"
    assert world.read(ids=ids[1])[0]["time"] == "2026-09-21T14:00:00.001Z"
    assert values(world.read(ordination="asc")) == [0, 1, 2]


def test_request_of_which_only_forwarding_marks_are_left_is_stored_again(world):
    world.send(THREE[0])
    (found,) = world.read()
    world.api.put("/data", {"id": found["id"], "time": ELSEWHERE})
    world.api.delete("/data", query={"ids": found["id"]})
    assert world.read() == []
    assert world.send(THREE[0]) == "1 Data Added" and world.read() == [found]
    world.api.put("/data", {"id": found["id"], "time": ELSEWHERE})
    assert world.read(ids=found["id"])[0]["time"] == "2026-09-21T07:00:00.000Z"


@pytest.mark.parametrize("is_timed", [True, False])
def test_point_of_a_request_with_an_idempotency_key_is_stored_again(clock, world, is_timed):
    sent = [point("a", 1, group="g"), point("a", 2, group="g")]
    if is_timed:
        sent[0]["time"] = NOW_MS
    again = {"headers": {"Idempotency-Key": "k"}}
    world.send(*sent, **again)
    first = world.read()
    world.api.delete("/data", query={"values": "1"})
    clock.advance(60)
    assert world.send(*sent, **again) == "2 Data Added" and world.read() == first


def test_point_of_a_message_that_is_delivered_again_is_stored_again(clock, world):
    body = json.dumps([point("a", 1), point("a", 2)]).encode()
    arrival = send.Arrival(NOW_MS - 5, "client")

    def deliver():
        return send.store_points(device=world.doc, sent=Sent(json.loads(body), body), arrival=arrival)

    assert deliver() == deliver() == 2
    world.api.delete("/data", query={"values": "2"})
    assert deliver() == 2 and values(world.read()) == [2, 1]


def test_listeners_are_told_of_what_was_stored_only(world, told):
    world.send(*THREE)
    ids = dict(told)
    world.send(*THREE)
    assert len(told) == 3
    world.api.delete("/data", query={"ids": [ids[0], ids[2]]})
    world.send(*THREE)
    assert told[3:] == [(0, ids[0]), (2, ids[2])]


def test_restored_point_keeps_its_place_among_equal_times(clock, world):
    first, second = ([point("a", f"{name}{at}", time=HOUR_START) for at in range(3)] for name in "xy")
    world.send(*first)
    clock.advance(5)
    world.send(*second)
    before = world.read(details=True)
    world.api.delete("/data", query={"values": ["x1", "y0"]})
    clock.advance(5)
    world.send(*first)
    world.send(*second)
    assert world.read(details=True) == before and values(before) == ["y2", "y1", "y0", "x2", "x1", "x0"]


def test_restored_points_count_as_records_and_not_as_input(clock, sqlite):
    world = World()
    world.send(*THREE)
    world.api.delete("/data", query={"values": "1"})
    world.send(*THREE)
    assert amounts(world)[:2] == (3, 3)


def test_request_that_is_read_in_another_way_than_before_is_completed(world, configure):
    """Equal points of a request count once; then the setting changes, and they no longer do."""
    again = {"headers": {"Idempotency-Key": "k"}}
    sent = [point("a", value, time=HOUR_START + value, group="g") for value in (1, 1, 2)]
    world.send(*sent, **again)
    configure(dedupe=False)
    for _ in range(2):
        assert world.send(*sent, **again) == "3 Data Added"
        assert values(world.read()) == [2, 1]
    world.api.delete("/data", query={"values": "1"})
    for _ in range(2):
        assert world.send(*sent, **again) == "3 Data Added"
        assert values(world.read()) == [2, 1, 1]


def test_deleted_points_for_which_there_is_no_room_any_more_are_413(world, ids, monkeypatch):
    world.api.put("/data", {"id": ids[1], "value": "x" * 200})
    world.api.delete("/data", query={"ids": ids[0]})
    item = store.current().get_segment(world.device, ids[0][:20])
    monkeypatch.setattr("chalicelib.codec.segments.MAX_BODY_BYTES", len(item.body) + 20)
    answer = world.api.post("/data", THREE)
    assert answer.status == 413 and answer.message.endswith("Send them alone")
    assert world.send(THREE[0]) == "1 Data Added" and world.read(query="count") == 3


def test_edit_that_outgrows_the_segment_moves_the_point(world, ids, monkeypatch):
    monkeypatch.setattr("chalicelib.codec.segments.MAX_BODY_BYTES", 600)
    for number, point_id in enumerate(ids):
        assert world.api.put("/data", {"id": point_id, "value": f"{number}" * 200}).result == "1 item(s) updated"
    got = world.read(ordination="asc")
    assert values(got) == ["0" * 200, "1" * 200, "2" * 200] and [one["id"] for one in got] == ids
    assert values(world.read(ids=ids[0])) == ["0" * 200]


@pytest.fixture
def small(monkeypatch):
    """Devices are full with three points."""
    monkeypatch.setattr("chalicelib.services.points.fullness.MAX_POINTS", 3)


def test_repetitions_do_not_fill_a_device(world, small):
    for _ in range(5):
        assert world.send(*THREE[:2]) == "2 Data Added"
    assert world.send(THREE[2]) == "1 Data Added"
    assert world.api.post("/data", [point("b")]).status == 400


def test_restored_points_fill_a_device(world, small):
    world.send(*THREE[:2])
    world.api.delete("/data", query={"values": "1"})
    world.send(*THREE[:2])
    world.send(THREE[2])
    assert world.api.post("/data", [point("b")]).status == 400


def test_full_device_accepts_the_request_that_filled_it_again(world, small):
    for _ in range(3):
        assert world.send(*THREE) == "3 Data Added"
    (first, *_) = world.read(ordination="asc")
    world.api.put("/data", {"id": first["id"], "time": ELSEWHERE})
    assert world.send(*THREE) == "3 Data Added" and world.read(query="count") == 3


def test_full_device_refuses_what_it_would_have_to_store(world, small):
    world.send(*THREE[:2])
    world.send(THREE[2], point("b"))
    world.api.delete("/data", query={"values": "0"})
    for sent in ([point("c")], [point("c", time=HOUR_START)], THREE[:2]):
        answer = world.api.post("/data", sent)
        assert answer.status == 400 and answer.message.endswith("delete points, or use an immutable device")
    assert world.read(query="count") == 3 and len(world.read(query="last_value")) == 2


def test_full_device_keeps_idempotency_keys_free_and_knows_those_in_use(clock, world, small):
    used, free = ({"headers": {"Idempotency-Key": key}} for key in ("used", "free"))
    sent = [point("a", number) for number in range(3)]
    world.send(*sent, **used)
    clock.advance(60)
    assert world.send(*sent, **used) == "3 Data Added"
    assert world.api.post("/data", [point("b")], **used).message == "Idempotency-Key was used with another body before"
    assert world.api.post("/data", [point("b")], **free).status == 400
    world.api.delete("/data", query={"qty": 3})
    assert world.send(point("c"), **free) == "1 Data Added"


@pytest.mark.parametrize("sent", [point("a", time="2020-01-01"), point("a", time="2030-01-01")])
def test_time_out_of_the_window_does_not_use_up_the_idempotency_key(clock, immutable_world, sent):
    key = {"headers": {"Idempotency-Key": "k"}}
    assert immutable_world.api.post("/data", [sent], **key).status == 400
    assert immutable_world.send(point("a"), **key) == "1 Data Added"


def test_too_much_for_a_directory_or_an_item_does_not_use_up_the_idempotency_key(world, monkeypatch):
    key = {"headers": {"Idempotency-Key": "k"}}
    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.services.points.directory.MAX_VARIABLES", 0)
        assert world.api.post("/data", [point("a")], **key).status == 400
        patch.setattr("chalicelib.codec.segments.MAX_BODY_BYTES", 10)
        assert world.api.post("/data", [point("b")], **key).status == 413
    assert world.send(point("c"), **key) == "1 Data Added"
