"""Works on backups and restores of devices while the server runs: a step of one job of each profile in turn.

A thread reads and writes files, and reads the store on a snapshot; the event loop only stores points, at most 500 at a
time, and saves the job. So a process that is killed repeats at most one step, which stores nothing twice.
"""

import asyncio
import contextlib
import logging
import random
import time
from functools import partial

from chalicelib import errors
from chalicelib.services.devices import jobs
from embedded.workers import Workers

_logger = logging.getLogger(__name__)

_LOOK_S = 0.5
"""How often jobs are looked for."""
_REST = 1.0
"""How many times as long as a step took the next one waits: half of the time is for others."""


async def work_often(workers: Workers) -> None:
    """Work on all jobs, for ever. A failure that nobody expected ends neither this nor the jobs of others."""
    while True:
        try:
            while await turn(workers):
                pass
        except errors.Unavailable:
            pass
        except Exception:
            _logger.exception("The work on backups and restores failed")
        await asyncio.sleep(_LOOK_S)


async def turn(workers: Workers) -> int:
    """Do one step of one job of each profile, so that many jobs of one do not hold up the others.

    Which job of a profile it is, chance decides: one that cannot go on holds up none either.

    Returns:
        How many of these jobs can go on at once.
    """
    by_profile: dict[str, list[str]] = {}
    for entity in await workers.read(jobs.waiting):  # there may be thousands
        by_profile.setdefault(entity.doc["profile"], []).append(entity.doc["device"])
    left = 0
    for devices in by_profile.values():
        began_s = time.perf_counter()
        left += await _step(workers, random.choice(devices))  # noqa: S311 - no secret
        await asyncio.sleep((time.perf_counter() - began_s) * _REST)
    return left


async def _step(workers: Workers, device: str) -> bool:
    """Do a step of the job of a device. Return whether it can go on at once. One that fails is tried again later."""
    with contextlib.suppress(errors.Unavailable):
        entity = jobs.of_device(device)
        if entity is not None:
            return jobs.keep(await workers.read(partial(jobs.do, entity))) is not None
    return False
