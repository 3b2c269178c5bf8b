"""Publishes to any MQTT broker that takes a user name and a password, and measures each acknowledgement."""

import asyncio
import json
import time
from typing import Any

import uvloop

from bench.driver import Result

CONNECTIONS = (1, 16, 200)


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


def publish_packet(topic: str, packet_id: int, number: int) -> bytes:
    """Return PUBLISH with QoS 1 and one point."""
    point = {"variable": "temperature", "value": round(20 + number % 97 * 0.37, 2), "unit": "C"}
    return _packet(0x32, _text(topic) + packet_id.to_bytes(2) + json.dumps(point).encode())


class Publisher(asyncio.Protocol):
    """A client that publishes the next message as soon as the last one is acknowledged."""

    def __init__(self, name: str, token: str, left: Any, elapsed: list[float], loop: Any) -> None:
        self._hello, self._left, self._elapsed = connect_packet(name, token), left, elapsed
        self.connected, self.done = loop.create_future(), loop.create_future()
        self._packet_id = 0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        self._transport: Any = transport
        transport.write(self._hello)  # type: ignore[attr-defined]

    def next(self) -> None:
        """Publish the next message, or close the connection if none is left."""
        number = next(self._left, None)
        if number is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._packet_id = self._packet_id % 65_535 + 1
        self._started = time.perf_counter()
        self._transport.write(publish_packet("tago/data/post", self._packet_id, number))

    def data_received(self, data: bytes) -> None:
        """Wait for CONNACK, then for each PUBACK."""
        self._got += data
        while len(self._got) >= 4:
            packet, self._got = self._got[:4], self._got[4:]
            if packet[0] == 0x20:
                if packet[3]:
                    self.connected.set_exception(RuntimeError(f"refused: {packet[3]}"))
                else:
                    self.connected.set_result(None)
            elif packet[0] == 0x40:
                self._elapsed.append(time.perf_counter() - self._started)
                self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the run if the broker closed the connection."""
        for future in (self.connected, self.done):
            if not future.done():
                future.set_exception(RuntimeError(f"the broker closed the connection: {exc}"))


def run(host: str, port: int, token: str, *, count: int, connections: int) -> Result:
    """Publish ``count`` messages with QoS 1 over ``connections`` connections."""
    elapsed, total = uvloop.run(_run(host, port, token, count, connections))
    elapsed.sort()
    return Result(
        p50=elapsed[len(elapsed) // 2] * 1000,
        p99=elapsed[min(len(elapsed) - 1, int(len(elapsed) * 0.99))] * 1000,
        per_second=count / total,
        points_per_second=count / total,
    )


async def _run(host: str, port: int, token: str, count: int, connections: int) -> tuple[list[float], float]:
    loop = asyncio.get_running_loop()
    elapsed: list[float] = []
    left = iter(range(count))
    clients = []
    for number in range(connections):
        _, client = await loop.create_connection(
            lambda number=number: Publisher(f"bench-{number}", token, left, elapsed, loop), host, port
        )
        await client.connected
        clients.append(client)
    started = time.perf_counter()
    for client in clients:
        client.next()
    await asyncio.gather(*(client.done for client in clients))
    return elapsed, time.perf_counter() - started


def hold(host: str, port: int, token: str, connections: int, measure: Any) -> Any:
    """Open idle connections, and return the result of ``measure`` while they are open."""

    async def run_idle() -> Any:
        loop = asyncio.get_running_loop()
        clients = []
        for number in range(connections):
            _, client = await loop.create_connection(
                lambda number=number: Publisher(f"idle-{number}", token, iter(()), [], loop), host, port
            )
            await client.connected
            clients.append(client)
        result = measure()
        for client in clients:
            client.next()
        await asyncio.gather(*(client.done for client in clients), return_exceptions=True)
        return result

    return uvloop.run(run_idle())
