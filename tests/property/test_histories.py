"""Random histories: any order of sends gives the same answers, faults neither lose nor double points, and after any
sends, retries, edits and deletes a plain model says what is there, and in which order."""

import contextlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.codec import keys, times
from chalicelib.host import cache
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, answer_lost, answered, killed_after, throttled
from tests.kit.sealing import seal
from tests.kit.tables import empty_tables
from tests.kit.world import World, point

QUERIES = (
    {"qty": 1000}, {"qty": 1000, "ordination": "ascending"}, {"qty": 3}, {"qty": 3, "skip": 2}, {"query": "last_value"},
    {"query": "first_value"}, {"query": "last_item", "variables": "a"}, {"query": "min"}, {"query": "max"}, {"query": "count"},
    {"query": "sum", "start_date": "7 days"}, {"query": "count", "start_date": "30 hours", "end_date": "90 minutes"},
    {"variables": ["b", "a"], "qty": 2}, {"query": "aggregate", "interval": "hour", "function": "sum"},
)  # fmt: skip
SENDS = st.lists(
    st.lists(
        st.builds(
            lambda name, value, minutes: {
                "variable": name,
                "value": value,
                "time": NOW_MS - minutes * 60_000,
                "group": "g",
            },
            st.sampled_from("abc"),
            st.integers(-5, 5),
            st.integers(0, 100),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda one: (one["variable"], one["time"]),
    ),
    min_size=1,
    max_size=8,
)
SLOW = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


TIMES = [NOW_MS - NOW_MS % keys.HOUR_MS + ms for ms in (-keys.HOUR_MS, -1, 0, 1, 2)]
"""Times of three hours, so few that most points share theirs with others."""
NUMBER = st.integers(0, 7)
REQUESTS = st.lists(
    st.lists(
        st.builds(
            lambda name, value, time: {"variable": name, "value": value, "time": time},
            st.sampled_from("ab"),
            st.integers(-1, 1),
            st.sampled_from(TIMES),
        ),
        min_size=1,
        max_size=5,
    ),
    min_size=2,
    max_size=4,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), NUMBER),
        st.tuples(st.just("send"), NUMBER),
        st.tuples(st.just("send part"), NUMBER),
        st.tuples(st.just("edit value"), NUMBER, st.integers(-1, 1)),
        st.tuples(st.just("edit time"), NUMBER, st.sampled_from(TIMES)),
        st.tuples(st.just("delete id"), NUMBER),
        st.tuples(st.just("delete id"), NUMBER),
        st.tuples(st.just("delete newest"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("delete any"), st.sampled_from(["ascending", "descending"]), st.integers(1, 3)),
        st.tuples(st.just("clock"), st.sampled_from([-0.002, 0.001, 3_600, 90_000])),
        st.tuples(st.just("seal"), st.integers(1, 4), st.integers(1, 3)),
        st.tuples(st.just("seal"), st.integers(1, 4), st.integers(1, 3)),
    ),
    max_size=14,
)


class Model:
    """The points of a device as a plain list. A tag, sent as the group, names a point: its request and place there."""

    def __init__(self, world, requests):
        self.world = world
        self.requests = [
            [one | {"group": f"{number}.{place}"} for place, one in enumerate(request)]
            for number, request in enumerate(requests)
        ]
        self.points = {}
        self.arrivals = 0
        self.arrived = {}
        """The arrival of each segment: of the points of one request and hour of which anything is left."""
        self.marked = set()
        """The tags of the points of which a segment knows that they were moved away, deleted since or not."""

    def in_order(self, variable=None):
        """Return tags by rising time, then arrival, then place in the request; of the request's own time if edited."""
        there = [tag for tag, one in self.points.items() if variable in (None, one["variable"])]
        return sorted(there, key=lambda tag: (self.points[tag]["time"], *self.insertion(tag)))

    def insertion(self, tag):
        request, place = tag.split(".")
        return self.points[tag]["arrival"], self.requests[int(request)][int(place)]["time"], int(place)

    def siblings(self, tag):
        """Return the segment of a tag, and what its request has for that segment."""
        request, place = map(int, tag.split("."))
        hour = keys.hour_of(self.requests[request][place]["time"])
        return (request, hour), [one for one in self.requests[request] if keys.hour_of(one["time"]) == hour]

    def send(self, request):
        """Send a request. Points that were deleted take their old places, unless nothing of their segment is left."""
        self.arrivals += 1
        assert self.world.send(*request) == f"{len(request)} Data Added"
        for one in request:
            if one["group"] not in self.points:
                segment, _ = self.siblings(one["group"])
                arrival = self.arrived.setdefault(segment, self.arrivals)
                self.points[one["group"]] = one | {"arrival": arrival}
                self.marked.discard(one["group"])

    def send_part(self, request):
        """Send some points of a request again, in a body of their own. They are other points, so they get new tags."""
        part = request[len(request) // 2 :]
        self.requests.append([one | {"group": f"{len(self.requests)}.{at}"} for at, one in enumerate(part)])
        self.send(self.requests[-1])

    def edit(self, number, **change):
        if not self.points:
            return
        tag = self.in_order()[number % len(self.points)]
        assert self.world.api.put("/data", {"id": self.id_of(tag), **change}).result == "1 item(s) updated"
        self.points[tag] = self.points[tag] | change
        (_, hour), siblings = self.siblings(tag)
        time = self.points[tag]["time"]
        if keys.hour_of(time) != hour or time > max(one["time"] for one in siblings):
            self.marked.add(tag)

    def id_of(self, tag):
        (found,) = self.world.read(groups=tag)
        return found["id"]

    def delete(self, tags, **query):
        assert self.world.api.delete("/data", query=query).result == f"{len(tags)} Data Removed"
        for tag in tags:
            del self.points[tag]
            segment, siblings = self.siblings(tag)
            if not any(one["group"] in self.marked or one["group"] in self.points for one in siblings):
                del self.arrived[segment]

    def step(self, clock, kind, *args):
        if kind == "send":
            self.send(self.requests[args[0] % len(self.requests)])
        elif kind == "send part":
            self.send_part(self.requests[args[0] % len(self.requests)])
        elif kind == "edit value":
            self.edit(args[0], value=args[1])
        elif kind == "edit time":
            self.edit(args[0], time=args[1])
        elif kind == "delete id" and self.points:
            tag = self.in_order()[args[0] % len(self.points)]
            self.delete([tag], ids=self.id_of(tag))
        elif kind == "delete newest":
            self.delete(self.in_order(args[0])[-args[1] :], variables=args[0], qty=args[1])
        elif kind == "delete any":
            tags = self.in_order() if args[0] == "ascending" else self.in_order()[::-1]
            self.delete(tags[: args[1]], qty=args[1], ordination=args[0])
        elif kind == "clock":
            clock.advance(*args)
        elif kind == "seal":
            seal(self.world.device, at_once=args[0], max_points=args[1], steps=2)

    def check(self, skip):
        """Compare the answers to queries of every kind with the model's."""
        rising = self.in_order()
        newest_first = rising[::-1]
        names = sorted({one["variable"] for one in self.points.values()})
        by_name = [self.in_order(name) for name in names]
        values = {tag: one["value"] for tag, one in self.points.items()}
        assert self.tags(qty=2, skip=skip) == newest_first[skip : skip + 2]
        assert self.tags(qty=2, skip=skip, ordination="asc") == rising[skip : skip + 2]
        assert self.tags(variables=["b", "a"], qty=2) == [tag for name in "ba" for tag in self.in_order(name)[::-1][:2]]
        assert self.tags(query="last_value") == [tags[-1] for tags in by_name]
        assert self.tags(query="first_value") == [tags[0] for tags in by_name]
        assert self.tags(query="last_insert") == [max(tags, key=self.insertion) for tags in by_name]
        assert self.tags(query="first_insert") == [min(tags, key=self.insertion) for tags in by_name]
        assert self.tags(query="min") == [min(tags[::-1], key=values.get) for tags in by_name]
        assert self.tags(query="max") == [max(tags[::-1], key=values.get) for tags in by_name]
        assert self.world.read(query="count") == len(rising)
        shown = self.check_all()
        if shown:
            assert self.tags(ids=sorted(one["id"] for one in shown), qty=100) == newest_first

    def check_all(self):
        """Compare all points with the model's; return them, the newest first."""
        rising = self.in_order()
        shown = self.world.read(qty=100)
        assert [one["group"] for one in shown] == rising[::-1] and self.tags(qty=100, ordination="asc") == rising
        assert len({one["id"] for one in shown}) == len(shown)
        assert self.world.admin.get(f"/device/{self.world.device}/data_amount").result == len(rising)
        assert {one["group"]: (one["value"], times.parse_time(one["time"])) for one in shown} == {
            tag: (one["value"], one["time"]) for tag, one in self.points.items()
        }
        return shown

    def tags(self, **query):
        return [one["group"] for one in self.world.read(**query)]


@settings(parent=SLOW, max_examples=10)
@given(REQUESTS, STEPS, NUMBER)
def test_after_any_history_what_a_plain_model_says_is_there_in_its_order(clock, each_store, requests, steps, skip):
    empty_tables()  # of the example before
    clock.now_ms = NOW_MS
    model = Model(World(), requests)
    for step in [("send", 0), *steps]:
        model.step(clock, *step)
    model.check(skip)
    for request in model.requests:
        model.send(request)
    model.check_all()


def answers(world):
    """Return the answers to every query, without ids and the order of equal times, which depend on arrival."""
    found = []
    for query in QUERIES:
        result = world.read(**query)
        if isinstance(result, list):
            result = [{name: one[name] for name in ("variable", "value", "time") if name in one} for one in result]
        found.append(result)
    return found


@SLOW
@given(SENDS, st.randoms(use_true_random=False))
def test_any_order_of_the_same_sends_gives_the_same_answers(clock, each_store, sends, random):
    empty_tables()  # of the example before
    taken, distinct = set(), []
    for points in sends:  # one point a variable and time, or the answer depends on arrival rightly
        fresh = [one for one in points if (one["variable"], one["time"]) not in taken]
        fresh = [one for one in fresh if not any(one["time"] == time for _, time in taken)]
        taken |= {(one["variable"], one["time"]) for one in fresh}
        distinct += [fresh] * bool(fresh)
    first, second = World(), World()
    for points in distinct:
        first.send(*points)
    shuffled = distinct * 2
    random.shuffle(shuffled)
    for points in shuffled:
        second.send(*points)
    assert answers(first) == answers(second)


@pytest.mark.parametrize("seed", range(10))
def test_history_with_faults_keeps_what_was_acknowledged_once(clock, dynamo, monkeypatch, seed):
    """Sends and retries of three devices, with a fault at every fifth. Then all points are read."""
    clock.take_pauses(monkeypatch)
    chance = random.Random(seed)
    worlds = [World() for _ in range(3)]
    acknowledged, attempted = ([{} for _ in worlds] for _ in range(2))
    sent, serial = [], 0
    for _ in range(60):
        number = chance.randrange(3)
        world = worlds[number]
        if sent and chance.random() < 0.3:
            number, points = chance.choice(sent)
            world = worlds[number]
        else:
            base = NOW_MS - chance.randrange(5) * keys.HOUR_MS - 1_000_000
            points = [point("n", serial + at, time=base + (serial + at) * 10) for at in range(chance.randrange(1, 30))]
            serial += len(points)
            sent.append((number, points))
        attempted[number] |= {one["value"]: one for one in points}
        with fault(chance):
            try:
                if world.api.post("/data", points).status == 200:
                    acknowledged[number] |= {one["value"]: one for one in points}
            except Killed:
                cache.clear_all()
    for number, world in enumerate(worlds):
        got = [one["value"] for one in world.read(qty=10_000)]
        assert len(got) == len(set(got)), f"seed {seed}: doubled"
        assert set(acknowledged[number]) <= set(got) <= set(attempted[number]), f"seed {seed}: lost or foreign"
        assert world.read(query="count") == len(got)
        if got:
            assert world.read(query="max")[0]["value"] == max(got) and world.read(query="min")[0]["value"] == min(got)
    for number, points in sent:
        assert worlds[number].api.post("/data", points).status == 200
    for number, world in enumerate(worlds):
        assert world.read(query="count") == len(attempted[number])


def fault(chance):
    if chance.random() > 0.2:
        return contextlib.nullcontext()
    return chance.choice(
        [
            lambda: throttled("PutItem", chance.randrange(1, 9)),
            lambda: answer_lost("PutItem", chance.randrange(1, 3)),
            lambda: killed_after("PutItem", chance.randrange(0, 3)),
            lambda: answered("PutItem", 500, {}),
            lambda: throttled("GetItem", 9),
        ]
    )()
