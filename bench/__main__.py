"""``python -m bench``: measures Decant's embedded mode and bench/naive.py side by side, or any server by its URL.

Each server is a process on the first core; the driver runs on the second core, if there is one. Every load runs on
each server in turn, three times, and the median counts. It prints a table and writes JSON to build/bench.json.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import imports, mqtt
from bench.driver import START, Load, Result

SIZES = (1_000, 10_000, 100_000)
BATCH = 100
ROOT = Path(__file__).parents[1]


@dataclass
class Server:
    """A server under test. ``token`` is a device token, for a server that this program did not start."""

    name: str
    url: str
    token: str = ""
    profile_token: str = ""
    mqtt_port: int = 0
    process: "subprocess.Popen[str] | None" = None
    startup_s: float = 0.0
    stored: dict[int, Load] = field(default_factory=dict)

    def fresh(self) -> str:
        """Return the token of a device without points and without a limit on their number."""
        if not self.profile_token:
            return self.token or os.urandom(8).hex()
        body = {"name": "Bench", "type": "immutable", "chunk_period": "month", "chunk_retention": 36}
        request = urllib.request.Request(
            self.url + "/device",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Profile-Token": self.profile_token},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["result"]["token"]

    def memory_mb(self) -> float | None:
        """Return the resident memory in MB, or None for a server that this program did not start."""
        if self.process is None:
            return None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pin(core: int, process_id: int = 0) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(process_id, {core})


@contextlib.contextmanager
def started(name: str, directory: Path, checkout: Path = ROOT) -> Iterator[Server]:
    """Start a server on the first core and wait until it answers.

    Args:
        name: decant, naive or empty.
        directory: a folder for the server's data and log. It is created if it does not exist.
        checkout: the checkout of Decant: this one, or an older one to compare with.
    """
    directory.mkdir(exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "DECANT_DATA_DIR": str(directory / "data"),
        "DECANT_HTTP_PORT": str(port),
        "DECANT_MQTT_PORT": str(mqtt_port := free_port()),
        "NAIVE_DB": str(directory / "naive.db"),
        "BENCH_PORT": str(port),
    }
    module = f"bench.{name}"
    if name == "decant":
        module = "embedded" if (checkout / "embedded").exists() else "local"  # the name in release 0.1.0
    with (directory / f"{name}.log").open("w+") as log:
        began_s = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", module], cwd=checkout, env=environment, stdout=log, text=True)
        pin(0, process.pid)
        try:
            server = Server(name, url, process=process, mqtt_port=mqtt_port)
            server.startup_s = wait_for(server, began_s)
            while name == "decant" and not server.profile_token:
                match = re.search(r"Profile token +(\S+)\n", Path(log.name).read_text())
                server.profile_token = match[1] if match else ""
            yield server
        finally:
            process.terminate()
            process.wait()


def wait_for(server: Server, began_s: float) -> float:
    while True:
        try:
            urllib.request.urlopen(server.url + "/status", timeout=5).close()
        except urllib.error.HTTPError:
            pass
        except OSError:
            if server.process is not None and server.process.poll() is not None:
                raise
            time.sleep(0.005)
            continue
        return time.perf_counter() - began_s


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


def measure(servers: list[Server], options: argparse.Namespace) -> dict[str, dict[str, Result]]:
    """Run every load on every server in turn and keep the run with the median rate."""
    kept: dict[str, dict[str, Result]] = {}
    for name, _, run in loads(options.scale):
        if options.only not in name:
            continue
        asked = [server for server in servers if server.name != "empty" or name.startswith("POST 1,")]
        results: dict[str, list[Result]] = {server.name: [] for server in asked}
        for _ in range(options.repeats):
            for server in asked:
                results[server.name].append(run(server))
        rate = statistics.median_low
        kept[name] = {
            server_name: next(run for run in runs if run.per_second == rate([run.per_second for run in runs]))
            for server_name, runs in results.items()
        }
        print(row(name, kept[name]), flush=True)
    return kept


def row(name: str, by_server: dict[str, Result]) -> str:
    cells = [f"{result.per_second:,.0f} | {result.p50:.2f} / {result.p99:.2f}" for result in by_server.values()]
    results = list(by_server.values())
    cells += [f"{results[0].per_second / other.per_second:.2f} ×" for other in results[1:]]
    return f"| {name} | {' | '.join(cells)} |"


@contextlib.contextmanager
def started_peer() -> Iterator[Server]:
    """Start the MQTT broker to compare with on the first core."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "bench.peer_mqtt", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pin(0, process.pid)
    try:
        process.stdout.readline()
        yield Server("amqtt", "", process=process, mqtt_port=port)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def measure_mqtt(servers: list[Server], scale: float, repeats: int) -> dict[str, dict[str, Result]]:
    """Publish with QoS 1 to every broker in turn, with each number of connections."""
    kept: dict[str, dict[str, Result]] = {}
    for connections in mqtt.CONNECTIONS:
        name = f"MQTT QoS 1, {connections} connection{'s' * (connections > 1)}"
        count = int((3_000 if connections == 1 else 20_000) * scale)
        results: dict[str, list[Result]] = {server.name: [] for server in servers}
        for _ in range(repeats):
            for server in servers:
                token = server.fresh() if server.profile_token else "any"
                port = server.mqtt_port
                results[server.name].append(mqtt.run("127.0.0.1", port, token, count=count, connections=connections))
        middle = repeats // 2
        kept[name] = {
            server_name: sorted(runs, key=lambda run: run.per_second)[middle] for server_name, runs in results.items()
        }
        print(row(name, kept[name]), flush=True)
    return kept


def describe() -> str:
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores of {model[1] if model else 'an unknown kind'}, Python {version}, {sys.platform}"


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": describe(), **report}, default=asdict, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--url", help="measure only this server, for example http://127.0.0.1:8000")
    parser.add_argument("--token", help="the token of a device on that server; the benchmark fills the device")
    parser.add_argument("--against", type=Path, help="another checkout of Decant, measured instead of bench/naive.py")
    parser.add_argument("--only", default="", help="run only loads with this text in their name, and none of MQTT")
    parser.add_argument("--scale", type=float, default=1.0, help="the factor for the number of requests")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        servers = start_all(options, stack)
        pin(1)
        print(describe())
        shown = [server for server in servers if server.name != "empty"]
        print(f"| | {' | '.join(f'{server.name}, requests/s | p50 / p99 ms' for server in shown)} | ratio |")
        print("|---" * (2 * len(shown) + 2) + "|")
        kept = measure(servers, options)
        if not options.url and not options.only:
            kept |= measure_broker(servers, options, stack)
        about = {}
        for server in servers:
            about[server.name] = {"startup_s": round(server.startup_s, 2), "memory_mb": server.memory_mb()}
        for name, facts in about.items():
            print(f"{name}: {facts['startup_s']} s to the first answer, {facts['memory_mb']} MB at the end")
        loads_ms = {} if options.url or options.only else imports.measure()
        for name, milliseconds in loads_ms.items():
            print(f"{name}: loaded in {milliseconds:.0f} ms")
        write_report(options.json, {"servers": about, "loads": kept, "imports_ms": loads_ms})


def start_all(options: argparse.Namespace, stack: contextlib.ExitStack) -> list[Server]:
    if options.url:
        return [Server("server", options.url, options.token)]
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    own = stack.enter_context(started("decant", directory / "decant"))
    if options.against:
        other = stack.enter_context(started("decant", directory / "other", options.against.resolve()))
        return [own, replace(other, name="other")]
    return [own, *(stack.enter_context(started(name, directory / name)) for name in ("naive", "empty"))]


def measure_broker(
    servers: list[Server], options: argparse.Namespace, stack: contextlib.ExitStack
) -> dict[str, dict[str, Result]]:
    """Measure the MQTT brokers, and what idle connections take of a fresh process."""
    rivals = servers if options.against else [servers[0], stack.enter_context(started_peer())]
    rival = rivals[1].name
    print(f"\n| | decant, messages/s | p50 / p99 ms | {rival}, messages/s | p50 / p99 ms | ratio |")
    print("|---" * 6 + "|")
    kept = measure_mqtt(rivals, options.scale, options.repeats)
    fresh = stack.enter_context(started("decant", Path(stack.enter_context(tempfile.TemporaryDirectory())) / "idle"))
    before_mb = fresh.memory_mb()
    idle_mb = mqtt.hold("127.0.0.1", fresh.mqtt_port, fresh.fresh(), 1_000, fresh.memory_mb)
    print(f"1,000 idle MQTT connections take {idle_mb - before_mb:.1f} MB")
    return kept


if __name__ == "__main__":
    main()
