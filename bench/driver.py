"""Sends requests to any server with POST and GET /data, over keep-alive connections, and measures each request."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import uvloop

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=30)
"""The time of the first point. It is recent, so that devices with a retention accept the points."""
VARIABLES = ("temperature", "humidity", "pressure", "battery", "signal")
UNITS = ("C", "%", "hPa", "V", "dBm")


def point(number: int, moment: datetime) -> dict[str, Any]:
    """Return one of the points that are sent: the variables take turns."""
    return {
        "variable": VARIABLES[number % 5],
        "value": round(20 + number % 97 * 0.37, 2),
        "unit": UNITS[number % 5],
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }


@dataclass
class Result:
    """The result of one load. ``p50`` and ``p99`` are milliseconds; ``processor_us`` is what a message costs."""

    p50: float
    p99: float
    per_second: float
    points_per_second: float
    processor_us: float | None = None


class Load:
    """Requests to one server.

    Args:
        base: the base URL, for example http://127.0.0.1:8000.
        token: the value of the header ``token``.
        step_s: seconds between two points.
    """

    def __init__(self, base: str, token: str, step_s: float = 1.0) -> None:
        parts = urlsplit(base)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.token, self.step_s = token, step_s
        self.sent = 0

    def batch(self, size: int) -> bytes:
        """Return the next body: ``size`` points, each later than the last."""
        first, self.sent = self.sent, self.sent + size
        points = [point(number, START + timedelta(seconds=number * self.step_s)) for number in range(first, self.sent)]
        return json.dumps(points if size > 1 else points[0]).encode()

    def post(self, size: int) -> Callable[[], bytes]:
        """Return the function that makes the next POST of ``size`` points."""

        def make() -> bytes:
            body = self.batch(size)
            return self._head("POST", "/data", f"Content-Length: {len(body)}\r\n") + body

        return make

    def get(self, query: str) -> Callable[[], bytes]:
        """Return the function that makes a GET /data."""
        request = self._head("GET", f"/data?{query}", "")
        return lambda: request

    def _head(self, method: str, path: str, more: str) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\ntoken: {self.token}\r\n"
            f"Content-Type: application/json\r\n{more}\r\n"
        ).encode()

    def run(self, make: Callable[[], bytes], *, count: int, connections: int = 1, points: int = 1) -> Result:
        """Send ``count`` requests over ``connections`` connections and measure them. All are made beforehand.

        Raises:
            RuntimeError: the status of an answer was not 200.
        """
        requests = [make() for _ in range(count)]
        elapsed, total = uvloop.run(self._run(requests, connections))
        elapsed.sort()
        rate = count / total
        return Result(
            p50=elapsed[len(elapsed) // 2] * 1000,
            p99=elapsed[min(len(elapsed) - 1, int(len(elapsed) * 0.99))] * 1000,
            per_second=rate,
            points_per_second=rate * points,
        )

    async def _run(self, requests: list[bytes], connections: int) -> tuple[list[float], float]:
        loop = asyncio.get_running_loop()
        elapsed: list[float] = []
        left = iter(requests)
        opened = [
            await loop.create_connection(lambda: Connection(left, elapsed, loop.create_future()), self.host, self.port)
            for _ in range(connections)
        ]
        started = time.perf_counter()
        for _, connection in opened:
            connection.next()
        await asyncio.gather(*(connection.done for _, connection in opened))
        return elapsed, time.perf_counter() - started


class Connection(asyncio.Protocol):
    """One connection that sends the next request as soon as the last is answered."""

    def __init__(self, left: Iterator[bytes], elapsed: list[float], done: "asyncio.Future[None]") -> None:
        self._left, self._elapsed, self.done = left, elapsed, done
        self._got, self._missing = b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def next(self) -> None:
        """Send the next request, or close the connection if none is left."""
        request = next(self._left, None)
        if request is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._started = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Wait for the complete answer, note how long it took, and send the next request."""
        if self._missing < 0:
            self._got += data
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._got[:end].lower()
            if b" 200 " not in head[:15]:
                self.done.set_exception(RuntimeError(repr(self._got[:500])))
                self._transport.close()
                return
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            self._missing = end + 4 + length - len(self._got)
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._elapsed.append(time.perf_counter() - self._started)
            self._got, self._missing = b"", -1
            self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the run if the server closed the connection."""
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the server closed the connection: {exc}"))
