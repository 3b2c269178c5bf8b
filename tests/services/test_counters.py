"""Counters from the stream of the table of segments: each change counts once. The records come from moto's stream."""

import base64
import json
import random
import threading
import zlib
from types import SimpleNamespace

import boto3
import pytest

from chalicelib import errors, store
from chalicelib.codec import keys, times
from chalicelib.functions import counters as function
from chalicelib.host import clock as host_clock
from chalicelib.host import failures
from chalicelib.services.usage import counters
from chalicelib.services.usage.counters import Change
from chalicelib.store import Counted, Delta, Rejected, dynamodb_counters
from chalicelib.store.models import EntityModel, SegmentModel
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import answer_lost, answered, client, refusing, throttled
from tests.kit.policies import running
from tests.kit.world import World, mark, point

HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS


@pytest.fixture
def records(dynamo):
    """All changes of the table of segments since the test began, as an event of Lambda."""
    arn = client().describe_table(TableName=SegmentModel.Meta.table_name)["Table"]["LatestStreamArn"]
    streams = boto3.client("dynamodbstreams", endpoint_url="https://streams.dynamodb.us-east-1.amazonaws.com")

    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]

    def read():
        found, iterator = [], start
        while page := streams.get_records(ShardIterator=iterator):
            if not page["Records"]:
                return [as_event(one, arn) for one in found]
            found += page["Records"]
            iterator = page["NextShardIterator"]

    return read


def as_event(record, arn):
    def encoded(image):
        return {
            name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
            for name, value in image.items()
        }

    images = {name: encoded(image) for name, image in record["dynamodb"].items() if name.endswith("Image")}
    made = {"ApproximateCreationDateTime": host_clock.now_ms() / 1000}
    return {
        "eventName": record["eventName"], "eventSourceARN": arn, "dynamodb": {**record["dynamodb"], **images, **made},
    }  # fmt: skip


def deliver(batch, context=None):
    with running("counters"):
        return function.count({"Records": batch}, context)["added"]


def relabelled(batch, label, first=1):
    """Return the batch as another stream would deliver it, with sequence numbers from ``first``."""
    return [
        {
            **record,
            "eventSourceARN": f"arn:aws:dynamodb:us-east-1:1:table/decant-segments-r1/stream/{label}",
            "dynamodb": {**record["dynamodb"], "SequenceNumber": str(first + number)},
        }
        for number, record in enumerate(batch)
    ]


def counted_key(world):
    return dynamodb_counters.key(world.profile, world.device)


def age(world, number, **more):
    """Make the counters' row of a device one of an earlier version, with a bare sequence number."""
    row = client().get_item(TableName=EntityModel.Meta.table_name, Key=counted_key(world))["Item"]
    client().put_item(TableName=EntityModel.Meta.table_name, Item=row | {"sequence": {"S": f"{number:040}"}} | more)


@pytest.fixture
def set_aside(dynamodb, clean_process):
    """The queue of failures, as a function that takes its messages."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="decant-failures")["QueueUrl"]
    failures.use(None)

    def take():
        found = []
        while page := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(one["Body"]) for one in page]
            for one in page:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return found

    yield take
    sqs.delete_queue(QueueUrl=url)
    failures.use(None)


def amounts(world):
    return store.current().counters(world.profile)


def test_counters_follow_what_is_stored_changed_and_removed(clock, records):
    world = World()
    world.send(*[point("a", number, time=HOUR_START + number) for number in range(10)])
    clock.advance(5)
    world.send(point("b", 1))
    ids = [one["id"] for one in world.read(variables="a", qty=4)]
    world.api.delete("/data", query={"ids": ids[:3]})
    world.api.put("/data", {"id": ids[3], "time": HOUR_START - 9 * keys.HOUR_MS})
    deliver(records())
    assert store.current().counters(world.profile, world.device) == (11, 8, clock.now_ms) == amounts(world)
    assert world.admin.get(f"/device/{world.device}/data_amount").result == 8 == world.read(query="count")
    assert world.admin.get(f"/device/{world.device}").result["last_input"] == "2026-09-21T14:13:25.000Z"
    world.admin.post(f"/device/{world.device}/empty")
    deliver(records())
    assert store.current().counters(world.profile, world.device).records == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_batches_delivered_again_count_once(clock, records, seed):
    chance = random.Random(seed)
    worlds = [World(), World()]
    for turn in range(12):
        world = chance.choice(worlds)
        world.send(*[point("a", at, time=HOUR_START + turn * 100 + at) for at in range(chance.randrange(1, 9))])
    found = records()
    at = 0
    while at < len(found):
        size = chance.randrange(1, 6)
        for _ in range(chance.randrange(1, 3)):
            deliver(found[max(0, at - chance.randrange(4)) : at + size])
        at += size
    assert deliver(found) == 0
    for world in worlds:
        expected = world.read(query="count")
        assert store.current().counters(world.profile, world.device).records == expected
        assert amounts(world)[:2] == (expected, expected)


def test_before_the_stream_counts_the_segments_are_added_up(dynamo):
    world = World()
    world.send(point("a"), point("b"))
    assert store.current().counters(world.profile, world.device) == (0, 2, None)


def test_sending_nothing_is_noted_and_counts_nothing(clock, records):
    world = World()
    clock.advance(5)
    assert world.send() == "0 Data Added"
    assert store.current().counters(world.profile, world.device) == (0, 0, clock.now_ms)
    world.send(point("a"))
    deliver(records())
    assert store.current().counters(world.profile, world.device)[:2] == (1, 1)


def test_a_batch_costs_one_update_a_device_and_profile_and_more_once_an_hour(clock, records):
    world = World()
    for number in range(20):
        world.send(point("a", number))
    batch = records()
    with counting() as calls:
        assert deliver(batch) == 20
    assert dict(calls) == {"UpdateItem": 2, "PutItem": 2}, "device and profile, and their hours"
    world.send(point("a"))
    with counting() as calls:
        deliver(records()[20:])
    assert dict(calls) == {"UpdateItem": 2}


def test_store_that_is_down_raises_so_that_the_batch_comes_again(clock, records):
    world = World()
    world.send(point("a"))
    batch = records()
    with answered("UpdateItem", 500, {}), pytest.raises(errors.Unavailable):
        deliver(batch)
    assert deliver(batch) == 1


LABEL = "2027-01-01T00:00:00.000"
"""A stream that is later than moto's."""


def test_restored_table_counts_on_although_its_numbers_begin_anew(clock, records):
    world = World()
    world.send(point("a"), point("b"))
    first = records()
    deliver(first)
    world.send(point("a"), point("b"), point("c"))
    assert deliver(relabelled(records()[1:], LABEL)) == 1
    assert deliver(first) == 0, "what the earlier stream delivers again is counted already"
    assert deliver(relabelled(first, times.to_iso(NOW_MS)[:-1], 10**39)) == 0, "however high its numbers are"
    assert amounts(world)[:2] == (5, 5)


def test_two_shards_of_a_stream_may_be_delivered_in_any_order(clock, records):
    worlds = World(), World()
    for number in range(6):
        worlds[number % 2].send(point("a"), point("b", number))
    first, second = (
        [one for one in relabelled(records(), LABEL) if one["dynamodb"]["Keys"]["device"]["S"] == world.device]
        for world in worlds
    )
    assert [deliver(batch) for batch in (second[:2], first, second, first, second)] == [2, 3, 1, 0, 0]
    assert [amounts(world)[:2] for world in worlds] == [(6, 6), (6, 6)]


@pytest.mark.parametrize("number", [5, 10**39 * 9])
def test_row_of_an_earlier_version_counts_on_and_counts_nothing_twice(clock, records, number):
    """The earlier version counted a part of a batch that is delivered again, whatever digits its numbers have."""
    world = World()
    for _ in range(4):
        world.send(point("a"))
    batch = relabelled(records(), "2026-09-01T00:00:00.000", number - 1)
    deliver(batch[:2])
    age(world, number)
    assert deliver(batch[:2]) == 0 and deliver(batch) == 2 and deliver(batch) == 0
    assert amounts(world)[:2] == (4, 4)


def test_row_of_an_earlier_version_and_an_earlier_stream_is_not_stuck(clock, records):
    world = World()
    world.send(point("a"))
    deliver(records())
    age(world, 10**38)
    clock.advance(60)
    world.api.delete("/data", query={"variables": "a"})
    world.send(point("b"), point("c"))
    _, *restored = relabelled(records(), times.to_iso(NOW_MS + 30_000)[:-1])
    assert deliver(restored) == 2 and deliver(restored) == 0
    assert amounts(world)[:2] == (3, 2)


@pytest.mark.parametrize("last", [None, {"N": str(NOW_MS + 60_000)}])
def test_row_of_an_earlier_version_that_could_be_of_either_stream_counts_from_the_next_segment(clock, records, last):
    """The device sent nothing that was stored since then, or nothing at all: only the numbers say what was counted."""
    world = World()
    world.send(point("a"))
    deliver(records())
    age(world, 10**38)
    row = client().get_item(TableName=EntityModel.Meta.table_name, Key=counted_key(world))["Item"]
    row.pop("last_input_ms")
    client().put_item(TableName=EntityModel.Meta.table_name, Item=row | ({"last_input_ms": last} if last else {}))
    world.api.delete("/data", query={"variables": "a"})
    clock.advance(61)
    world.send(point("b"))
    _, removal, segment = relabelled(records(), times.to_iso(NOW_MS)[:-1])
    assert deliver([removal]) == 0
    assert deliver([removal, segment]) == 1 and deliver([removal, segment]) == 0


def test_lost_answer_counts_once(clock, records):
    world = World()
    world.send(point("a"))
    deliver(records())
    age(world, 7)
    world.send(point("a"))
    batch = relabelled(records(), LABEL, 8)
    with answer_lost("UpdateItem", times=2):
        deliver(batch[1:])
    assert deliver(batch[1:]) == 0 and amounts(world)[:2] == (2, 2)


def test_old_row_costs_one_refused_update_once(clock, records):
    world = World()
    world.send(point("a"))
    deliver(records())
    age(world, 7)
    world.send(point("a"))
    batch = relabelled(records(), LABEL, 8)
    with counting() as calls:
        assert deliver(batch[1:]) == 1
    assert dict(calls) == {"UpdateItem": 3}
    world.send(point("a"))
    with counting() as calls:
        assert deliver(relabelled(records(), LABEL, 8)[2:]) == 1
    assert dict(calls) == {"UpdateItem": 2}


def broken(record, **image):
    changed = record["dynamodb"]
    return record | {"dynamodb": changed | {"NewImage": changed["NewImage"] | image}}


BODIES = [b"", b"{", b"\x78", zlib.compress(b"x" * 9_000), b'{"v":1}\n', b"{}\n", b"[]\n", b"\xff\n"]


@pytest.mark.parametrize(
    "image",
    [{"body": {"B": base64.b64encode(body).decode()}} for body in BODIES]
    + [{"body": {"B": "%"}}, {"body": {"S": "x"}}, {"points": {"S": "x"}}, {"points": {"N": "x"}}, {"version": {}}],
)
def test_record_that_cannot_be_decoded_is_set_aside_and_the_others_are_counted(clock, records, set_aside, image):
    world, other = World(), World()
    for _ in range(3):
        world.send(point("a"))
        other.send(point("a"))
    batch = [broken(record, **image) if number in (0, 2) else record for number, record in enumerate(records())]
    assert deliver(batch) == 4
    assert [one["uncounted"] for one in set_aside()] == [world.device]
    assert (amounts(world).records, amounts(other).records) == (1, 3)


@pytest.mark.parametrize("stripped", ["OldImage", "NewImage"])
def test_segments_of_early_versions_have_no_profile(clock, records, set_aside, stripped):
    world, other = World(), World()
    world.send(point("a"), point("b"))
    world.api.delete("/data", query={"variables": "a"})
    other.send(point("a"))
    other.api.delete("/data", query={"variables": "a"})
    batch = records()
    for record in batch[1:]:
        record["dynamodb"].get(stripped, {}).pop("profile", None)
    assert deliver(batch) == 4 and set_aside() == []
    for record in batch:
        for image in ("OldImage", "NewImage"):
            record["dynamodb"].get(image, {}).pop("profile", None)
    assert deliver(batch) == 0
    assert {one["uncounted"] for one in set_aside()} == {world.device, other.device}


def test_expiry_of_the_table_counts_as_a_removal(clock, records):
    world = World()
    world.send(point("a"), point("b"))
    deliver(records())
    world.api.delete("/data", query={"variables": "a"})
    client().delete_item(TableName=SegmentModel.Meta.table_name, Key=records()[-1]["dynamodb"]["Keys"])
    removal = records()[-1] | {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
    assert removal["eventName"] == "REMOVE" and "NewImage" not in removal["dynamodb"]
    assert deliver([*records()[:-1], removal]) == 2 and amounts(world)[:2] == (2, 0)


def test_device_whose_update_is_refused_for_good_is_set_aside(clock, records, set_aside):
    world, other, third = World(), World(), World()
    for one in (world, other, third):
        one.send(point("a"))
    deliver(records())
    age(world, 1, input={"S": "not a number"}, sequence={"S": "0"})
    age(third, 1, sequence={"N": "1"})
    for one in (world, other, third):
        one.send(point("a"))
    assert deliver(records()) == 1 and amounts(other)[:2] == (2, 2)
    found = {one["uncounted"]: one["reason"] for one in set_aside()}
    assert found.keys() == {world.device, third.device} and "ValidationException" in found[world.device]


@pytest.mark.parametrize(
    "code",
    ["AccessDeniedException", "ResourceNotFoundException", "ThrottlingException", "RequestLimitExceeded",
     "TransactionConflictException", "InternalServerError", "UnrecognizedClientException"],
)  # fmt: skip
def test_what_may_be_over_soon_raises_after_the_others_are_counted(clock, records, set_aside, code):
    worlds = [World() for _ in range(3)]
    for world in worlds:
        world.send(point("a"))
    batch = records()
    mine = counted_key(worlds[0])
    with (
        refusing("UpdateItem", code, lambda params: params["Key"] == mine),
        pytest.raises(errors.Unavailable, match="1 of 3 devices"),
    ):
        deliver(batch)
    assert [amounts(world).records for world in worlds[1:]] == [1, 1]
    assert deliver(batch) == 1 and set_aside() == []
    assert [amounts(world).records for world in worlds] == [1, 1, 1]


def test_poison_is_set_aside_once_although_a_throttle_makes_the_batch_come_again(clock, records, set_aside):
    world, other = World(), World()
    world.send(point("a"))
    other.send(point("a"))
    poison, good = records()
    batch = [broken(poison, points={"S": "x"}), good]
    with throttled("UpdateItem"), pytest.raises(errors.Unavailable):
        deliver(batch)
    assert set_aside() == []
    assert deliver(batch) == 1 and [one["uncounted"] for one in set_aside()] == [world.device]


def test_device_that_a_busy_partition_throttles_is_tried_again(clock, records):
    worlds = [World() for _ in range(3)]
    for world in worlds:
        world.send(point("a"))
    refused = set()

    def is_first(params):
        name = params["Key"]["name"]["S"]
        return name not in refused and not refused.add(name)

    with refusing("UpdateItem", "ThrottlingException", is_first):
        assert deliver(records()) == 3


def test_queue_that_takes_nothing_raises_so_that_the_batch_comes_again(clock, records):
    world = World()
    world.send(point("a"))
    failures.use(None)
    with pytest.raises(errors.Unavailable, match="queue is not available"):
        deliver([broken(records()[0], points={"S": "x"})])


def changes_of(devices):
    return [
        Change(f"{number:024x}", "p", LABEL, counters.pad(str(number)), 1, 1, NOW_MS, NOW_MS)
        for number in range(devices)
    ]


def test_eight_devices_are_counted_at_a_time():
    together = threading.Barrier(counters.THREADS)

    def add(delta):
        together.wait(timeout=30)

    assert counters.apply(changes=changes_of(16), add=add) == (16, {})
    assert counters.THREADS == 8 <= client().meta.config.max_pool_connections


def test_ten_thousand_devices_are_one_update_each_and_work_stops_before_the_time_is_up(clock):
    tried = []

    def add(delta: Delta) -> Counted | None:
        tried.append(delta.device)
        clock.advance(0.005)
        return None

    assert counters.apply(changes=changes_of(10_000), add=add).added == 10_000 == len(set(tried))
    tried.clear()
    function.deadline.begin(SimpleNamespace(get_remaining_time_in_millis=lambda: 23_000))
    with pytest.raises(errors.Unavailable, match="of 10000 devices could not be counted"):
        counters.apply(changes=changes_of(10_000), add=add)
    function.deadline.end()
    assert 4_000 <= len(tried) < 4_000 + counters.THREADS


def test_function_ends_before_its_time_is_up(clock, records, monkeypatch):
    world = World()
    world.send(point("a"))
    batch = records()
    with counting() as calls, pytest.raises(errors.Unavailable):
        deliver(batch, SimpleNamespace(get_remaining_time_in_millis=lambda: 2_000))
    function.deadline.end()
    assert dict(calls) == {} and deliver(batch) == 1


def test_mistake_in_the_code_is_no_reason_to_set_a_device_aside():
    def add(delta):
        raise AttributeError("a mistake")

    with pytest.raises(AttributeError):
        counters.apply(changes=changes_of(3), add=add)


def test_rejected_devices_do_not_keep_the_others():
    def add(delta):
        if int(delta.device, 16) % 2:
            raise Rejected("too large")

    applied = counters.apply(changes=changes_of(20), add=add)
    assert applied.added == 10 and set(applied.rejected.values()) == {"too large"} and len(applied.rejected) == 10


def test_marks_sort_by_stream_and_then_by_number():
    marks = [
        mark(number, label)
        for label in ("2026-11-26T07:00:00", "2026-11-26T07:00:00.000", LABEL)
        for number in (9, 10, 10**39)
    ]
    assert marks == sorted(marks) and changes_of(1)[0].mark == mark(0, LABEL)


def test_sequences_sort_as_numbers():
    assert counters.pad("9") < counters.pad("10") < counters.pad("1" * 40)
