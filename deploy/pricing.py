"""Prices what AWS bills: requests, units, bytes, and the time that functions run.

prices.json holds the prices, and what is assumed because only an AWS account can measure it. measured.json holds what
the tests count. A run time is the processor time that the code takes on our machine (``python -m bench.functions``),
divided by the share of a processor that Lambda gives, plus the time that AWS's services take.
"""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from deploy import spec


class Component(NamedTuple):
    """One line of an estimate."""

    name: str
    quantity: float
    """How much of what AWS bills: requests, messages, units, GB or GB-seconds, as the name says."""
    dollars: float


@lru_cache(maxsize=1)
def prices() -> dict[str, Any]:
    """Return prices.json: dollars by unit, the region and date of the prices, their sources, and what is assumed."""
    price_table: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text())
    return price_table


@lru_cache(maxsize=1)
def measured() -> dict[str, Any]:
    """Return measured.json: what a test counted, by kind of request."""
    figures: dict[str, Any] = json.loads(Path(__file__).with_name("measured.json").read_text())
    return figures


def figures(kind: str) -> dict[str, float]:
    """Return what a test counted for a kind of request.

    Batches of 1 and of 100 points were counted, as ``http_1`` and ``http_100``. For any other number of points, as in
    ``http_60``, bytes are on the straight line through both, and write units follow from the bytes. A test compares
    some of them with what it counts.
    """
    found: dict[str, float] = measured().get(kind) or _on_line(kind)
    return found


def _on_line(kind: str) -> dict[str, float]:
    path, _, points = kind.rpartition("_")
    one, hundred = measured()[f"{path}_1"], measured()[f"{path}_100"]
    line = {name: _at(float(points), one[name], hundred[name]) for name in one}
    return line | {"write_units": float(math.ceil(line["stored_bytes"] / 1024))}


def _at(points: float, one: float, hundred: float) -> float:
    return one + (hundred - one) * (points - 1) / 99


def total(components: list[Component]) -> float:
    """Return the sum in dollars."""
    return math.fsum(component.dollars for component in components)


def run_ms(function: str, kind: str, calls: float) -> float:
    """Return the run time of a call of a function in milliseconds.

    Args:
        function: a key of ``spec.FUNCTIONS``.
        kind: what it does, a key of the processor times in prices.json.
        calls: how many calls of AWS's services it makes, one after the other.
    """
    assumed = prices()["assumed"]
    return float(assumed["runtime_ms"] + cpu_ms(function, kind) + calls * assumed["service_ms"])


def cpu_ms(function: str, kind: str) -> float:
    """Return the time that code takes in a function. Lambda gives a share of a processor by memory."""
    share = min(1.0, spec.FUNCTIONS[function].memory_mb / prices()["processor_mb"])
    times: dict[str, float] = prices()["assumed"]["cpu_ms"]
    if kind in times:
        return float(times[kind] / share)
    path, _, points = kind.rpartition("_")
    return float(_at(float(points), times[f"{path}_1"], times[f"{path}_100"]) / share)


def lambda_calls(function: str, times: float, kind: str, calls: float, more_calls: float = 0) -> list[Component]:
    """Price ``times`` calls of a function, which make ``calls`` calls of services each and ``more_calls`` together."""
    call_ms = cpu_ms(function, "store_call") + prices()["assumed"]["service_ms"]
    return lambda_run(function, times, times * run_ms(function, kind, calls) + more_calls * call_ms)


def lambda_run(function: str, times: float, busy_ms: float) -> list[Component]:
    """Price calls of a function by their number and the time that they take together."""
    gb_s = busy_ms / 1000 * spec.FUNCTIONS[function].memory_mb / 1024
    return [
        priced(f"Lambda calls of {function}", times, "lambda_request"),
        priced(f"Lambda GB-seconds of {function}", gb_s, "lambda_gb_s"),
    ]


def logs(lines: float, line_bytes: float) -> list[Component]:
    """Price log lines: to write them, and to keep them for a month."""
    gigabytes = lines * line_bytes / 1e9
    return [priced("Logs, GB", gigabytes, "log_gb"), priced("Logs kept for a month, GB", gigabytes, "log_gb_month")]


def priced(name: str, quantity: float, price: str) -> Component:
    """Price a quantity. ``price`` is a key of the dollars in prices.json."""
    return Component(name, quantity, quantity * prices()["dollars"][price])


def merged(components: list[Component]) -> list[Component]:
    """Add up the lines of the same name."""
    sums: dict[str, Component] = {}
    for name, quantity, dollars in components:
        before = sums.get(name, Component(name, 0, 0))
        sums[name] = Component(name, before.quantity + quantity, before.dollars + dollars)
    return list(sums.values())


def volume_discount(components: list[Component]) -> float:
    """Return what the lower prices of large volumes save in a month, in dollars.

    ``volume`` in prices.json has them by the name of a line: from so many on, each one more costs so much.
    """
    saved = 0.0
    for name, quantity, dollars in components:
        price = dollars / quantity if quantity else 0
        for start, lower in prices()["volume"].get(name, ()):
            saved += max(0, quantity - start) * (price - lower)
            price = lower
    return saved


def table(components: list[Component]) -> str:
    """Return an estimate as lines of text, with the total in the last."""
    lines = [f"{name:<34}{quantity:>16,.3f}{dollars:>12.4f}" for name, quantity, dollars in components]
    return "\n".join([f"{'':<34}{'quantity':>16}{'dollars':>12}", *lines, f"{'total':<50}{total(components):>12.4f}"])
