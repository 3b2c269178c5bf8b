"""Counters on DynamoDB: one item a device, below its profile. A batch of the stream updates it once for each device."""

from typing import Any

from botocore.exceptions import ClientError

from chalicelib.store import Counters, Delta, names
from chalicelib.store.calls import call, get, query, refused
from chalicelib.store.models import EntityModel

_NAMES = {"#input": "input", "#records": "records"}
_ADDED = "ADD #input :input, #records :records SET #sequence = :sequence"
_TOUCHED = "ADD #input :zero, #records :zero SET #last = :last"
_GONE = "ADD #input :input, #records :zero"
_IS_NEWER = "attribute_not_exists(#sequence) OR #sequence < :first"


def read(profile: str, device: str | None) -> Counters | None:
    """Return the counters of a device, or None if nothing was counted yet. Without a device, those of the profile."""
    if device is not None:
        raw = get(EntityModel, _key(profile, device))
        return _add_up([raw]) if raw else None
    bounds = (names.profile(profile), names.COUNTERS, names.COUNTERS + "~")
    return _add_up(list(query(EntityModel, ("owner", "name"), bounds, False, None)))


def _add_up(rows: list[dict[str, Any]]) -> Counters:
    points_in, records = (sum(int(raw[name]["N"]) for raw in rows) for name in ("input", "records"))
    times = [int(raw["last_input_ms"]["N"]) for raw in rows if "last_input_ms" in raw]
    return Counters(points_in, max(0, records), max(times, default=None))


def add(delta: Delta) -> str | None:
    """Add to the counters of a device, unless they include the change ``delta.first`` already. Cost: one update.

    Returns:
        None if it was added; else the sequence number of the last change that the counters include.
    """
    values = {
        ":input": {"N": str(delta.points_in)},
        ":records": {"N": str(delta.records)},
        ":sequence": {"S": delta.sequence},
        ":first": {"S": delta.first},
    }
    expression, attributes = _ADDED, _NAMES | {"#sequence": "sequence"}
    if delta.last_input_ms is not None:
        expression += ", #last = :last"
        attributes["#last"], values[":last"] = "last_input_ms", {"N": str(delta.last_input_ms)}
    try:
        call(
            "UpdateItem",
            TableName=EntityModel.Meta.table_name,
            Key=_key(delta.profile, delta.device),
            UpdateExpression=expression,
            ConditionExpression=_IS_NEWER,
            ExpressionAttributeNames=attributes,
            ExpressionAttributeValues=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        applied: str = (refused(error) or {})["sequence"]["S"]
        return applied
    return None


def touch(device: str, profile: str, now_ms: int) -> None:
    """Note when a device sent something of which no point was stored."""
    call(
        "UpdateItem",
        TableName=EntityModel.Meta.table_name,
        Key=_key(profile, device),
        UpdateExpression=_TOUCHED,
        ExpressionAttributeNames=_NAMES | {"#last": "last_input_ms"},
        ExpressionAttributeValues={":last": {"N": str(now_ms)}, ":zero": {"N": "0"}},
    )


def forget(device: str, profile: str) -> None:
    """Delete the counters of a device and add its ``points_in`` to those of deleted devices, in one transaction."""
    counted = get(EntityModel, _key(profile, device))
    if counted is None:
        return
    table = EntityModel.Meta.table_name
    totals = {
        "TableName": table,
        "Key": _key(profile, ""),
        "UpdateExpression": _GONE,
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {":input": counted["input"], ":zero": {"N": "0"}},
    }
    own = {
        "TableName": table,
        "Key": _key(profile, device),
        "ConditionExpression": "#input = :input",
        "ExpressionAttributeNames": {"#input": "input"},
        "ExpressionAttributeValues": {":input": counted["input"]},
    }
    call("TransactWriteItems", TransactItems=[{"Update": totals}, {"Delete": own}])


def _key(profile: str, device: str) -> dict[str, Any]:
    return {"owner": {"S": names.profile(profile)}, "name": {"S": names.counters(device)}}
