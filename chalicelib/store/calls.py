"""Calls DynamoDB: translates errors, reads page by page, and writes batches until every item is written.

Conditions and keys are fixed expressions with placeholders. An expression never holds what a client sent.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from pynamodb.models import Model

from chalicelib import errors, settings
from chalicelib.host import clock, deadline
from chalicelib.store.models import SegmentModel

BATCH = 25
"""How many requests BatchWriteItem accepts at most."""
_BACKOFF_S = 0.05
_BACKOFF_CAP_S = 2.0
_REFUSED = ("ConditionalCheckFailedException", "TransactionCanceledException")
_LOST = {"None", "ConditionalCheckFailed", "TransactionConflict"}
"""The reasons of a cancelled transaction that mean a lost race."""
_REJECTED = ("ValidationException",)
"""What is refused for good: an item that is too large, or an attribute of another type. All else may be over soon: a
throttle, an outage, and also a missing table or permission, which somebody repairs."""
_BETWEEN = "#hash = :hash AND #range BETWEEN :low AND :high"


def call(operation: str, **parameters: Any) -> dict[str, Any]:
    """Call DynamoDB. A refused condition raises its ClientError, every other failure Unavailable.

    The answer must hold the consumed capacity, as proof that DynamoDB wrote it: for botocore, a 200 with any body is a
    success.
    """
    client = SegmentModel.shared().client
    try:
        answer: dict[str, Any] = client._make_api_call(operation, {**parameters, "ReturnConsumedCapacity": "TOTAL"})
        if "ConsumedCapacity" not in answer:
            raise ValueError("not an answer of DynamoDB's")
    except ClientError as error:
        if error.response["Error"]["Code"] in _REFUSED:
            raise
        raise errors.Unavailable from error
    except (BotoCoreError, PynamoDBException, ValueError) as error:
        raise errors.Unavailable from error
    return answer


def connect() -> None:
    """Make the client of this process. Threads that need the first one at the same time would each make their own."""
    _ = SegmentModel.shared().client


def rejection(error: errors.Unavailable) -> str | None:
    """Return DynamoDB's reason if it refused a call for good, or None if a retry may help."""
    cause = error.__cause__
    if isinstance(cause, ClientError) and cause.response["Error"]["Code"] in _REJECTED:
        return str(cause)
    return None


def transact(parts: Sequence[dict[str, Any]]) -> bool:
    """Write all parts or none. Return False if another writer was first.

    Raises:
        errors.Unavailable: it was cancelled for another reason, or the call failed.
    """
    try:
        call("TransactWriteItems", TransactItems=[*parts])
    except ClientError as error:
        reasons: Any = error.response.get("CancellationReasons", [{}])
        if {reason.get("Code") for reason in reasons} <= _LOST:
            return False
        raise errors.Unavailable from error
    return True


def refused(error: ClientError) -> dict[str, Any] | None:
    """Return the existing item that made DynamoDB refuse a write, or None if the refusal does not hold it."""
    response: dict[str, Any] = dict(error.response)
    return response.get("Item")


def get(model: type[Model], key: dict[str, Any], *, is_consistent: bool = True) -> dict[str, Any] | None:
    """Return one raw item, even if it has expired."""
    table = model.Meta.table_name
    return call("GetItem", TableName=table, Key=key, ConsistentRead=is_consistent).get("Item")


def query(
    model: type[Model],
    names: tuple[str, str],
    bounds: tuple[str, str, str],
    newest_first: bool,
    first_page: int | None,
    attributes: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Yield raw items with low <= range key <= high, page by page; with ``attributes`` only them and the key."""
    for answer in pages(model, names, bounds, newest_first, first_page, attributes):
        yield from answer["Items"]


def pages(
    model: type[Model],
    names: tuple[str, str],
    bounds: tuple[str, str, str],
    newest_first: bool,
    first_page: int | None,
    attributes: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield the answers that ``query`` takes its items from."""
    parameters: dict[str, Any] = {
        "TableName": model.Meta.table_name,
        "KeyConditionExpression": _BETWEEN,
        "ExpressionAttributeNames": {"#hash": names[0], "#range": names[1]},
        "ExpressionAttributeValues": dict(zip((":hash", ":low", ":high"), ({"S": key} for key in bounds), strict=True)),
        "ScanIndexForward": not newest_first,
        "ConsistentRead": True,
    }
    if first_page is not None:
        parameters["Limit"] = first_page
    if attributes:
        aliases = {f"#{name.replace('_', '')}": name for name in attributes}
        parameters["ProjectionExpression"] = ", ".join(["#hash", "#range", *aliases])
        parameters["ExpressionAttributeNames"] |= aliases
    while True:
        answer = call("Query", **parameters)
        yield answer
        if "LastEvaluatedKey" not in answer:
            return
        parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        parameters.pop("Limit", None)


def count(model: type[Model], names: tuple[str, str], bounds: tuple[str, str, str]) -> int:
    """Return how many items have low <= range key <= high and have not expired. The items are not sent."""
    parameters: dict[str, Any] = {
        "TableName": model.Meta.table_name,
        "KeyConditionExpression": _BETWEEN,
        "FilterExpression": "attribute_not_exists(#expires) OR #expires > :now",
        "ExpressionAttributeNames": {"#hash": names[0], "#range": names[1], "#expires": "expires_at"},
        "ExpressionAttributeValues": {
            **dict(zip((":hash", ":low", ":high"), ({"S": key} for key in bounds), strict=True)),
            ":now": {"N": str(now_s())},
        },
        "Select": "COUNT",
    }
    counted = 0
    while True:
        answer = call("Query", **parameters)
        counted += int(answer["Count"])
        if "LastEvaluatedKey" not in answer:
            return counted
        parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def write_if_version(operation: str, model: type[Model], version: int, **what: Any) -> bool:
    """Put or delete an item if the existing one has this version; return whether it had.

    botocore repeats a call whose answer was lost. If the first try was carried out, the second one meets its result:
    the very item that it puts, or none where it deletes. That is success too.
    """
    try:
        call(
            operation,
            TableName=model.Meta.table_name,
            ConditionExpression="#version = :version",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={":version": {"N": str(version)}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **what,
        )
    except ClientError as error:
        existing = refused(error)
        return existing is None if operation == "DeleteItem" else _is_same(existing, what["Item"])
    return True


def _is_same(existing: dict[str, Any] | None, item: dict[str, Any]) -> bool:
    """Return whether a raw item has the attributes of the one to be put. Binary values come as bytes or wrapped."""
    if existing is None or existing.keys() != item.keys():
        return False
    return all(_plain(existing[name]) == _plain(item[name]) for name in item)


def _plain(attribute: dict[str, Any]) -> tuple[str, Any]:
    ((kind, value),) = attribute.items()
    return kind, bytes(value) if kind == "B" else value


def write_batch(model: type[Model], requests: Sequence[dict[str, Any]], sleep: Callable[[float], None]) -> None:
    """Write in batches of 25 until every request is processed. Waits between rounds, with full jitter.

    Args:
        model: the table.
        requests: PutRequest or DeleteRequest objects, each with another key.
        sleep: waits between the rounds.

    Raises:
        errors.Unavailable: the deadline passed. The text says how many items were written and how many were not.
    """
    table = model.Meta.table_name
    deadline_s = deadline.within(settings.STORE_DEADLINE_S)
    waiting, attempt = list(requests), 0
    while waiting:
        if clock.monotonic_s() > deadline_s:
            raise errors.Unavailable(stored=len(requests) - len(waiting), pending=len(waiting))
        answer = call("BatchWriteItem", RequestItems={table: waiting[:BATCH]})
        left = answer.get("UnprocessedItems", {}).get(table, [])
        attempt = attempt + 1 if left else 0
        waiting = left + waiting[BATCH:]
        if left:
            pause_s = random.uniform(0, min(_BACKOFF_CAP_S, _BACKOFF_S * 2**attempt))  # noqa: S311 - jitter
            sleep(min(pause_s, max(0.0, deadline_s - clock.monotonic_s()) + 0.001))


def is_expired(raw: dict[str, Any]) -> bool:
    """Return whether a raw item has expired. DynamoDB removes expired items days later."""
    expires = raw.get("expires_at")
    return expires is not None and int(expires["N"]) <= now_s()


def now_s() -> int:
    """Return seconds since 1970."""
    return clock.now_ms() // 1000
