"""``python -m bench.parsers``: how long payload parsers run, without HTTP and without the store.

Each row is the median of many runs in one process. The first use is measured in a new process each time: it loads the
engine, compiles the parser and runs it.
"""

import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from chalicelib import sandbox

RUNS = 300
PROCESSES = 7
PAYLOAD = json.dumps([{"variable": "payload", "value": "0109611395028f"}])
SMALL = """
const hex = payload.find(({ variable }) => variable === "payload");
const bytes = Buffer.from(hex.value, "hex");
payload = [
  { variable: "temperature", value: bytes.readInt16BE(1) / 100, unit: "C", group: "1" },
  { variable: "humidity", value: bytes.readUInt16BE(3) / 100, unit: "%", group: "1" },
];
"""


def sized(characters: int) -> str:
    """Return a parser of about this size: the small one behind a table of functions, as many have."""
    entry = "  channel_{0}: function (bytes, at) {{ return {{ variable: 'c{0}', value: bytes[at] * {0} / 10 }}; }},\n"
    entries, size = [], len(SMALL)
    while size < characters:
        entries.append(entry.format(len(entries)))
        size += len(entries[-1])
    return "var table = {\n" + "".join(entries) + "};\n" + SMALL


SOURCES: dict[str, Callable[[], str]] = {
    "small": lambda: SMALL,
    "7 kB": lambda: sized(7_000),
    "63 kB": lambda: sized(63_000),
}


def run(source: str) -> sandbox.Output:
    """Run a parser once."""
    return sandbox.run(source, payload=PAYLOAD, raw_payload=PAYLOAD, device="null", budget=sandbox.Budget())


def median_us(source: str) -> float:
    """Return how many microseconds a run takes, once the parser is compiled."""
    run(source)
    times = []
    for _ in range(RUNS):
        start_ns = time.perf_counter_ns()
        run(source)
        times.append((time.perf_counter_ns() - start_ns) / 1000)
    return statistics.median(times)


def first_ms(name: str) -> tuple[float, float]:
    """Return the milliseconds of the first use, and the megabytes by which the process has grown then."""
    code = f"from bench import parsers; parsers.print_first({name!r})"
    found = [
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(PROCESSES)
    ]
    return statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)


def print_first(name: str) -> None:
    """Print the milliseconds and megabytes of the first use in this process, which has loaded the app before."""
    importlib.import_module("app")
    source, before_mb, start_ns = SOURCES[name](), resident_mb(), time.perf_counter_ns()
    run(source)
    print(json.dumps([(time.perf_counter_ns() - start_ns) / 1e6, resident_mb() - before_mb]))


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def main() -> None:
    """Print the table."""
    print("| Parser | each run, µs | first use, ms | MB more |\n|---|---|---|---|")
    for name, source in SOURCES.items():
        first, more_mb = first_ms(name)
        print(f"| {name} | {median_us(source()):,.0f} | {first:.0f} | {more_mb:.0f} |")


if __name__ == "__main__":
    main()
