"""Seals what a device has stored, in small steps, so that few points make many sealed segments."""

import contextlib
from typing import Any

import pytest

from chalicelib import store
from chalicelib.host import clock
from chalicelib.services.points import sealing
from chalicelib.store.sqlite_reads import Snapshot
from embedded import sealer


def seal(device, *, at_once=512, max_points=512, batch=1, steps=1_000):
    """Seal small segments of a device on SQLite; on DynamoDB, mutable devices are never sealed.

    Args:
        device: its id.
        at_once: how many small segments a step takes.
        max_points: how many points a sealed segment may hold.
        batch: how many small segments of a day are worth it.
        steps: how many steps at most.

    Returns:
        How many steps were done.
    """
    sqlite: Any = store.current()
    done = 0
    if sqlite.keeps_originals:
        return done
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(Snapshot(sqlite.path)) as opened:
        patch.setattr(sealer, "BATCH", batch)
        patch.setattr(sealer, "LEFT", batch)
        patch.setattr(sealer, "AT_ONCE", at_once)
        patch.setattr(sealing, "MAX_POINTS", max_points)
        snapshot: Any = opened
        with snapshot.opened(), store.using(snapshot):
            places = sealer._places(device, "")
        for place in places:
            while done < steps:
                with snapshot.opened(), store.using(snapshot):
                    planned = sealer.plan(place, clock.now_ms())
                if planned is None:
                    break
                assert planned.carry_out()
                done += 1
    return done
