"""What the embedded mode does besides answering: removing what has expired, erasing, accounting, shrinking the file.

Each chore does a little in a turn of the event loop, at most 5 ms, and lets others go first then.
"""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, cast

from chalicelib import errors, store
from chalicelib.host import clock, deadline
from chalicelib.services.accounts import profile_erasures, teams
from chalicelib.services.devices import erasures, retention
from chalicelib.services.usage import outputs, quotas
from chalicelib.store.sqlite import SqliteStore
from chalicelib.store.sqlite_reads import EntityKey, Reads
from embedded import jobs
from embedded.commits import GroupCommit
from embedded.sealer import Sealer
from embedded.workers import SHARE_S, Workers

_DAY_S = 86_400
_ACCOUNT_S = 2.0
"""How often what was used is written and looked at."""
_ERASE_S = 1.0
"""How often erasures that were interrupted are looked for."""
_SHRINK_S = 10.0
"""How often free room in the file is looked for."""
_REST_S = 0.01
"""The pause between two slices that give room back: most of the time is for others."""
_MERGED_AFTER = 16
"""After how many slices a thread merges the write-ahead log. At 8 MB a commit of others would do it in the loop."""
_EXPIRED_AT_ONCE = 32
"""How many expired entities are removed in one turn of the loop."""


def of(sqlite: SqliteStore, commits: GroupCommit, workers: Workers) -> list[Coroutine[Any, Any, None]]:
    """Return the chores, which never end."""
    return [
        purge_daily(sqlite, workers),
        erase_soon(workers),
        account_often(sqlite),
        shrink_often(sqlite, commits),
        seal_often(sqlite, workers),
        jobs.work_often(workers),
    ]


async def seal_often(sqlite: SqliteStore, workers: Workers) -> None:
    """Seal small segments."""
    await Sealer(sqlite, workers).run()


async def purge_daily(sqlite: SqliteStore, workers: Workers) -> None:
    """Remove expired entities, and points that devices do not keep any more: at the start, then after each midnight."""
    while True:
        with contextlib.suppress(errors.Unavailable):
            await remove_expired(sqlite, workers)
            for _ in retention.purge(await workers.read(retention.immutable_devices)):
                await asyncio.sleep(0)
        await asyncio.sleep(_DAY_S - clock.now_ms() / 1000 % _DAY_S)


async def remove_expired(sqlite: SqliteStore, workers: Workers) -> None:
    """Remove expired entities. A thread finds them, a range of keys after the other."""
    after: EntityKey | None = ("", "")
    while after is not None:
        keys, after = await workers.read(partial(_expired, after))
        for first in range(0, len(keys), _EXPIRED_AT_ONCE):
            sqlite.remove_expired(keys[first : first + _EXPIRED_AT_ONCE])
            await asyncio.sleep(0)


def _expired(after: EntityKey) -> tuple[Sequence[EntityKey], EntityKey | None]:
    return cast(Reads, store.current()).expired(after)


async def erase_soon(workers: Workers) -> None:
    """Go on with erasures that are too long for one turn of the loop, a share of time after the other."""
    while True:
        pause_s = _ERASE_S
        for chore in (remove_members, _erase_devices, erase_profiles):
            try:  # one that takes long, or fails, does not keep the others from their work
                await chore(workers)
            except deadline.TooLong:
                pause_s = 2 * SHARE_S
            except errors.ApiError:
                pass
        await asyncio.sleep(pause_s)


async def remove_members(_: Workers | None) -> None:
    """Remove members of teams whose removal was too long for a request, a token at each turn of the loop."""
    for _step in teams.removals():
        await asyncio.sleep(0)


async def _erase_devices(_: Workers) -> None:
    erasures.resume()


async def erase_profiles(workers: Workers) -> None:
    """Remove what is left of erased profiles. What that is, a thread finds out; the devices' data goes first."""
    for remains in await workers.read(profile_erasures.found):
        for _ in profile_erasures.clear(remains):
            await asyncio.sleep(0)


async def account_often(sqlite: SqliteStore) -> None:
    """Write the output that reads have gathered, and compare what profiles have used with their quotas."""
    while True:
        await asyncio.sleep(_ACCOUNT_S)
        outputs.write()
        for profile in sqlite.take_changed():
            with contextlib.suppress(errors.ApiError):
                quotas.settle(profile=profile)
            await asyncio.sleep(0)


async def shrink_often(sqlite: SqliteStore, commits: GroupCommit) -> None:
    """Give free room in the file back to the disk, whenever there is much of it."""
    while True:
        await asyncio.sleep(_SHRINK_S)
        with contextlib.suppress(errors.Unavailable):
            if sqlite.space.is_worth_it():
                await shrink(sqlite, commits)


async def shrink(sqlite: SqliteStore, commits: GroupCommit) -> None:
    """Give all free pages back, a slice at a time and between the commits of others.

    Raises:
        errors.Unavailable: another program writes, or the disk is full. The rest stays.
    """
    for number in itertools.count(1):
        await commits.quiet()
        is_more = sqlite.space.give_back()
        if not is_more or number % _MERGED_AFTER == 0:
            with contextlib.suppress(sqlite3.Error):  # the file gets shorter when the log is merged, now or later
                await asyncio.to_thread(sqlite.checkpoint)
        if not is_more:
            return
        await asyncio.sleep(_REST_S)
