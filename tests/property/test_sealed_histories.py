"""Random histories of an immutable device on DynamoDB: whatever is sealed and whenever the sealer is killed, a plain
model says what is there, and in which order."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import store
from chalicelib.host import cache
from chalicelib.services.devices import sealings
from chalicelib.services.points import sealing
from tests.kit.faults import Killed
from tests.kit.policies import running
from tests.kit.sealings import DAY_MS, TODAY, YESTERDAY, before_call, kept_world, kill, sealed
from tests.kit.tables import empty_tables
from tests.kit.world import point

DAYS = (YESTERDAY - 1, YESTERDAY, TODAY)
TIMES = [day * DAY_MS + ms for day in DAYS for ms in (0, 1, 3_600_000, 3_600_001, DAY_MS // 2)]
REQUESTS = st.lists(st.lists(st.sampled_from(TIMES), min_size=1, max_size=3), min_size=3, max_size=6)
NUMBER = st.integers(0, 9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), NUMBER),
        st.tuples(st.just("send"), NUMBER),
        st.tuples(st.just("send"), NUMBER),
        st.tuples(st.just("seal"), st.one_of(st.none(), st.integers(0, 25))),
        st.tuples(st.just("seal"), st.none()),
        st.tuples(st.just("clock"), st.sampled_from([60, 1_500, 1_500, 36_000])),
        st.tuples(st.just("empty"), st.one_of(st.none(), st.integers(0, 6))),
    ),
    max_size=12,
)


class Model:
    """The points of a device as a plain list, by their tags, which are sent as the values."""

    def __init__(self, world, requests):
        self.world = world
        self.requests = [
            [point("ab"[place % 2], f"{number}.{place}", time=time_ms) for place, time_ms in enumerate(times)]
            for number, times in enumerate(requests)
        ]
        self.order = {}
        """By tag: its time, the number of its arrival, and its place in the request."""
        self.arrivals = 0

    def send(self, number):
        request = self.requests[number % len(self.requests)]
        self.arrivals += 1
        assert self.world.send(*request) == f"{len(request)} Data Added"
        for place, one in enumerate(request):
            self.order.setdefault(one["value"], (one["time"], self.arrivals, place))

    def empty(self):
        assert self.world.admin.post(f"/device/{self.world.device}/empty").status == 200
        self.order = {}

    def check(self):
        expected = sorted(self.order, key=lambda tag: self.order[tag])
        found = self.world.read(qty=100, ordination="ascending")
        assert [one["value"] for one in found] == expected
        assert [one["value"] for one in self.world.read(qty=100)] == expected[::-1]
        assert self.world.read(query="count") == len(expected) == len({one["id"] for one in found})
        middle = YESTERDAY * DAY_MS + 3_600_000
        assert self.world.read(query="count", end_date=middle) == sum(at[0] <= middle for at in self.order.values())
        counted = store.current().count_points(self.world.device, "0", "g")
        counted += sum(item.counted for item in sealed(self.world))
        assert counted <= len(expected), "what the stream counts"
        return counted == len(expected)


def seal(world):
    with running("sealer"):
        ended = [day for day in DAYS if sealings.has_ended(day)]
        sealings.note(profile=world.profile, device=world.device, days=ended)
    return advance(world)


def advance(world):
    with running("sealer"):
        return sealings.advance(profile=world.profile, device=world.device)


def killed(calls, act):
    """Do something, or be killed before one of its calls. Return whether it was done."""
    if calls is None:
        act()
        return True
    try:
        with before_call(calls, kill):
            act()
    except Killed:
        cache.clear_all()
        return False
    return True


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(requests=REQUESTS, steps=STEPS)
def test_history_on_dynamodb_is_that_of_the_model(clock, dynamo, requests, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealings, "LEAST", 1)
        patch.setattr(sealing, "MAX_POINTS", 3)
        empty_tables()
        cache.clear_all()
        world = kept_world()
        model = Model(world, requests)
        for number in range(len(requests) - 1):
            model.send(number)
        for kind, how in steps:
            if kind == "send":
                model.send(how)
            elif kind == "clock":
                clock.advance(how)
            elif kind == "seal":
                killed(how, lambda: seal(world))
            elif not killed(how, model.empty):
                model.empty()
            model.check()
        left_s = seal(world)
        while left_s is not None:  # no day is noted again, else one would always be left
            clock.advance(left_s)
            left_s = advance(world)
        assert model.check(), "in the end, everything is counted"
        assert len(sealed(world)) <= len(model.order) + len(DAYS)
