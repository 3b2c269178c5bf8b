"""The loads on devices that get their points in requests of 1 or 100."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bench.driver import START, Load, Result
from bench.servers import Server

SIZES = (1_000, 10_000, 100_000)
BATCH = 100


def reads(size: int) -> dict[str, tuple[str, int]]:
    """Return the reads of a device of ``size`` points: by name, the query and the number of requests."""
    start, end = START + timedelta(seconds=size * 0.25), START + timedelta(seconds=size * 0.75)
    span = f"start_date={start:%Y-%m-%dT%H:%M:%S}Z&end_date={end:%Y-%m-%dT%H:%M:%S}Z"
    return {
        "GET last 15": ("qty=15", 2_000),
        "GET last 15 of a variable": ("qty=15&variables=temperature", 2_000),
        "GET 1,000": ("qty=1000", 200),
        "GET last_value": ("query=last_value&variables=temperature", 2_000),
        "GET count of half": (f"query=count&{span}", 100),
    }


def loads(scale: float) -> Iterator[tuple[str, int, Any]]:
    """Yield each load: its name, the number of points in a request, and the function that runs it on a server."""
    for size, count in ((1, 3_000), (BATCH, 600)):
        for connections in (1, 16):
            name = f"POST {size}, {connections} connection{'s' * (connections > 1)}"

            def post(server: Server, size: int = size, count: int = count, connections: int = connections) -> Result:
                load = Load(server.url, server.fresh())
                load.run(load.post(size), count=20)
                return load.run(load.post(size), count=int(count * scale), connections=connections, points=size)

            yield name, size, post
    for size in SIZES:
        for name, (query, count) in reads(size).items():

            def get(server: Server, size: int = size, query: str = query, count: int = count) -> Result:
                if size not in server.stored:
                    server.stored[size] = load = Load(server.url, server.fresh())
                    load.run(load.post(BATCH), count=size // BATCH)
                load = server.stored[size]
                load.run(load.get(query), count=10)
                return load.run(load.get(query), count=max(20, int(count * scale)))

            yield f"{name}, {size:,} stored", 1, get
