"""Gateways of the embedded mode, in process."""

import asyncio
import math

from app import app
from chalicelib.host import deadline
from embedded.commits import GroupCommit
from embedded.gateway import Gateway
from embedded.workers import Workers


def serving(sqlite, share_s):
    """Return a function that runs a scenario on a gateway with threads.

    Args:
        sqlite: the store.
        share_s: how long a read may run in the event loop before it moves to a thread.
    """

    def do(scenario):
        async def run():
            workers = Workers(sqlite.path)
            deadline.set_share(share_s)
            try:
                return await scenario(Gateway(app, list(app.routes), GroupCommit(sqlite), workers=workers))
            finally:
                deadline.set_share(math.inf)
                workers.close()

        try:
            return asyncio.run(run())
        finally:
            sqlite.grouped, sqlite.on_begin = False, lambda: None

    return do
