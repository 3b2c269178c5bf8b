"""Tens of thousands of packets with wrong bytes, over real sockets. The broker refuses them and serves others."""

import asyncio
import json
import random
import time

import uvloop

from tests.mqtt.conftest import Device
from tests.mqtt.raw import (
    CONTENT_TYPE,
    CORRELATION,
    MAXIMUM_PACKET,
    MESSAGE_EXPIRY,
    PAYLOAD_FORMAT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    RECEIVE_MAXIMUM,
    RESPONSE_TOPIC,
    SESSION_EXPIRY,
    STORED,
    SUBSCRIPTION_ID,
    USER_PROPERTY,
    WILL_DELAY,
    Will,
    ack,
    connect,
    disconnect,
    packet,
    publish,
    subscribe,
    unsubscribe,
)  # fmt: skip
from tests.program import Program

PACKETS = 50_000
WITHIN_S = 45
"""It takes about ten seconds, on a machine that does nothing else."""
CONNECTIONS = 128
A_CONNECTION = 60
"""How many packets a connection sends, unless one of them ends it."""
POINT = json.dumps({"variable": "n", "value": 1, "unit": "C"})
PROPERTIES = ((PAYLOAD_FORMAT, 1), (MESSAGE_EXPIRY, 60), (CONTENT_TYPE, "text/plain"), (RESPONSE_TOPIC, "a/b"),
              (CORRELATION, b"\0\1\2"), (USER_PROPERTY, ("key", "value")))  # fmt: skip
NUMBERS = [b"\0", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\xff\xff", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01"]


def hellos(token, name):
    """Return versions and valid CONNECT packets of them, with client ids of its own for each name."""
    for version in (3, 4, 5):
        yield version, connect(token, f"f{name}", version)
        yield version, connect(token, f"kept{name}", version, clean=False)
        yield version, connect(token, f"will{name}", version, will=Will("wills/f", "gone", 1, True))
    pairs = (SESSION_EXPIRY, 60), (RECEIVE_MAXIMUM, 10), (MAXIMUM_PACKET, 10_000), (USER_PROPERTY, ("a", "b"))
    yield (
        5,
        connect(token, f"full{name}", 5, will=Will("w", "x", 2, False, ((WILL_DELAY, 1), *PROPERTIES)), with_=pairs),
    )


def others(version):
    """Return valid packets of one version that may follow CONNECT."""
    for qos in (0, 1, 2):
        for topic, payload in ((STORED, POINT), ("a/b/c", "x"), ("state", "on")):
            yield publish(topic, payload, qos, 7, version=version, retain=topic == "state")
        yield subscribe(("a/+/#", qos), ("b", 0), packet_id=9, version=version)
    yield unsubscribe("a/+/#", "b", packet_id=10, version=version)
    yield from (ack(kind, 7) for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP))
    yield from (PINGREQ, disconnect())
    if version == 5:
        yield publish("a/b", "x", 1, 3, with_=PROPERTIES)
        yield publish(STORED, POINT, 2, 4, with_=((USER_PROPERTY, ("k", "v" * 100)),) * 20)
        yield subscribe(("a/b", 0x2D), packet_id=11, with_=((SUBSCRIPTION_ID, 300), (USER_PROPERTY, ("a", "b"))))
        yield from (ack(kind, 7, 0x92) for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP))
        yield disconnect(0x04, ((SESSION_EXPIRY, 10),))
        yield packet(0xF0, b"\x18\x00")


def mutate(chance, whole):
    """Change a packet at one to three places, more often near its end; most often, its length is made right again."""
    body = bytearray(whole)
    for _ in range(chance.choice((1, 1, 1, 1, 1, 2, 3))):
        at = int(len(body) * max(chance.random(), chance.random(), chance.random()))
        match chance.randrange(11):
            case 0 | 1 | 2 if at < len(body):
                body[at] ^= 1 << chance.randrange(8)
            case 3 | 4 | 5 if at < len(body):
                body[at] = chance.randrange(256)
            case 6:
                body[at:at] = chance.choice(NUMBERS)
            case 7:
                del body[at : at + chance.randrange(1, 5)]
            case 8:
                body[at : at + 2] = chance.choice(NUMBERS)
            case 9:
                del body[at:]
            case 10:
                body[at:at] = body[at : at + chance.randrange(1, 40)]
    if len(body) > 2 and chance.random() < 0.95:
        return packet(body[0], bytes(body[2 if len(whole) < 130 else 3 :]))
    return bytes(body)


def size_bytes(packets):
    """Return the size of the first packet, by what it says, as far as it is there."""
    size = at = 0
    while True:
        byte = packets[at + 1] if at + 1 < len(packets) else 0
        size |= (byte & 127) << 7 * at
        at += 1
        if byte < 128 or at == 4:
            return 1 + at + size


class Client(asyncio.Protocol):
    """Sends CONNECT, then one mutated packet after the other, until one of them ends the connection.

    A PINGREQ follows each, whose answer says that the packet was survived. If a packet says that it is longer than it is,
    the end of the stream follows.

    Args:
        fuzz: makes the packets and counts those that the broker has judged.
        hello: a version and its CONNECT.
    """

    def __init__(self, fuzz, hello):
        self._fuzz, self._got, self._left = fuzz, bytearray(), A_CONNECTION
        self._version, self._hello = hello
        self._is_judging = self._is_ending = False
        self._timer = None
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport
        if self._fuzz.chance.random() < 0.1:
            self._send(mutate(self._fuzz.chance, self._hello))
        else:
            transport.write(self._hello)

    def _send(self, mutated):
        if self._timer is not None:
            self._timer.cancel()
        self._is_judging = True
        self._transport.write(mutated + PINGREQ)
        if size_bytes(mutated) > len(mutated):
            self._end()
        else:  # what is behind a packet that got too short may say that it is longer, too
            self._timer = asyncio.get_running_loop().call_later(1, self._end)

    def _end(self):
        if not self._is_ending:
            self._is_ending = True
            self._transport.write_eof()

    def data_received(self, data):
        self._got += data
        while len(self._got) > 1 and len(self._got) >= (size := size_bytes(self._got)):
            kind = self._got[0]
            del self._got[:size]
            if kind == 0xD0:
                self._fuzz.judged += self._is_judging
                self._is_judging = False
            if kind in (0x20, 0xD0) and not self._is_judging and not self._is_ending:
                self._next()

    def _next(self):
        self._left -= 1
        if self._left and not self._fuzz.is_over:
            self._send(mutate(self._fuzz.chance, self._fuzz.chance.choice(self._fuzz.others[self._version])))
        else:
            self._is_ending = True
            self._transport.abort()

    def connection_lost(self, _):
        if self._timer is not None:
            self._timer.cancel()
        self._fuzz.judged += self._is_judging
        self.ended.set_result(None)


class Fuzz:
    """Sends mutated packets on many connections at once, and counts those that the broker has judged."""

    def __init__(self, port, token, seed):
        self.port, self.token, self.chance, self.judged = port, token, random.Random(seed), 0
        self.others = {version: [*others(version)] for version in (3, 4, 5)}
        self.ends_s = time.monotonic() + WITHIN_S

    @property
    def is_over(self):
        return self.judged >= PACKETS or time.monotonic() > self.ends_s

    async def client(self, name):
        loop, openings = asyncio.get_running_loop(), [*hellos(self.token, name)]
        while not self.is_over:
            hello = self.chance.choice(openings)
            _, client = await loop.create_connection(lambda hello=hello: Client(self, hello), "127.0.0.1", self.port)
            await asyncio.wait_for(client.ended, WITHIN_S)


def test_mutated_packets_leave_the_broker_as_it_was(tmp_path):
    seed = random.randrange(1_000_000)
    program = Program(tmp_path / "data")
    try:
        device, witness = Device(program), Device(program)
        before_mb = program.memory_mb()
        fuzz = Fuzz(program.mqtt_port, device.token, seed)

        async def run():
            await asyncio.gather(*(fuzz.client(name) for name in range(CONNECTIONS)))

        uvloop.run(run())
        assert fuzz.judged >= PACKETS, (seed, fuzz.judged)
        assert program.process.poll() is None, seed
        assert program.memory_mb() < before_mb + 100, seed
        assert witness.call("POST", "/data", {"variable": "n", "value": 1}) == "1 Data Added"
        assert witness.values() == [1]
    finally:
        output, errors = program.close()
    assert "Traceback" not in output + errors, (seed, (output + errors)[-3_000:])
