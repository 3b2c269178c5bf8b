"""Fair share against a plain model, and what it promises: quiet devices are served beside a loud one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.services.usage.shares import HOUR, Shares

KEY = ("profile", "POST /data")


class Minutes:
    """A counter with a limit whose shares are fair. It counts as ``minutes.Counter`` does."""

    def __init__(self, limit, **bounds):
        self.warned = []
        self.shares, self.limit = Shares(self.warned.append, **bounds), limit
        self.minute, self.used = 100, 0

    def next(self, minutes=1):
        self.minute, self.used = self.minute + minutes, 0

    def ask(self, device, key=KEY):
        is_loud = self.shares.is_loud(key, device, self.used, self.limit, self.minute)
        is_allowed = self.used < self.limit and not is_loud
        if is_allowed:
            self.used += 1
            self.shares.count(key, device, 1)
        return is_allowed


class Model:
    """The rule as it is written down, without anything that makes it fast."""

    def __init__(self, limit):
        self.limit, self.counts, self.seen = limit, {}, {}

    def ask(self, device, minute):
        now, last = self.counts.setdefault(minute, {}), self.counts.get(minute - 1, {})
        now.setdefault(device, 0)
        self.seen[device] = minute
        used, share = sum(now.values()), max(1, self.limit // len(now.keys() | last.keys()))
        if used >= self.limit:
            return False
        if now[device] >= share:
            reserved = sum(max(0, min(count, share) - now.get(other, 0)) for other, count in last.items())
            if sum(at > minute - HOUR for at in self.seen.values()) >= 2:
                reserved = max(reserved, self.limit // 10)
            if used + reserved >= self.limit:
                return False
        now[device] += 1
        return True


QUIET = [f"quiet {number}" for number in range(200)]


@pytest.mark.parametrize("order", ["loud first", 1, 2, 3, 4, 5])
def test_200_quiet_devices_are_all_served_beside_a_loud_one(order):
    counter = Minutes(limit=250)
    assert all(counter.ask(device) for device in QUIET)
    calls = ["loud"] * 1_000 + QUIET
    if order != "loud first":
        random.Random(order).shuffle(calls)
    for _ in range(3):
        counter.next()
        answers = [(device, counter.ask(device)) for device in calls]
        assert all(is_allowed for device, is_allowed in answers if device != "loud")
        assert sum(is_allowed for device, is_allowed in answers if device == "loud") >= 40
        assert counter.used <= 250


def test_a_lone_device_gets_the_whole_limit():
    counter = Minutes(limit=250)
    for _ in range(3):
        assert sum(counter.ask("only") for _ in range(1_000)) == 250
        counter.next()


def test_a_tenth_is_kept_while_another_device_was_seen_within_the_hour():
    def served_beside_a_new_device(pause):
        counter = Minutes(limit=250)
        counter.ask("rare")
        counter.next(pause)
        counter.ask("loud")
        counter.next()
        counter.ask("new")
        return sum(counter.ask("loud") for _ in range(1_000))

    assert served_beside_a_new_device(pause=5) == 250 - 25 - 1
    counter = Minutes(limit=250)
    counter.ask("loud")
    counter.ask("rare")
    for _ in range(HOUR):
        counter.next()
        counter.ask("loud")
    assert not counter.shares.has_others(KEY)


@given(
    limit=st.integers(1, 60),
    minutes=st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 59, 60, 61]), st.lists(st.integers(0, 12), max_size=90)), max_size=6),
)  # fmt: skip
def test_it_is_the_rule_and_keeps_its_two_promises(limit, minutes):
    counter, model = Minutes(limit), Model(limit)
    for pause, devices in minutes:
        counter.next(pause)
        for device in map(str, devices):
            used = counter.used
            is_allowed = counter.ask(device)
            assert is_allowed == model.ask(device, counter.minute)
            assert counter.used <= limit
            now, last = model.counts[counter.minute], model.counts.get(counter.minute - 1, {})
            is_quiet = now[device] < max(1, limit // len(now.keys() | last.keys()))
            assert is_allowed or used >= limit or not is_quiet, "refused below its share and below the limit"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_what_is_given_back_was_never_counted(calls):
    kept, other = Minutes(20), Minutes(20)
    for counter in (kept, other):
        [counter.ask(device) for device in "aabbbbcc"]
        counter.next()
        counter.ask("c")
    for device, is_given_back in calls:
        if is_given_back and kept.ask(device):
            kept.used -= 1
            kept.shares.count(KEY, device, -1)
        if is_given_back:  # the other one must have seen it too
            other.shares.is_loud(KEY, device, other.used, 20, other.minute)
        else:
            assert kept.ask(device) == other.ask(device)


def test_it_is_off_with_too_many_devices_of_one_profile_and_on_again():
    counter = Minutes(limit=10, most_of_one=3)
    for device in "abcd":
        counter.ask(device)
    assert sum(counter.ask("a") for _ in range(20)) == 6, "up to the limit"
    assert counter.warned == ["more than 3 devices of one profile in one minute: fair share is off for a minute"]
    counter.next()
    counter.ask("b")
    counter.next()
    assert sum(counter.ask("a") for _ in range(20)) == 9, "one is reserved for the device of the last minute"


def test_it_is_off_with_too_many_devices_in_all_for_those_that_see_another_one():
    counter = Minutes(limit=10, most=2)
    counter.ask("a", ("p", "x"))
    counter.ask("b", ("q", "x"))
    assert counter.ask("c", ("q", "x")) and counter.ask("c", ("r", "x"))
    assert counter.warned == ["more than 2 devices in one minute: fair share is off for a minute"] * 2
    assert len(counter.shares._recent) <= 2


def test_memory_is_bounded_with_100_000_profiles():
    shares = Shares(len, most=1_000)
    for minute in range(3):
        for number in range(100_000 if minute == 1 else 2_000):
            shares.is_loud((str(number), "x"), "d", 0, 10, minute)
    assert len(shares._recent) <= 1_000
