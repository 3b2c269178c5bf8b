"""The command ``down``, and the removal of what a restore left."""

import functools
import subprocess
from collections.abc import Callable, Iterable

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import errors
from deploy import chalice, lock, storage
from deploy.commands import print_place, refuse_template, remove, report
from deploy.inventory import removable_parts
from deploy.parts import Cloud, Part


def down(cloud: Cloud, *, with_data: bool) -> int:
    """Remove what ``up`` made, in reverse order. Go on if a part fails.

    Args:
        cloud: the account and stage.
        with_data: whether to remove the tables and the secret too.

    Returns:
        1 if a part could not be removed. 0 if everything is removed, or waits for AWS to allow it.
    """
    print_place(cloud)
    refuse_template(cloud)
    if storage.table(cloud, cloud.names.entities).look() is None:
        return _remove_all(cloud, with_data=with_data)
    with lock.held(cloud, "down"):
        return _remove_all(cloud, with_data=with_data)


def _remove_all(cloud: Cloud, *, with_data: bool) -> int:
    _fails("Chalice's record", lambda: chalice.recover(cloud, afresh=True))
    parts: list[Part] = []

    def look(group: Callable[[], list[Part]]) -> None:
        parts.extend(group())

    failures = sum(_fails("a group of parts", functools.partial(look, group)) for group in removable_parts(cloud))
    kept = [part for part in parts if part.holds_data]
    logs = [part for part in parts if part.kind == "log group"]
    failures += _remove_each([part for part in parts if part not in (*kept, *logs)])
    if chalice.deployed(cloud.stage):
        failures += _fails("the functions and the API", lambda: chalice.run("delete", "--stage", cloud.stage))
    failures += _remove_each(logs)  # a function that still ran would make its log group anew
    if with_data:
        failures += _remove_each(kept) + _fails("the tables of a restore", lambda: _forget_restores(cloud))
    else:
        for part in kept:
            if part.look() is not None:
                report(part, "kept")
        for name in storage.other_tables(cloud):
            print(f"kept        table {name}, which is not in use: `restore --drop-old` removes it")
    if failures:
        print(f"{failures} parts could not be removed. Run the same command again to continue.")
    return 1 if failures else 0


def drop_other_tables(cloud: Cloud) -> list[str]:
    """Remove the tables of the stage that it does not use, print them, and return their names."""
    names = storage.other_tables(cloud)
    for name in names:
        storage.drop_table(cloud.client("dynamodb"), name)
        print(f"removed     table {name}", flush=True)
    return names


def _forget_restores(cloud: Cloud) -> None:
    """Remove the tables that the stage does not use, and what says which it uses."""
    drop_other_tables(cloud)
    if cloud.names.restored:
        cloud.client("ssm").delete_parameter(Name=cloud.names.tables_parameter)


def _remove_each(parts: Iterable[Part]) -> int:
    """Remove each part. Return how many failed."""
    return sum(_fails(f"{part.kind} {part.name}", functools.partial(remove, part)) for part in parts)


def _fails(what: str, action: Callable[[], object]) -> bool:
    """Do something. Return whether it failed, and print why."""
    try:
        action()
    except (ClientError, BotoCoreError, errors.Unavailable, subprocess.CalledProcessError) as error:
        print(f"failed      {what}: {error}", flush=True)
        return True
    return False
