"""Counters on DynamoDB: one item a device, under its profile, which is all that a batch of the stream writes for it."""

from typing import Any

from botocore.exceptions import ClientError

from chalicelib.store import Counters, Sum
from chalicelib.store.calls import call, get, query, refused
from chalicelib.store.models import EntityModel

_PREFIX = "counters#"
"""Followed by the device's id; by nothing for what the profile's deleted devices had sent."""
_NAMES = {"#input": "input", "#records": "records"}
_ADDED = "ADD #input :input, #records :records SET #sequence = :sequence"
_TOUCHED = "ADD #input :zero, #records :zero SET #last = :last"
_GONE = "ADD #input :input, #records :zero"
_IS_NEWER = "attribute_not_exists(#sequence) OR #sequence < :first"


def read(profile: str, device: str | None) -> Counters | None:
    """Return the counters of a device, None before anything was counted; without a device those of the profile."""
    if device is not None:
        raw = get(EntityModel, _key(profile, device))
        return _sum([raw]) if raw else None
    bounds = (f"profile#{profile}", _PREFIX, _PREFIX + "~")
    return _sum(list(query(EntityModel, ("owner", "name"), bounds, False, None)))


def _sum(rows: list[dict[str, Any]]) -> Counters:
    points_in, records = (sum(int(raw[name]["N"]) for raw in rows) for name in ("input", "records"))
    times = [int(raw["last_input_ms"]["N"]) for raw in rows if "last_input_ms" in raw]
    return Counters(points_in, max(0, records), max(times, default=None))


def add_sum(added: Sum) -> str | None:
    """See CounterStore. One update on the condition that none of the changes was added before."""
    values = {
        ":input": {"N": str(added.points_in)},
        ":records": {"N": str(added.records)},
        ":sequence": {"S": added.sequence},
        ":first": {"S": added.first},
    }
    expression, names = _ADDED, _NAMES | {"#sequence": "sequence"}
    if added.last_input_ms is not None:
        expression += ", #last = :last"
        names["#last"], values[":last"] = "last_input_ms", {"N": str(added.last_input_ms)}
    try:
        call(
            "UpdateItem",
            TableName=EntityModel.Meta.table_name,
            Key=_key(added.profile, added.device),
            UpdateExpression=expression,
            ConditionExpression=_IS_NEWER,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        standing: str = (refused(error) or {})["sequence"]["S"]
        return standing
    return None


def touch(device: str, profile: str, now_ms: int) -> None:
    """Note when a device sent something of which nothing was stored."""
    call(
        "UpdateItem",
        TableName=EntityModel.Meta.table_name,
        Key=_key(profile, device),
        UpdateExpression=_TOUCHED,
        ExpressionAttributeNames=_NAMES | {"#last": "last_input_ms"},
        ExpressionAttributeValues={":last": {"N": str(now_ms)}, ":zero": {"N": "0"}},
    )


def forget(device: str, profile: str) -> None:
    """Delete the counters of a device; what it has sent stays among the profile's. In one transaction, so only once."""
    found = get(EntityModel, _key(profile, device))
    if found is None:
        return
    table = EntityModel.Meta.table_name
    gone = {
        "TableName": table,
        "Key": _key(profile, ""),
        "UpdateExpression": _GONE,
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {":input": found["input"], ":zero": {"N": "0"}},
    }
    own = {
        "TableName": table,
        "Key": _key(profile, device),
        "ConditionExpression": "#input = :input",
        "ExpressionAttributeNames": {"#input": "input"},
        "ExpressionAttributeValues": {":input": found["input"]},
    }
    call("TransactWriteItems", TransactItems=[{"Update": gone}, {"Delete": own}])


def _key(profile: str, device: str) -> dict[str, Any]:
    return {"owner": {"S": f"profile#{profile}"}, "name": {"S": _PREFIX + device}}
