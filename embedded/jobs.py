"""Works on backups and restores of devices while the server runs: a step of each in turn.

A thread reads and writes files, and reads the store on a snapshot; the event loop only stores points, at most 500 at a
time, and saves the job. So a process that is killed repeats at most one step, which stores nothing twice.
"""

import asyncio
import contextlib
import time
from functools import partial

from chalicelib import errors
from chalicelib.services.devices import jobs
from chalicelib.store import Entity
from embedded.workers import Workers

_LOOK_S = 0.5
"""How often jobs are looked for."""
_REST = 1.0
"""How many times as long as a step took the next one waits: half of the time is for others."""


async def work_often(workers: Workers) -> None:
    """Work on all jobs, for ever."""
    while True:
        with contextlib.suppress(errors.Unavailable):
            while await turn(workers):
                pass
        await asyncio.sleep(_LOOK_S)


async def turn(workers: Workers) -> int:
    """Do one step of each job; return how many jobs are left."""
    left = 0
    for entity in jobs.waiting():
        began_s = time.perf_counter()
        left += await _step(workers, entity)
        await asyncio.sleep((time.perf_counter() - began_s) * _REST)
    return left


async def _step(workers: Workers, entity: Entity) -> bool:
    """Do a step of a job. Return whether it can go on at once. One that fails is tried again later."""
    try:
        step = await workers.read(partial(jobs.do, entity))
        return jobs.keep(step) is not None
    except errors.Unavailable:
        return False
