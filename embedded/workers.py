"""Threads for work that would keep the event loop busy.

At most four reads run at once, and one for each profile, each on a snapshot of the store. Payload parsers run for two
requests at once, as ``turns`` says, and calls of clients' servers for four, one of a profile. One body is parsed at
once, and one password is hashed. Further ones wait in order of arrival. The Chalice app never runs in a thread;
services do, as they keep nothing between calls but caches, which a thread does not use.
"""

import asyncio
import contextlib
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from chalicelib import errors, sandbox, store
from chalicelib.host import cache, deadline
from chalicelib.host.deadline import Limits
from chalicelib.http.answers import Lane, Postponed
from chalicelib.store import Store
from chalicelib.store.sqlite_reads import Snapshot
from embedded.turns import Run, Turns

T = TypeVar("T")
READERS = 4
POSTS = 4
MAX_WAITING = 16
"""How many reads, and bodies, of one profile may wait or run; and how many passwords of all profiles together."""
MAX_PARSING = 256
"""How many requests of one profile may wait for its payload parsers, or have them run. Most take 1 ms, and devices like
to send at the same moment."""
SHARE_S = 0.004
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
    """Payload parsers that no HTTP request waits for."""

    limits: Limits
    work: Callable[[], object]
    lane: Lane = "script"


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
        self._parsers = ThreadPoolExecutor(sandbox.RUNS, "parser", _step_back)
        self._reading = asyncio.Semaphore(READERS)
        self._free: dict[Lane, asyncio.Semaphore] = {
            "read": self._reading, "parse": asyncio.Semaphore(1), "hash": asyncio.Semaphore(1),
            "post": asyncio.Semaphore(POSTS),
        }  # fmt: skip
        self._scripts = Turns(sandbox.RUNS)
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

    async def parse(self, profile: str, work: Callable[[], T], begin: Callable[[], None]) -> T:
        """Return the result of ``work``, which runs payload parsers for an MQTT message, when it is the profile's turn.

        However many wait, none is refused: a connection bounds what it sends before it is acknowledged.

        Args:
            profile: whose work it is.
            work: runs the parsers.
            begin: is called when the work has its turn. Until then, it may be cancelled.

        Raises:
            errors.Unavailable: the process ends.
        """
        done: list[T] = []
        await self._run_scripts(profile, Work(Limits(), lambda: done.append(work())), begin)
        return done[0]

    def _enter(self, whose: tuple[str, Lane], work: Postponed) -> asyncio.Task[None]:
        self._counts[whose] += 1
        if work.lane == "script":
            task = asyncio.ensure_future(self._run_scripts(whose[0], work))
        else:
            task = asyncio.ensure_future(self._run(whose, work))
        task.add_done_callback(lambda _: self._leave(whose))
        return task

    async def _run(self, whose: tuple[str, Lane], work: Postponed) -> None:
        with self._known(work.limits):
            async with self._turns.setdefault(whose, asyncio.Lock()), self._free[work.lane]:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._work, work)

    async def _run_scripts(
        self, profile: str, work: Work | Postponed, begin: Callable[[], None] = lambda: None
    ) -> None:
        with self._known(work.limits):
            async with self._scripts.turn(profile, work.limits.end_s) as run:
                begin()
                await asyncio.get_running_loop().run_in_executor(self._parsers, self._timed, work, run)

    @contextlib.contextmanager
    def _known(self, limits: Limits) -> Iterator[None]:
        """Let ``stop`` end what runs in this block."""
        self._limits.add(limits)
        try:
            yield
        finally:
            self._limits.discard(limits)

    def _leave(self, whose: tuple[str, Lane]) -> None:
        self._counts[whose] -= 1
        if not self._counts[whose]:
            del self._counts[whose]
            self._turns.pop(whose, None)

    async def read(self, work: Callable[[], T]) -> T:
        """Return the result of a long read that no request asked for."""
        async with self._reading:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, work, Limits())

    def _timed(self, todo: Work | Postponed, run: Run) -> None:
        began_s = time.thread_time()
        try:
            self._work(todo)
        finally:
            run.took_s = time.thread_time() - began_s

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
