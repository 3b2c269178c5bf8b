"""Devices on DynamoDB whose past days are sealed, and what happens between two calls of the store."""

import contextlib

import orjson

from chalicelib import store
from chalicelib.codec import keys
from chalicelib.schemas.points import Sent
from chalicelib.services.devices import sealings
from chalicelib.services.points import send
from tests.kit.clock import NOW_MS
from tests.kit.faults import Killed, hook
from tests.kit.policies import running
from tests.kit.world import World, point

DAY_MS = keys.DAY_MS
TODAY = NOW_MS // DAY_MS
YESTERDAY = TODAY - 1


def kept_world(months=12):
    """Return an immutable device that keeps its points for so many months."""
    return World(type="immutable", chunk_period="month", chunk_retention=months)


def store_one(device, sent, **how):
    """Store one point as the ingest function does."""
    return send.store_points(device=device, sent=Sent([sent], orjson.dumps(sent)), **how)


def fill(world, day=YESTERDAY, count=12, first=0, minutes=60):
    """Store points of a day one by one, some minutes apart."""
    device = world.doc
    for number in range(first, first + count):
        time_ms = day * DAY_MS + number * minutes * 60_000
        store_one(device, point(f"v{number % 3}", number, time=time_ms))


def work(world, day=YESTERDAY, noted=True):
    """Seal, as the function does. Return after how many seconds there is more to do."""
    with running("sealer"):
        if noted:
            sealings.note(profile=world.profile, device=world.device, days=[day])
        return sealings.advance(profile=world.profile, device=world.device)


def finish(world, clock, day=YESTERDAY):
    """Seal a day, and delete its small segments."""
    left_s = work(world, day)
    while left_s is not None:
        clock.advance(left_s)
        left_s = work(world, noted=False)


def smalls(world):
    """Return the keys of the small segments that are stored, listed or not."""
    found = store.current().scan_segments(world.device, "0", "g", newest_first=False, first_page=100)
    return [item.key for item in found]


def sealed(world):
    """Return the sealed segments that are stored."""
    return [*store.current().scan_sealed(world.device, "0", "g", newest_first=False, first_page=100)]


def texts(world):
    """Return the texts of answers that must not change when a day is sealed."""
    day = YESTERDAY * DAY_MS
    asked = (
        {"qty": 200},
        {"qty": 200, "ordination": "ascending"},
        {"qty": 200, "details": "true", "end_date": day + DAY_MS // 2},
        {"qty": 200, "variables": "v1", "start_date": day + DAY_MS // 4},
        {"query": "count"},
        {"query": "sum", "variables": "v1", "start_date": day, "end_date": day + DAY_MS - 1},
        {"query": "last_value", "variables": ["v0", "v1", "v2"]},
        {"query": "first_value", "variables": ["v0", "v1", "v2"]},
    )
    return [world.api.get("/data", query=query).text for query in asked]


@contextlib.contextmanager
def before_call(number, act):
    """Do something before one of the DynamoDB calls of the block, counted from 0. Yield how many there were."""
    seen = [0]

    def count(**_):
        seen[0] += 1
        if seen[0] == number + 1:
            act()

    with hook("before-call.dynamodb", count):
        yield seen


def kill():
    """End the process."""
    raise Killed
