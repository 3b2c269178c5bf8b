"""Counters on DynamoDB: one item a device, below its profile, and one of the profile.

A batch of the stream updates each once. The totals of each month are attributes of their own, so an update needs no
read. It returns what was there before: if that was of an earlier hour, an entity keeps it for the statistics.
"""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib import errors
from chalicelib.codec import hours
from chalicelib.host import log
from chalicelib.store import Counted, Counters, Delta, Entity, Rejected, Totals, Usage, names
from chalicelib.store.calls import call, get, query, refused, rejection
from chalicelib.store.models import EntityModel

_NAMES = {"#input": "input", "#records": "records"}
_TOUCHED = "ADD #input :zero, #records :zero SET #last = :last"
_GONE = "ADD #input :input, #records :zero"
_IS_NEWER = "attribute_not_exists(#sequence) OR (contains(#sequence, :space) AND #sequence < :first)"
"""A mark without a space is a bare number of an earlier version. It cannot be compared with a label."""
_IS_AS_READ = "#sequence = :replaced"


def read(profile: str, device: str | None) -> Counters | None:
    """Return the counters of a device, or None if nothing was counted yet. Without a device, those of the profile."""
    if device is not None:
        raw = get(EntityModel, key(profile, device))
        is_counted = raw is not None and not raw.keys().isdisjoint({"sequence", "last_input_ms"})
        return _add_up([raw]) if raw and is_counted else None  # else only its output was counted
    bounds = (names.profile(profile), names.COUNTERS, names.COUNTERS + "~")
    return _add_up(list(query(EntityModel, ("owner", "name"), bounds, False, None)))


def _add_up(rows: list[dict[str, Any]]) -> Counters:
    points_in, records = (sum(int(raw[name]["N"]) for raw in rows) for name in ("input", "records"))
    times = [int(raw["last_input_ms"]["N"]) for raw in rows if "last_input_ms" in raw]
    return Counters(points_in, max(0, records), max(times, default=None))


def add(delta: Delta, on_new_day: Callable[[str, str], None] | None = None) -> Counted | None:
    """Add to the counters of a device, unless they include the change ``delta.first`` already. Cost: one update.

    Args:
        delta: what to add.
        on_new_day: called with the profile and the device after the first new segment that is stored later than one
            o'clock, UTC, if an earlier day has segments to be sealed.

    Returns:
        None if it was added; else what the counters include.

    Raises:
        Rejected: DynamoDB will never accept it.
        errors.Unavailable: a retry may help.
    """
    if delta.replaces is None:
        condition, marks = _IS_NEWER, {":first": {"S": delta.first}, ":space": {"S": " "}}
    else:
        condition, marks = _IS_AS_READ, {":replaced": {"S": delta.replaces}}
    sets: dict[str, Any] = {"sequence": {"S": delta.last}}
    if delta.last_input_ms is not None:
        sets["last_input_ms"] = {"N": str(delta.last_input_ms)}
    ended = (delta.hour - 1) // 24  # this day has not ended for an hour yet; all before have
    if delta.days:
        sets["ended"] = {"N": str(ended)}
    added = _Added(delta.hour, delta.points_in, 0, delta.records, delta.days)
    place = _Place(key(delta.profile, delta.device), names.device(delta.device))
    try:
        before = _update(place, added, sets, condition, marks)
    except ClientError as error:
        return _counted(refused(error) or {})
    except errors.Unavailable as error:
        reason = rejection(error)
        if reason is None:
            raise
        raise Rejected(reason) from error
    if on_new_day is not None and delta.days and _is_first(before, ended):
        on_new_day(delta.profile, delta.device)
    return None


def _is_first(before: dict[str, Any], ended: int) -> bool:
    """Return whether this is the first change with that ``ended``, and earlier days have segments to be sealed."""
    return int(before.get("ended", {"N": "-1"})["N"]) < ended and any(day < ended for day in _days_of(before))


def days(profile: str, device: str) -> set[int]:
    """Return the UTC days, since 1970, with new segments that should be sealed. Cost: one read."""
    return _days_of(get(EntityModel, key(profile, device)) or {})


def forget_days(profile: str, device: str, forgotten: Iterable[int]) -> None:
    """Remove days from those that ``days`` returns. Cost: one update."""
    with contextlib.suppress(ClientError):  # only a refused condition: the device was erased
        call(
            "UpdateItem",
            TableName=EntityModel.Meta.table_name,
            Key=key(profile, device),
            UpdateExpression="DELETE #days :days",
            ConditionExpression="attribute_exists(#days)",
            ExpressionAttributeNames={"#days": "days"},
            ExpressionAttributeValues={":days": _set_of(forgotten)},
        )


def _days_of(raw: dict[str, Any]) -> set[int]:
    return {int(day) for day in raw.get("days", {"NS": []})["NS"]}


def _set_of(numbers: Iterable[int]) -> dict[str, Any]:
    return {"NS": [str(number) for number in sorted(numbers)]}


def _hour_of(raw: dict[str, Any]) -> int:
    """Return the hour of the last change of counters; -1 if there was none."""
    return int(raw.get("hour", {"N": "-1"})["N"])


class _Added(NamedTuple):
    """What is added to counters."""

    hour: int
    points_in: int
    points_out: int
    records: int
    days: frozenset[int] = frozenset()


class _Place(NamedTuple):
    """Where counters are, and the owner of the hours that they leave behind."""

    key: dict[str, Any]
    owner: str


def add_to_profile(profile: str, hour: int, points_in: int, records: int) -> None:
    """Add what was just added to devices to what their profile has used. A repetition would count twice.

    Cost: one update, and in each hour one write more.
    """
    _update(_Place(_profile_key(profile), names.profile(profile)), _Added(hour, points_in, 0, records), {})


def add_output(profile: str, device: str | None, points: int, last_ms: int) -> None:
    """See Store."""
    place = _Place(_profile_key(profile), names.profile(profile))
    if device is not None:
        place = _Place(key(profile, device), names.device(device))
    added = _Added(last_ms // hours.HOUR_MS, 0, points, 0)
    _update(place, added, {"last_output_ms": {"N": str(last_ms)}})


def balance(profile: str) -> bool:
    """See Store. What a profile had sent before it was first balanced is an offset: it is not of this month."""
    place = _Place(_profile_key(profile), names.profile(profile))
    before, sums = get(EntityModel, place.key) or {}, read(profile, None) or Counters(0, 0, None)
    if (get(EntityModel, place.key) or {}) != before:
        return False  # it is being counted
    _, points_in, _, records = _totals(0, before)
    offset = int(before["offset"]["N"]) if "offset" in before else sums.points_in - points_in
    missing_in, missing_records = sums.points_in - offset - points_in, sums.records - records
    is_wrong = bool(missing_in or missing_records)
    if is_wrong or "offset" not in before:
        _update(place, _Added(hours.now(), missing_in, 0, missing_records), {"offset": {"N": str(offset)}})
    return is_wrong


def usage(profile: str, device: str | None) -> Usage:
    """See Store."""
    raw = get(EntityModel, _profile_key(profile) if device is None else key(profile, device)) or {}
    month = hours.month(hours.now())
    points_in, points_out, records = (
        int(raw.get(name, {"N": "0"})["N"]) for name in (f"in {month}", f"out {month}", "records")
    )
    last_in, last_out = (int(raw[name]["N"]) if name in raw else None for name in ("last_input_ms", "last_output_ms"))
    return Usage(points_in, points_out, max(0, records), last_in, last_out)


def history(profile: str, device: str | None, low: int, high: int) -> list[Totals]:
    """See Store."""
    owner = names.profile(profile) if device is None else names.device(device)
    columns, last = ("owner", "name"), names.HOURS + "~"
    found = [_kept(raw) for raw in query(EntityModel, columns, (owner, names.hour(low), names.hour(high)), False, None)]
    for raw in query(EntityModel, columns, (owner, names.hour(high + 1), last), False, 1):
        return [*found, _kept(raw)]
    now = get(EntityModel, _profile_key(profile) if device is None else key(profile, device)) or {}
    return [*found, _totals(hours.now() + 1, now)]


def _kept(raw: dict[str, Any]) -> Totals:
    doc = EntityModel.from_raw_data(raw).doc
    return Totals(int(raw["name"]["S"].removeprefix(names.HOURS)), doc["input"], doc["output"], doc["records"])


def _totals(hour: int, raw: dict[str, Any]) -> Totals:
    """Return the totals of a raw item of counters."""
    return Totals(hour, *(int(raw.get(name, {"N": "0"})["N"]) for name in ("input", "output", "records")))


def _update(
    place: _Place, added: _Added, sets: dict[str, Any], condition: str = "", values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Add to counters, and return what they were. Before the first change of an hour, keep that.

    Args:
        place: where the counters are.
        added: what is added.
        sets: further attributes to set, as raw values.
        condition: of the update. It may use ``#sequence`` and ``values``.
        values: what the condition uses.

    Raises:
        ClientError: the condition does not hold.
    """
    month = hours.month(added.hour)
    sums = {"input": added.points_in, "records": added.records, "output": added.points_out}
    monthly = {f"in {month}": added.points_in, f"out {month}": added.points_out}
    sums |= {name: points for name, points in monthly.items() if points}
    adds = {name: {"N": str(points)} for name, points in sums.items()}
    if added.days:
        adds["days"] = _set_of(added.days)
    set_all = {"hour": {"N": str(added.hour)}, **sets}
    parameters: dict[str, Any] = {
        "UpdateExpression": f"ADD {_pairs(adds, ' ')} SET {_pairs(set_all, ' = ')}",
        "ExpressionAttributeNames": {_alias("#", name): name for name in (*adds, *set_all)},
        "ExpressionAttributeValues": {
            **{_alias(":", name): value for name, value in (adds | set_all).items()},
            **(values or {}),
        },
    }
    if condition:
        parameters |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    answer = call(
        "UpdateItem", TableName=EntityModel.Meta.table_name, Key=place.key, ReturnValues="ALL_OLD", **parameters
    )
    before: dict[str, Any] = answer.get("Attributes", {})
    if _hour_of(before) < added.hour:
        _begin_hour(place, added.hour, before)
    return before


def _pairs(attributes: dict[str, Any], sign: str) -> str:
    return ", ".join(f"{_alias('#', name)}{sign}{_alias(':', name)}" for name in attributes)


def _alias(kind: str, name: str) -> str:
    """Return the placeholder of an attribute's name (``#``) or value (``:``)."""
    return kind + "".join(character for character in name if character.isalpha())


def _begin_hour(place: _Place, hour: int, before: dict[str, Any]) -> None:
    """Keep what was used before an hour, and forget the sums of earlier months.

    If this fails, the statistics show the next hour's numbers in place of that hour's. The counters are right.
    """
    _, points_in, points_out, records = _totals(hour, before)
    doc = {"input": points_in, "output": points_out, "records": records}
    kept = Entity(place.owner, names.hour(hour), doc, 1, (hour + hours.KEPT) * 3_600)
    month = hours.month(hour)
    stale = [name for name in before if name.startswith(("in ", "out ")) and not name.endswith(month)]
    table = EntityModel.Meta.table_name
    try:
        call(
            "PutItem",
            TableName=table,
            Item=EntityModel(**kept._asdict()).serialize(),
            ConditionExpression="attribute_not_exists(#hash)",
            ExpressionAttributeNames={"#hash": "owner"},
        )
        if stale:
            aliases = {f"#stale{number}": name for number, name in enumerate(stale)}
            call(
                "UpdateItem", TableName=table, Key=place.key,
                UpdateExpression=f"REMOVE {', '.join(aliases)}", ExpressionAttributeNames=aliases,
            )  # fmt: skip
    except ClientError:
        pass  # another process has kept it
    except errors.Unavailable as error:
        log.line("warning", function="counters", kept_hour=hour, cause=log.cause(error))


def _profile_key(profile: str) -> dict[str, Any]:
    return {"owner": {"S": names.profile(profile)}, "name": {"S": names.USAGE}}


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
