"""field_errors: how many, how long, how fast."""

import json
import time

import pytest

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("size", [1, 2, 100, 66_000])
def test_array_of_wrong_items_is_refused_quickly_with_twenty_errors(world, size):
    raw = "[" + ",".join(["1"] * size) + "]"
    for method in ("POST", "PUT"):
        started_s = time.thread_time()
        answer = world.api(method, "/data", raw=raw, headers=JSON)
        assert time.thread_time() - started_s < 0.25
        assert answer.status == 400 and answer.message == "Item 0: the item must be an object"
        assert list(answer.body["field_errors"]) == [str(index) for index in range(min(size, 20))]
        assert len(answer.text) <= 20_000


def test_errors_of_items_between_good_ones_are_all_named(world):
    sent = [{"variable": "a"} for _ in range(3_000)]
    for index in range(100, 3_000, 100):
        sent[index] = {"variable": index, "unit": 5, "time": [], "metadata": "x", "location": 3, "value": {}}
    answer = world.api.post("/data", sent)
    wrong = answer.body["field_errors"]
    assert list(wrong) == [str(index) for index in range(100, 2_100, 100)]
    assert all(len(reasons) == 6 for reasons in wrong.values()) and "variable must be a string" in wrong["2000"]
    assert len(json.dumps(wrong)) <= 20_000
    assert answer.message == "Item 100: variable must be a string"
    assert world.read() == []


def test_errors_of_items_name_numbers_that_are_not_finite(world):
    raw = '[{"variable":"a","value":1},{"variable":2},{"variable":"a","value":1e999},{"variable":"a","value":NaN}]'
    answer = world.api.post("/data", raw=raw, headers=JSON)
    assert answer.body["field_errors"] == {
        "1": ["variable must be a string"],
        "2": ["value must be a finite number"],
        "3": ["value must be a finite number"],
    }


@pytest.mark.parametrize(
    ("method", "path", "raw"),
    [
        ("POST", "/device", '{"name":"abc","tags":%s}'),
        ("POST", "/device", '{"name":"abc","configuration_params":%s}'),
        ("POST", "/device/{}/params", "%s"),
        ("POST", "/action", '{"name":"abc","trigger":%s}'),
    ],
)
@pytest.mark.parametrize("item", ["1", "{}"])
def test_long_lists_of_wrong_things_are_refused_quickly(world, method, path, raw, item):
    raw = raw % ("[" + ",".join([item] * 60_000) + "]")
    started_s = time.thread_time()
    answer = world.admin(method, path.format(world.device), raw=raw, headers=JSON)
    assert answer.status == 400 and time.thread_time() - started_s < 0.25
    assert len(answer.body.get("field_errors", {})) <= 20 and len(answer.text) <= 20_000
