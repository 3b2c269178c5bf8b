"""Threads for reads that would keep the event loop busy, each with its own snapshot of the store.

At most four reads run at once, and one for each profile. Further ones wait in order of arrival. The Chalice app never
runs in a thread; services do, as they keep nothing between calls but caches, which a thread does not use.
"""

import asyncio
import contextlib
import math
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from chalicelib import store
from chalicelib.host import cache, deadline
from chalicelib.host.deadline import Limits
from chalicelib.store import Store
from chalicelib.store.sqlite_reads import Snapshot

THREADS = 4
SHARE_S = 0.003
"""How long a read may run in the event loop before it is given up and moves to a thread."""
SWITCH_S = 0.0005
"""How long a thread may run Python code while the loop waits. Python's own value is 5 ms."""


class Workers:
    """The threads.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = threading.local()
        self._snapshots: list[Snapshot] = []
        self._executor = ThreadPoolExecutor(THREADS, "read")
        self._free = asyncio.Semaphore(THREADS)
        self._turns: dict[str, asyncio.Lock] = {}
        self._counts: Counter[str] = Counter()
        self._limits: set[Limits] = set()

    @staticmethod
    def limit_the_loop() -> None:
        """Give reads a share of this thread, which runs the event loop, and let it interrupt the others soon."""
        deadline.set_share(SHARE_S)
        sys.setswitchinterval(SWITCH_S)

    async def run(self, profile: str, work: Callable[[], None], limits: Limits, gone: Awaitable[Any]) -> bool:
        """Call ``work`` in a thread when it is the profile's turn.

        Args:
            profile: whose read it is.
            work: keeps its own result.
            limits: the limits of the request.
            gone: done when the client has gone away. That ends the work.

        Returns:
            Whether the work was done; False if the client has gone away.

        Raises:
            errors.Unavailable: the database cannot be read.
        """
        task = asyncio.ensure_future(self._run(profile, work, limits))
        left = asyncio.ensure_future(gone)
        await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            limits.end_s = -math.inf
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
            return False
        left.cancel()
        task.result()
        return True

    async def _run(self, profile: str, work: Callable[[], None], limits: Limits) -> None:
        self._limits.add(limits)
        try:
            async with self._turn(profile), self._free:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._work, work, limits)
        finally:
            self._limits.discard(limits)

    @contextlib.asynccontextmanager
    async def _turn(self, profile: str) -> AsyncIterator[None]:
        """Wait until no read that came earlier from this profile runs or waits."""
        turn = self._turns.setdefault(profile, asyncio.Lock())
        self._counts[profile] += 1
        try:
            async with turn:
                yield
        finally:
            self._counts[profile] -= 1
            if not self._counts[profile]:
                del self._counts[profile], self._turns[profile]

    def _work(self, work: Callable[[], None], limits: Limits) -> None:
        snapshot: Snapshot | None = getattr(self._here, "snapshot", None)
        if snapshot is None:
            snapshot = self._here.snapshot = Snapshot(self._path)
            self._snapshots.append(snapshot)
        reads = cast(Store, snapshot)  # a Store without the calls that write
        with snapshot.opened(), store.using(reads), cache.bypassed(), deadline.using(limits):
            work()

    def close(self) -> None:
        """End what runs and waits, then the threads, and close their connections."""
        for limits in self._limits:
            limits.end_s = -math.inf
        self._executor.shutdown()
        for snapshot in self._snapshots:
            snapshot.close()
