"""The embedded broker and the AWS functions on DynamoDB store the same points for one corpus of messages."""

import json

import pytest

from chalicelib import store
from chalicelib.host import cache
from tests.iot.test_iot import connect, letters, publish  # noqa: F401 - a fixture
from tests.kit.clock import NOW_MS
from tests.kit.world import World, point, values
from tests.mqtt.test_broker import STORED, _text
from tests.mqtt.test_connection import run, settled  # noqa: F401 - a fixture

CORPUS = [
    json.dumps(point("a", 1.5, unit="C", time=NOW_MS)).encode(),
    json.dumps([point("b", True, time=NOW_MS - 5), point("c", "text", group="g", metadata={"x": [1]})]).encode(),
    json.dumps(point("place", None, location={"lat": 1, "lng": 2})).encode(),
    b"21.5", b"on", "gr\u00fcn".encode(), b"\xff\x00\x01", b"", b"  ", b"[]", b"12345678901234567890",
    b'{"variable": "n", "value": 12345678901234567890123}', b"{", b'{"temp": 1}', b'[{"variable": "a b", "value": 1}]',
    b'\xef\xbb\xbf{"variable": "marked", "value": 1}', b'\xef\xbb\xbf \n[{"variable": "marked", "value": 2}]\0',
    b'{"variable": "ended", "value": 3}\0', b'{"variable": "ended", "value": 4}\n\0\0', b'{"variable": "in", "value": 5}\0x',
    b"\xef\xbb\xbfon", b"\xef\xbb\xbf", b"on\0", b"\0", b"[\0", b'\0{"variable": "late", "value": 6}',
    b'{"variable": "v", "value": 1e999}', json.dumps({"variable": "long", "value": "x" * 6_001}).encode(),
]  # fmt: skip


def shape(found):
    return sorted(
        json.dumps(
            {name: value for name, value in one.items() if name not in ("id", "device", "time", "group")},
            sort_keys=True,
        )
        for one in found
    )


@pytest.fixture
def on_aws(clock, dynamo, letters):  # noqa: F811
    world = World()
    connect(world.token)
    for number, payload in enumerate(CORPUS):
        publish(payload, timestamp=NOW_MS + number)
    found = shape(world.read(qty=100)), len(letters())
    cache.clear_all()
    store.use(None)
    return found


def test_the_same_messages_give_the_same_points(on_aws, run):  # noqa: F811
    kept = []

    async def scenario(bench):
        from chalicelib.host import dead_letters

        dead_letters.use(lambda reason, _: kept.append(reason))
        link, _ = bench.connected()
        for number, payload in enumerate(CORPUS, 1):
            body = _text(STORED) + number.to_bytes(2) + payload
            size = bytes((len(body) & 127 | 128, len(body) >> 7)) if len(body) > 127 else bytes((len(body),))
            link.data_received(b"\x32" + size + body)
        await settled()
        points, refused = on_aws
        assert shape(bench.world.read(qty=100)) == points and len(kept) == refused >= 7
        for name, numbers in (("marked", [2, 1]), ("ended", [4, 3]), ("in", []), ("late", [])):
            assert values(bench.world.read(variables=name, qty=9)) == numbers

    run(scenario)
