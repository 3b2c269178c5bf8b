"""The order of points of equal time: by arrival, then by position in the request; in every query and on every page."""

import pytest

from chalicelib import store
from chalicelib.codec import keys, segments
from chalicelib.codec.segment import HAS_VALUE, Draft, Moved
from chalicelib.host import clock as host_clock
from chalicelib.services.points import send
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point, values

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


@pytest.mark.parametrize("time", [HOUR_START, HOUR_START + 7, HOUR_START - 1])
def test_last_value_of_two_requests_of_one_time_is_the_later_one(world, time):
    for number in range(12):
        world.send(point("door", f"open{number}", time=time))
        world.send(point("door", f"closed{number}", time=time))
        assert values(world.read(query="last_value")) == [f"closed{number}"]
        assert values(world.read(query="first_value")) == ["open0"]


def test_last_value_of_points_without_a_time_is_the_one_that_arrived_last(clock, world):
    """Also within one millisecond, in which the clock stands still here."""
    for number in range(40):
        world.send({"variable": "a", "value": 2 * number}, {"variable": "a", "value": 2 * number + 1})
        assert values(world.read(query="last_value")) == [2 * number + 1]
    assert values(world.read(qty=100)) == [*range(80)][::-1]


@pytest.fixture
def filled(clock, world):
    """A device with 12 requests of 3 points of one time and two variables; the clock stands still or steps back."""
    for number in range(12):
        sent = [point("ab"[at == 1], f"{number:02}{at}", time=HOUR_START, metadata={"n": 1}) for at in range(3)]
        world.send(*sent)
        clock.advance(-0.001 * (number % 3 == 0))
    return world


RISING = [f"{number:02}{at}" for number in range(12) for at in range(3)]


def test_pages_of_equal_times_go_on_where_the_last_one_ended(filled):
    for order, wanted in (("asc", RISING), ("desc", RISING[::-1])):
        pages = [filled.read(qty=5, skip=skip, ordination=order) for skip in range(0, 40, 5)]
        assert [value for page in pages for value in values(page)] == wanted


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_a_variable_of_equal_times_go_on_where_the_last_one_ended(filled, order):
    own = [value for value in RISING if value[2] != "1"]
    pages = [filled.read(qty=4, skip=skip, ordination=order, variables="a") for skip in range(0, 24, 4)]
    assert [value for page in pages for value in values(page)] == (own if order == "asc" else own[::-1])
    both = filled.read(qty=2, ordination=order, variables=["b", "a"])
    assert values(both) == (["001", "011", "000", "002"] if order == "asc" else ["111", "101", "112", "110"])


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"query": "last_item"}, ["112", "111"]), ({"query": "first_item"}, ["000", "001"]),
        ({"query": "last_insert"}, ["112", "111"]), ({"query": "first_insert"}, ["000", "001"]),
        ({"query": "last_item", "variables": "b"}, ["111"]), ({"query": "first_item", "variables": "b"}, ["001"]),
    ],
)  # fmt: skip
def test_ends_of_equal_times_are_those_of_the_arrivals(filled, query, wanted):
    assert values(filled.read(**query)) == wanted


def test_ids_are_answered_in_the_order_of_arrival(filled):
    ids = sorted(one["id"] for one in filled.read(qty=100))
    assert values(filled.read(ids=ids, qty=100)) == RISING[::-1]
    assert values(filled.read(ids=ids, qty=100, ordination="asc")) == RISING


@pytest.mark.parametrize("kind", ["min", "max"])
def test_lowest_and_highest_of_equal_values_is_the_newest(world, kind):
    for number in range(8):
        world.send(*[point("a", 5, time=HOUR_START, unit=f"{number}{at}") for at in range(2)])
    assert world.read(query=kind)[0]["unit"] == "71"


def test_moved_point_keeps_its_arrival_and_its_place(world):
    for request in "xyz":
        world.send(*[point("a", f"{request}{at}", time=HOUR_START) for at in range(2)])
    before = world.read(details=True)
    for one in before[1:5]:
        world.api.put("/data", {"id": one["id"], "time": HOUR_START - 5 * keys.HOUR_MS})
    assert values(world.read()) == ["z1", "x0", "z0", "y1", "y0", "x1"]
    for one in before[1:5]:
        world.api.put("/data", {"id": one["id"], "time": HOUR_START})
    assert world.read(details=True) == before
    assert world.read(details=True, ordination="asc") == before[::-1]


def test_edit_within_the_segment_keeps_the_place(world):
    world.send(point("a", 0, time=HOUR_START), point("a", 1, time=HOUR_START + 5))
    world.send(point("a", 2, time=HOUR_START + 5))
    (first,) = world.read(query="first_item")
    world.api.put("/data", {"id": first["id"], "time": HOUR_START + 5})
    assert values(world.read()) == [2, 1, 0]


def test_messages_of_one_moment_are_ordered_by_when_they_are_handled(clock, world):
    for number in range(5):
        body = f'{{"variable": "a", "value": {number}}}'.encode()
        sent = send.Sent([{"variable": "a", "value": number}], body)
        send.store_points(device=world.doc, sent=sent, arrival=send.Arrival(NOW_MS - 50, f"client {number}"))
    assert values(world.read()) == [4, 3, 2, 1, 0] and values(world.read(query="last_value")) == [4]


def test_arrivals_rise_even_if_the_clock_stands_still_or_steps_back(clock):
    first = host_clock.arrival_us()
    assert first == NOW_MS * 1000
    assert [host_clock.arrival_us() for _ in range(3)] == [first + 1, first + 2, first + 3]
    clock.advance(-5)
    assert host_clock.arrival_us() == first + 4
    clock.advance(6)
    assert host_clock.arrival_us() == clock.now_ms * 1000


def test_rows_without_microseconds_are_ordered_by_millisecond_then_by_id(world):
    """As earlier versions wrote them: no microseconds in the header, none in the origin of a moved point."""
    for suffix in (3, 1, 2):
        line = '"variable":"a","group":"g","time":"2026-09-21T14:00:00.000Z","value":'
        drafts = [Draft(HOUR_START, "a", HAS_VALUE, f"{line}{suffix}{at}}}", False) for at in "01"]
        segment = segments.build(world.device, drafts, keys.segment_key(HOUR_START, suffix), NOW_MS * 1000)
        if suffix == 2:
            segment.moved = {0: Moved(keys.segment_key(HOUR_START, 0) + "0009", NOW_MS * 1000)}
        item = segments.encode(segment)
        assert b'"a":' not in item.body
        old = item.body.replace(b",%d,0]]" % NOW_MS, b",%d]]" % NOW_MS)
        assert (old != item.body) == (suffix == 2)
        store.current().put_segments([item._replace(body=old)], profile=world.profile, now_ms=NOW_MS)
    assert values(world.read()) == [31, 30, 21, 11, 10, 20]
    assert values(world.read(ordination="asc", details=True)) == [20, 10, 11, 21, 30, 31]
    assert {one["created_at"] for one in world.read(details=True)} == {"2026-09-21T14:13:20.000Z"}


def test_arrival_is_kept_to_the_microsecond(clock, sqlite, monkeypatch):
    world = World()
    monkeypatch.setattr(host_clock, "now_us", lambda: NOW_MS * 1000 + 123)
    world.send(point("a", 1, time=HOUR_START))
    monkeypatch.setattr(host_clock, "now_us", lambda: NOW_MS * 1000 + 456)
    world.send(point("a", 2, time=HOUR_START))
    items = store.current().scan_segments(world.device, "0", "g", newest_first=False, first_page=5)
    decoded = [segments.decode(item) for item in items]
    assert sorted(segment.created_us % 1000 for segment in decoded) == [123, 456]
    assert {segments.encode(segment).body for segment in decoded} == {
        item.body for item in store.current().scan_segments(world.device, "0", "g", newest_first=True, first_page=5)
    }
