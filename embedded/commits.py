"""Group commit: all writes of one turn of the event loop share one SQLite transaction.

On a disk that syncs fast, COMMIT waits for the disk. On a slow disk this would keep all other requests waiting. There
COMMIT only writes, a thread syncs the write-ahead log, and the next group forms meanwhile. In both cases no answer
leaves before everything that its request wrote, or read, is safe.
"""

import asyncio
import contextlib
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from chalicelib import errors
from chalicelib.store import names
from chalicelib.store.sqlite import SqliteStore
from embedded.measured import COMMIT_S, Histogram

MAX_WAIT_S = 0.005
"""The longest that a commit waits while each turn of the loop writes more."""
SLOW_S = 0.001
"""A disk that takes longer than this to sync is synced in a thread. Below, the way to the thread costs more."""
CHECKPOINT_BYTES = 4_000_000
"""The size from which the write-ahead log is merged into the database, if a thread syncs."""
Settled = Callable[[bool], None]
T = TypeVar("T")


class _Group:
    """Those who wait until a transaction is safe."""

    __slots__ = ("_calls", "_waiters", "is_kept")

    def __init__(self) -> None:
        self.is_kept: bool | None = None
        """Whether the transaction was kept; None: it is not known yet."""
        self._calls: list[Settled] = []
        self._waiters: list[asyncio.Future[bool]] = []

    def call(self, then: Settled) -> None:
        """Call ``then`` with ``is_kept`` as soon as that is known."""
        if self.is_kept is None:
            self._calls.append(then)
        else:
            then(self.is_kept)

    async def wait(self) -> bool:
        """Wait until ``is_kept`` is known, and return it."""
        if self.is_kept is not None:
            return self.is_kept
        # Each request has its own future: cancelling one must not cancel the others. Cheaper than asyncio.shield.
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def settle(self, *, is_kept: bool) -> None:
        """Tell those who wait. Further calls do nothing, as one group may have two numbers."""
        if self.is_kept is not None:
            return
        self.is_kept = is_kept
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(is_kept)
        loop = asyncio.get_running_loop()
        for call in self._calls:
            loop.call_soon(call, is_kept)


class GroupCommit:
    """Commits once for everything that a turn of the loop wrote, and notifies the waiters.

    Args:
        store: the store whose writes are committed.
        is_alone: returns whether no other client waits for an answer. If so, the commit does not wait for more writes.
        disk: syncs in a thread; None: COMMIT itself makes the writes safe.
    """

    def __init__(
        self, store: SqliteStore, is_alone: Callable[[], bool] = lambda: False, disk: "Disk | None" = None
    ) -> None:
        self.store = store
        self._is_alone = is_alone
        self._disk = disk
        self._is_syncing = False
        self._has_failed = False
        """Whether a sync has failed. Nothing that was read or written since can be trusted."""
        self._open: _Group | None = None
        self._waiting: dict[int, _Group] = {}
        """By its number, each transaction that is not safe yet: the one that syncs, and the open one."""
        self._latest_s = self._began_s = 0.0
        self.times = Histogram(COMMIT_S)
        """How long commits took, from their begin until they were safe."""
        self._is_nearly_merged = False
        """Whether a thread has merged the log but for the open transaction."""
        store.touched.clear()
        store.grouped = True
        store.on_begin = self._begin

    def _begin(self) -> None:
        if self._open is None:
            loop = asyncio.get_running_loop()
            self._open = _Group()
            self._latest_s = loop.time() + MAX_WAIT_S
            loop.call_soon(loop.call_soon, self._look, loop, self._open, self.store.writes)
        self._waiting[self.store.group] = self._open  # a second number, if SQLite undid the first by itself

    def _look(self, loop: asyncio.AbstractEventLoop, group: _Group, writes: int) -> None:
        """Commit if the last turn of the loop wrote nothing, else look again after the next turn."""
        if self._open is not group:
            return
        if self.store.writes != writes and loop.time() < self._latest_s:
            loop.call_soon(self._look, loop, group, self.store.writes)
        else:
            self._commit()

    def _commit(self) -> None:
        """Commit the open transaction. While a thread syncs, nothing is committed: the end of the sync does it."""
        if self._open is None or self._is_syncing:
            return
        self._open, number = None, self.store.group
        self._began_s = time.perf_counter()
        try:
            self.store.commit()
        except errors.Unavailable:
            self._settle(number, is_kept=False)
            return
        if self._is_nearly_merged:
            # The log begins again only if a transaction begins when all of it is merged. Only now none is open.
            self._is_nearly_merged = False
            with contextlib.suppress(sqlite3.Error):
                self.store.checkpoint()
        if self._disk is None:
            self._settle(number, is_kept=True)
            return
        self._is_syncing = True
        self._disk.sync(lambda log_bytes: self._synced(number, log_bytes))

    def _synced(self, number: int, log_bytes: int | None) -> None:
        is_kept = log_bytes is not None
        self._has_failed = self._has_failed or not is_kept
        self._settle(number, is_kept=is_kept)
        assert self._disk is not None  # noqa: S101 - it has called this
        if log_bytes is not None and log_bytes > CHECKPOINT_BYTES:
            self._disk.checkpoint(self._merged)
        else:
            self._resume()

    def _merged(self) -> None:
        self._is_nearly_merged = True
        self._resume()

    def _resume(self) -> None:
        self._is_syncing = False
        self._commit()

    def _settle(self, number: int, *, is_kept: bool) -> None:
        """Tell those who wait for a transaction whether it was kept."""
        if is_kept:
            self.times.note(time.perf_counter() - self._began_s)
        touched = self.store.touched
        for owner in [owner for owner, newest in touched.items() if newest <= number]:
            del touched[owner]
        while self._waiting and (oldest := next(iter(self._waiting))) <= number:  # in rising order
            self._waiting.pop(oldest).settle(is_kept=is_kept)

    def settle(self, then: Settled, *, is_alone: bool) -> None:
        """Call ``then`` with True once everything written so far is safe, or with False once it was undone.

        If nothing is waiting to be safe, ``then`` is called at once.
        """
        if self._has_failed:
            then(False)
            return
        group = next(reversed(self._waiting.values()), None)
        if is_alone:
            self._commit()
        if group is None:
            then(True)
        else:
            group.call(then)

    def watch(self) -> int:
        """Note what is read from now on. Return a mark for ``needed``."""
        self.store.read_of = 0
        return self.store.writes

    @property
    def newest(self) -> int:
        """The number of the newest transaction."""
        return self.store.group

    def needed(self, mark: int, facts: Mapping[str, str]) -> int:
        """Return the number of the transaction that must be safe before an answer leaves; 0: none.

        Args:
            mark: from ``watch``. Since then, only the request of this answer has used the store.
            facts: the ``profile`` and ``device`` whose cached documents the request may have used.
        """
        if self.store.writes != mark:
            return self.store.group
        if self._waiting:
            self.store.note_read(names.profile(facts.get("profile", "")))
            self.store.note_read(names.device(facts.get("device", "")))
        return self.store.read_of

    async def wait(self, number: int) -> bool:
        """Wait until a transaction from ``needed`` is safe; return False if it was undone instead."""
        group = self._waiting.get(number)
        if group is None or self._has_failed:
            return not self._has_failed
        if self._is_alone():
            self._commit()
        return await group.wait()

    async def quiet(self) -> None:
        """Wait until no transaction is open and no sync runs. Then the caller may commit a transaction of its own.

        It must do so before it awaits anything.
        """
        while self._waiting or self._is_syncing:
            group = next(reversed(self._waiting.values()), None)
            await (asyncio.sleep(MAX_WAIT_S) if group is None else group.wait())


class Disk:
    """Syncs the write-ahead log of a store in a thread, and merges it into the database.

    The store must have ``synchronous=NORMAL``. It does not commit while a call of this class runs.

    Args:
        store: the store.
    """

    def __init__(self, store: SqliteStore) -> None:
        self._store, self._executor = store, ThreadPoolExecutor(1, "disk")
        self._has_failed = False
        self.on_failure: Callable[[], None] = lambda: None
        """Called once if a sync fails. What the system reports as written afterwards cannot be trusted, so the process
        must end. At the next start the database holds what was safe."""
        store.leave_checkpoints()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown()

    def sync(self, then: Callable[[int | None], None]) -> None:
        """Call ``then`` when all that was committed is on the disk, with the bytes of the log; None: it failed."""

        def done(future: "asyncio.Future[int]") -> None:
            if future.exception() is not None and not self._has_failed:
                self._has_failed = True
                self.on_failure()
            then(None if self._has_failed else future.result())

        self._run(self._sync).add_done_callback(done)

    def _sync(self) -> int:
        """Sync the log, whichever file has its name now; return its size."""
        log = Path(f"{self._store.path}-wal")
        sync(log)
        return log.stat().st_size

    def checkpoint(self, then: Callable[[], None]) -> None:
        """Merge the log into the database as far as no reader needs it, then call ``then``. A failure does no harm."""

        def done(future: "asyncio.Future[None]") -> None:
            future.exception()
            then()

        self._run(self._store.checkpoint).add_done_callback(done)

    def _run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._executor, work)


def sync(path: Path) -> None:
    """Wait until the disk has all of a file. Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def sync_time_s(directory: Path) -> float:
    """Measure how long the disk under a directory takes to sync a page.

    Returns:
        The lower quartile of eight, in seconds: other programs that use the disk can only make a sync slower. 0 if it
        cannot be measured, for example because the disk is full.
    """
    probe, times_s = directory / "sync.probe", []
    try:
        for _ in range(8):
            probe.write_bytes(os.urandom(4_096))
            began_s = time.perf_counter()
            sync(probe)
            times_s.append(time.perf_counter() - began_s)
    except OSError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)
    return statistics.quantiles(times_s)[0]
