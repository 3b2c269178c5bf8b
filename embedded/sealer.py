"""Seals small segments while the server runs.

A thread reads small segments and makes the sealed ones; the event loop only puts these, which takes 1 to 3 ms. It seals
while few requests come, and at the latest when many small segments wait.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from itertools import groupby, islice
from typing import NamedTuple, cast

from chalicelib import errors, store
from chalicelib.codec import keys
from chalicelib.codec.sealing import DoesNotFitError
from chalicelib.codec.segment import SMALL_POINTS, Item, SealedItem
from chalicelib.host import clock, log
from chalicelib.services.points import sealing
from chalicelib.store import Entity, names
from chalicelib.store.sqlite import SqliteStore
from chalicelib.store.sqlite_reads import Snapshot
from chalicelib.store.sqlite_sealed import RIPE
from chalicelib.store.sqlite_waiting import SPAN_CHARS
from embedded.workers import Workers

BATCH = RIPE
"""How many small segments of a UTC day are sealed together at least, while the day lasts."""
LEFT = 8
"""How many small segments of a day that is over are sealed at least, if nothing else of it is."""
AT_ONCE = 512
"""How many small segments are sealed in one step at most. While many requests come, as many must wait in one place."""
MOST_WAITING = 4_096
"""When so many small segments wait in all places, they are sealed as if few requests came."""
_MOST_PUTS = 16
"""How many sealed segments are put in one step at most."""
_PAUSE_S = 0.25
_BUSY_PER_S = 100
"""With more writes a second, the server is busy."""
_REST, _SHORT_REST = 60, 15
"""How many times as long as it worked the sealer rests while the server is busy; and when far too many wait."""
_FAR_TOO_MANY = 50_000
_AMONG = 16
"""After how many places the hourly look lets others go first."""
_TELL_S = 60.0
"""How often the log tells what was sealed."""
_DEVICES = 100
"""How many devices are looked up in one read."""
_TIDY_S = 3_600.0
"""How often days that are over are looked for."""


class Place(NamedTuple):
    """Where small segments wait: a device, and a span of 3.1 days."""

    device: str
    span: str
    """The first digits of their keys."""


class Plan(NamedTuple):
    """Sealed segments that can be put."""

    puts: Sequence[SealedItem]
    originals: Sequence[tuple[str, int]]
    """Keys and versions of the small segments in them."""
    gone: Sequence[tuple[str, int]]
    """Keys and versions of the sealed segments that they replace under other keys."""

    def carry_out(self) -> bool:
        """Put them. Return False if something was changed since it was read; then nothing was put."""
        return store.current().seal(self.puts, self.originals, profile="", gone=self.gone)


def plan(place: Place, now_ms: int) -> Plan | None:
    """Return what can be sealed next in a place; None: nothing. It only reads, on a snapshot.

    Args:
        place: a device, and a span of keys.
        now_ms: milliseconds since 1970.
    """
    snapshot = cast(Snapshot, store.current())
    first_ms, last_ms = (keys.key_time_ms(place.span.ljust(20, digit)) for digit in "0f")
    low, high = keys.segment_key(first_ms - first_ms % keys.DAY_MS, 0), keys.end_of_day(last_ms)  # whole days
    smalls = snapshot.smaller_segments(place.device, low, high, SMALL_POINTS)
    for day, of_day in groupby(smalls, lambda item: keys.key_time_ms(item.key) // keys.DAY_MS):
        time_ms = day * keys.DAY_MS
        is_over, own = sealing.is_over(time_ms, now_ms), [*islice(of_day, AT_ONCE + 1)]
        if len(own) < BATCH and not is_over:
            continue
        start, end = keys.segment_key(time_ms, 0), keys.end_of_day(time_ms)
        existing = snapshot.scan_sealed(place.device, start, end, newest_first=False, first_page=1, has_bodies=False)
        known = [*existing]
        if len(own) < LEFT and not known:
            continue
        planned = _merged(own[:AT_ONCE], known, closes_day=is_over and len(own) <= AT_ONCE)
        if planned is not None:
            return planned
    return None


def _merged(smalls: Sequence[Item], existing: Sequence[SealedItem], *, closes_day: bool) -> Plan | None:
    """Return the plan for small segments of a day, or for some of them if they are too much for one step.

    Late points may touch many sealed segments, and long ones may not fit. None: not even the first one fits.
    """
    try:
        puts, gone = sealing.merged(
            smalls, existing, expires_at=smalls[-1].expires_at, closes_day=closes_day, load=_load
        )
    except DoesNotFitError:
        puts, gone = [], []
    if puts and (len(puts) <= _MOST_PUTS or len(smalls) == 1):
        originals = [(item.key, item.version) for item in smalls]
        return Plan(puts, originals, [(item.key, item.version) for item in gone])
    return _merged(smalls[: len(smalls) // 2], existing, closes_day=False) if len(smalls) > 1 else None


def _load(item: SealedItem) -> SealedItem:
    found = store.current().sealed_at(item.device, item.key)
    if found is None:
        raise errors.Unavailable
    return found


class Sealer:
    """The chore.

    Args:
        sqlite: the store that puts.
        workers: their threads read.
    """

    def __init__(self, sqlite: SqliteStore, workers: Workers) -> None:
        self._sqlite, self._workers = sqlite, workers
        self._open: set[Place] = set()
        """Where small segments may be left, as their day was not over."""
        self._sealed = 0
        """How many were sealed since the log told it."""

    async def run(self) -> None:
        """Seal for ever. Whatever fails is tried again later."""
        next_s, told_s, least = 0.0, clock.monotonic_s(), BATCH
        is_found = False
        while True:
            is_tidy = clock.monotonic_s() >= next_s
            try:
                if not is_found:
                    await self.find()
                    is_found = True
                await self.turn(1 if is_tidy else least)
                next_s = clock.monotonic_s() + _TIDY_S if is_tidy else next_s
            except errors.Unavailable:
                pass
            if self._sealed and clock.monotonic_s() >= told_s + _TELL_S:
                log.line(chore="sealer", sealed=self._sealed, waiting=self._sqlite.waiting.total)
                self._sealed, told_s = 0, clock.monotonic_s()
            writes = self._sqlite.writes
            await asyncio.sleep(_PAUSE_S)
            least = self._least(self._is_busy(writes, _PAUSE_S))

    def _least(self, is_busy: bool) -> int:
        """Return how many small segments must wait in a place to be sealed."""
        return AT_ONCE if is_busy and self._sqlite.waiting.total < MOST_WAITING else BATCH

    def _is_busy(self, writes: int, since_s: float) -> bool:
        """Return whether many calls have written since a moment, when ``writes`` had."""
        return self._sqlite.writes - writes > _BUSY_PER_S * since_s

    async def find(self) -> None:
        """Find what was stored before this process began. Spans that were done with before are left out."""
        marker = self._sqlite.get(names.EMBEDDED, names.SEALED)
        first = marker.doc["span"] if marker else ""
        device = ""
        while devices := await self._workers.read(partial(_devices, device)):
            for device in devices:
                self._open.update(await self._workers.read(partial(_places, device, first)))

    async def turn(self, least: int) -> None:
        """Seal what waits.

        Args:
            least: how many small segments must wait in a place. With 1, it looks for days that are over, too, and lets
                places with more go first again and again.

        Raises:
            errors.Unavailable: the database cannot be read or written now.
        """
        self._mark(clock.now_ms())
        if least > 1:
            for place in self._sqlite.waiting.take_ripe(least):
                self._open.add(Place(*place))
                await self._seal(Place(*place))
            return
        for number, place in enumerate(self._sqlite.waiting.take_all()):
            self._open.add(Place(*place))
            if number % _AMONG == 0:
                await asyncio.sleep(0)
        for number, waiting in enumerate([*self._open]):
            if number % _AMONG == 0:
                await self.turn(BATCH)
            await self._seal(waiting)
        self._mark(clock.now_ms(), is_done=True)

    def _mark(self, now_ms: int, *, is_done: bool = False) -> None:
        """Note from which span on the next process must look: what is older was done with.

        Points of an older span lower the mark before they are sealed, so that a restart finds them.
        """
        waiting, marker = self._sqlite.waiting, self._sqlite.get(names.EMBEDDED, names.SEALED)
        spans = [waiting.oldest, keys.segment_key(now_ms - keys.DAY_MS, 0)[:SPAN_CHARS]]
        if is_done:
            spans += [place.span for place in self._open]
        elif marker is None or marker.doc["span"] <= min(spans):
            return
        waiting.oldest = "~"
        doc = {"span": min(spans)}
        if marker is None or marker.doc != doc:
            self._sqlite.put(Entity(names.EMBEDDED, names.SEALED, doc))

    async def _seal(self, place: Place) -> None:
        """Seal all that can be in a place. If something is wrong with it, others are sealed nevertheless."""
        now_ms = clock.now_ms()
        try:
            while await self._step(place, now_ms):
                pass
        except errors.Unavailable:
            raise
        except Exception as error:  # such as a damaged row
            log.line("error", chore="sealer", device=place.device, failed=log.cause(error))
        if sealing.is_over(keys.key_time_ms(place.span.ljust(20, "f")), now_ms):
            self._open.discard(place)

    async def _step(self, place: Place, now_ms: int) -> bool:
        """Seal once. Return whether there may be more."""
        began_s, writes = time.perf_counter(), self._sqlite.writes
        planned = await self._workers.read(partial(plan, place, now_ms))
        if planned is None:
            return False
        is_busy = self._is_busy(writes, time.perf_counter() - began_s)
        if planned.carry_out():  # if something was changed meanwhile, the next plan has it
            self._sealed += len(planned.originals)
        rest = _SHORT_REST if self._sqlite.waiting.total > _FAR_TOO_MANY else _REST
        await asyncio.sleep((time.perf_counter() - began_s) * rest if is_busy else 0)
        return True


def _devices(after: str) -> list[str]:
    return cast(Snapshot, store.current()).devices_after(after, _DEVICES)


def _places(device: str, first: str) -> list[Place]:
    """Return the spans of a device from ``first`` on that have small segments."""
    snapshot, places = cast(Snapshot, store.current()), []
    key = snapshot.key_after(device, first)
    while key is not None:
        places.append(Place(device, key[:SPAN_CHARS]))
        key = snapshot.key_after(device, key[:SPAN_CHARS] + "g")
    return places
