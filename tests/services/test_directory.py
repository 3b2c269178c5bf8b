"""The directory of a device: what a change costs, parts, the split of an old one, and several processes at once."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.codec import keys
from chalicelib.host import cache
from chalicelib.services.points import directory
from chalicelib.services.points.directory import Span
from chalicelib.store import Entity, names
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, hook, killed_after
from tests.kit.world import World, point, values

HOUR = keys.hour_of(NOW_MS)
DEVICE = "d" * 24


def spans(numbers, first=HOUR, newest=HOUR):
    return {f"variable_{number}": Span(first, newest) for number in numbers}


def put_old(store, known, device=DEVICE):
    """Store a directory as earlier versions did, in one entity, whatever its size."""
    store.put(Entity(names.device(device), "directory", {"variables": {name: [*span] for name, span in known.items()}}))
    cache.clear_all()


def parts(store, device=DEVICE):
    return {one.name: one.doc["variables"] for one in store.list(names.device(device), "directory")}


def read_afresh(device=DEVICE):
    cache.clear_all()
    return dict(directory.read(device=device))


@pytest.fixture
def written(each_store, monkeypatch):
    """The size of each entity that is put on a condition."""
    sizes, put_if = [], each_store.put_if

    def record(entity, *, version):
        sizes.append(len(json.dumps(entity.doc)))
        return put_if(entity, version=version)

    monkeypatch.setattr(each_store, "put_if", record)
    return sizes


@pytest.mark.parametrize("is_old", [False, True])
def test_variable_7001_costs_no_more_than_variable_71(clock, each_store, written, is_old):
    world = World()
    if is_old:
        put_old(each_store, spans(range(7_000)), world.device)
        world.send(point("splits", time=NOW_MS))
    else:
        directory.widen(device=world.device, spans=spans(range(7_000)))
    written.clear()
    for number in range(7_001, 7_011):
        world.send(point(f"variable_{number}", time=NOW_MS))
    assert len(written) == 10 and max(written) < 6_000
    written.clear()
    world.send(point("variable_12", time=NOW_MS + keys.HOUR_MS))
    assert len(written) == 1 and written[0] < 6_000
    assert len(read_afresh(world.device)) == 7_010 + is_old


def test_variable_7001_is_one_read_and_two_writes(clock, dynamo):
    world = World()
    world.send(point("first"))
    directory.widen(device=world.device, spans=spans(range(7_000)))
    with counting() as calls:
        world.send(point("another"))
    assert dict(calls) == {"GetItem": 1, "PutItem": 2}
    assert calls.units["read"] <= 2 and calls.units["write"] <= 6 and calls.stored_bytes < 6_000


def test_variable_7001_reads_and_writes_one_part_on_sqlite(clock, sqlite):
    world = World()
    directory.widen(device=world.device, spans=spans(range(7_000)))
    world.send(point("first"))
    statements = []
    sqlite._db.set_trace_callback(statements.append)
    world.send(point("another"))
    sqlite._db.set_trace_callback(None)
    about = [one for one in statements if "directory" in one]
    assert len(about) == 3 and sum(map(len, about)) < 6_000  # two reads, and one write with the part as text


def test_variables_of_all_parts_are_found(clock, world):
    for start in range(0, 300, 100):
        world.send(*[point(f"v{number}", number, time=NOW_MS - 1_000) for number in range(start, start + 100)])
    world.send(point("v7", "newer", time=NOW_MS))
    cache.clear_all()
    assert values(world.read(query="last_value", variables=["v7", "v299", "v130"])) == ["newer", 299, 130]
    assert len(world.read(query="last_item")) == 300


def test_old_directory_is_read_and_left_alone_until_it_must_be_written(each_store, written):
    old = spans(range(1_000))
    put_old(each_store, old)
    assert read_afresh() == old
    directory.widen(device=DEVICE, spans=spans([5, 999]))
    assert written == []
    directory.widen(device=DEVICE, spans=spans([5], newest=HOUR + 1) | spans([2_000]))
    assert read_afresh() == old | spans([5], newest=HOUR + 1) | spans([2_000])
    assert max(map(len, parts(each_store).values())) <= directory.PART_SIZE
    assert sum(map(len, parts(each_store).values())) == 1_001


@pytest.mark.parametrize("calls", range(6))
def test_split_that_is_killed_anywhere_loses_nothing_and_is_finished_later(dynamo, calls):
    old = spans(range(400))
    put_old(dynamo, old)
    wanted = spans([3, 1_000], newest=HOUR + 1)
    try:
        with killed_after("PutItem", calls):
            directory.widen(device=DEVICE, spans=wanted)
    except Killed:
        assert calls < 5
    found = read_afresh()
    assert old.keys() <= found.keys() and all(found[name].first == HOUR for name in old)
    directory.widen(device=DEVICE, spans=spans([4], newest=HOUR + 2) | wanted)
    assert read_afresh() == old | spans([4], newest=HOUR + 2) | wanted
    kept = parts(dynamo)
    assert max(map(len, kept.values())) <= directory.PART_SIZE
    assert sum(map(len, kept.values())) == 401


def test_reader_in_the_midst_of_a_split_misses_nothing(dynamo):
    old, seen = spans(range(400)), []
    put_old(dynamo, old)

    def look(**_):
        found = {}
        for doc in parts(dynamo).values():
            found |= doc
        seen.append(len(found))

    with hook("before-call.dynamodb.PutItem", look), hook("after-call.dynamodb.PutItem", look):
        directory.widen(device=DEVICE, spans=spans([3], newest=HOUR + 1))
    assert min(seen) == 400


def test_what_another_version_adds_to_an_old_directory_during_a_split_is_kept(dynamo):
    put_old(dynamo, spans(range(200)))
    late = spans([1], first=HOUR - 9) | spans([5_000])

    def write_late(params, **_):
        if params["Item"]["name"]["S"] == "directory#002" and late:
            entity = dynamo.get(names.device(DEVICE), "directory")
            variables = entity.doc["variables"] | {name: [*late[name]] for name in late}
            late.clear()
            dynamo.put(entity._replace(doc={"variables": variables}, version=entity.version + 1))

    with hook("before-parameter-build.dynamodb.PutItem", write_late):
        directory.widen(device=DEVICE, spans=spans([3], newest=HOUR + 1))
    found = read_afresh()
    assert found["variable_1"] == Span(HOUR - 9, HOUR) and found["variable_5000"] == Span(HOUR, HOUR)
    assert len(found) == 201


def test_limit_names_the_way_out_and_keeps_known_variables(world, monkeypatch):
    monkeypatch.setattr(directory, "MAX_VARIABLES", 3)
    world.send(point("a"), point("b"), point("c"))
    answer = world.api.post("/data", point("d"))
    assert answer.status == 400 and answer.message == (
        "The device has too many different variables, the limit is 3: send points under fewer names and tell them "
        "apart by group or metadata, or use more devices"
    )
    assert world.send(point("a", time=NOW_MS - keys.HOUR_MS)) == "1 Data Added"
    cache.clear_all()
    assert world.api.post("/data", [point("a"), point("d")]).status == 400
    assert sorted(one["variable"] for one in world.read(query="last_value")) == ["a", "b", "c"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.dictionaries(st.integers(0, 20), st.integers(-3, 3), min_size=1, max_size=8),
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_processes_that_widen_in_turn_keep_the_union(each_store, widenings, old_size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "PART_SIZE", 4)
        device = keys.new_id()
        model = spans(range(old_size))
        put_old(each_store, model, device)
        processes = [cache.Cache(3_600) for _ in range(1 if each_store.is_exclusive else 3)]
        for process, hours in widenings:
            patch.setattr(directory, "_cache", processes[process % len(processes)])
            wanted = {f"variable_{name}": Span(HOUR + hour, HOUR + hour) for name, hour in hours.items()}
            directory.widen(device=device, spans=wanted)
            for name, span in wanted.items():
                old = model.get(name, span)
                model[name] = Span(min(old.first, span.first), max(old.newest, span.newest))
            assert directory.read(device=device) == model
        assert read_afresh(device) == model
        sizes = {name: len(part) for name, part in parts(each_store, device).items()}
        assert all(size <= 4 for name, size in sizes.items() if name != "directory")
