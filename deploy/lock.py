"""Lets one deployer at a time change a stage, by an item in the table of entities. It ends if nobody renews it."""

import contextlib
import getpass
import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.store import names as rows
from deploy.parts import Cloud, RefusedError

LASTS_S = 120
_RENEWED_S = 30
_KEY = {"owner": {"S": rows.DEPLOYMENT}, "name": {"S": rows.LOCK}}
_NAMES = {"#doc": "doc"}


class LockedError(RefusedError):
    """Another deployer changes the stage. The text says who, since when, and what to do."""


@contextlib.contextmanager
def held(cloud: Cloud, command: str, *, is_used: bool = True) -> Iterator[None]:
    """Hold the lock of a stage. Renews it every half a minute, and removes it at the end and on SIGTERM and SIGHUP.

    Takes over the lock of a process of this machine that has ended. If another deployer has taken the lock over, as
    this machine slept, the process ends. Costs a write, one more each half a minute, and one at the end.

    Args:
        cloud: the account and stage. Its table of entities must exist.
        command: what others are told that runs, such as up.
        is_used: whether the stage uses the tables of ``cloud.names``, and not only will.

    Raises:
        LockedError: another deployer has the lock, or gave the stage other tables before this one had it.
    """
    lock = _Lock(cloud.client("dynamodb"), cloud.names.entities, command)
    lock.take()
    if is_used and cloud.used_names() != cloud.names:
        lock.release()
        raise LockedError("Another deployer has just restored this stage. Run the command again")
    released = threading.Event()
    renewal = threading.Thread(target=lock.keep, args=(released,), daemon=True)
    renewal.start()
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        released.set()
        renewal.join()
        lock.release()


def _end(number: int, _: FrameType | None) -> None:
    """End the process as the signal would, but by an exception: so the lock is removed."""
    raise SystemExit(128 + number)


class _Lock:
    def __init__(self, client: Any, table: str, command: str) -> None:
        self._client, self._table = client, table
        holder = {
            "who": f"{getpass.getuser()}@{platform.node()}",
            "command": command,
            "since_s": int(time.time()),
            "pid": os.getpid(),
            "machine": _machine(),
        }
        self._mine = {"S": json.dumps(holder)}

    def take(self) -> None:
        """Write the item if there is none, or one that has expired, or one of a process here that has ended."""
        free = {
            "ConditionExpression": "attribute_not_exists(#doc) OR #expires <= :now",
            "ExpressionAttributeNames": _NAMES | {"#expires": "expires_at"},
            "ExpressionAttributeValues": {":now": {"N": str(int(time.time()))}},
        }
        if self._put(free):
            return
        item = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True).get("Item")
        if item is not None and item["doc"] == self._mine:  # the answer to our write was lost, and botocore repeated it
            return
        if item is not None:
            holder = json.loads(item["doc"]["S"])
            if not _has_ended(holder):
                raise LockedError(_refusal(holder, int(item["expires_at"]["N"])))
        if not self._put(_held_by(item["doc"]) if item else free):
            raise LockedError("Another deployer has just begun to change this stage. Wait until it ends")

    def keep(self, released: threading.Event) -> None:
        """Renew the item until the event is set."""
        while not released.wait(_RENEWED_S):
            try:
                if not self._put(_held_by(self._mine)):
                    print("Stopped: another deployer has taken over the stage.", file=sys.stderr, flush=True)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
            except (ClientError, BotoCoreError) as error:
                print(f"warning     the lock of the stage was not renewed: {error}", flush=True)

    def release(self) -> None:
        """Remove the item if it is ours. Its table may be gone: ``down --data`` removes it."""
        with contextlib.suppress(ClientError, BotoCoreError):  # then it ends by itself
            self._client.delete_item(TableName=self._table, Key=_KEY, **_held_by(self._mine))

    def _put(self, condition: dict[str, Any]) -> bool:
        """Write the item with a new expiry. Return whether the condition was met."""
        item = {
            **_KEY,
            "doc": self._mine,
            "version": {"N": "1"},
            "expires_at": {"N": str(int(time.time()) + LASTS_S)},
        }
        try:
            self._client.put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _held_by(doc: dict[str, str]) -> dict[str, Any]:
    """Return the condition that the item is still as somebody wrote it."""
    return {
        "ConditionExpression": "#doc = :doc",
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {":doc": doc},
    }


def _machine() -> str:
    """Return what the number of a process is unique in: this boot and its namespace. Empty: unknown."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _has_ended(holder: dict[str, Any]) -> bool:
    """Return whether the process was one of this machine and has ended."""
    if not holder["machine"] or holder["machine"] != _machine():
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _refusal(holder: dict[str, Any], expires_s: int) -> str:
    since = time.strftime("%H:%M:%S UTC", time.gmtime(holder["since_s"]))
    left_s = max(1, expires_s - int(time.time()))
    return (
        f"{holder['who']} has been running `{holder['command']}` on this stage since {since}. Wait until it ends. "
        f"If it was killed, its lock ends in {left_s} s"
    )
