"""The store on AWS: two DynamoDB tables, no secondary index.

Conditions and keys are fixed expressions with placeholders; nothing a client sends is ever put into an expression.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from pynamodb.models import Model

from chalicelib import clock, errors, settings
from chalicelib.codec.segments import Item
from chalicelib.store import ABSENT, ANY, Counters, Entity, Sum
from chalicelib.store.models import EntityModel, SegmentModel

BATCH = 25
"""BatchWriteItem takes no more."""
_BACKOFF_S = 0.05
_BACKOFF_CAP_S = 2.0
_REFUSED = ("ConditionalCheckFailedException", "TransactionCanceledException")
_COUNTERS = "counters"
_FIRST = "attribute_not_exists(#hash)"
_BETWEEN = "#hash = :hash AND #range BETWEEN :low AND :high"


class DynamoStore:
    """Answers the Store protocol from the tables that the settings name.

    Args:
        sleep: waits between the rounds of a batch; a test gives its own.
    """

    is_exclusive = False

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def put_segments(self, items: Sequence[Item], *, profile: str, now_ms: int) -> list[Item | None]:
        """See Store. One PutItem an item, on the condition that none stands there.

        Raises:
            errors.Unavailable: with how many points were stored and how many were not.
        """
        found: list[Item | None] = []
        for item in items:
            try:
                found.append(self._put_first(item, profile))
            except errors.Unavailable as error:
                stored = sum(one.points for one in items[: len(found)])
                pending = sum(one.points for one in items[len(found) :])
                raise errors.Unavailable(stored=stored, pending=pending) from error
        return found

    def _put_first(self, item: Item, profile: str) -> Item | None:
        try:
            _call(
                "PutItem",
                TableName=SegmentModel.Meta.table_name,
                Item=_segment(item, profile).serialize(),
                ConditionExpression=_FIRST,
                ExpressionAttributeNames={"#hash": "device"},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            standing = _refused(error)
            if standing is None:  # it went away between the condition and the answer
                raise errors.Unavailable from error
            return item_of(standing)
        return None

    def get_segment(self, device: str, key: str) -> Item | None:
        """See Store."""
        raw = _get(SegmentModel, {"device": {"S": device}, "key": {"S": key}})
        return item_of(raw) if raw and not _is_expired(raw) else None

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """See Store. The first page is cut at ``first_page`` items, later ones at DynamoDB's 1 MB."""
        for raw in _query(SegmentModel, ("device", "key"), (device, low, high), newest_first, first_page):
            if not _is_expired(raw):
                yield item_of(raw)

    def count_points(self, device: str, low: str, high: str) -> int:
        """See Store. Bodies are billed as read but not sent."""
        found = _query(SegmentModel, ("device", "key"), (device, low, high), False, None, "points")
        return sum(int(raw["points"]["N"]) for raw in found if not _is_expired(raw))

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        return _write_if_version("PutItem", SegmentModel, item.version - 1, Item=_segment(item, profile).serialize())

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        key = {"device": {"S": item.device}, "key": {"S": item.key}}
        return _write_if_version("DeleteItem", SegmentModel, item.version, Key=key)

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """See Store.

        Raises:
            errors.Unavailable: the deadline passed; a repetition goes on where this one ended.
        """
        points, keys = 0, []
        for raw in _query(SegmentModel, ("device", "key"), (device, low, high), False, None, "points"):
            points += int(raw["points"]["N"])
            keys.append({"device": raw["device"], "key": raw["key"]})
        self.write_batch(SegmentModel, [{"DeleteRequest": {"Key": key}} for key in keys])
        return points

    def get(self, owner: str, name: str) -> Entity | None:
        """See Store."""
        raw = _get(EntityModel, {"owner": {"S": owner}, "name": {"S": name}})
        return _entity(raw) if raw and not _is_expired(raw) else None

    def put(self, entity: Entity, *, expected: int = ANY) -> Entity | None:
        """See Store."""
        item = EntityModel(**entity._asdict()).serialize()
        if expected == ANY:
            _call("PutItem", TableName=EntityModel.Meta.table_name, Item=item)
            return None
        condition: dict[str, Any] = {"ConditionExpression": "#version = :version"}
        condition["ExpressionAttributeNames"] = {"#version": "version"}
        condition["ExpressionAttributeValues"] = {":version": {"N": str(expected)}}
        if expected == ABSENT:
            condition["ConditionExpression"] = f"{_FIRST} OR #expires <= :now"
            condition["ExpressionAttributeNames"] = {"#hash": "owner", "#expires": "expires_at"}
            condition["ExpressionAttributeValues"] = {":now": {"N": str(_now_s())}}
        try:
            _call(
                "PutItem",
                TableName=EntityModel.Meta.table_name,
                Item=item,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except ClientError as error:
            standing = _refused(error)
            return _entity(standing) if standing else entity
        return None

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """See Store."""
        keys = [{"owner": {"S": owner}, "name": {"S": name}} for name in dict.fromkeys(names)]
        self.write_batch(EntityModel, [{"DeleteRequest": {"Key": key}} for key in keys])

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """See Store."""
        bounds = (owner, prefix or " ", prefix + "\U0010ffff")
        rows = _query(EntityModel, ("owner", "name"), bounds, False, None)
        return [_entity(raw) for raw in rows if not _is_expired(raw)]

    def counters(self, device: str) -> Counters:
        """See Store. What the stream has counted, some seconds late; before it counts, the segments are added up."""
        raw = _get(EntityModel, {"owner": {"S": f"device#{device}"}, "name": {"S": _COUNTERS}})
        if raw is None:
            return Counters(self.count_points(device, "0", "g"), None)
        last = raw.get("last_input_ms")
        return Counters(max(0, int(raw["records"]["N"])), int(last["N"]) if last else None)

    def add_sum(self, added: Sum) -> str | None:
        """See CounterStore. One transaction, so that device and profile agree and nothing is added twice."""
        device = _add_to(f"device#{added.device}", added)
        device["ConditionExpression"] = "attribute_not_exists(#sequence) OR #sequence < :first"
        device["ExpressionAttributeValues"][":first"] = {"S": added.first}
        device["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        updates = [device, *([_add_to(f"profile#{added.profile}", added)] if added.profile else [])]
        try:
            _call("TransactWriteItems", TransactItems=[{"Update": update} for update in updates])
        except ClientError as error:
            reasons: list[dict[str, Any]] = dict(error.response)["CancellationReasons"]
            standing: str = reasons[0]["Item"]["sequence"]["S"]
            return standing
        return None

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """See Store. Nothing to do: counters come from what is stored."""

    def write_batch(self, model: type[Model], requests: Sequence[dict[str, Any]]) -> None:
        """Write in batches of 25 until nothing is left unprocessed, backing off with full jitter.

        Args:
            model: the table.
            requests: PutRequest or DeleteRequest objects of different keys.

        Raises:
            errors.Unavailable: the deadline passed; the text says how many were written and how many were not.
        """
        table = model.Meta.table_name
        deadline_s = clock.monotonic_s() + settings.STORE_DEADLINE_S
        waiting, attempt = list(requests), 0
        while waiting:
            answer = _call("BatchWriteItem", RequestItems={table: waiting[:BATCH]})
            left = answer.get("UnprocessedItems", {}).get(table, [])
            attempt = attempt + 1 if left else 0
            waiting = left + waiting[BATCH:]
            if left:
                pause_s = random.uniform(0, min(_BACKOFF_CAP_S, _BACKOFF_S * 2**attempt))  # noqa: S311 - jitter
                if clock.monotonic_s() + pause_s > deadline_s:
                    raise errors.Unavailable(stored=len(requests) - len(waiting), pending=len(waiting))
                self._sleep(pause_s)


def _add_to(owner: str, added: Sum) -> dict[str, Any]:
    values: dict[str, Any] = {
        ":in": {"N": str(added.points_in)},
        ":records": {"N": str(added.records)},
        ":sequence": {"S": added.sequence},
        ":doc": {"S": "{}"},
        ":version": {"N": "1"},
    }
    expression = (
        "ADD #input :in, #records :records "
        "SET #sequence = :sequence, #doc = if_not_exists(#doc, :doc), #version = if_not_exists(#version, :version)"
    )
    names = {"#input": "input", "#records": "records", "#sequence": "sequence", "#doc": "doc", "#version": "version"}
    if added.last_input_ms is not None:
        values[":last"] = {"N": str(added.last_input_ms)}
        names["#last"] = "last_input_ms"
        expression += ", #last = :last"
    return {
        "TableName": EntityModel.Meta.table_name,
        "Key": {"owner": {"S": owner}, "name": {"S": _COUNTERS}},
        "UpdateExpression": expression,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _call(operation: str, **parameters: Any) -> dict[str, Any]:
    """Call DynamoDB; a refused condition comes out as the ClientError it is, anything else as Unavailable.

    The consumed capacity is asked for as proof: botocore takes a 200 with any body for a success.
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


def _refused(error: ClientError) -> dict[str, Any] | None:
    """Return the item that stood in the way of a refused write, as the refusal carries it."""
    response: dict[str, Any] = dict(error.response)
    return response.get("Item")


def _get(model: type[Model], key: dict[str, Any]) -> dict[str, Any] | None:
    table = model.Meta.table_name
    return _call("GetItem", TableName=table, Key=key, ConsistentRead=True).get("Item")


def _query(
    model: type[Model],
    names: tuple[str, str],
    bounds: tuple[str, str, str],
    newest_first: bool,
    first_page: int | None,
    attribute: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield raw items with low <= range key <= high, page by page; with ``attribute`` only that and the key."""
    parameters: dict[str, Any] = {
        "TableName": model.Meta.table_name,
        "KeyConditionExpression": _BETWEEN,
        "ExpressionAttributeNames": {"#hash": names[0], "#range": names[1]},
        "ExpressionAttributeValues": dict(zip((":hash", ":low", ":high"), ({"S": one} for one in bounds), strict=True)),
        "ScanIndexForward": not newest_first,
        "ConsistentRead": True,
    }
    if first_page is not None:
        parameters["Limit"] = first_page
    if attribute is not None:
        parameters["ProjectionExpression"] = "#hash, #range, #one, #expires"
        parameters["ExpressionAttributeNames"] |= {"#one": attribute, "#expires": "expires_at"}
    while True:
        answer = _call("Query", **parameters)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        parameters.pop("Limit", None)


def _write_if_version(operation: str, model: type[Model], version: int, **what: Any) -> bool:
    try:
        _call(
            operation,
            TableName=model.Meta.table_name,
            ConditionExpression="#version = :version",
            ExpressionAttributeNames={"#version": "version"},
            ExpressionAttributeValues={":version": {"N": str(version)}},
            **what,
        )
    except ClientError:
        return False
    return True


def _segment(item: Item, profile: str) -> SegmentModel:
    return SegmentModel(**item._asdict(), profile=profile)


def item_of(raw: dict[str, Any]) -> Item:
    """Read a segment as DynamoDB hands it out."""
    expires = raw.get("expires_at")
    return Item(
        raw["device"]["S"],
        raw["key"]["S"],
        bytes(raw["body"]["B"]),
        bytes(raw["digest"]["B"]),
        int(raw["points"]["N"]),
        int(raw["version"]["N"]),
        int(expires["N"]) if expires else None,
    )


def _entity(raw: dict[str, Any]) -> Entity:
    model = EntityModel.from_raw_data(raw)
    expires = int(model.expires_at) if model.expires_at is not None else None
    return Entity(model.owner, model.name, model.doc, int(model.version), expires)


def _is_expired(raw: dict[str, Any]) -> bool:
    expires = raw.get("expires_at")
    return expires is not None and int(expires["N"]) <= _now_s()


def _now_s() -> int:
    return clock.now_ms() // 1000
