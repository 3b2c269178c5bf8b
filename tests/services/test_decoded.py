"""Sealed segments that stay decoded: which do, how much they take, and several threads that use one at once."""

import gc
import random
import sys
import threading
import tracemalloc

import pytest

from chalicelib.codec import jsontext, keys, sealed, sealing
from chalicelib.codec.rows import Request, Row
from chalicelib.codec.times import to_iso
from chalicelib.services.points import decoded
from tests.kit.clock import NOW_MS

DAY_MS = NOW_MS - NOW_MS % keys.DAY_MS


@pytest.fixture(autouse=True)
def forgotten():
    decoded.clear()
    yield
    decoded.clear()


def item_of(number=0, points=512, *, names="v", **fields):
    """Return a sealed segment of points that came one by one. ``names``: of the variables, one after the other."""
    chance = random.Random(number)
    rows, requests = {}, {}
    for index in range(points):
        time_ms = DAY_MS + index * 60_000
        key = keys.segment_key(time_ms, chance.randrange(keys.SUFFIX_COUNT))
        home, name, created_us = key + "0000", names[index % len(names)], time_ms * 1000 + chance.randrange(90_000)
        sent = {"variable": name, "value": index / 8, "unit": "C", "group": home, "time": to_iso(time_ms), **fields}
        rows[home] = Row(time_ms, created_us, home, home, name, 1, jsontext.dumps(sent)[1:], False)
        requests[key] = Request(chance.randbytes(4), created_us)
    held, low = sealing.Contents(rows, requests, {}), keys.key_before(keys.segment_key(DAY_MS, 0))
    return sealing.encode("d", low, keys.end_of_day(DAY_MS), held, version=number + 1, expires_at=None)


def use(segment):
    """Let a segment compute whatever it keeps. Return it."""
    objects = segment.splice(range(len(segment.offsets)), details=False)
    columns = [segment.numbers_of(name) for name in segment.names]
    return objects, columns, segment.keys, [*segment.arrivals], segment.requests(), segment.rows()


@pytest.fixture
def reads(monkeypatch):
    """The items that were decoded."""
    found = []
    monkeypatch.setattr(sealed, "decode", lambda item, decode=sealed.decode: found.append(item) or decode(item))
    return found


def test_long_texts_are_decoded_once_and_stay(reads):
    item = item_of(metadata={"text": "x" * 150})
    first = decoded.decode(item)
    assert len(first.texts) > 80_000
    assert decoded.decode(item._replace(body=bytes(bytearray(item.body)))) is first
    assert len(reads) == 1


def test_what_was_read_last_stays(reads):
    items = [item_of(number, 8) for number in range(decoded.MAX_SEGMENTS + 1)]
    for item in [*items[:-1], items[0], items[-1]]:
        decoded.decode(item)
    reads.clear()
    decoded.decode(items[0])
    assert not reads
    decoded.decode(items[1])
    assert reads == [items[1]]


def test_segment_too_heavy_for_all_the_room_is_not_kept(monkeypatch, reads):
    light, heavy = item_of(1, 8), item_of(2, 64)
    monkeypatch.setattr(decoded, "MAX_BYTES", 20_000)
    decoded.decode(light)
    for _ in range(2):
        decoded.decode(heavy)
        decoded.decode(light)
    assert reads == [light, heavy, heavy]


WIDE = "\U0001f600"
HOSTILE = {
    "plain": {"points": 1_024},
    "many long names, each with a wide character": {
        "points": 1_024,
        "names": [f"{number:04d}{WIDE}{'n' * 95}" for number in range(1_024)],
        "unit": WIDE + "u" * 24,
    },
    "one wide name and long groups": {"points": 1_024, "names": [WIDE * 40], "group": WIDE * 25},
    "metadata": {"points": 512, "metadata": {"text": "x" * 200}},
    "wide text": {"points": 512, "value": WIDE + "x" * 150},
}


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_stored_takes_bounded_memory(fields):
    items = [item_of(number, **fields) for number in range(decoded.MAX_SEGMENTS)]
    gc.collect()
    tracemalloc.start()
    try:
        for item in items:  # a copy of each, as a read makes
            copy = item._replace(body=bytes(bytearray(item.body)), summary=bytes(bytearray(item.summary)))
            use(decoded.decode(copy))
        del copy
        gc.collect()
        taken_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert decoded.MAX_BYTES / 4 < taken_bytes < decoded.MAX_BYTES * 1.1


def test_threads_that_use_one_segment_at_once_find_the_same():
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(12):
            item = item_of(number, 96, names=["a", "b", "c"], **({"metadata": {"n": 1}} if number % 2 else {}))
            expected, found = use(sealed.decode(item)), []
            threads = [
                threading.Thread(target=lambda item=item, to=found: to.append(use(decoded.decode(item))))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [expected] * 4
    finally:
        sys.setswitchinterval(interval_s)


def test_callers_may_change_the_objects_that_they_get():
    segment = decoded.decode(item_of(points=16))
    expected = segment.splice(range(16), details=False)
    segment.splice(range(16), details=False).clear()
    segment.splice(range(15, -1, -1), details=False).clear()
    assert segment.splice(range(16), details=False) == expected and len(expected) == 16


def test_key_whose_suffix_lies_across_two_others_is_not_there():
    rows, requests = {}, {}
    for suffix in (0x00000102, 0x03040506):
        key = keys.segment_key(DAY_MS, suffix)
        home = key + "0000"
        rows[home] = Row(DAY_MS, 0, home, home, "v", 1, '"variable":"v","value":1}', False)
        requests[key] = Request(bytes(4), 0)
    end = keys.end_of_day(DAY_MS)
    low = keys.key_before(keys.segment_key(DAY_MS, 0))
    held = sealing.Contents(rows, requests, {})
    segment = sealed.decode(sealing.encode("d", low, end, held, version=1, expires_at=None))
    assert [segment.number_of(key) for key in requests] == [0, 1]
    assert segment.number_of(keys.segment_key(DAY_MS, 0x01020304)) is None
