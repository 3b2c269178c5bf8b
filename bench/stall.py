"""``python -m bench.stall``: how long one profile's cheap request waits while another profile sends heavy ones.

It fills a data directory, starts the embedded mode on it, and asks for ``last_value`` of one device every 5 ms while
another profile keeps up one kind of load on 8 connections. The first row has no load. With ``--against``, an older
checkout is measured on a copy of the same data directory.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.servers import ROOT, describe, pin, started
from chalicelib import settings, store
from chalicelib.host import clock, keys, secret
from chalicelib.schemas.points import Sent
from chalicelib.services.access import reach
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.services.points import send
from chalicelib.store.sqlite import SqliteStore
from embedded import folder

SINGLES, VARIABLES, DEVICES = 100_000, 7_000, 10_000
CONNECTIONS = 8
EVERY_S = 0.005
SECONDS = 6.0
MINUTE_MS = 60_000
BIG_BYTES = 200_000


def big_body() -> bytes:
    points = [{"variable": "a", "value": number} for number in range(BIG_BYTES // 32)]
    return json.dumps(points, separators=(",", ":")).encode()[:BIG_BYTES]


LOADS: dict[str, tuple[str, str, bytes]] = {
    "no load": ("", "", b""),
    "aggregate of 100,000 single points": ("GET", "/data?query=aggregate&interval=day&function=avg", b""),
    "skip=99990": ("GET", "/data?qty=1&skip=99990", b""),
    "values=x": ("GET", "/data?values=x", b""),
    "last_location, of which there is none": ("GET", "/data?query=last_location", b""),
    "max": ("GET", "/data?query=max", b""),
    "qty=10000": ("GET", "/data?qty=10000", b""),
    "last_value of 7,000 variables": ("GET", "/device/{wide}/data?query=last_value", b""),
    "20 of 10,000 devices": ("GET", "/device?amount=20", b""),
    "a value no device has": ("GET", "/device?filter[name]=*x*y*", b""),
    "POST of 200 kB, 6,250 points": ("POST", "/data", big_body()),
    "POST of [1,1,1,...], 200 kB": ("POST", "/data", b"[" + b"1," * 99_998 + b"1]"),
    "POST of 1 point": ("POST", "/data", b'{"variable":"a","value":1}'),
    "DELETE values=x": ("DELETE", "/device/{wide}/data?values=x", b""),
}


def fill(directory: Path) -> dict[str, str]:
    """Fill a data directory; return the tokens and ids that the loads need."""
    directory.mkdir()
    settings.use(settings.Settings(profile_may_send=True))
    sqlite = SqliteStore(directory / "decant.db", synchronous="NORMAL")
    store.use(sqlite)
    secret.use(folder.read_secret(directory))
    sqlite.grouped = True
    keys.use(keys.nobody)
    victim, _ = profiles.create(name="Victim")
    attacker, profile_token = profiles.create(name="Attacker")
    quiet = devices.create(profile=victim, sent={"name": "quiet"})
    kept = {"type": "immutable", "chunk_period": "month", "chunk_retention": 36}
    many: Any = devices.create(profile=attacker, sent={"name": "singles", **kept})  # type: ignore[typeddict-item]
    wide = devices.create(profile=attacker, sent={"name": "wide"})
    now_ms = clock.now_ms()
    put(victim, quiet["device_id"], [{"variable": "temperature", "value": 21}])
    for number in range(SINGLES):
        time_ms = now_ms - number * MINUTE_MS
        put(attacker, many["device_id"], [{"variable": f"v{number % 5}", "value": number % 97, "time": time_ms}])
    for first in range(0, VARIABLES, 1_000):
        put(attacker, wide["device_id"], [{"variable": f"v{first + n}", "value": n} for n in range(1_000)])
    for number in range(DEVICES):
        devices.create(profile=attacker, sent={"name": f"device {number}"})
        if number % 500 == 0:
            sqlite.commit()
    sqlite.close()
    store.use(None)
    return {"victim": quiet["token"], "singles": many["token"], "profile": profile_token, "wide": wide["device_id"]}


def put(profile: str, device: str, items: list[Any]) -> None:
    doc = reach.device_or_raise(profile=profile, device=device)
    send.store_points(device=doc, sent=Sent(items, json.dumps(items).encode()))


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request; return the status of its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def request_of(method: str, path: str, token: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ntoken: {token}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def attack(url: str, request: bytes, counted: Any) -> None:
    """Send a request again and again on each connection until the process is ended. Counts the answers."""
    pin(1)

    async def one() -> None:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 24)
        while True:
            await ask(reader, writer, request)
            with counted.get_lock():
                counted.value += 1

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)), return_exceptions=True)

    asyncio.run(run())


async def measure(url: str, request: bytes, seconds: float) -> list[float]:
    """Return how many milliseconds each request took. The next one is sent when it is due, or at once if it is late."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    took_ms, end_s = [], time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        began_s = time.perf_counter()
        assert await ask(reader, writer, request) == 200
        took_s = time.perf_counter() - began_s
        took_ms.append(took_s * 1000)
        await asyncio.sleep(max(0.0, EVERY_S - took_s))
    writer.close()
    return took_ms


def stall(url: str, facts: dict[str, str], name: str, seconds: float) -> tuple[list[float], int]:
    """Measure the victim under a load; return its times and how many heavy requests were answered."""
    method, path, body = LOADS[name]
    counted = multiprocessing.Value("q", 0)
    token = facts["profile"] if path.startswith("/device") else facts["singles"]
    request = request_of(method, path.format(**facts), token, body)
    attacker = multiprocessing.Process(target=attack, args=(url, request, counted), daemon=True)
    if method:
        attacker.start()
        time.sleep(0.5)
    cheap = request_of("GET", "/data?query=last_value&variables=temperature", facts["victim"], b"")
    times_ms = asyncio.run(measure(url, cheap, seconds))
    if method:
        attacker.kill()
        attacker.join()
    return times_ms, counted.value


def slow_disk(directory: Path, milliseconds: float) -> str:
    """Build a library that makes every sync take longer, for LD_PRELOAD. It needs a C compiler."""
    source = directory / "slow.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <unistd.h>\n"
        + "".join(
            f"int {name}(int file) {{ usleep({int(milliseconds * 1000)});"
            f' return ((int (*)(int))dlsym(RTLD_NEXT, "{name}"))(file); }}\n'
            for name in ("fsync", "fdatasync")
        )
    )
    library = directory / "slow.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stall", description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout of Decant, measured too")
    parser.add_argument("--only", default="", help="run only loads with this text in their name")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each load is kept up")
    parser.add_argument("--sync-ms", type=float, default=0.0, help="let each sync of the disk take so much longer")
    options = parser.parse_args()
    checkouts = [ROOT, *([options.against.resolve()] if options.against else [])]
    print(describe())
    print("| load | checkout | p50 ms | p99 ms | max ms | heavy answers/s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        facts = fill(Path(folder) / "filled")
        if options.sync_ms:
            os.environ["LD_PRELOAD"] = slow_disk(Path(folder), options.sync_ms)
        for name in [name for name in LOADS if options.only in name]:
            for checkout in checkouts:
                directory = Path(folder) / "server"
                directory.mkdir()
                shutil.copytree(Path(folder) / "filled", directory / "decant" / "data")
                with started("decant", directory / "decant", checkout) as server:
                    times_ms, heavy = stall(server.url, facts, name, options.seconds)
                shutil.rmtree(directory)
                cuts = statistics.quantiles([*times_ms, times_ms[-1]], n=100)
                print(
                    f"| {name} | {checkout.name} | {cuts[49]:.1f} | {cuts[98]:.1f} | {max(times_ms):.1f} | "
                    f"{heavy / options.seconds:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
