"""Faults of DynamoDB: throttles, 5xx, garbage, lost answers, unprocessed items, and a process killed half-way."""

import json
import random

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.codec import keys, segments
from chalicelib.host import cache, log
from chalicelib.store import calls, dynamodb
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, answer_lost, answered, client, hook, killed_after, throttled, unprocessed
from tests.kit.world import World, point, values

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


@pytest.fixture
def slept(clock, dynamo, monkeypatch):
    """Pauses move the clock instead of taking time."""
    clock.take_pauses(monkeypatch)
    monkeypatch.setattr("botocore.retries.standard.time.sleep", clock.advance, raising=False)
    dynamo._sleep = clock.advance
    return clock


@pytest.fixture
def world(slept):
    made = World()
    made.send(point("a", 0, time=HOUR_START))
    return made


def fill(world, hours):
    world.send(*[point("a", hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(hours)])


@pytest.mark.parametrize("rounds", [1, 3, 12])
def test_unprocessed_items_are_sent_again(world, rounds):
    fill(world, 60)
    with unprocessed(rounds):
        assert world.admin.post(f"/device/{world.device}/empty").status == 200
    assert world.read(query="count") == 0


def test_unprocessed_for_ever_ends_at_the_deadline_with_counts(world, slept):
    fill(world, 60)
    before_s = slept.elapsed_s
    with unprocessed(10**9, keep=0):
        answer = world.admin.post(f"/device/{world.device}/empty")
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    assert "stored" in answer.message and "pending" in answer.message
    assert slept.elapsed_s - before_s <= 25
    assert world.admin.post(f"/device/{world.device}/empty").status == 200
    assert world.read(query="count") == 0


def test_throttled_three_times_is_stored(world):
    with throttled("PutItem", 3):
        assert world.send(point("a", 1)) == "1 Data Added"
    assert world.read(query="count") == 2


def test_throttled_for_ever_is_503_within_the_deadline(world, slept):
    fill(world, 2)
    before_s = slept.elapsed_s
    with throttled("PutItem"):
        answer = world.api.post("/data", [point("a", 1), point("a", 2, time=HOUR_START - keys.HOUR_MS)])
    assert answer.status == 503 and answer.headers["retry-after"] == "1" and "(0 stored, 2 pending)" in answer.message
    assert slept.elapsed_s - before_s < 20
    with throttled("Query"):
        assert world.api.get("/data").status == 503
    assert world.read(query="count") == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {"__type": "InternalServerError"}), (503, b""), (200, b"<html>"), (200, b'{"Items": "garbage"'), (400, b"")],
)
@pytest.mark.parametrize("operation", ["PutItem", "Query"])
def test_broken_answers_of_the_store_are_503(world, operation, status, body):
    tries = []
    with (
        hook(f"before-send.dynamodb.{operation}", lambda **_: tries.append(1), first=True),
        answered(operation, status, body),
    ):
        answer = world.api.get("/data") if operation == "Query" else world.api.post("/data", point("a"))
    assert answer.status == 503 and len(tries) <= 4
    assert world.send(point("a")) == "1 Data Added"


def test_unreachable_store_is_503(world):
    def refuse(**_):
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    with hook("before-send.dynamodb", refuse, first=True):
        assert world.api.post("/data", point("a")).status == 503
        assert world.api.get("/data").status == 503
        assert world.admin.get("/device").status == 503


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_misconfiguration_is_503_and_the_log_names_it(world, monkeypatch, code):
    lines = []
    log.use(lines.append)
    refusal = {"__type": f"com.amazonaws.dynamodb#{code}", "message": "arn:aws:dynamodb:…"}
    with answered("PutItem", 400, refusal):
        assert world.api.post("/data", point("a")).status == 503
    assert json.loads(lines[-1])["cause"] == code


def test_answer_lost_after_the_write_then_repeated_is_stored_once(world):
    points = [point("a", number, time=HOUR_START + number) for number in range(25)]
    with answer_lost("PutItem"):
        assert world.api.post("/data", points).status == 503
    assert world.send(*points) == "25 Data Added"
    assert world.read(query="count") == 26


def test_answer_lost_without_times_is_recognised_by_the_idempotency_key(world, slept):
    key = {"idempotency-key": "once"}
    world.send(point("b", 0))
    for lost in (1, 2, 0):
        with answer_lost("PutItem", lost):
            answer = world.api.post("/data", point("b"), headers=key)
        assert answer.status == (503 if lost else 200)
        slept.advance(1)
    assert world.read(query="count", variables="b") == 2
    assert world.api.post("/data", point("b", 5), headers=key).status == 400


def test_killed_between_segments_then_repeated_is_complete(world):
    points = [point("a", hour, time=HOUR_START - hour * keys.HOUR_MS) for hour in range(8)]
    world.send(point("a", -1, time=HOUR_START - 20 * keys.HOUR_MS), point("a", -1, time=HOUR_START))
    with pytest.raises(Killed), killed_after("PutItem", 4):
        world.send(*points)
    cache.clear_all()
    assert world.send(*points) == "8 Data Added"
    assert sorted(values(world.read(qty=100, start_date=HOUR_START - 8 * keys.HOUR_MS))) == [-1, 0, *range(8)]
    assert values(world.read(query="last_value"))[0] in (0, -1)


def test_pages_of_one_megabyte_are_followed(world):
    world.admin.post(f"/device/{world.device}/empty")
    noise = random.Random(5)
    for hour in range(12):
        texts = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=5_900)) for _ in range(30)]
        world.send(*[point("a", text, time=HOUR_START - hour * keys.HOUR_MS) for text in texts])
    with counting() as calls:
        assert len(world.read(qty=350)) == 350
    assert 2 <= calls["Query"] <= 4
    assert world.read(query="count") == 360


def test_strict_shim_refuses_what_dynamodb_refuses(dynamo):
    from chalicelib.store.models import SegmentModel

    key = {"device": {"S": "d"}, "key": {"S": "k"}}
    twice = [{"DeleteRequest": {"Key": key}}] * 2
    table = SegmentModel.Meta.table_name
    call = client()._make_api_call
    for operation, parameters in (
        ("BatchWriteItem", {"RequestItems": {table: twice}}),
        (
            "BatchWriteItem",
            {"RequestItems": {table: [{"DeleteRequest": {"Key": {**key, "key": {"S": str(n)}}}} for n in range(26)]}},
        ),
        ("PutItem", {"TableName": table, "Item": key | {"n": {"N": "1" * 39}}}),
        ("PutItem", {"TableName": table, "Item": key | {"b": {"B": bytes(409_600)}}}),
        ("PutItem", {"TableName": table, "Item": key | {"key": {"S": ""}}}),
        ("GetItem", {"TableName": table, "Key": key | {"key": {"S": ""}}}),
    ):
        with pytest.raises(ClientError, match="ValidationException"):
            call(operation, parameters)


def test_segment_that_would_not_fit_is_refused_before_any_write(world, monkeypatch):
    monkeypatch.setattr(segments, "MAX_BODY_BYTES", 500)
    with counting() as calls:
        answer = world.api.post("/data", [point("a", "x" * 600), point("a", 1, time=HOUR_START - keys.HOUR_MS)])
    assert answer.status == 413 and not calls


def test_put_that_meets_itself_after_a_lost_answer_is_no_conflict(world, monkeypatch):
    """If the answer of a PutItem is lost, botocore sends it again, and the second finds the item of the first."""
    once = dynamodb.call

    def twice(operation, **parameters):
        if operation == "PutItem":
            once(operation, **parameters)
        return once(operation, **parameters)

    monkeypatch.setattr(dynamodb, "call", twice)
    made = world.admin.post("/device", {"name": "Twice", "configuration_params": [{"key": "a", "value": "b"}]}).result
    assert world.admin.post(f"/device/{made['device_id']}/params", {"key": "c", "value": "d"}).status == 200
    assert world.admin.put(f"/device/{made['device_id']}", {"name": "Twice again"}).status == 200
    action = {"name": "Keep", "type": "mqtt_topic", "trigger": [{"tag_key": "a", "topic": "b"}]}
    assert world.admin.post("/action", action | {"action": {"type": "insert_to_device"}}).status == 200
    sent = {"device": made["device_id"], "name": "More", "permission": "read"}
    assert world.admin.post("/device/token", sent).status == 200
    assert len(world.admin.get(f"/device/{made['device_id']}/params").result) == 2
    assert len(world.admin.get(f"/device/token/{made['device_id']}").result) == 2


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_move_whose_answers_are_lost_keeps_the_point(world, monkeypatch, lost):
    """An edit that moves a point writes twice; each write may meet itself, and the point must survive."""
    world.send(point("b", 1, time=HOUR_START + 1), point("b", 2, time=HOUR_START + 2))
    (last, first) = world.read(variables="b")
    once, count = dynamodb.call, [0]

    def doubled(operation, **parameters):
        count[0] += operation == "PutItem"
        if operation == "PutItem" and count[0] == lost:
            once(operation, **parameters)
        return once(operation, **parameters)

    monkeypatch.setattr(dynamodb, "call", doubled)
    monkeypatch.setattr(calls, "call", doubled)
    edit = {"id": first["id"], "time": HOUR_START - 400 * keys.HOUR_MS}
    assert world.api.put("/data", edit).result == "1 item(s) updated"
    assert values(world.read(variables="b")) == [2, 1]
    (moved,) = world.read(ids=first["id"])
    assert moved["value"] == 1 and moved["time"] < last["time"]


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem"])
def test_delete_whose_answer_is_lost_counts_what_it_removed(world, monkeypatch, operation):
    world.send(*[point("b", number, time=HOUR_START + number) for number in range(2)])
    once = calls.call

    def twice(name, **parameters):
        if name == operation:
            once(name, **parameters)
        return once(name, **parameters)

    monkeypatch.setattr(calls, "call", twice)
    ids = [found["id"] for found in world.read(variables="b")]
    wanted = ids[:1] if operation == "PutItem" else ids
    assert world.api.delete("/data", query={"ids": wanted}).result == f"{len(wanted)} Data Removed"
    assert len(world.read(variables="b")) == 2 - len(wanted)


def test_documents_of_any_script_fit_whatever_a_body_may_hold(world):
    smile = "\U0001f600"
    raw = json.dumps({"key": "k", "value": smile * 48_000}, ensure_ascii=False)
    assert world.admin.post(f"/device/{world.device}/params", raw=raw).status == 200
    assert world.admin.get(f"/device/{world.device}/params").result[0]["value"] == smile * 48_000
    points = [point(smile * 90 + str(number), 1) for number in range(400)]
    assert world.api.post("/data", raw=json.dumps(points, ensure_ascii=False)).result == "400 Data Added"
