"""The store on AWS: two DynamoDB tables, no secondary index.

Conditions and keys are fixed expressions with placeholders. An expression never holds what a client sent.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import errors
from chalicelib.codec.segment import Item
from chalicelib.host import deadline
from chalicelib.store import ABSENT, Conflict, Counters, Entity, Totals, Usage, dynamodb_counters, dynamodb_sealed
from chalicelib.store.calls import (
    call,
    count,
    get,
    is_expired,
    now_s,
    query,
    refused,
    transact,
    write_batch,
    write_if_version,
)
from chalicelib.store.dynamodb_sealed import SealedSegments
from chalicelib.store.models import EntityModel, SegmentModel

_FIRST = "attribute_not_exists(#hash)"
_NO_UNIT: AbstractContextManager[object] = nullcontext()


class DynamoStore(SealedSegments):
    """Implements Store on the tables that the settings name.

    Args:
        sleep: waits between the rounds of a batch. A test passes its own.
    """

    is_exclusive, kind = False, "dynamodb"

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def unit(self) -> AbstractContextManager[object]:
        """See Store. Nothing can be undone."""
        return _NO_UNIT

    def put_segments(
        self, items: Sequence[Item], *, profile: str, now_ms: int, is_import: bool = False
    ) -> Mapping[int, Item]:
        """See Store. One PutItem an item, on the condition that its key is free.

        Raises:
            errors.Unavailable: the text says how many points were stored and how many were not.
        """
        conflicts: dict[int, Item] = {}
        for index, item in enumerate(items):
            try:
                if deadline.has_passed():
                    raise errors.Unavailable
                existing = self._put_or_existing(item, profile, is_import)
            except errors.Unavailable as error:
                stored = sum(earlier.points for earlier in items[:index])
                pending = sum(later.points for later in items[index:])
                raise errors.Unavailable(stored=stored, pending=pending) from error
            if existing is not None:
                conflicts[index] = existing
        return conflicts

    def _put_or_existing(self, item: Item, profile: str, is_import: bool) -> Item | None:
        """Put an item. If another has its key already, return that one instead."""
        try:
            call(
                "PutItem",
                TableName=SegmentModel.Meta.table_name,
                Item=_segment(item, profile, is_import).serialize(),
                ConditionExpression=_FIRST,
                ExpressionAttributeNames={"#hash": "device"},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            existing = refused(error)
            if existing is None:  # it was deleted between the condition and the answer
                raise errors.Unavailable from error
            found = item_of(existing)
            if found.digest == item.digest and found.expires_at != item.expires_at:
                found = found._replace(expires_at=item.expires_at)
                _postpone(found, profile)
            return found
        return None

    def get_segment(self, device: str, key: str) -> Item | None:
        """See Store."""
        raw = get(SegmentModel, {"device": {"S": device}, "key": {"S": key}})
        return item_of(raw) if raw else None

    def scan_segments(self, device: str, low: str, high: str, *, newest_first: bool, first_page: int) -> Iterator[Item]:
        """See Store. The first page has ``first_page`` items, later ones as many as fit into DynamoDB's 1 MB."""
        for raw in query(SegmentModel, ("device", "key"), (device, low, high), newest_first, first_page):
            yield item_of(raw)

    def count_points(self, device: str, low: str, high: str) -> int:
        """See Store. DynamoDB bills the bodies as read, but does not send them."""
        rows = query(SegmentModel, ("device", "key"), (device, low, high), False, None, ("points",))
        return sum(int(raw["points"]["N"]) for raw in rows)

    def replace_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        return write_if_version("PutItem", SegmentModel, item.version - 1, Item=_segment(item, profile).serialize())

    def delete_segment(self, item: Item, *, profile: str) -> bool:
        """See Store."""
        key = {"device": {"S": item.device}, "key": {"S": item.key}}
        return write_if_version("DeleteItem", SegmentModel, item.version, Key=key)

    def drop_segments(self, device: str, low: str, high: str, *, profile: str) -> int:
        """See Store. First the small ones, then the sealed ones, in an epoch in which no older seal can be put.

        Raises:
            errors.Unavailable: the deadline passed; a retry resumes.
        """
        points, keys = 0, []
        for raw in query(SegmentModel, ("device", "key"), (device, low, high), False, None, ("points",)):
            points += int(raw["points"]["N"])
            keys.append({"device": raw["device"], "key": raw["key"]})
        self._delete_all(keys)
        self.raise_epoch(device)
        sealed = [*dynamodb_sealed.counted(device, low, high)]
        self._delete_all([key for key, _ in sealed])
        return points + sum(counted for _, counted in sealed)

    def _delete_all(self, keys: Sequence[dict[str, Any]]) -> None:
        write_batch(SegmentModel, [{"DeleteRequest": {"Key": key}} for key in keys], self._sleep)

    def set_expiry(self, device: str, key: str, expires_at: int | None, *, is_sealed: bool = False) -> None:
        """See Store. One update, on the condition that the segment exists."""
        change: dict[str, Any] = {"UpdateExpression": "REMOVE #expires"}
        if expires_at is not None:
            change["UpdateExpression"] = "SET #expires = :expires"
            change["ExpressionAttributeValues"] = {":expires": {"N": str(expires_at)}}
        with contextlib.suppress(ClientError):  # only a refused condition: the segment was removed meanwhile
            call(
                "UpdateItem",
                TableName=SegmentModel.Meta.table_name,
                Key={"device": {"S": device}, "key": {"S": dynamodb_sealed.range_key(key) if is_sealed else key}},
                ConditionExpression="attribute_exists(#hash)",
                ExpressionAttributeNames={"#hash": "device", "#expires": "expires_at"},
                **change,
            )

    def get(self, owner: str, name: str, *, is_consistent: bool = True) -> Entity | None:
        """See Store. If an eventually consistent read finds nothing, a consistent one follows."""
        raw = get(EntityModel, {"owner": {"S": owner}, "name": {"S": name}}, is_consistent=is_consistent)
        if raw and not is_expired(raw):
            return _entity(raw)
        return None if is_consistent else self.get(owner, name)

    def can_write(self) -> bool:
        """See Store. It reads an entity that need not exist; reading and writing fail together."""
        get(EntityModel, {"owner": {"S": "status"}, "name": {"S": "status"}}, is_consistent=False)
        return True

    def put(self, entity: Entity) -> None:
        """See Store."""
        item = EntityModel(**entity._asdict()).serialize()
        call("PutItem", TableName=EntityModel.Meta.table_name, Item=item)

    def put_if(self, entity: Entity, *, version: int) -> Conflict | None:
        """See Store."""
        try:
            call(
                "PutItem",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **_put(entity, version),
            )
        except ClientError as error:
            refusal = refused(error)
            existing = _entity(refusal) if refusal else None
            return None if existing == entity else Conflict(existing)
        return None

    def write_all(self, puts: Sequence[Entity], deletes: Sequence[tuple[str, str]] = ()) -> bool:
        """See Store."""
        if len(puts) == 1 and not deletes:
            return self.put_if(puts[0], version=puts[0].version - 1) is None
        parts: list[dict[str, Any]] = [{"Put": _put(entity, entity.version - 1)} for entity in puts]
        for owner, name in deletes:
            key = {"owner": {"S": owner}, "name": {"S": name}}
            parts.append({"Delete": {"TableName": EntityModel.Meta.table_name, "Key": key}})
        return transact(parts)

    def delete(self, owner: str, names: Sequence[str]) -> None:
        """See Store."""
        keys = [{"owner": {"S": owner}, "name": {"S": name}} for name in dict.fromkeys(names)]
        write_batch(EntityModel, [{"DeleteRequest": {"Key": key}} for key in keys], self._sleep)

    def usage(self, profile: str, device: str | None = None) -> Usage:
        """See Store. The stream counts up to a minute late."""
        return dynamodb_counters.usage(profile, device)

    def history(self, profile: str, device: str | None, low: int, high: int) -> list[Totals]:
        """See Store."""
        return dynamodb_counters.history(profile, device, low, high)

    def add_output(self, profile: str, device: str | None, points: int, last_ms: int) -> None:
        """See Store."""
        dynamodb_counters.add_output(profile, device, points, last_ms)

    def balance(self, profile: str) -> bool:
        """See Store."""
        return dynamodb_counters.balance(profile)

    def list(self, owner: str, prefix: str) -> list[Entity]:
        """See Store."""
        bounds = (owner, prefix or " ", prefix + "\U0010ffff")
        rows = query(EntityModel, ("owner", "name"), bounds, False, None)
        return [_entity(raw) for raw in rows if not is_expired(raw)]

    def count(self, owner: str, prefix: str) -> int:
        """See Store. Eventually consistent, which costs half."""
        return count(EntityModel, ("owner", "name"), (owner, prefix, prefix + "\U0010ffff"))

    def newest(self, owner: str, low: str, high: str, *, first_page: int) -> Iterator[Entity]:
        """See Store."""
        for raw in query(EntityModel, ("owner", "name"), (owner, low, high), True, first_page):
            if not is_expired(raw):
                yield _entity(raw)

    def counters(self, profile: str, device: str | None = None) -> Counters:
        """See Store. The stream counts up to a minute late. Until its first count, this adds up the segments."""
        counters = dynamodb_counters.read(profile, device)
        return counters or Counters(0, dynamodb_sealed.count_all(str(device)), None)

    def touch(self, device: str, *, profile: str, now_ms: int) -> None:
        """See Store. One update, as no segment for it appears in the stream."""
        dynamodb_counters.touch(device, profile, now_ms)

    def forget_counters(self, device: str, *, profile: str) -> None:
        """See Store. The counters of a profile are among what its entities' deletion removes."""
        if device:
            dynamodb_counters.forget(device, profile)


def _postpone(item: Item, profile: str) -> None:
    """Store the new expiry of a segment that was sent again. Else it could be removed after it was acknowledged."""
    if not write_if_version("PutItem", SegmentModel, item.version, Item=_segment(item, profile).serialize()):
        raise errors.Unavailable


def _segment(item: Item, profile: str, is_import: bool = False) -> SegmentModel:
    return SegmentModel(**item._asdict(), profile=profile, imported=True if is_import else None)


def _put(entity: Entity, version: int) -> dict[str, Any]:
    """Return a conditional put of an entity; see ``Store.put_if``."""
    put: dict[str, Any] = {
        "TableName": EntityModel.Meta.table_name,
        "Item": EntityModel(**entity._asdict()).serialize(),
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
    }
    if version == ABSENT:
        put["ConditionExpression"] = f"{_FIRST} OR #expires <= :now"
        put["ExpressionAttributeNames"] = {"#hash": "owner", "#expires": "expires_at"}
        put["ExpressionAttributeValues"] = {":now": {"N": str(now_s())}}
    return put


def item_of(raw: dict[str, Any]) -> Item:
    """Return the item of a raw DynamoDB item."""
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
    return Entity(model.owner, model.name, model.doc or {}, int(model.version or 0), expires)  # counters have neither
