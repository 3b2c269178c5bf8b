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
    return float(prices()["assumed"]["cpu_ms"][kind] / share)


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


def table(components: list[Component]) -> str:
    """Return an estimate as lines of text, with the total in the last."""
    lines = [f"{name:<34}{quantity:>16,.3f}{dollars:>12.4f}" for name, quantity, dollars in components]
    return "\n".join([f"{'':<34}{'quantity':>16}{'dollars':>12}", *lines, f"{'total':<50}{total(components):>12.4f}"])
