"""What sealing takes of POST: the same load with the sealer at work on a backlog, and without it."""

import contextlib
import shutil
import sqlite3
import statistics
import tempfile
from pathlib import Path

from bench import fill
from bench.driver import Load, Result
from bench.servers import started
from bench.unsealed import SEALER
from embedded import chores, folder

DEVICES, WAITING = 20, 5_000
"""The sealer begins with more than it leaves for an idle moment, 4,096 points of a device."""
NAME = "POST 1, 16 connections, while it seals"
CONNECTIONS, REQUESTS = 16, 12_000


def measure(scale: float, repeats: int) -> dict[str, dict[str, Result]]:
    """Return the median run with the sealer and without, in turn, each on a fresh copy of the same backlog."""
    if not hasattr(chores, SEALER):
        print(f"{NAME}: this version has no sealer")
        return {}
    runs: dict[str, list[Result]] = {"decant": [], "unsealed": []}
    with tempfile.TemporaryDirectory() as temporary:
        filled = Path(temporary) / "filled"
        fill.decant(filled, {f"device {number}": WAITING for number in range(DEVICES)}, is_sealed=False)
        for number in range(repeats):
            for name in (*runs,) if number % 2 else reversed(runs):  # so that neither always has the warmer machine
                runs[name].append(_run(name, filled, scale))
    middle = {name: statistics.median_low(run.per_second for run in results) for name, results in runs.items()}
    return {
        NAME: {name: next(run for run in results if run.per_second == middle[name]) for name, results in runs.items()}
    }


def _run(name: str, filled: Path, scale: float) -> Result:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        shutil.copytree(filled, directory / "data")
        file = directory / "data" / folder.DATABASE
        with started(name, directory) as server:
            load = Load(server.url, server.fresh())
            before = waiting(file)
            result = load.run(load.post(1), count=int(REQUESTS * scale), connections=CONNECTIONS)
            sealed = before + int(REQUESTS * scale) - waiting(file)
            print(f"{name}: {sealed:,} of {before:,} waiting segments were sealed meanwhile", flush=True)
            return result


def waiting(file: Path) -> int:
    """Return how many small segments a database has that a server uses."""
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT COUNT(*) FROM segments").fetchone()
        return int(count)
