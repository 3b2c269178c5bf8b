"""Threads for work that would keep the event loop busy.

At most four reads run at once, and one for each profile, each on a snapshot of the store. Payload parsers run for two
requests at once, calls of clients' servers for four, and each for one of a profile. One body is parsed at once, and one
password is hashed. Further ones wait in order of arrival. The Chalice app never runs in a thread; services do,
as they keep nothing between calls but caches, which a thread does not use.
"""

import asyncio
import math
import os
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from chalicelib import errors, store
from chalicelib.host import cache, deadline
from chalicelib.host.deadline import Limits
from chalicelib.http.answers import Lane, Postponed
from chalicelib.store import Store
from chalicelib.store.sqlite_reads import Snapshot

T = TypeVar("T")
READERS = 4
PARSERS = 2
POSTS = 4
MAX_WAITING = 16
"""How many reads, and bodies, of one profile may wait or run; and how many passwords of all profiles together."""
MAX_PARSING = 256
"""How many requests of one profile may wait for its payload parsers, or have them run. Most take 1 ms, and devices like
to send at the same moment."""
SHARE_S = 0.003
"""How long a read may run in the event loop before it is given up and moves to a thread."""
SWITCH_S = 0.0005
"""How long a thread may run Python code while the loop waits. Python's own value is 5 ms."""
_NICE = 10
"""How much less important threads of payload parsers are than others, as for the command ``nice``."""
_TOO_MANY = "Too many long requests of this profile at once, try again"
_TOO_MANY_HASHES = "Too many passwords are being checked at once, try again"


def _step_back() -> None:
    """Let the other threads of the process come first. Only Linux has a priority for each thread."""
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, max(_NICE, os.getpriority(os.PRIO_PROCESS, own)))


class Work(NamedTuple):
    """Work that no HTTP request waits for."""

    lane: Lane
    limits: Limits
    work: Callable[[], object]


class Workers:
    """The threads.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = threading.local()
        self._snapshots: list[Snapshot] = []
        self._executor = ThreadPoolExecutor(READERS + POSTS + 2, "work")
        self._parsers = ThreadPoolExecutor(PARSERS, "parser", _step_back)
        self._reading = asyncio.Semaphore(READERS)
        self._free: dict[Lane, asyncio.Semaphore] = {
            "read": self._reading, "parse": asyncio.Semaphore(1), "hash": asyncio.Semaphore(1),
            "script": asyncio.Semaphore(PARSERS), "post": asyncio.Semaphore(POSTS),
        }  # fmt: skip
        self._turns: dict[tuple[str, Lane], asyncio.Lock] = {}
        """By profile and kind of work: who came first goes first."""
        self._counts: Counter[tuple[str, Lane]] = Counter()
        self._limits: set[Limits] = set()

    @staticmethod
    def limit_the_loop() -> None:
        """Give reads a share of this thread, which runs the event loop, and let it interrupt the others soon."""
        deadline.set_share(SHARE_S)
        sys.setswitchinterval(SWITCH_S)

    async def run(self, profile: str, postponed: Postponed, gone: Callable[[], Awaitable[Any]]) -> bool:
        """Do the work of an answer in a thread when it is the profile's turn.

        Args:
            profile: whose work it is.
            postponed: has work.
            gone: waits until the client has gone away. That ends the work.

        Returns:
            Whether the work was done; False if the client has gone away.

        Raises:
            errors.Unavailable: the database cannot be read, or too many requests of the profile wait, or too many
                passwords.
        """
        is_hash = postponed.lane == "hash"
        whose: tuple[str, Lane] = "" if is_hash else profile, postponed.lane
        if self._counts[whose] >= (MAX_PARSING if postponed.lane == "script" else MAX_WAITING):
            raise errors.Unavailable(_TOO_MANY_HASHES if is_hash else _TOO_MANY)
        task = self._enter(whose, postponed)
        left = asyncio.ensure_future(gone())
        await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            postponed.limits.end_s = -math.inf
            task.cancel()
            return False
        left.cancel()
        task.result()
        return True

    async def parse(self, profile: str, work: Callable[[], T]) -> T:
        """Return the result of ``work``, which runs payload parsers for an MQTT message, when it is the profile's turn.

        However many wait, none is refused: a connection waits with one message, and its client waits for it.

        Raises:
            errors.Unavailable: the process ends.
        """
        done: list[T] = []
        await self._enter((profile, "script"), Work("script", Limits(), lambda: done.append(work())))
        return done[0]

    def _enter(self, whose: tuple[str, Lane], work: Work | Postponed) -> asyncio.Task[None]:
        self._counts[whose] += 1
        task = asyncio.ensure_future(self._run(whose, work))
        task.add_done_callback(lambda _: self._leave(whose))
        return task

    async def _run(self, whose: tuple[str, Lane], work: Work | Postponed) -> None:
        self._limits.add(work.limits)
        try:
            async with self._turns.setdefault(whose, asyncio.Lock()), self._free[work.lane]:
                executor = self._parsers if work.lane == "script" else self._executor
                await asyncio.get_running_loop().run_in_executor(executor, self._work, work)
        finally:
            self._limits.discard(work.limits)

    def _leave(self, whose: tuple[str, Lane]) -> None:
        self._counts[whose] -= 1
        if not self._counts[whose]:
            del self._counts[whose]
            self._turns.pop(whose, None)

    async def read(self, work: Callable[[], T]) -> T:
        """Return the result of a long read that no request asked for."""
        async with self._reading:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, work, Limits())

    def _work(self, todo: Work | Postponed) -> None:
        assert todo.work is not None  # noqa: S101 - else nothing needs a thread
        if todo.lane == "read":
            self._read(todo.work, todo.limits)
        else:
            with deadline.using(todo.limits):
                todo.work()

    def _read(self, work: Callable[[], T], limits: Limits) -> T:
        """Call ``work`` on this thread's snapshot."""
        snapshot: Snapshot | None = getattr(self._here, "snapshot", None)
        if snapshot is None:
            snapshot = self._here.snapshot = Snapshot(self._path)
            self._snapshots.append(snapshot)
        reads = cast(Store, snapshot)  # a Store without the calls that write
        with snapshot.opened(), store.using(reads), cache.bypassed(), deadline.using(limits):
            return work()

    def stop(self) -> None:
        """End what runs and waits: its clients are answered that it took too long."""
        for limits in self._limits:
            limits.end_s = -math.inf

    def close(self) -> None:
        """End the threads, and close their connections."""
        self.stop()
        self._executor.shutdown()
        self._parsers.shutdown()
        for snapshot in self._snapshots:
            snapshot.close()
