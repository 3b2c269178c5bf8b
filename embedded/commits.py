"""Group commit: all writes of one turn of the event loop share one SQLite transaction."""

import asyncio
from collections.abc import Callable

from chalicelib import errors
from chalicelib.store.sqlite import SqliteStore

MAX_WAIT_S = 0.005
"""The longest that a commit waits while each turn of the loop writes more."""


class GroupCommit:
    """Commits once for everything that a turn of the loop wrote, and notifies the waiters.

    Args:
        store: the store whose writes are committed.
        is_alone: returns whether no other client waits for an answer. If so, the commit does not wait for more writes.
    """

    def __init__(self, store: SqliteStore, is_alone: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._is_alone = is_alone
        self._done: asyncio.Future[bool] | None = None
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
        """Commit if the last turn of the loop wrote nothing, else look again after the next turn."""
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

    def settle(self, then: Callable[[bool], None], *, is_alone: bool) -> None:
        """Call ``then`` with True once everything written so far is committed, or with False once it was undone.

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
        if self._done is None:
            return True
        # Each request has its own waiter: cancelling one must not cancel the others. Cheaper than asyncio.shield.
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.settle(lambda is_kept: None if waiter.done() else waiter.set_result(is_kept), is_alone=self._is_alone())
        return await waiter
