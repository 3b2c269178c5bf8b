"""Estimates what points cost on AWS: the calls and units that the tests count, times the list prices in prices.json.

Only the run times of the functions are assumed, because no machine but Lambda's can measure them. prices.json holds
them, rounded up from the time that the code takes on our machine and the time that DynamoDB is known to take.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.functions.iot_authorizer import REFRESH_S
from chalicelib.settings import CACHE_S
from deploy import spec

HOUR_S = 3_600
ACCESSES = ("last_value", "last_15", "get_1000")


class Component(NamedTuple):
    """One line of an estimate."""

    name: str
    quantity: float
    """How much of what AWS bills: requests, messages, units, GB or GB-seconds, as the name says."""
    dollars: float


@lru_cache(maxsize=1)
def prices() -> dict[str, Any]:
    """Return prices.json: dollars by unit, the region and date of the prices, and the assumed run times."""
    price_table: dict[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text())
    return price_table


@lru_cache(maxsize=1)
def measured() -> dict[str, Any]:
    """Return measured.json: what a test counted, by kind of request."""
    figures: dict[str, Any] = json.loads(Path(__file__).with_name("measured.json").read_text())
    return figures


def send(*, points: float, batch: int, path: str, every_s: float, basic_ingest: bool = False) -> list[Component]:
    """Return what it costs to store points.

    Args:
        points: how many.
        batch: points a request or message, 1 or 100. Only these were counted.
        path: http or mqtt.
        every_s: seconds between two requests of one device.
        basic_ingest: for MQTT, whether devices publish to the rule's own topic. AWS charges no message for that.
    """
    requests = points / batch
    counted = measured()[f"{path}_{batch}"]
    components_of = {"http": _http, "mqtt": _mqtt}
    transport = [*components_of[path](requests, every_s, counted)]
    if basic_ingest:
        transport = [component for component in transport if component.name != "IoT Core messages"]
    new_hours = requests * min(1.0, every_s / HOUR_S)
    batches = requests * min(1.0, every_s / spec.COUNTING_S)
    lookups = requests * min(1.0, every_s / CACHE_S)
    reads = new_hours * measured()["new_hour"]["read_units"] + lookups * measured()[f"{path}_lookups"]["read_units"]
    writes = requests * counted["write_units"] + new_hours * measured()["new_hour"]["write_units"]
    return [
        *transport,
        _priced("DynamoDB writes", writes, "write_unit"),
        _priced("DynamoDB writes of counters", batches * measured()["counted"]["write_units"], "write_unit"),
        _priced("DynamoDB reads", reads, "read_unit"),
        *_function("counters", requests, calls=batches / 1_000),
    ]


def _http(requests: float, _every_s: float, counted: dict[str, Any]) -> Iterator[Component]:
    yield _priced("API Gateway requests", requests, "api_request")
    yield from _function("authorizer", requests)
    yield from _function("http", requests)
    yield _logs(requests, counted)


def _mqtt(messages: float, every_s: float, counted: dict[str, Any]) -> Iterator[Component]:
    parts = -(-counted["payload_bytes"] // prices()["mqtt_message_bytes"])
    yield _priced("IoT Core messages", messages * parts, "mqtt_message")
    yield _priced("IoT Core rules", messages * parts, "mqtt_rule")
    yield _priced("IoT Core actions", messages * parts, "mqtt_action")
    yield _priced("IoT Core connection minutes", messages * every_s / 60, "mqtt_connected_minute")
    yield from _function("iot-authorizer", messages * every_s / REFRESH_S)
    yield from _function("iot-ingest", messages)
    yield _logs(messages, counted)


def read(*, requests: float, access: str) -> list[Component]:
    """Return what it costs to read over HTTP.

    Args:
        requests: how many.
        access: a kind of read that was counted, one of ``ACCESSES``.
    """
    counted = measured()[access]
    return [
        *_http(requests, 0, counted),
        _priced("DynamoDB reads", requests * counted["read_units"], "read_unit"),
    ]


def keep(*, points: float, batch: int) -> list[Component]:
    """Return what it costs to keep points for a month, with recovery to any second.

    Args:
        points: how many.
        batch: points a request when they were sent, 1 or 100.
    """
    gigabytes = points / batch * measured()[f"http_{batch}"]["stored_bytes"] / 1e9
    return [
        _priced("DynamoDB storage, GB", gigabytes, "storage_gb_month"),
        _priced("Backups, GB", gigabytes, "backup_gb_month"),
    ]


def idle(*, free: bool = True) -> list[Component]:
    """Return what a deployment costs in a month without requests.

    Args:
        free: whether the deployment can use the free alarms of the account. False if other alarms use them.
    """
    alarms = len(spec.alarms("dev")) - (prices()["free_alarms"] if free else 0)
    return [_priced("Alarms", max(0, alarms), "alarm_month"), *_function("housekeeping", 730, duration_ms=50)]


def total(components: list[Component]) -> float:
    """Return the sum in dollars."""
    return sum(component.dollars for component in components)


def _priced(name: str, quantity: float, price: str) -> Component:
    return Component(name, quantity, quantity * prices()["dollars"][price])


def _function(key: str, work: float, calls: float | None = None, duration_ms: float | None = None) -> list[Component]:
    """Price a function that handles ``work`` requests or changes, in as many calls unless ``calls`` is given."""
    calls = work if calls is None else calls
    duration_ms = prices()["assumed_ms"][key] if duration_ms is None else duration_ms
    gb_s = work * duration_ms / 1000 * spec.FUNCTIONS[key].memory_mb / 1024
    return [
        _priced(f"Lambda calls of {key}", calls, "lambda_request"),
        _priced(f"Lambda GB-seconds of {key}", gb_s, "lambda_gb_s"),
    ]


def _logs(requests: float, counted: dict[str, Any]) -> Component:
    return _priced("Logs, GB", requests * counted["log_bytes"] / 1e9, "log_gb")


def table(components: list[Component]) -> str:
    """Return an estimate as lines of text, with the total in the last."""
    lines = [f"{name:<34}{quantity:>16,.3f}{dollars:>12.4f}" for name, quantity, dollars in components]
    return "\n".join([f"{'':<34}{'quantity':>16}{'dollars':>12}", *lines, f"{'total':<50}{total(components):>12.4f}"])


def assumed_run_times() -> str:
    """Return the assumed run time of each function as text. Milliseconds a call; for the counters, a change."""
    return ", ".join(f"{name} {duration_ms:g}" for name, duration_ms in prices()["assumed_ms"].items())


def page() -> str:
    """Return the text of docs/cost.md: what a million common requests cost, and each line of the estimate."""
    million = 1e6
    components_by_title = {
        "A million points over HTTP, one a request": send(points=million, batch=1, path="http", every_s=10),
        "A million points over HTTP, 100 a request": send(points=million, batch=100, path="http", every_s=10),
        "A million points over MQTT, one a message": send(points=million, batch=1, path="mqtt", every_s=10),
        "The same with Basic Ingest": send(points=million, batch=1, path="mqtt", every_s=10, basic_ingest=True),
        "A million points over MQTT, 100 a message": send(points=million, batch=100, path="mqtt", every_s=10),
        "A million points over HTTP, one a request, a device once a minute": send(
            points=million, batch=1, path="http", every_s=60
        ),
        "A million points over MQTT, one a message, a device once a minute": send(
            points=million, batch=1, path="mqtt", every_s=60
        ),
        "A million reads of the last value": read(requests=million, access="last_value"),
        "A million reads of the last 15 points": read(requests=million, access="last_15"),
        "A million reads of 1,000 points": read(requests=million, access="get_1000"),
        "A million points sent one a request, kept for a month": keep(points=million, batch=1),
        "A million points sent 100 a request, kept for a month": keep(points=million, batch=100),
        "A month without requests, if no other alarms use the free ones of the account": idle(),
        "A month without requests, with every alarm paid": idle(free=False),
    }
    summary = "\n".join(f"| {title} | {total(components):.2f} |" for title, components in components_by_title.items())
    details = "\n\n".join(
        f"## {title}\n\n```text\n{table(components)}\n```" for title, components in components_by_title.items()
    )
    return _PAGE.format(**prices(), assumed=assumed_run_times(), summary=summary, details=details)


_PAGE = """# What it costs

`python -m deploy.cost` writes this page, and a test compares it with the code. The tests count calls, units and bytes
on the code that is deployed. The prices are AWS's list prices of {region} on {date}. They leave out free tiers, and
the data that leaves AWS (some 300 bytes a point read). A device sends every 10 seconds unless the line says otherwise.
The run times of the functions are assumed, because only an AWS account can measure them. In milliseconds a call (for
the counters, a change): {assumed}.

| | dollars |
|---|---|
{summary}

With Basic Ingest, devices publish to `$aws/rules/decant_<stage>_shared/tago/data/post`. These messages bypass the
broker, and AWS does not charge for them as messages.

{details}
"""


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs/cost.md").write_text(page())
