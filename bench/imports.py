"""Measures how long each function takes to load: in a new Python process each time, as the median of some runs."""

import statistics
import subprocess
import sys
from pathlib import Path

MODULES = {
    "http": "app",
    "authorizer": "chalicelib.functions.authorizer",
    "iot-authorizer": "chalicelib.functions.iot_authorizer",
    "iot-ingest": "chalicelib.functions.iot_ingest",
    "counters": "chalicelib.functions.counters",
    "housekeeping": "chalicelib.functions.housekeeping",
    "sealer": "chalicelib.functions.sealer",
}
CODE = """
import time
started = time.perf_counter()
import {module}
print((time.perf_counter() - started) * 1000)
"""


def import_ms(module: str, repeats: int = 7) -> float:
    """Return how many milliseconds it takes to import a module."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", CODE.format(module=module)]
    return statistics.median(
        float(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    )


def measure() -> dict[str, float]:
    """Return how many milliseconds each function takes to load."""
    return {name: round(import_ms(module), 1) for name, module in MODULES.items()}
