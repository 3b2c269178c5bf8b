"""Counters from the stream of the table of segments: each change counts once. The records come from moto's stream."""

import base64
import random

import boto3
import pytest

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.functions import counters as function
from chalicelib.services.usage import counters
from chalicelib.store.models import SegmentModel
from tests.kit.billing import counting
from tests.kit.clock import NOW_MS
from tests.kit.faults import answered, client
from tests.kit.policies import running
from tests.kit.world import World, point

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
                return [as_event(one) for one in found]
            found += page["Records"]
            iterator = page["NextShardIterator"]

    return read


def as_event(record):
    def encoded(image):
        return {
            name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
            for name, value in image.items()
        }

    images = {name: encoded(image) for name, image in record["dynamodb"].items() if name.endswith("Image")}
    return {"eventName": record["eventName"], "dynamodb": {**record["dynamodb"], **images}}


def deliver(batch):
    with running("counters"):
        return function.count({"Records": batch}, None)["added"]


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


def test_a_batch_costs_one_update_a_device(clock, records):
    world = World()
    for number in range(20):
        world.send(point("a", number))
    batch = records()
    with counting() as calls:
        assert deliver(batch) == 20
    assert dict(calls) == {"UpdateItem": 1}


def test_store_that_is_down_raises_so_that_the_batch_comes_again(clock, records):
    world = World()
    world.send(point("a"))
    batch = records()
    with answered("UpdateItem", 500, {}), pytest.raises(errors.Unavailable):
        deliver(batch)
    assert deliver(batch) == 1


def test_sequences_sort_as_numbers():
    assert counters.pad("9") < counters.pad("10") < counters.pad("1" * 40)
