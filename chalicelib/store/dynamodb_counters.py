"""Counters on DynamoDB: one item a device, below its profile. A batch of the stream updates it once for each device."""

from typing import Any

from botocore.exceptions import ClientError

from chalicelib import errors
from chalicelib.store import Counted, Counters, Delta, Rejected, names
from chalicelib.store.calls import call, get, query, refused, rejection
from chalicelib.store.models import EntityModel

_NAMES = {"#input": "input", "#records": "records"}
_ADDED = "ADD #input :input, #records :records SET #sequence = :last_change"
_TOUCHED = "ADD #input :zero, #records :zero SET #last = :last"
_GONE = "ADD #input :input, #records :zero"
_IS_NEWER = "attribute_not_exists(#sequence) OR (contains(#sequence, :space) AND #sequence < :first)"
"""A mark without a space is a bare number of an earlier version. It cannot be compared with a label."""
_IS_AS_READ = "#sequence = :replaced"


def read(profile: str, device: str | None) -> Counters | None:
    """Return the counters of a device, or None if nothing was counted yet. Without a device, those of the profile."""
    if device is not None:
        raw = get(EntityModel, key(profile, device))
        return _add_up([raw]) if raw else None
    bounds = (names.profile(profile), names.COUNTERS, names.COUNTERS + "~")
    return _add_up(list(query(EntityModel, ("owner", "name"), bounds, False, None)))


def _add_up(rows: list[dict[str, Any]]) -> Counters:
    points_in, records = (sum(int(raw[name]["N"]) for raw in rows) for name in ("input", "records"))
    times = [int(raw["last_input_ms"]["N"]) for raw in rows if "last_input_ms" in raw]
    return Counters(points_in, max(0, records), max(times, default=None))


def add(delta: Delta) -> Counted | None:
    """Add to the counters of a device, unless they include the change ``delta.first`` already. Cost: one update.

    Returns:
        None if it was added; else what the counters include.

    Raises:
        Rejected: DynamoDB will never accept it.
        errors.Unavailable: a retry may help.
    """
    values = {
        ":input": {"N": str(delta.points_in)},
        ":records": {"N": str(delta.records)},
        ":last_change": {"S": delta.last},
    }
    if delta.replaces is None:
        condition = _IS_NEWER
        values |= {":first": {"S": delta.first}, ":space": {"S": " "}}
    else:
        condition = _IS_AS_READ
        values[":replaced"] = {"S": delta.replaces}
    expression, attributes = _ADDED, _NAMES | {"#sequence": "sequence"}
    if delta.last_input_ms is not None:
        expression += ", #last = :last"
        attributes["#last"], values[":last"] = "last_input_ms", {"N": str(delta.last_input_ms)}
    try:
        call(
            "UpdateItem",
            TableName=EntityModel.Meta.table_name,
            Key=key(delta.profile, delta.device),
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames=attributes,
            ExpressionAttributeValues=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        return _counted(refused(error) or {})
    except errors.Unavailable as error:
        reason = rejection(error)
        if reason is None:
            raise
        raise Rejected(reason) from error
    return None


def _counted(raw: dict[str, Any]) -> Counted:
    """Return what a row includes that refused an update."""
    if "sequence" not in raw:  # it was deleted meanwhile
        raise errors.Unavailable
    if "S" not in raw["sequence"]:
        raise Rejected("The mark of the counters is not a text")
    last = raw.get("last_input_ms")
    return Counted(raw["sequence"]["S"], int(last["N"]) if last else None)


def touch(device: str, profile: str, now_ms: int) -> None:
    """Note when a device sent something of which no point was stored."""
    call(
        "UpdateItem",
        TableName=EntityModel.Meta.table_name,
        Key=key(profile, device),
        UpdateExpression=_TOUCHED,
        ExpressionAttributeNames=_NAMES | {"#last": "last_input_ms"},
        ExpressionAttributeValues={":last": {"N": str(now_ms)}, ":zero": {"N": "0"}},
    )


def forget(device: str, profile: str) -> None:
    """Delete the counters of a device and add its ``points_in`` to those of deleted devices, in one transaction."""
    counted = get(EntityModel, key(profile, device))
    if counted is None:
        return
    table = EntityModel.Meta.table_name
    totals = {
        "TableName": table,
        "Key": key(profile, ""),
        "UpdateExpression": _GONE,
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {":input": counted["input"], ":zero": {"N": "0"}},
    }
    own = {
        "TableName": table,
        "Key": key(profile, device),
        "ConditionExpression": "#input = :input",
        "ExpressionAttributeNames": {"#input": "input"},
        "ExpressionAttributeValues": {":input": counted["input"]},
    }
    call("TransactWriteItems", TransactItems=[{"Update": totals}, {"Delete": own}])


def key(profile: str, device: str) -> dict[str, Any]:
    """Return the raw key of a device's counters."""
    return {"owner": {"S": names.profile(profile)}, "name": {"S": names.counters(device)}}
