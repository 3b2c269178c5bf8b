"""Group commit: one SQLite transaction for all that was written in a turn of the loop."""

import asyncio
from collections.abc import Callable

from chalicelib import errors
from chalicelib.store.sqlite import SqliteStore

MAX_WAIT_S = 0.005
"""How long a commit waits at most while more arrives turn after turn."""


class GroupCommit:
    """Commits once for everything that a turn of the loop wrote, and notifies those who wait.

    Args:
        store: the store that is written to.
        is_alone: whether no other client waits for an answer. Then the commit need not wait for the turn's end.
    """

    def __init__(self, store: SqliteStore, is_alone: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._is_alone = is_alone
        self._done: asyncio.Future[bool] | None = None
        self._waiters: list[asyncio.Future[bool]] = []
        self._latest_s = 0.0
        store.grouped = True
        store.on_begin = self._begin

    def _begin(self) -> None:
        if self._done is None:
            loop = asyncio.get_running_loop()
            self._done = loop.create_future()
            self._latest_s = loop.time() + MAX_WAIT_S
            loop.call_soon(loop.call_soon, self._look, loop, self._done, self._store.writes)

    def _look(self, loop: asyncio.AbstractEventLoop, done: "asyncio.Future[bool]", writes: int) -> None:
        """Commit as soon as a turn of the loop wrote nothing new. What arrives meanwhile joins."""
        if self._done is not done:
            return
        if self._store.writes != writes and loop.time() < self._latest_s:
            loop.call_soon(self._look, loop, done, self._store.writes)
        else:
            self._commit()

    def _commit(self) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        try:
            self._store.commit()
            is_kept = True
        except errors.Unavailable:
            is_kept = False
        done.set_result(is_kept)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(is_kept)

    def settle(self, then: Callable[[bool], None], *, is_alone: bool) -> None:
        """Call ``then`` when everything written so far is committed, with False if it was undone.

        If nothing is waiting to be committed, ``then`` is called at once.
        """
        done = self._done
        if done is None:
            then(True)
            return
        if is_alone:
            self._commit()
        if done.done():
            then(done.result())
        else:
            done.add_done_callback(lambda future: then(future.result()))

    async def wait(self) -> bool:
        """Wait until everything written so far is committed; return False if it was undone instead."""
        done = self._done
        if done is None:
            return True
        if self._is_alone():
            self._commit()
        if done.done():
            return done.result()
        # A waiter of its own, as a cancelled request must not cancel the others'. Cheaper than asyncio.shield.
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter
