"""Counts the points of mutable devices again, in the tables that the store of this process uses.

The counters follow the stream, and miss what was set aside. The sum of the segments is exact, as long as nothing is
written to the device and the stream has delivered what was: a change that both the sum and a later batch of the stream
include would count twice. Immutable devices are not counted again: points of theirs expire at any time, and to read all
of them costs as much as to keep them for days.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from botocore.exceptions import ClientError

from chalicelib import store
from chalicelib.store import Doc, Entity, calls, dynamodb_counters, names
from chalicelib.store.models import EntityModel, SegmentModel
from deploy import pricing

_READ_UNIT_BYTES = 4_096
_CORRECTED = "SET #records = :points, #input = if_not_exists(#input, :zero)"
_NAMES = {"#input": "input", "#records": "records", "#sequence": "sequence"}
_ALL = ("0", "g")
"""Bounds of the keys of all segments."""

Outcome = Literal["right", "corrected", "changed", "immutable"]
"""``changed``: a batch of the stream was counted meanwhile, so nothing was written; count again."""


class Recount(NamedTuple):
    """What became of a device."""

    device: str
    outcome: Outcome
    before: int = 0
    """How many points it had by its counters."""
    after: int = 0
    """How many points it has."""
    read_units: float = 0.0


def mark(device: str) -> None:
    """Note that a device must be counted again. Cost: one write."""
    store.current().put(Entity(names.RECOUNTS, names.device(device), {"device": device}))


def unmark(device: str) -> None:
    """Forget that a device must be counted again. Cost: one write."""
    store.current().delete(names.RECOUNTS, [names.device(device)])


def marked() -> set[str]:
    """Return the devices that must be counted again."""
    return {entity.doc["device"] for entity in store.current().list(names.RECOUNTS, names.DEVICES)}


def find(devices: Collection[str] | None) -> list[Doc]:
    """Return the documents of these devices, or of all mutable devices. It reads every device of the stage."""
    return [
        entity.doc
        for profile in store.current().list(names.PROFILES, names.profile(""))
        for entity in store.current().list(profile.name, names.DEVICES)
        if (entity.doc["type"] == "mutable" if devices is None else entity.doc["id"] in devices)
    ]


def expected_units(devices: Iterable[Doc]) -> int:
    """Return about how many read units it takes to count devices whose points came one by one. Cost: one read each."""
    counted = [store.current().counters(device["profile"], device["id"]).records for device in devices]
    stored_bytes = pricing.measured()["http_1"]["stored_bytes"]
    return sum(1 - (-points * stored_bytes // _READ_UNIT_BYTES) for points in counted)


def recount(devices: Iterable[Doc]) -> Iterator[Recount]:
    """Count the points of devices again, one after the other, and correct their counters. ``points_in`` stays.

    The correction is written only if the counters are as they were before the segments were read. A device that was
    counted is no longer marked; one whose counters changed meanwhile is.

    Args:
        devices: documents of devices. Nothing may be written to them meanwhile, nor in the two minutes before.

    Yields:
        The result of each device as soon as it is there.

    Raises:
        errors.Unavailable: DynamoDB did not answer. What is corrected stays corrected.

    Cost: each segment is read, a read unit for 4 kB; one write a device that is corrected.
    """
    waiting = marked()
    for device in devices:
        result = _recount(device) if device["type"] == "mutable" else Recount(device["id"], "immutable")
        if result.outcome == "changed":
            mark(device["id"])
        elif device["id"] in waiting:
            unmark(device["id"])
        yield result


def _recount(device: Doc) -> Recount:
    key = dynamodb_counters.key(device["profile"], device["id"])
    row = calls.get(EntityModel, key) or {}
    points, read_units = 0, 1.0
    for answer in calls.pages(SegmentModel, ("device", "key"), (device["id"], *_ALL), False, None, ("points",)):
        points += sum(int(raw["points"]["N"]) for raw in answer["Items"])
        read_units += float(answer["ConsumedCapacity"]["CapacityUnits"])
    before = int(row.get("records", {}).get("N", 0))
    outcome: Outcome = "right"
    if before != points:
        outcome = "corrected" if _correct(key, row, points) else "changed"
    return Recount(device["id"], outcome, before, points, read_units)


def _correct(key: dict[str, Any], row: dict[str, Any], points: int) -> bool:
    """Write the number of points; return whether the row was as it was read."""
    values = {":points": {"N": str(points)}, ":zero": {"N": "0"}}
    conditions = []
    for placeholder, name in _NAMES.items():
        if name in row:
            conditions.append(f"{placeholder} = :was_{name}")
            values[f":was_{name}"] = row[name]
        else:
            conditions.append(f"attribute_not_exists({placeholder})")
    try:
        calls.call(
            "UpdateItem",
            TableName=EntityModel.Meta.table_name,
            Key=key,
            UpdateExpression=_CORRECTED,
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames=_NAMES,
            ExpressionAttributeValues=values,
        )
    except ClientError:
        return False
    return True
