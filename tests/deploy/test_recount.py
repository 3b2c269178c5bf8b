"""Counts the points of mutable devices again, and never over a batch of the stream that was counted meanwhile."""

import contextlib

import boto3
import botocore.session
import pytest

from chalicelib import store
from chalicelib.host import failures
from chalicelib.store import calls, dynamodb_counters
from chalicelib.store.models import EntityModel, SegmentModel
from deploy import commands, lock, recount, retry
from deploy.parts import Cloud
from tests.kit.billing import counting
from tests.kit.faults import client, hook
from tests.kit.world import World, count_stream, point
from tests.services.test_counters import broken, deliver, records  # noqa: F401 - a fixture


@pytest.fixture
def queue(dynamodb, clean_process):
    """The queue of failures of stage dev."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="decant-failures")["QueueUrl"]
    failures.use(None)
    yield "decant-failures"
    sqs.delete_queue(QueueUrl=url)
    failures.use(None)


@pytest.fixture
def cloud(monkeypatch):
    """A stage whose tables are those of the store."""
    monkeypatch.setattr(commands, "open_deployed", lambda _: None)
    monkeypatch.setattr(lock, "held", lambda *_: contextlib.nullcontext())
    return Cloud(botocore.session.Session(), "dev")


def counted(world):
    return store.current().counters(world.profile, world.device)


def row(world):
    key = dynamodb_counters.key(world.profile, world.device)
    return client().get_item(TableName=EntityModel.Meta.table_name, Key=key).get("Item")


def test_what_was_set_aside_is_marked_by_retry_and_counted_by_recount(clock, records, queue, cloud, capsys):  # noqa: F811
    world, other = World(), World()
    for one in (world, other):
        for _ in range(3):
            one.send(point("a"), point("b"))
    batch = records()
    deliver([broken(batch[0], body={"B": ""}), *batch[1:]])
    assert [counted(one)[:2] for one in (world, other)] == [(4, 4), (6, 6)]
    before = row(world)
    assert retry.retry(cloud, queue, recount.mark).uncounted == [world.device]
    assert commands.recount(cloud, device=None, of_all=False) == 0
    printed = capsys.readouterr().out
    assert f"corrected   {world.device}  4 → 6 points" in printed and other.device not in printed
    assert printed.startswith("1 devices, about 2 read units.") and "2 read units used" in printed
    assert row(world) == before | {"records": {"N": "6"}}, "and nothing else"
    assert commands.recount(cloud, device=None, of_all=False) == 0
    assert capsys.readouterr().out.startswith("0 devices")
    assert deliver(batch[1:]) == 0
    world.send(point("c"))
    deliver(records())
    assert counted(world)[:2] == (5, 7)


@pytest.mark.parametrize("when", ["first", "more"])
def test_batch_that_is_counted_meanwhile_is_not_lost(clock, records, cloud, when, capsys):  # noqa: F811
    world = World()
    world.send(point("a"))
    if when == "more":
        deliver(records())
    world.send(point("b"), point("c"))
    batch, done = records(), []

    def count(params, **_):
        if params["TableName"] == SegmentModel.Meta.table_name and not done:
            done.append(1)
            deliver(batch)

    if when == "more":
        drift(world)
    with hook("before-parameter-build.dynamodb.Query", count):
        results = list(recount.recount(recount.find({world.device})))
    assert [one.outcome for one in results] == ["changed"] and recount.marked() == {world.device}
    expected = 3 if when == "first" else 103
    assert counted(world).records == expected
    assert commands.recount(cloud, device=None, of_all=False) == 0 and counted(world)[:2] == (3, 3)
    assert recount.marked() == set()


def drift(world):
    """Make a device's counter wrong by a hundred."""
    client().update_item(
        TableName=EntityModel.Meta.table_name, Key=dynamodb_counters.key(world.profile, world.device),
        UpdateExpression="ADD #r :n", ExpressionAttributeNames={"#r": "records"}, ExpressionAttributeValues={":n": {"N": "100"}},
    )  # fmt: skip


def test_command_says_that_a_device_changed_and_asks_to_run_again(clock, records, cloud, monkeypatch, capsys):  # noqa: F811
    changed = recount.Recount("a" * 24, "changed", 1, 2, 3.0)
    monkeypatch.setattr(recount, "recount", lambda _: iter([changed]))
    assert commands.recount(cloud, device=None, of_all=True) == 1
    printed = capsys.readouterr().out
    assert "run `python -m deploy recount --stage dev`" in printed and "3 read units used" in printed


def test_all_are_the_mutable_devices_of_all_profiles(clock, dynamo, cloud, capsys):
    worlds = [World(), World(), World(type="immutable", chunk_period="day", chunk_retention=1)]
    for world in worlds:
        world.send(point("a"))
        count_stream(world, points_in=9, records=9)
    assert commands.recount(cloud, device=None, of_all=True) == 0
    assert [counted(world)[:2] for world in worlds] == [(9, 1), (9, 1), (9, 9)]
    capsys.readouterr()
    recount.mark(worlds[2].device)
    assert commands.recount(cloud, device=None, of_all=False) == 0 and counted(worlds[2]).records == 9
    assert "only mutable devices" in capsys.readouterr().out and recount.marked() == set()


def test_one_device_by_name_and_one_that_is_gone(clock, dynamo, cloud, capsys):
    world, gone = World(), "f" * 24
    world.send(point("a"))
    count_stream(world, points_in=5, records=5)
    assert commands.recount(cloud, device=world.device, of_all=False) == 0 and counted(world)[:2] == (5, 1)
    assert commands.recount(cloud, device=gone, of_all=False) == 1
    assert f"gone        {gone}" in capsys.readouterr().out
    recount.mark(gone)
    assert commands.recount(cloud, device=None, of_all=False) == 0 and recount.marked() == set()


def test_device_that_was_never_counted_gets_a_row_and_a_right_one_is_not_written(clock, dynamo):
    world, empty = World(), World()
    world.send(point("a"), point("b"))
    found = {one.device: one for one in recount.recount(recount.find({world.device, empty.device}))}
    assert found[world.device][1:4] == ("corrected", 0, 2) and found[empty.device].outcome == "right"
    assert row(world)["records"] == {"N": "2"} and row(world)["input"] == {"N": "0"} and row(empty) is None
    with counting() as made:
        (again,) = recount.recount(recount.find({world.device}))
    assert again.outcome == "right" and "UpdateItem" not in made


def test_read_units_are_those_of_the_answers(clock, dynamo, monkeypatch):
    world = World()
    world.send(point("a"))
    count_stream(world, points_in=40, records=40)
    pages = [{"Items": [{"points": {"N": "20"}}], "ConsumedCapacity": {"CapacityUnits": units}} for units in (7.5, 2)]
    real = calls.pages
    monkeypatch.setattr(calls, "pages", lambda model, *more: pages if model is SegmentModel else real(model, *more))
    assert list(recount.recount([world.doc])) == [(world.device, "right", 40, 40, 10.5)]
    assert recount.expected_units([world.doc]) == 1 + -(-40 * 300 // 4_096)
