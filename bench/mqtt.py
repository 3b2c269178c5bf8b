"""Publishes to any MQTT broker that takes a user name and a password, and measures each acknowledgement."""

import asyncio
import base64
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import uvloop

from bench.driver import Result
from bench.servers import Server

CONNACK, PUBACK, PUBREC, PUBCOMP, PINGRESP = 0x20, 0x40, 0x50, 0x70, 0xD0
PINGREQ = b"\xc0\x00"
BATCH = 20
"""With QoS 0 nothing is acknowledged: a PINGREQ follows after so many messages, and its answer counts for them."""
IDLE = 10_000


class Scene(NamedTuple):
    """What is published, and how. ``count`` is the number of messages."""

    qos: int
    connections: int
    count: int
    is_websocket: bool = False

    @property
    def name(self) -> str:
        """The row's name in the table."""
        where = " over WebSocket" if self.is_websocket else ""
        return f"MQTT QoS {self.qos}{where}, {self.connections} connection{'s' * (self.connections > 1)}"


def scenes(scale: float) -> Iterator[Scene]:
    """Yield each load."""
    for qos, few, many in ((0, 20_000, 60_000), (1, 3_000, 20_000), (2, 2_000, 10_000)):
        for connections in (1, 16, 200):
            yield Scene(qos, connections, int((few if connections == 1 else many) * scale))
    yield Scene(1, 16, int(20_000 * scale), is_websocket=True)


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2) + raw


def _packet(first: int, body: bytes) -> bytes:
    length = len(body)
    if length < 128:
        return bytes((first, length)) + body
    return bytes((first, length & 127 | 128, length >> 7)) + body


def connect_packet(client_id: str, token: str) -> bytes:
    """Return CONNECT of version 3.1.1, clean, keep-alive 600 s."""
    return _packet(
        0x10, _text("MQTT") + b"\x04\xc2" + (600).to_bytes(2) + _text(client_id) + _text("Token") + _text(token)
    )


def publish_packet(topic: str, packet_id: int, number: int, qos: int) -> bytes:
    """Return PUBLISH with one point."""
    point = {"variable": "temperature", "value": round(20 + number % 97 * 0.37, 2), "unit": "C"}
    packet = packet_id.to_bytes(2) if qos else b""
    return _packet(0x30 | qos << 1, _text(topic) + packet + json.dumps(point).encode())


class Publisher(asyncio.Protocol):
    """A client that publishes the next message as soon as the last one is acknowledged.

    Args:
        hello: CONNECT.
        qos: of the messages.
        left: the numbers of the messages; all publishers share them.
        elapsed: takes the seconds of each acknowledgement.
        loop: the running loop.
    """

    def __init__(self, hello: bytes, qos: int, left: Iterator[int], elapsed: list[float], loop: Any) -> None:
        self._hello, self._qos, self._left, self._elapsed = hello, qos, left, elapsed
        self.connected, self.done = loop.create_future(), loop.create_future()
        self._packet_id = 0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        self._transport: Any = transport
        self.write(self._hello)

    def write(self, data: bytes) -> None:
        """Send packets."""
        self._transport.write(data)

    def next(self) -> None:
        """Publish the next messages, or close the connection if none is left."""
        sent = []
        for number in self._left:
            self._packet_id = self._packet_id % 65_535 + 1
            sent.append(publish_packet("tago/data/post", self._packet_id, number, self._qos))
            if self._qos or len(sent) == BATCH:
                break
        if not sent:
            self._transport.close()
            self.done.set_result(None)
            return
        self._started = time.perf_counter()
        self.write(b"".join(sent) + (b"" if self._qos else PINGREQ))

    def data_received(self, data: bytes) -> None:
        """Take the packets apart."""
        self._got += data
        while len(self._got) >= 2 and len(self._got) >= (size := 2 + self._got[1]):
            packet, self._got = self._got[:size], self._got[size:]
            self._handle(packet[0], packet)

    def _handle(self, kind: int, packet: bytes) -> None:
        if kind == CONNACK:
            if packet[3]:
                self.connected.set_exception(RuntimeError(f"refused: {packet[3]}"))
            else:
                self.connected.set_result(None)
        elif kind == PUBREC:
            self.write(b"\x62\x02" + packet[2:4])
        elif kind in (PUBACK, PUBCOMP, PINGRESP):
            self._elapsed.append(time.perf_counter() - self._started)
            self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the run if the broker closed the connection."""
        for future in (self.connected, self.done):
            if not future.done():
                future.set_exception(RuntimeError(f"the broker closed the connection: {exc}"))


class Browser(Publisher):
    """A client over WebSocket, which masks each packet in a frame of its own, as browsers do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        self._raw, self._is_open = b"", False
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            b"GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
            + f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def write(self, data: bytes) -> None:
        """Send packets in a masked frame."""
        size, mask = len(data), os.urandom(4)
        head = bytes((0x82, 128 | size)) if size < 126 else bytes((0x82, 254)) + size.to_bytes(2)
        masked = int.from_bytes(data) ^ int.from_bytes((mask * (size // 4 + 1))[:size])
        self._transport.write(head + mask + masked.to_bytes(size))

    def data_received(self, data: bytes) -> None:
        """Take the frames apart; those of a broker have no mask, and answers are short."""
        self._raw += data
        if not self._is_open:
            head, end, rest = self._raw.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head[:15]:
                self.connected.set_exception(RuntimeError(f"no upgrade: {head[:40]!r}"))
                return
            self._is_open, self._raw = True, rest
            self.write(self._hello)
        while len(self._raw) >= 2 and len(self._raw) >= (size := 2 + self._raw[1]):
            frame, self._raw = self._raw[2:size], self._raw[size:]
            super().data_received(frame)


def run(server: Server, token: str, scene: Scene) -> Result | None:
    """Publish a scene's messages to a server. Return None if it does not take them, as without WebSocket."""
    try:
        elapsed, total, processor_s = uvloop.run(_run(server, token, scene))
    except (OSError, RuntimeError) as error:
        print(f"{scene.name}: {server.name}: {error}")
        return None
    elapsed.sort()
    rate = scene.count / total
    return Result(
        p50=elapsed[len(elapsed) // 2] * 1000,
        p99=elapsed[min(len(elapsed) - 1, int(len(elapsed) * 0.99))] * 1000,
        per_second=rate,
        points_per_second=rate,
        processor_us=processor_s / scene.count * 1_000_000,
    )


def _port(server: Server, scene: Scene) -> int:
    return server.websocket_port if scene.is_websocket else server.mqtt_port


async def _run(server: Server, token: str, scene: Scene) -> tuple[list[float], float, float]:
    loop = asyncio.get_running_loop()
    elapsed: list[float] = []
    kind, left = Browser if scene.is_websocket else Publisher, iter(range(scene.count))
    clients = []
    for number in range(scene.connections):
        hello = connect_packet(f"bench-{number}", token)
        _, client = await loop.create_connection(
            lambda hello=hello: kind(hello, scene.qos, left, elapsed, loop), "127.0.0.1", _port(server, scene)
        )
        await client.connected
        clients.append(client)
    started, before_s = time.perf_counter(), server.processor_s()
    for client in clients:
        client.next()
    await asyncio.gather(*(client.done for client in clients))
    return elapsed, time.perf_counter() - started, server.processor_s() - before_s


def hold(port: int, token: str, connections: int, measure: Callable[[], float]) -> float:
    """Open idle connections, and return the result of ``measure`` while they are open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def run_idle() -> float:
        loop = asyncio.get_running_loop()
        clients = []
        for number in range(connections):
            hello = connect_packet(f"idle-{number}", token)
            _, client = await loop.create_connection(
                lambda hello=hello: Publisher(hello, 1, iter(()), [], loop), "127.0.0.1", port
            )
            await client.connected
            clients.append(client)
        result = measure()
        for client in clients:
            client.next()
        await asyncio.gather(*(client.done for client in clients), return_exceptions=True)
        return result

    return uvloop.run(run_idle())
