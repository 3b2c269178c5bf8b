"""Sealed segments on DynamoDB: items of the table of segments in a key range of their own.

A device's sealing entity has the epoch as its version. A seal is put only in the epoch in which its small segments were
read. What removes segments deletes small ones, then raises the epoch, then deletes sealed ones: so a seal that holds
what was removed comes too late, or is removed as well.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from chalicelib.codec import keys
from chalicelib.codec.segment import SealedItem
from chalicelib.host import clock
from chalicelib.store import ABSENT, names
from chalicelib.store.calls import call, query, transact, write_if_version
from chalicelib.store.models import EntityModel, SegmentModel

LAG_MS = 1_800_000
"""How long after the end of a UTC day its segments may be sealed by any clock: they differ by less than half an hour
from that of the sealer, which waits for an hour."""
_MARK = "s"
"""How the range keys of sealed segments begin. Those of small segments are hex digits only."""
_LAST = "g"
"""It sorts after every key."""
_KEYS = ("device", "key")
_SUMMARY = ("points", "version", "profile", "expires_at", "low", "oldest_ms", "summary", "counted")
"""All attributes but the keys and the body."""
_RAISED = "SET #doc = if_not_exists(#doc, :doc) ADD #version :one"


class SealedSegments:
    """Implements the calls of Store for sealed segments."""

    keeps_originals = True

    def sealed_to(self, device: str) -> str:
        """See Store. The end of the last UTC day that ended half an hour ago."""
        return keys.end_of_day(clock.now_ms() - LAG_MS - keys.DAY_MS)

    def scan_sealed(
        self,
        device: str,
        low: str,
        high: str,
        *,
        newest_first: bool,
        first_page: int,
        oldest_to_ms: int = keys.LATEST_MS,
        has_bodies: bool = True,
    ) -> Iterator[SealedItem]:
        """See Store. The bodies always come: DynamoDB bills them anyway, and a second read might see another state."""
        bounds = (device, _MARK + low, _MARK + high)
        for raw in query(SegmentModel, _KEYS, bounds, newest_first, first_page, ("body", *_SUMMARY)):
            item = sealed_of(raw)
            if item.oldest_ms <= oldest_to_ms:
                yield item

    def count_sealed(self, device: str, low: str, high: str, *, oldest_from_ms: int) -> int | None:
        """See Store."""
        points = 0
        rows = query(
            SegmentModel, _KEYS, (device, _MARK + low, _MARK + high), False, None, ("points", "oldest_ms", "counted")
        )
        for raw in rows:
            if raw["counted"] != raw["points"]:
                return None
            if int(raw["oldest_ms"]["N"]) >= oldest_from_ms:
                points += int(raw["points"]["N"])
        return points

    def sealed_at(self, device: str, key: str) -> SealedItem | None:
        """See Store."""
        for item in self.scan_sealed(device, key, _LAST, newest_first=False, first_page=1):
            return item if item.low < key else None
        return None

    def seal(
        self,
        items: Sequence[SealedItem],
        originals: Sequence[tuple[str, int]],
        *,
        profile: str,
        gone: Sequence[tuple[str, int]] = (),
        epoch: int = ABSENT,
    ) -> bool:
        """See Store. One transaction, of at most 100 parts and 4 MB."""
        device = items[0].device
        parts = [{"Put": _put(item, profile)} for item in items]
        parts += [{"Delete": _gone(device, key, version)} for key, version in gone]
        return transact([*parts, {"ConditionCheck": _in_epoch(device, epoch)}])

    def replace_sealed(self, item: SealedItem, *, profile: str) -> bool:
        """See Store."""
        return write_if_version("PutItem", SegmentModel, item.version - 1, Item=raw_of(item, profile))

    def delete_sealed(self, item: SealedItem, *, profile: str) -> bool:
        """See Store."""
        return write_if_version("DeleteItem", SegmentModel, item.version, Key=_key(item.device, item.key))

    def raise_epoch(self, device: str) -> None:
        """See Store. One update."""
        call(
            "UpdateItem",
            TableName=EntityModel.Meta.table_name,
            Key=_sealing_key(device),
            UpdateExpression=_RAISED,
            ExpressionAttributeNames={"#doc": "doc", "#version": "version"},
            ExpressionAttributeValues={":doc": {"S": "{}"}, ":one": {"N": "1"}},
        )


def counted(device: str, low: str, high: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the raw key of each sealed segment with low <= key <= high, and how many points the counters have of it."""
    for raw in query(SegmentModel, _KEYS, (device, _MARK + low, _MARK + high), False, None, ("counted",)):
        yield {name: raw[name] for name in _KEYS}, int(raw["counted"]["N"])


def count_all(device: str) -> int:
    """Return how many points the counters should have of a device's segments, small and sealed."""
    bounds = (device, "0", _MARK + _LAST)
    return sum(map(points_of, query(SegmentModel, _KEYS, bounds, False, None, ("points", "counted"))))


def points_of(raw: dict[str, Any]) -> int:
    """Return how many points a raw segment counts: a sealed one only those whose small segments are gone."""
    return int(raw["counted" if is_sealed(raw) else "points"]["N"])


def range_key(key: str) -> str:
    """Return the range key of a sealed segment."""
    return _MARK + key


def is_sealed(raw: dict[str, Any]) -> bool:
    """Return whether a raw item of the table of segments is a sealed one."""
    return bool(raw["key"]["S"].startswith(_MARK))


def sealed_of(raw: dict[str, Any]) -> SealedItem:
    """Return the sealed segment of a raw item. Without an attribute ``body``, the body is empty."""
    expires, body = raw.get("expires_at"), raw.get("body")
    return SealedItem(
        raw["device"]["S"],
        raw["key"]["S"].removeprefix(_MARK),
        raw["low"]["S"],
        int(raw["oldest_ms"]["N"]),
        int(raw["points"]["N"]),
        int(raw["version"]["N"]),
        int(expires["N"]) if expires else None,
        bytes(raw["summary"]["B"]),
        bytes(body["B"]) if body else b"",
        int(raw["counted"]["N"]),
    )


def raw_of(item: SealedItem, profile: str) -> dict[str, Any]:
    """Return the raw item of a sealed segment."""
    figures = {name: getattr(item, name) for name in ("oldest_ms", "points", "version", "counted")}
    raw: dict[str, Any] = {name: {"N": str(figure)} for name, figure in figures.items()}
    raw |= _key(item.device, item.key) | {"profile": {"S": profile}, "low": {"S": item.low}}
    raw |= {"summary": {"B": item.summary}, "body": {"B": item.body}}
    return raw if item.expires_at is None else raw | {"expires_at": {"N": str(item.expires_at)}}


def _key(device: str, key: str) -> dict[str, Any]:
    return {"device": {"S": device}, "key": {"S": _MARK + key}}


def _sealing_key(device: str) -> dict[str, Any]:
    return {"owner": {"S": names.device(device)}, "name": {"S": names.SEALING}}


def _put(item: SealedItem, profile: str) -> dict[str, Any]:
    """Return a put of a sealed segment on the condition that the one of the version before exists, or none."""
    put = {"TableName": SegmentModel.Meta.table_name, "Item": raw_of(item, profile)}
    return put | _condition("device", item.version - 1)


def _gone(device: str, key: str, version: int) -> dict[str, Any]:
    return {"TableName": SegmentModel.Meta.table_name, "Key": _key(device, key), **_condition("device", version)}


def _in_epoch(device: str, epoch: int) -> dict[str, Any]:
    return {"TableName": EntityModel.Meta.table_name, "Key": _sealing_key(device), **_condition("owner", epoch)}


def _condition(hash_key: str, version: int) -> dict[str, Any]:
    if version == ABSENT:
        return {
            "ConditionExpression": "attribute_not_exists(#hash)",
            "ExpressionAttributeNames": {"#hash": hash_key},
        }
    return {
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": {"N": str(version)}},
    }
