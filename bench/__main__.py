"""``python -m bench``: measures Decant's embedded mode and bench/naive.py side by side, or any server by its URL.

Each server is a process on the first core; the driver runs on the second core, if there is one. Every load runs on
each server in turn, three times, and the median counts. It prints tables and writes JSON to build/bench.json.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import imports, mqtt, scenes, sealing
from bench.driver import Result
from bench.loads import loads
from bench.servers import Server, describe, pin, started, started_peer


def median(runs: list[Result | None]) -> Result | None:
    """Return the run with the median rate; None if one failed."""
    done = [run for run in runs if run is not None]
    if len(done) < len(runs):
        return None
    rate = statistics.median_low([run.per_second for run in done])
    return next(run for run in done if run.per_second == rate)


def repeat(servers: list[Server], repeats: int, run: Callable[[Server], Result | None]) -> dict[str, Result | None]:
    """Run a load on every server in turn; return the median run of each. One that fails is not tried again."""
    results: dict[str, list[Result | None]] = {server.name: [] for server in servers}
    for _ in range(repeats):
        for server in servers:
            if None not in results[server.name]:
                results[server.name].append(run(server))
    return {name: median(runs) for name, runs in results.items()}


def measure(servers: list[Server], options: argparse.Namespace) -> dict[str, dict[str, Result | None]]:
    """Run every load on every server in turn and keep the run with the median rate."""
    kept = {}
    for name, _, run in loads(options.scale):
        if options.only not in name:
            continue
        asked = [server for server in servers if server.name != "empty" or name.startswith("POST 1,")]
        kept[name] = repeat(asked, options.repeats, run)
        print(row(name, kept[name]), flush=True)
    return kept


def measure_scenes(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the devices that got their points one by one: rates, bytes a point on disk, and peaks of memory."""
    kept: dict[str, dict[str, Result | None]] = {}
    disk, memory = {}, {}
    for scene in scenes.scenes(options.only):
        with scenes.opened(scene, options.against) as (servers, bytes_a_point):
            print_head([server.name for server in servers])
            disk[scene.name] = bytes_a_point
            memory[scene.name] = {server.name: scenes.memory(server, scene) for server in servers}
            for name, (device, query) in scene.queries.items():

                def get(server: Server, device: str = device, query: str = query) -> Result | None:
                    return scenes.get(server, device, query, options.scale)

                facts = {scenes.fact(server, device, query) for server in servers} - {None}
                if len(facts) > 1:
                    print(f"{name}: the answers differ: {facts}")
                kept[name] = repeat(servers, options.repeats, get)
                print(row(name, kept[name]), flush=True)
    return {"loads": kept, "bytes_a_point": disk, "memory_mb": memory, "growth": scenes.growth(kept, "decant")}


def print_scenes(facts: dict[str, Any]) -> None:
    names = list(next(iter(facts["bytes_a_point"].values()), ()))
    if not names:
        return
    print(f"\n| | {' | '.join(names)} |\n" + "|---" * (len(names) + 1) + "|")
    for scene, by_server in facts["bytes_a_point"].items():
        print(f"| bytes a point on disk, {scene} | {' | '.join(f'{by_server[name]:.1f}' for name in names)} |")
    for scene, by_server in facts["memory_mb"].items():
        peaks_mb = (max(by_server[name].values(), default=0.0) for name in names)
        print(f"| MB above idle, the heaviest query, {scene} | {' | '.join(f'{peak:.0f}' for peak in peaks_mb)} |")
    if facts["growth"]:
        print(f"\n| p50 with {scenes.LARGE:,} points against {scenes.SMALL:,} | ratio |\n|---|---|")
    for name, ratio in facts["growth"].items():
        print(f"| {name} | {ratio:.2f} × |")


def cell(result: Result | None) -> str:
    if result is None:
        return "– | –"
    return f"{result.per_second:,.{int(result.per_second < 10)}f} | {result.p50:.2f} / {result.p99:.2f}"


def row(name: str, by_server: dict[str, Result | None]) -> str:
    results = list(by_server.values())
    cells = [cell(result) for result in results]
    for other in results[1:]:
        cells.append(f"{results[0].per_second / other.per_second:.2f} ×" if results[0] and other else "–")
    return f"| {name} | {' | '.join(cells)} |"


def measure_mqtt(servers: list[Server], wanted: list[mqtt.Scene], repeats: int) -> dict[str, dict[str, Result | None]]:
    """Publish to every broker in turn, with each QoS and number of connections, and over WebSocket."""
    kept = {}
    for scene in wanted:

        def publish(server: Server, scene: mqtt.Scene = scene) -> Result | None:
            return mqtt.run(server, server.fresh() if server.profile_token else "any", scene)

        kept[scene.name] = repeat(servers, repeats, publish)
        print(row(scene.name, kept[scene.name]), flush=True)
    print(f"\n| µs of processor time a message | {' | '.join(server.name for server in servers)} |")
    print("|---" * (len(servers) + 1) + "|")
    for name, by_server in kept.items():
        costs = (result and result.processor_us for result in by_server.values())
        print(f"| {name} | {' | '.join('–' if cost is None else f'{cost:.0f}' for cost in costs)} |")
    return kept


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": describe(), **report}, default=asdict, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--url", help="measure only this server, for example http://127.0.0.1:8000")
    parser.add_argument("--token", help="the token of a device on that server; the benchmark fills the device")
    parser.add_argument("--against", type=Path, help="another checkout of Decant, measured instead of bench/naive.py")
    parser.add_argument("--only", default="", help="run only loads with this text in their name")
    parser.add_argument("--scale", type=float, default=1.0, help="the factor for the number of requests")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    pin(1)
    report = measure_batches(options)
    if not options.url:
        report["one by one"] = measure_scenes(options)
        print_scenes(report["one by one"])
        if options.only in sealing.NAME:
            report["sealing"] = sealing.measure(options.scale, options.repeats)
            for name, by_server in report["sealing"].items():
                print_head([*by_server])
                print(row(name, dict(by_server)))
    write_report(options.json, report)


def print_head(names: list[str]) -> None:
    print(f"\n| | {' | '.join(f'{name}, requests/s | p50 / p99 ms' for name in names)} | ratio |")
    print("|---" * (2 * len(names) + 2) + "|")


def measure_batches(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the loads on servers that begin empty, and those of MQTT; return the report."""
    with contextlib.ExitStack() as stack:
        print(describe())
        brokered = [scene for scene in mqtt.scenes(options.scale) if options.only in scene.name and not options.url]
        if not brokered and not any(options.only in name for name, _, _ in loads(options.scale)):
            return {}
        servers = start_all(options, stack)
        print_head([server.name for server in servers if server.name != "empty"])
        kept = measure(servers, options)
        if brokered:
            kept |= measure_broker(servers, brokered, options, stack)
        about = {}
        for server in servers:
            about[server.name] = {"startup_s": round(server.startup_s, 2), "memory_mb": server.memory_mb()}
        for name, facts in about.items():
            print(f"{name}: {facts['startup_s']} s to the first answer, {facts['memory_mb']} MB at the end")
        loads_ms = {} if options.url or options.only else imports.measure()
        for name, milliseconds in loads_ms.items():
            print(f"{name}: loaded in {milliseconds:.0f} ms")
        return {"servers": about, "loads": kept, "imports_ms": loads_ms}


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
    servers: list[Server], wanted: list[mqtt.Scene], options: argparse.Namespace, stack: contextlib.ExitStack
) -> dict[str, dict[str, Result | None]]:
    """Measure the MQTT brokers, and what idle connections take of a fresh process."""
    rivals = servers if options.against else [servers[0], stack.enter_context(started_peer())]
    rival = rivals[1].name
    print(f"\n| | decant, messages/s | p50 / p99 ms | {rival}, messages/s | p50 / p99 ms | ratio |")
    print("|---" * 6 + "|")
    kept = measure_mqtt(rivals, wanted, options.repeats)
    fresh = stack.enter_context(started("decant", Path(stack.enter_context(tempfile.TemporaryDirectory())) / "idle"))
    before_mb = fresh.memory_mb()
    idle_mb = mqtt.hold(fresh.mqtt_port, fresh.fresh(), mqtt.IDLE, lambda: fresh.memory_mb() or 0.0)
    print(f"{mqtt.IDLE:,} idle MQTT connections take {idle_mb - (before_mb or 0.0):.1f} MB")
    return kept


if __name__ == "__main__":
    main()
