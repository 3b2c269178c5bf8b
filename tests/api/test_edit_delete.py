"""PUT and DELETE /data, and the segments after them."""

import pytest

from chalicelib import store
from chalicelib.schemas import queries
from tests.kit.billing import counting
from tests.kit.world import World, point, values


@pytest.fixture
def stored(world):
    world.send(*[point("a", index, time=f"2026-01-01T00:{index:02d}:00.000Z", unit="C") for index in range(10)])
    return world


def ids(world):
    """The ids of values 0 to 9."""
    return [one["id"] for one in world.read(ordination="asc", qty=100)]


def test_edit_changes_what_is_sent_and_keeps_the_rest(stored):
    point_id = ids(stored)[3]
    answer = stored.api.put(
        "/data", {"id": point_id, "value": "new", "metadata": {"x": 1}, "location": {"lat": 1, "lng": 2}}
    )
    assert answer.result == "1 item(s) updated"
    (got,) = stored.read(ids=point_id)
    assert got["value"] == "new" and got["unit"] == "C" and got["metadata"] == {"x": 1} and got["variable"] == "a"
    assert got["location"]["coordinates"] == [2, 1] and got["time"] == "2026-01-01T00:03:00.000Z"
    assert stored.read(query="last_location")[0]["id"] == point_id


def test_edit_null_clears(stored):
    point_id = ids(stored)[3]
    stored.api.put("/data", {"id": point_id, "location": {"lat": 1, "lng": 2}})
    group = stored.read(ids=point_id)[0]["group"]
    stored.api.put(
        "/data", [{"id": point_id, "location": None, "unit": None, "value": None, "group": None, "time": None}]
    )
    (got,) = stored.read(ids=point_id)
    assert set(got) == {"id", "device", "variable", "group", "time"} and got["group"] == group
    assert point_id not in [one["id"] for one in stored.read(query="last_value")]


def test_edit_never_changes_the_variable(stored):
    point_id = ids(stored)[0]
    stored.api.put("/data", {"id": point_id, "variable": "b", "serie": "s"})
    assert stored.read(ids=point_id)[0]["variable"] == "a" and stored.read(ids=point_id)[0]["group"] == "s"


def test_edit_time_within_the_segment_keeps_order(stored):
    point_id = ids(stored)[9]
    other = ids(stored)[0]
    stored.api.put("/data", {"id": other, "time": "2026-01-01T00:05:30Z"})
    assert values(stored.read(ordination="asc", qty=100)) == [1, 2, 3, 4, 5, 0, 6, 7, 8, 9]
    assert values(stored.read(start_date="2026-01-01T00:05:30Z", end_date="2026-01-01T00:06:00Z")) == [6, 0]
    assert values(stored.read(query="first_item")) == [1]
    assert stored.read(ids=point_id)[0]["value"] == 9


@pytest.mark.parametrize("time", ["2026-01-01T00:30:00.000Z", "2026-03-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"])
def test_edit_time_out_of_the_segment_keeps_the_id(stored, time):
    point_id = ids(stored)[4]
    created = stored.read(ids=point_id, details=True)[0]["created_at"]
    stored.api.put("/data", {"id": point_id, "time": time, "value": "moved"})
    (got,) = stored.read(ids=point_id, details=True)
    assert (got["time"], got["value"], got["created_at"], got["id"]) == (time, "moved", created, point_id)
    assert stored.read(query="count") == 10
    assert values(stored.read(qty=100)).count("moved") == 1
    assert stored.admin.get(f"/device/{stored.device}/data_amount").result == 10
    assert values(stored.read(query="last_item" if time > "2026" else "first_item", variables="a")) == ["moved"]


def test_edit_moved_point_again_and_delete_it(stored):
    point_id = ids(stored)[4]
    for time in ("2026-02-01", "2026-02-02", "2026-01-01T00:04:00Z", "2027-01-01"):
        stored.api.put("/data", {"id": point_id, "time": time})
        assert len(stored.read(ids=point_id)) == 1
    stored.api.put("/data", {"id": point_id, "value": "still"})
    assert stored.read(ids=point_id)[0]["value"] == "still" and stored.read(query="count") == 10
    assert stored.api.delete("/data", query={"ids": point_id}).result == "1 Data Removed"
    assert stored.read(ids=point_id) == [] and stored.read(query="count") == 9
    assert stored.api.put("/data", {"id": point_id, "value": 1}).result == "0 item(s) updated"


def test_edit_found_in_at_most_two_reads(dynamo):
    world = World()
    world.send(point("a", 1, time="2026-01-01T00:00:00Z"), point("a", 2, time="2026-01-01T00:01:00Z"))
    point_id = world.read()[0]["id"]
    for time in ("2026-02-01", "2026-02-02"):
        world.api.put("/data", {"id": point_id, "time": time})
    with counting() as calls:
        world.read(ids=point_id)
    assert calls == {"GetItem": 2}


def test_edit_unknown_ids_are_no_error(stored):
    some = ids(stored)[0]
    sent = [
        {"id": "0" * 24, "value": 1},
        {"id": "x", "value": 1},
        {"id": some[:20] + "ffff", "value": 1},
        {"id": some, "value": 1},
    ]
    assert stored.api.put("/data", sent).result == "1 item(s) updated"


def test_edit_same_id_twice_counts_once_and_the_later_wins(stored):
    point_id = ids(stored)[0]
    assert (
        stored.api.put("/data", [{"id": point_id, "value": 1}, {"id": point_id, "value": 2}]).result
        == "1 item(s) updated"
    )
    assert stored.read(ids=point_id)[0]["value"] == 2


@pytest.mark.parametrize(
    "sent",
    [
        {"value": 1},
        [{"id": 5}],
        [{"id": "a", "value": {}}],
        [{"id": "a", "time": "x"}],
        [{"id": "a", "unit": "x" * 26}],
        "x",
        [1],
        "",
    ],
)
def test_edit_bad_item_is_refused_and_nothing_changes(stored, sent):
    good = {"id": ids(stored)[0], "value": "changed"}
    body = [good, *sent] if isinstance(sent, list) else sent
    assert stored.api.put("/data", body).status == 400
    assert stored.read(values="changed") == []


def test_edit_at_most_25_items(stored):
    answer = stored.api.put("/data", [{"id": "0" * 24}] * 26)
    assert answer.status == 400
    assert answer.message == "You have exceeded the maximum number of 25 items in a single request"


def test_edit_keeps_wide_numbers(stored):
    stored.api.post("/data", raw='{"variable":"wide","value":12345678901234567890123456789}')
    point_id = stored.read(variables="wide")[0]["id"]
    stored.api.put("/data", {"id": point_id, "unit": "x"})
    assert stored.read(ids=point_id)[0]["value"] == 12345678901234567890123456789


def test_delete_without_parameters_takes_the_fifteen_newest(world):
    world.send(*[point("a", index, time=f"2026-01-01T00:{index:02d}:00Z") for index in range(20)])
    assert world.api.delete("/data").result == "15 Data Removed"
    assert values(world.read()) == [4, 3, 2, 1, 0]
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 5


def test_delete_by_query(stored):
    assert stored.api.delete("/data", query={"query": "last_item"}).result == "1 Data Removed"
    assert stored.api.delete("/data", query={"ordination": "asc", "qty": 2, "skip": 1}).result == "2 Data Removed"
    assert stored.api.delete("/data", query={"values": ["5", "6"]}).result == "2 Data Removed"
    assert stored.api.delete("/data", query={"variables": "none"}).result == "0 Data Removed"
    assert values(stored.read(ordination="asc")) == [0, 3, 4, 7, 8]
    some = ids(stored)[:2]
    assert stored.api.delete("/data", query={"ids": some}).result == "2 Data Removed"
    assert stored.api.delete("/data", query={"ids": some}).result == "0 Data Removed"
    assert values(stored.read(ordination="asc")) == [4, 7, 8]
    assert stored.read(query="count") == 3
    assert stored.api.delete("/data", query={"start_date": "2026-01-01", "qty": 10_000}).result == "3 Data Removed"
    assert stored.read() == [] and stored.read(query="last_value") == []


@pytest.mark.parametrize(
    "name", ["variables", "variable", "values", "ids", "groups", "start_date", "end_date", "qty", "query"]
)
@pytest.mark.parametrize("texts", ["", " ", ["v", ""]])
def test_empty_parameter_deletes_nothing(stored, name, texts):
    """It is what a variable of a shell that is not set leaves, and it would delete more than was meant."""
    answer = stored.api.delete("/data", query={name: texts, "qty": 10_000} | {name: texts})
    assert answer.status == 400 and answer.message.startswith(f"{name} is empty")
    assert stored.read(query="count") == 10


@pytest.mark.parametrize("query", ["count", "avg", "sum", "aggregate"])
def test_delete_by_scalar_query_is_refused(stored, query):
    more = {"start_date": "2026-01-01", "end_date": "2026-01-02", "interval": "day", "function": "avg"}
    answer = stored.api.delete("/data", query={"query": query, **more})
    assert answer.status == 400 and answer.message == "Invalid query"
    assert "names no points" in answer.body["field_errors"]["query"][0]
    assert stored.read(query="count") == 10


def test_delete_everything_leaves_no_segment(stored, each_store):
    stored.api.delete("/data")
    found = store.current().scan_segments(stored.device, "0", "g", newest_first=True, first_page=10)
    assert list(found) == []


def test_empty_removes_all_points_and_keeps_the_device(stored):
    assert stored.admin.post(f"/device/{stored.device}/empty").result == "Data Successfully Removed"
    assert stored.read() == [] and stored.read(query="count") == 0
    assert stored.admin.get(f"/device/{stored.device}/data_amount").result == 0
    stored.send(point("a", "again", time="2026-01-01T00:00:30Z"))
    assert values(stored.read(query="last_value")) == ["again"]


def test_empty_in_batches(world):
    for hour in range(60):
        world.send(point("a", hour, time=f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"))
    assert world.admin.post(f"/device/{world.device}/empty", {"route": "mutable"}).result == "Data Successfully Removed"
    assert world.read(query="count") == 0


def test_profile_family_reads_edits_and_deletes(stored):
    path = f"/device/{stored.device}/data"
    got = stored.admin.get(path, query={"qty": 1}).result
    assert values(got) == [9]
    assert stored.admin.put(path, {"id": got[0]["id"], "value": 90}).result == "1 item(s) updated"
    assert stored.admin.delete(path, query={"ids": got[0]["id"]}).result == "1 Data Removed"
    assert stored.admin.get(path, query={"query": "count"}).result == 9


def test_profile_may_send_only_when_set(stored, configure):
    path = f"/device/{stored.device}/data"
    answer = stored.admin.post(path, point("b"))
    assert answer.status == 401 and answer.message == "Authorization Denied"
    configure(profile_may_send=True)
    assert stored.admin.post(path, point("b")).result == "1 Data Added"


@pytest.mark.parametrize("kind", ["count", "avg", "sum", "aggregate"])
def test_delete_of_a_query_that_names_no_points_deletes_nothing_even_with_ids(stored, kind):
    query = {"query": kind, "ids": ids(stored)[:2], "start_date": "2026-01-01", "end_date": "2026-01-02"}
    answer = stored.api.delete("/data", query=query | {"interval": "hour", "function": "sum"})
    assert answer.status == 400 and answer.message == "Invalid query"
    assert len(ids(stored)) == 10


@pytest.mark.parametrize(
    "query", [{"variabels": "a"}, {"Variables": "a"}, {"filter[name]": "a"}, {"query": "min"}, {"query": "max"}]
)
def test_delete_that_is_not_understood_deletes_nothing(stored, query):
    answer = stored.api.delete("/data", query=query)
    assert answer.status == 400 and answer.message
    assert len(ids(stored)) == 10


@pytest.mark.parametrize("body", [{"variables": ["x"]}, [], "x", {"ids": []}])
def test_delete_with_a_body_deletes_nothing(stored, body):
    answer = stored.api.delete("/data", json_body=body)
    assert answer.status == 400 and "query string" in answer.message
    assert len(ids(stored)) == 10 and stored.api.delete("/data", raw="{}").result == "10 Data Removed"


def test_delete_takes_every_parameter_that_a_read_takes(stored):
    texts = {
        "query": "default", "qty": "1", "skip": "0", "ordination": "asc", "timezone": "UTC", "details": "true", "detail": "true",
        "start_date": "2026-01-01", "end_date": "2026-01-02",
    }  # fmt: skip
    for number, name in enumerate(queries.PARAMETERS):
        for key in (name, f"{name}[]", f"{name}[0]"):
            answer = stored.api.delete("/data", query={"variables": "none"} | {key: texts.get(name, "none")})
            assert answer.result == "0 Data Removed", (number, key)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("form", ['{{"id":"{}",{}}}', '[{{"id":"{}",{}}}]'], ids=["one", "list"])
def test_edit_number_that_is_not_finite_is_refused(world, number, form):
    world.send(point("a", 1))
    (stored,) = world.read()
    for field in (f'"value":{number}', f'"metadata":{{"x":[{number}]}}', f'"location":{{"lat":{number},"lng":0}}'):
        assert world.api.put("/data", raw=form.format(stored["id"], field)).status == 400, field
    assert world.read() == [stored]
