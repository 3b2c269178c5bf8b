"""Counting by calendar minute: exact at its edges, with threads, with a clock that steps back, and bounded."""

import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.services.usage import minutes
from chalicelib.services.usage.minutes import Budget, Counter
from tests.kit.clock import Clock

KEY = ("profile", "POST /data")
EDGE_MS = 1_790_000_040_000
"""A minute begins."""


def counter(**kwargs):
    warned = []
    made = Counter(("POST /data",), warned.append, **kwargs)
    return made, warned


def allowed(one, count, limit=10, key=KEY):
    """Return how many of so many calls are allowed."""
    return sum(one.take((Budget(key, limit),)).is_allowed for _ in range(count))


@pytest.fixture
def at_edge(monkeypatch):
    """A clock one millisecond before the end of a minute."""
    return Clock(EDGE_MS - 1).install(monkeypatch)


def test_the_limit_is_exact_and_the_next_minute_has_a_new_one(at_edge):
    one, _ = counter()
    assert allowed(one, 25) == 10
    assert minutes.left_s() == 0.001
    at_edge.advance(0.001)
    assert minutes.left_s() == 60
    assert allowed(one, 25) == 10
    at_edge.advance(59.999)
    assert allowed(one, 5) == 0


def test_taken_says_what_is_left_of_the_tightest_budget(at_edge):
    one, _ = counter()
    budgets = Budget(("p", "a"), 5), Budget(("p", "b"), 3)
    taken = [one.take(budgets) for _ in range(4)]
    assert [(each.is_allowed, each.limit, each.remaining) for each in taken] == [
        (True, 3, 2), (True, 3, 1), (True, 3, 0), (False, 3, 0),
    ]  # fmt: skip
    assert allowed(one, 9, 5, ("p", "a")) == 2, "a refused call counts in no budget"


def test_what_is_given_back_can_be_taken_again_in_its_minute_only(at_edge):
    one, _ = counter()
    taken = one.take((Budget(KEY, 1),))
    one.give_back(taken)
    assert allowed(one, 5, 1) == 1
    one.give_back(one.take((Budget(KEY, 1),)))  # it was refused, so there is nothing to give back
    assert allowed(one, 5, 1) == 0
    at_edge.advance(0.001)
    assert allowed(one, 1, 1) == 1
    one.give_back(taken)
    assert allowed(one, 5, 1) == 0


def test_a_clock_that_steps_back_gives_no_second_limit(at_edge):
    one, _ = counter()
    at_edge.advance(0.5)
    assert allowed(one, 25) == 10
    at_edge.now_ms -= 2_000
    assert allowed(one, 5) == 0, "the clock shows the minute before"
    at_edge.advance(2)
    assert allowed(one, 5) == 0, "the clock shows the same minute again"
    at_edge.advance(60)
    assert allowed(one, 25) == 10


def test_a_clock_that_was_an_hour_ahead_blocks_nobody_for_longer_than_a_minute(at_edge):
    one, _ = counter()
    assert allowed(one, 25) == 10
    at_edge.now_ms -= 3_600_000
    assert allowed(one, 5) == 0
    at_edge.advance(60)
    assert allowed(one, 25) == 10


@given(steps=st.lists(st.tuples(st.integers(-5_000, 70_000), st.integers(0, 30)), max_size=30))
def test_no_minute_allows_more_than_its_limit_however_the_clock_moves(steps):
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(EDGE_MS).install(patch)
        one, _ = counter()
        by_minute = {}
        for step_ms, calls in steps:
            clock.now_ms += step_ms
            clock.elapsed_s += max(0, step_ms) / 1000
            number = one.take((Budget(("other", "x"), 1_000_000),)).minute
            by_minute[number] = by_minute.get(number, 0) + allowed(one, calls)
        assert all(count <= 10 for count in by_minute.values())


def test_16_threads_at_the_edges_of_minutes_never_pass_the_limit(monkeypatch):
    clock = Clock(EDGE_MS - 1).install(monkeypatch)
    one, _ = counter()
    limit, granted, start = 500, [], threading.Barrier(17)

    def client():
        start.wait()
        mine = [one.take((Budget(KEY, limit),)) for _ in range(400)]
        granted.extend(taken.minute for taken in mine if taken.is_allowed)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=client) for _ in range(16)]
        for thread in threads:
            thread.start()
        start.wait()
        while any(thread.is_alive() for thread in threads):
            if len(one) and one.take((Budget(("clock", "x"), 1_000_000),)).is_allowed:
                clock.now_ms = EDGE_MS if clock.now_ms < EDGE_MS else clock.now_ms - 1  # over the edge, and back
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    counts = {number: granted.count(number) for number in set(granted)}
    assert all(count <= limit for count in counts.values()) and max(counts.values()) == limit, counts


def test_memory_is_bounded_with_100_000_profiles(at_edge):
    one, warned = counter()
    at_edge.advance(1)
    for number in range(100_000):
        for rate in ("GET /data", "PUT /data"):
            one.take((Budget((f"{number:024}", rate), 10),))
    one.take((Budget(("one more", "GET /data"), 10),))
    key = next(iter(one._counts))
    size_bytes = sys.getsizeof(one._counts) + len(one) * (sys.getsizeof(key) + sys.getsizeof(key[0]))
    assert len(one) == minutes.MOST and size_bytes < 50_000_000, size_bytes
    assert warned == ["more than 200000 counters in one minute: data is not limited, all else is refused"]
    at_edge.advance(60)
    for _ in range(minutes.MOST // 8 + 1):
        one.take((Budget(KEY, 1),))
    assert len(one) == 1, "the next minute frees them, little by little"


def test_without_room_data_is_open_and_all_else_closed(at_edge):
    one, warned = counter(most=1)
    assert allowed(one, 1, 5, ("first", "POST /device/token")) == 1
    assert allowed(one, 9, 5, ("second", "POST /data")) == 9
    assert allowed(one, 9, 5, ("second", "POST /device/token")) == 0
    assert allowed(one, 9, 5, ("first", "POST /device/token")) == 4
    assert len(one) == 1 and len(warned) == 1
