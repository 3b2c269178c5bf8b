"""Brings a stage back to a second of the last 35 days, in new tables.

A restore always makes new tables. The stage keeps using the old ones until the new ones are complete and verified. Then
one parameter in AWS says that the stage uses the new ones, and ``up`` follows it. The old tables stay until
``--drop-old``, and ``--back`` returns to them. Each step looks first, so an interrupted restore can be run again.
"""

import datetime
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from chalicelib import settings, store
from chalicelib.codec import keys
from chalicelib.services.access import callers, tokens
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import erasures
from chalicelib.store import Doc
from chalicelib.store import names as rows
from deploy import commands, functions, lock, recount, removal, storage
from deploy.inventory import use_deployed_store
from deploy.names import Names
from deploy.parts import Cloud, RefusedError

_POLL_S = 30
_SAMPLED = 20
"""How many devices are looked at for their newest points."""


class _Rows(NamedTuple):
    """What the tables hold of the devices and tokens of all profiles, by id or fingerprint."""

    profiles: set[str]
    devices: dict[str, Doc]
    tokens: dict[str, Doc]


def mark_of(time_: datetime.datetime) -> str:
    """Return the mark of the tables that are restored to a time.

    >>> mark_of(datetime.datetime(2026, 11, 26, 7, tzinfo=datetime.UTC))
    'r20261126T070000Z'
    """
    return f"r{time_.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}"


def restore(cloud: Cloud, to: datetime.datetime, *, keep_deleted: bool) -> int:
    """Restore both tables to a time, and make the stage use them.

    It can take hours. If it is interrupted, a second run continues it. Nothing that the stage uses changes until the
    new tables are complete.

    Args:
        cloud: the account and stage.
        to: the time, with whole seconds.
        keep_deleted: whether tokens and devices that were deleted after the time come back.

    Returns:
        The exit status of ``check`` at the end.

    Raises:
        RefusedError: the time cannot be restored, or the restored tables are not what they should be.
        lock.LockedError: somebody else changes the stage.
        botocore.exceptions.ClientError: AWS refused a call.
    """
    commands.begin_change(cloud)
    new = cloud.using(Names(cloud.stage, mark_of(to)))
    if new.names == cloud.names:
        return _finish(cloud)
    with lock.held(cloud, "restore"):
        _check_begin(cloud, to)
        for old_table, new_table in _tables(cloud.names, new.names):
            _begin(cloud, old_table, new_table, to)
        _wait(cloud, [new.names.segments, new.names.entities])
        with lock.held(new, "restore", is_used=False):
            if _has_note(new, "used"):
                raise RefusedError(
                    f"{new.names.segments} holds what came in while the stage used it. "
                    "Remove it with `restore --drop-old` first, or name another second"
                )
            if keep_deleted and _has_note(new, "deleted"):
                raise RefusedError(
                    f"An earlier run has deleted devices or tokens in {new.names.entities}. "
                    "Remove it with `restore --drop-old` first, or name another second"
                )
            for old_table, new_table in _tables(cloud.names, new.names):
                commands.ensure(storage.table(new, new_table))
                _copy_tags(cloud, old_table, new_table)
            then, now = _verify(cloud, new, to)
            _delete_again(new, then, now, keep_deleted=keep_deleted)
            _recount(new)
            return _switch(cloud, new)


def back(cloud: Cloud) -> int:
    """Make the stage use the tables again from which its tables were restored.

    Raises:
        RefusedError: its tables were not restored, or the old ones are gone.
    """
    commands.begin_change(cloud)
    if _is_interrupted(cloud):
        return _finish(cloud)
    description = cloud.client("dynamodb").describe_table(TableName=cloud.names.segments)["Table"]
    source = description.get("RestoreSummary", {}).get("SourceTableArn", "").rpartition("/")[2]
    names = cloud.names.of_table(source)
    if names is None or not {names.segments, names.entities} <= set(storage.tables_of_stage(cloud)):
        raise RefusedError(f"There are no older tables: {cloud.names.segments} was not restored from one that exists")
    old = cloud.using(names)
    with lock.held(cloud, "restore"), lock.held(old, "restore", is_used=False):
        return _switch(cloud, old)


def drop_old(cloud: Cloud) -> int:
    """Remove the tables of the stage that it does not use.

    Raises:
        RefusedError: a restore was interrupted, so that the functions still use what would be removed.
    """
    commands.begin_change(cloud)
    if _is_interrupted(cloud):
        raise RefusedError("The functions still use other tables than the stage. Run `up` first")
    with lock.held(cloud, "restore"):
        if not removal.drop_other_tables(cloud):
            print("There are no other tables")
    return 0


def _tables(old: Names, new: Names) -> tuple[tuple[str, str], ...]:
    return (old.segments, new.segments), (old.entities, new.entities)


def _check_begin(cloud: Cloud, to: datetime.datetime) -> None:
    if storage.secret(cloud).look() is None:
        raise RefusedError(f"{cloud.names.secret_parameter} is missing: without it, no restored token works")
    for name in (cloud.names.segments, cloud.names.entities):
        answer = cloud.client("dynamodb").describe_continuous_backups(TableName=name)
        window = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        first, last = window.get("EarliestRestorableDateTime"), window.get("LatestRestorableDateTime")
        if first is None or not first <= to <= last:
            known = f"from {_utc(first)} to {_utc(last)}" if first else "at no time"
            older = ". For an earlier second, run `restore --back` first" if cloud.names.restored else ""
            raise RefusedError(f"{name} can be restored {known}{older}")


def _utc(time_: datetime.datetime) -> str:
    return f"{time_.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _note_key(names: Names, what: str) -> dict[str, dict[str, str]]:
    """Return the key of a note in the entities table. It names the tables, as a later restore copies the row."""
    return {"owner": {"S": rows.DEPLOYMENT}, "name": {"S": rows.restored(names.restored, what)}}


def _note(cloud: Cloud, what: str) -> None:
    """Note in the entities table what became of these tables."""
    item = {**_note_key(cloud.names, what), "doc": {"S": "{}"}, "version": {"N": "1"}}
    cloud.client("dynamodb").put_item(TableName=cloud.names.entities, Item=item)


def _has_note(cloud: Cloud, what: str) -> bool:
    client = cloud.client("dynamodb")
    return "Item" in client.get_item(TableName=cloud.names.entities, Key=_note_key(cloud.names, what))


def _begin(cloud: Cloud, old: str, new: str, to: datetime.datetime) -> None:
    client = cloud.client("dynamodb")
    found = storage.describe(client, new)
    if found is None:
        client.restore_table_to_point_in_time(
            SourceTableName=old,
            TargetTableName=new,
            RestoreDateTime=to,
            BillingModeOverride="PAY_PER_REQUEST",
        )
        print(f"restoring   {old} to {new}", flush=True)
    elif not found.get("RestoreSummary", {}).get("SourceTableArn", "").endswith(f"/{old}"):
        raise RefusedError(f"{new} exists, and was not restored from {old}. Remove it, or name another second")


def _wait(cloud: Cloud, names: Iterable[str]) -> None:
    """Wait until the tables can be used, which takes from minutes to hours."""
    client = cloud.client("dynamodb")
    for name in names:
        waited_s = 0
        while client.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
            if waited_s % 300 == 0:
                print(f"waiting     table {name} is being restored. To interrupt is safe: run it again", flush=True)
            time.sleep(_POLL_S)
            waited_s += _POLL_S


def _copy_tags(cloud: Cloud, old: str, new: str) -> None:
    """Give a table the tags of another one. A restore carries none over."""
    client = cloud.client("dynamodb")
    tags = [
        tag
        for page in client.get_paginator("list_tags_of_resource").paginate(ResourceArn=_arn(cloud, old))
        for tag in page["Tags"]
        if not tag["Key"].startswith("aws:")
    ]
    if tags:
        client.tag_resource(ResourceArn=_arn(cloud, new), Tags=tags)


def _arn(cloud: Cloud, table: str) -> str:
    return cloud.arn("dynamodb", f"table/{table}")


def _verify(cloud: Cloud, new: Cloud, to: datetime.datetime) -> tuple[_Rows, _Rows]:
    """Compare the restored tables with those in use, and print it. Leaves the services on the restored ones.

    Returns:
        What is restored, and what is in use.

    Raises:
        RefusedError: the restored tables are not what they should be.
    """
    client = cloud.client("dynamodb")
    for old_table, new_table in _tables(cloud.names, new.names):
        old_keys, new_keys = (
            client.describe_table(TableName=name)["Table"]["KeySchema"] for name in (old_table, new_table)
        )
        if old_keys != new_keys:
            raise RefusedError(f"{new_table} has the keys {new_keys}, not {old_keys}")
    now = _rows_of(cloud)
    then = _rows_of(new)
    for what, before, after in (
        ("profiles", then.profiles, now.profiles),
        ("devices", set(then.devices), set(now.devices)),
        ("tokens", set(then.tokens), set(now.tokens)),
    ):
        print(f"{what:<11} {len(before)} restored, {len(after)} now; {len(after - before)} came after {to:%H:%M:%S}")
    if now.profiles and not then.profiles:
        raise RefusedError("The restored tables hold no profile")
    late = _later_than(then.devices, to)
    if late:
        print(f"note        {late} of the devices that were looked at hold points with a later time, as clients may")
    return then, now


def _delete_again(new: Cloud, then: _Rows, now: _Rows, *, keep_deleted: bool) -> None:
    """Delete the devices and tokens in the restored tables that the tables in use no longer have."""
    deleted = {device: doc for device, doc in then.devices.items() if device not in now.devices}
    tokens_left = [doc for fingerprint, doc in then.tokens.items() if fingerprint not in now.tokens]
    what = f"{len(deleted)} devices and {len(tokens_left)} tokens that were deleted since"
    if not deleted and not tokens_left:
        return
    if keep_deleted:
        print(f"kept        {what}")
        return
    _note(new, "deleted")
    for doc in deleted.values():
        erasures.begin(device=doc)
    for doc in tokens_left:
        if callers.of_doc(doc).subject not in deleted:
            tokens.remove(doc)
    print(f"deleted     {what}. To keep them, restore to another second with --keep-deleted")


def _recount(new: Cloud) -> None:
    """Count the mutable devices of the restored tables, which is exact, as nobody writes to them yet."""
    use_deployed_store(new)
    results = list(recount.recount(recount.find(None)))
    corrected = sum(result.outcome == "corrected" for result in results)
    print(f"counted     {len(results)} mutable devices again, {corrected} of them differed", flush=True)


def _rows_of(cloud: Cloud) -> _Rows:
    """Read the devices and tokens of all profiles. Leaves the services on these tables."""
    use_deployed_store(cloud)
    # The tables are not in use: nobody's session may end because a row in them is deleted.
    settings.use(replace(settings.current(), mqtt=False))
    known = store.current()
    ids = {profile["id"] for profile in profiles.list_all()}
    owners = [rows.profile(profile) for profile in ids]
    devices = {entity.doc["id"]: entity.doc for owner in owners for entity in known.list(owner, rows.DEVICES)}
    owners += [rows.device(device) for device in devices]
    listed = [entity.doc for owner in owners for entity in known.list(owner, rows.TOKENS)]
    return _Rows(ids, devices, {doc["fingerprint"]: doc for doc in listed})


def _later_than(devices: Iterable[str], to: datetime.datetime) -> int:
    """Return how many of some devices hold a segment whose newest point is later than a time."""
    low, high = keys.key_bounds(int(to.timestamp() * 1000) + 1, keys.LATEST_MS)
    known = store.current()
    newest = [
        next(iter(known.scan_segments(device, low, high, newest_first=True, first_page=1)), None)
        for device in sorted(devices)[:_SAMPLED]
    ]
    return sum(item is not None and keys.key_time_ms(item.key) > to.timestamp() * 1000 for item in newest)


def _is_interrupted(cloud: Cloud) -> bool:
    """Return whether a switch was noted, but the functions still use the tables from before."""
    return functions.entities_table(cloud) not in (None, cloud.names.entities)


def _finish(cloud: Cloud) -> int:
    """Complete a switch that was interrupted after it was noted. Return the exit status of ``check``."""
    print(f"The stage uses {cloud.names.segments} already: `up` completes what is missing", flush=True)
    with lock.held(cloud, "restore"):
        commands.ensure_all(cloud)
        return commands.check(cloud)


def _switch(old: Cloud, new: Cloud) -> int:
    """Make the stage use other tables, and let ``up`` follow. Return the exit status of ``check``."""
    # What is left of the old table's stream must not be counted into the new tables.
    commands.remove(functions.stream_mapping(old))
    functions.wait_without_mapping(old)
    client, parameter = old.client("ssm"), old.names.tables_parameter
    if new.names.restored:
        client.put_parameter(Name=parameter, Type="String", Value=new.names.restored, Overwrite=True)
    else:
        client.delete_parameter(Name=parameter)
    print(f"switched    the stage to {new.names.segments} and {new.names.entities}", flush=True)
    _note(new, "used")
    commands.ensure_all(new)
    status = commands.check(new)
    print(
        f"\n{old.names.segments} and {old.names.entities} are not in use any more, and hold what came in until now. "
        f"`python -m deploy restore --drop-old --stage {old.stage}` removes them."
    )
    if new.names.restored:
        print("`restore --back` returns to them.")
    print(
        "MQTT clients that these tables do not know are unknown until IoT Core asks again, for up to 15 minutes: "
        "then run `python -m deploy retry --dead-letters`."
    )
    return status
