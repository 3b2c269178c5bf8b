"""The loads on devices that got each point in a request of its own, a minute after the other.

Each scene has database files of its own, filled before the servers start. Decant's are sealed, as its server does in
the background, and all free pages are given back.
"""

import contextlib
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bench import fill
from bench.driver import Load, Result
from bench.servers import Server, started

SECONDS = 2.0
"""For how long a load of a scene is kept up, about."""
SMALL, LARGE = 10_000, 1_000_000


@dataclass(frozen=True)
class Scene:
    """Some devices, and the queries on them: by name, the device and the query."""

    name: str
    sizes: dict[str, int]
    queries: dict[str, tuple[str, str]]


def span(start: datetime, days: int) -> str:
    end = start + timedelta(days=days) - timedelta(milliseconds=1)
    return f"start_date={start:%Y-%m-%dT%H:%M:%S}Z&end_date={end:%Y-%m-%dT%H:%M:%S}.999Z"


def singles() -> Scene:
    start = fill.start_of(40_000)
    week, day = span(start + timedelta(days=7), 7), span(start + timedelta(days=10), 1)
    queries = {
        "GET 1,000": "qty=1000",
        "GET 1,000 of a variable": "qty=1000&variables=temperature",
        "GET 10,000": "qty=10000",
        "GET 1,000, oldest first": "qty=1000&ordination=ascending",
        "GET a day": f"qty=10000&{day}",
        "GET last 15": "qty=15",
        "GET last 15 of a variable": "qty=15&variables=temperature",
        "GET last_value": "query=last_value&variables=temperature",
        "GET count of a week": f"query=count&{week}",
        "GET avg of a week": f"query=avg&{week}",
        "GET avg of a week of a variable": f"query=avg&variables=temperature&{week}",
        "GET aggregate by hour of a week": f"query=aggregate&interval=hour&function=avg&{week}",
        "GET conditional of a week": f"query=conditional&function=gt&value=50&qty=10000&{week}",
    }
    return Scene(
        "one by one",
        {"singles": 40_000},
        {f"{name}, one by one": ("singles", query) for name, query in queries.items()},
    )


def _year() -> Scene:
    queries = {
        "GET aggregate by day, a year": "query=aggregate&interval=day&function=avg",
        "GET max, a year": "query=max",
        "GET count, a year": "query=count",
        "GET 10,000, a year": "qty=10000",
    }
    return Scene("a year", {"year": 525_600}, {name: ("year", query) for name, query in queries.items()})


def _large() -> Scene:
    queries: dict[str, tuple[str, str]] = {}
    for size in (SMALL, LARGE):
        day = span(fill.start_of(size) + timedelta(days=3), 1)
        own = {
            "GET 1,000": "qty=1000",
            "GET last 15 of a variable": "qty=15&variables=temperature",
            "GET last_value": "query=last_value&variables=temperature",
            "GET a day": f"qty=10000&{day}",
            "GET count of a day": f"query=count&{day}",
            "GET avg of a day": f"query=avg&{day}",
            "GET aggregate by hour of a day": f"query=aggregate&interval=hour&function=avg&{day}",
        }
        queries |= {f"{name}, {size:,} one by one": (str(size), query) for name, query in own.items()}
    return Scene("a million", {str(size): size for size in (SMALL, LARGE)}, queries)


def scenes(only: str) -> Iterator[Scene]:
    """Yield the scenes that have queries with ``only`` in their names, with these queries."""
    for scene in (singles(), _year(), _large()):
        queries = {name: query for name, query in scene.queries.items() if only in name}
        if queries:
            yield Scene(scene.name, scene.sizes, queries)


@contextlib.contextmanager
def opened(scene: Scene, against: Path | None) -> Iterator[tuple[list[Server], dict[str, float]]]:
    """Fill the files of a scene and start the servers; give the servers, and the bytes a point on disk of each."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        directory = Path(folder)
        tokens = {"decant": fill.decant(directory / "decant" / "data", scene.sizes)}
        files = {"decant": directory / "decant" / "data" / "decant.db"}
        if against:  # it may be of a version that knows no sealed points
            tokens["other"] = fill.decant(directory / "other" / "data", scene.sizes, is_sealed=False)
            files["other"] = directory / "other" / "data" / "decant.db"
        else:
            files["naive"] = directory / "naive" / "naive.db"
            files["naive"].parent.mkdir()
            tokens["naive"] = fill.naive_server(files["naive"], scene.sizes)
        points = sum(scene.sizes.values())
        disk = {name: fill.bytes_of(file) / points for name, file in files.items()}
        servers = []
        for name, own in tokens.items():
            module, checkout = ("decant", [against.resolve()]) if name == "other" else (name, [])
            server = stack.enter_context(started(module, directory / name, *checkout))
            server.name, server.devices = name, own
            servers.append(server)
        yield servers, disk


def get(server: Server, device: str, query: str, scale: float) -> Result | None:
    """Ask again and again for about two seconds; return None if the server cannot answer."""
    load = Load(server.url, server.devices[device])
    try:
        probe = load.run(load.get(query), count=3)
        count = min(500, max(5, int(SECONDS * scale * 1_000 / probe.p50)))
        return load.run(load.get(query), count=count)
    except RuntimeError:
        return None


def fact(server: Server, device: str, query: str) -> float | None:
    """Return the number of a scalar answer, else how many points or buckets there are; None if there is no answer."""
    request = urllib.request.Request(f"{server.url}/data?{query}", headers={"token": server.devices[device]})
    try:
        with urllib.request.urlopen(request) as answer:
            result = json.load(answer)["result"]
    except urllib.error.HTTPError:
        return None
    return len(result) if isinstance(result, list) else round(result, 6)


def memory(server: Server, scene: Scene) -> dict[str, float]:
    """Return by query how many MB more than idle a fresh server takes at most while it answers."""
    idle_mb, peaks_mb = None, {}
    for name, (device, query) in scene.queries.items():
        load = Load(server.url, server.devices[device])
        if idle_mb is None:
            load.run(load.get("qty=1"), count=20)
            idle_mb = server.memory_mb() or 0.0
        server.forget_peak()
        with contextlib.suppress(RuntimeError):
            load.run(load.get(query), count=3)
            peaks_mb[name] = (server.memory_mb("VmHWM") or 0.0) - idle_mb
    return peaks_mb


def growth(kept: dict[str, dict[str, Result | None]], server: str) -> dict[str, float]:
    """Return by query how many times longer it takes on the large device than on the small one (p50)."""
    ratios = {}
    for name, by_server in kept.items():
        large = kept.get(name.replace(f"{SMALL:,} one", f"{LARGE:,} one"), {}).get(server)
        small = by_server.get(server)
        if f", {SMALL:,} one" in name and small and large:
            ratios[name.removesuffix(f", {SMALL:,} one by one")] = large.p50 / small.p50
    return ratios
