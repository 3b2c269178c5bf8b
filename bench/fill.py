"""Fills the database files of Decant and of the naive server fast, with what one request a point would have stored.

Each device has points a minute apart, five variables in turn. The last one is of the day before yesterday, so all days
are closed.
"""

import asyncio
import hashlib
import itertools
import json
import os
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench import naive
from bench.driver import VARIABLES, point
from chalicelib import settings, store
from chalicelib.codec import keys as codec_keys
from chalicelib.codec import segments
from chalicelib.codec.segment import HAS_VALUE, Draft, Item
from chalicelib.host import clock, keys, secret
from chalicelib.schemas.points import Sent
from chalicelib.services.access import reach
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.services.points import directory, expiry, send
from chalicelib.services.points.directory import Span
from chalicelib.store.sqlite import SqliteStore
from embedded import folder
from embedded.sealer import Sealer
from embedded.workers import Workers

MINUTE = timedelta(minutes=1)
_BATCH = 1_000


def start_of(points: int) -> datetime:
    """Return the time of the first point of a device with so many points: the beginning of a day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=points // 1_440 + 2)


def decant(directory_: Path, sizes: dict[str, int], *, is_sealed: bool = True) -> dict[str, str]:
    """Make a data folder with devices of so many points; return their tokens by name."""
    directory_.mkdir(parents=True)
    path = directory_ / folder.DATABASE
    sqlite = SqliteStore(path, synchronous="NORMAL")
    settings.use(settings.Settings(profile_may_send=True))
    store.use(sqlite)
    secret.use(folder.read_secret(directory_))
    keys.use(keys.nobody)
    profile, _ = profiles.create(name="Bench")
    kept = {"type": "immutable", "chunk_period": "month", "chunk_retention": 36}
    tokens = {}
    for name, size in sizes.items():
        made: Any = devices.create(profile=profile, sent={"name": name, **kept})  # type: ignore[typeddict-item]
        tokens[name] = made["token"]
        _put(sqlite, reach.device_or_raise(profile=profile, device=made["device_id"]), size)
    sqlite.close()
    store.use(None)
    if is_sealed:
        seal_all(path)
    shrink(path)
    return tokens


def seal_all(path: Path) -> None:
    """Seal all that waits in a database file, by the code that the server runs."""

    async def run() -> None:
        workers = Workers(path)
        sealer = Sealer(sqlite, workers)
        await sealer.find()
        await sealer.turn(1)
        workers.close()

    sqlite = SqliteStore(path, synchronous="NORMAL")
    store.use(sqlite)
    asyncio.run(run())
    store.use(None)
    sqlite.close()


def shrink(path: Path) -> None:
    """Give all free pages of a file back, by the code that the server runs."""
    sqlite = SqliteStore(path)
    while sqlite.space.give_back():
        pass
    sqlite.close()


def _put(sqlite: SqliteStore, device: dict[str, Any], size: int) -> None:
    """Put the segments of single requests, as ``services.points.send`` makes them, and their directory."""
    start = start_of(size)
    hours = [int((start + number * MINUTE).timestamp()) // 3600 for number in (0, size - 1)]
    directory.widen(device=device["id"], spans=dict.fromkeys(VARIABLES, Span(*hours)))
    made = _items(device, start, size)
    _check(device, start)
    while batch := list(itertools.islice(made, _BATCH)):
        conflicts = sqlite.put_segments(batch, profile=device["profile"], now_ms=clock.now_ms())
        assert not conflicts


def _items(device: dict[str, Any], start: datetime, size: int) -> Iterator[Item]:
    lags = random.Random(size)
    for number in range(size):
        moment = start + number * MINUTE
        sent = point(number, moment)
        digest = Sent([], orjson.dumps(sent)).digest(device=device["id"], origin="")
        time_ms = int(moment.timestamp()) * 1000
        of_hour = hashlib.sha256(digest + str(time_ms // 3_600_000).encode()).digest()
        key = codec_keys.segment_key(time_ms, codec_keys.digest_suffix(of_hour))
        group, text = {"group": key + codec_keys.HEX4[0]}, sent.pop("time")
        line = orjson.dumps(sent | group | {"time": text})[1:].decode()  # in the order of a segment's lines
        draft = Draft(time_ms, sent["variable"], HAS_VALUE, line, False)
        expires_at = expiry.expires_at(device, time_ms)
        arrival_us = time_ms * 1000 + lags.randrange(20_000, 80_000)
        yield segments.pack(device["id"], [draft], key, arrival_us, digest=of_hour, expires_at=expires_at)


def _check(device: dict[str, Any], start: datetime) -> None:
    """Raise AssertionError unless the items are what the API would store."""
    for number, item in enumerate(_items(device, start, 200)):
        sent = point(number, start + number * MINUTE)
        header = item.body.partition(b"\n")[0]
        now = send.Now(clock.now_ms(), json.loads(header)["c"] * 1000 + json.loads(header).get("a", 0))
        prepared = send.prepare(device=device, sent=Sent([sent], orjson.dumps(sent)), now=now)
        assert prepared.parts[0][2] == item


def naive_server(path: Path, sizes: dict[str, int]) -> dict[str, str]:
    """Make a database of the naive server; return the tokens by name."""
    db = naive.connect(path)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA cache_size=-500000")
    tokens = {name: os.urandom(8).hex() for name in sizes}
    for name, size in sizes.items():
        start, now, token = start_of(size), time.time(), tokens[name]
        moments = (start + number * MINUTE for number in range(size))
        rows = (_row(token, point(number, moment), moment, now) for number, moment in enumerate(moments))
        db.execute("BEGIN")
        db.executemany(naive.INSERT, rows)
        db.execute("COMMIT")
    db.close()
    return tokens


def _row(device: str, sent: dict[str, Any], moment: datetime, now: float) -> tuple[object, ...]:
    ids = uuid.uuid4().hex[:24], uuid.uuid4().hex[:24]
    return (
        ids[0], device, sent["variable"], sent["value"], sent["unit"], ids[1], moment.timestamp(), None, None, now,
    )  # fmt: skip


def bytes_of(path: Path) -> int:
    """Return the size of a database that no process has open."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return path.stat().st_size
