"""Estimates what a fleet of devices needs of AWS, beside the quotas. scale_report.py prints it.

Every figure is a line of the estimates of cost.py, for a second instead of a month. So what is needed and what is
billed cannot differ. docs/scale.md explains the lines.
"""

import bisect
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from chalicelib.services.devices import sealings
from chalicelib.services.points import sealable, sealing
from deploy import cost, quotas, spec, throttles
from deploy.pricing import Component, lambda_run, measured, merged, priced, prices, volume_discount

DAY_S = 24 * cost.HOUR_S
MOST_DEVICES = 10**12
"""If so many devices stay below a limit, any number does."""
MOST_POINTS = 1_000
"""The largest batch whose figures a test compares with the estimate."""

_PARTITION_WRITES = quotas.load()["dynamodb_partition_writes"].figure


class Fleet(NamedTuple):
    """Devices that all send the same. Their requests are spread evenly over time and execution environments."""

    devices: float
    every_s: float
    """Seconds between two requests of a device."""
    batch: int
    """Points a request or message. Their times are spread evenly over ``every_s``."""
    path: str
    """http or mqtt."""
    months: float
    """How long points are kept. Devices are immutable, as no other keeps more than 50,000 points."""
    profiles: float
    """How many profiles share the devices."""

    @property
    def requests(self) -> float:
        """Requests a second."""
        return self.devices / self.every_s

    @property
    def hours(self) -> float:
        """In how many UTC hours the points of a request are, on average. Each is a segment."""
        return min(self.batch, 1 + self.every_s * (1 - 1 / self.batch) / cost.HOUR_S)

    @property
    def segments_a_day(self) -> float:
        """Segments of a device and day."""
        return DAY_S / self.every_s * self.hours

    @property
    def points_a_day(self) -> float:
        """Points of a device and day."""
        return DAY_S / self.every_s * self.batch

    @property
    def why_not_sealed(self) -> str:
        """Why sealing would not pay; empty: it does, and is done."""
        if self.months * 30 < sealable.LEAST_DAYS:
            return f"as it pays from {math.ceil(sealable.LEAST_DAYS / 30)} months on"
        if not sealing.is_small(math.ceil(self.batch / self.hours)):
            return "as no segment is small"
        return "" if self.segments_a_day >= sealings.LEAST else f"as a day has fewer than {sealings.LEAST} segments"

    @property
    def is_sealed(self) -> bool:
        """Whether sealing pays: points are kept for long, and in small segments."""
        return not self.why_not_sealed

    @property
    def sealed_a_day(self) -> int:
        """Sealed segments of a device and day."""
        return cost.sealed_a_day(self.points_a_day)


def bill(fleet: Fleet) -> list[Component]:
    """Return what a month costs, once the points of all the months are there, without reads. Discounts are negative."""
    points = fleet.requests * fleet.batch * cost.MONTH_S * fleet.months
    if fleet.is_sealed:
        kept = cost.keep_sealed(points=points, a_day=fleet.points_a_day)
    else:
        kept = cost.keep(points=points, batch=fleet.batch / fleet.hours)
    billed = merged([*_flow(fleet, cost.MONTH_S), *kept, *cost.idle()])
    saved = volume_discount(billed)
    return [*billed, Component("Volume discounts", 0, -saved)] if saved else billed


def _flow(fleet: Fleet, seconds: float) -> list[Component]:
    """Return what so many seconds cost: points are sent, sealed and expire."""
    device_days = fleet.devices * seconds / DAY_S
    sent = _send(fleet, seconds, _environments(fleet))
    traffic = cost.Traffic(fleet.requests * seconds, fleet.every_s, 1)
    if fleet.is_sealed:
        sealed = device_days * fleet.sealed_a_day
        components = [*sent, *_seal(fleet, device_days), *cost.count(changes=sealed, updates=device_days)]
    else:
        expired = device_days * fleet.segments_a_day
        components = [*sent, *cost.count(changes=expired, updates=traffic.once_in(spec.COUNTING_S))]
    return [*components, *_use(fleet, components, seconds, hours=traffic.once_in(cost.HOUR_S))]


def _use(fleet: Fleet, components: list[Component], seconds: float, hours: float) -> list[Component]:
    """Return what the counters function writes besides the counters of devices.

    A call updates the usage of each profile that it has changes of. What a device had used is kept once in each of its
    ``hours``, for the statistics.
    """
    assumed = prices()["assumed"]
    calls = sum(line.quantity for line in components if line.name == "Lambda calls of counters")
    changes_s = calls * assumed["changes_a_call"] / seconds
    gathered = changes_s / max(assumed["stream_shards"], changes_s / _PARTITION_WRITES) * spec.COUNTING_S
    a_call = max(1.0, min(gathered, assumed["changes_a_full_call"]))
    updates = seconds * changes_s / a_call * fleet.profiles * (1 - (1 - 1 / fleet.profiles) ** a_call)
    return [
        priced("DynamoDB writes of usage", updates, "write_unit"),
        priced("DynamoDB writes of hours", hours, "write_unit"),
        *lambda_run("counters", 0, (updates + hours) * cost.update_ms()),
    ]


def _send(fleet: Fleet, seconds: float, environments: float) -> list[Component]:
    return cost.send(
        points=fleet.requests * fleet.batch * seconds,
        batch=fleet.batch,
        path=fleet.path,
        every_s=fleet.every_s,
        environments=environments,
        hours=fleet.hours,
    )


def _environments(fleet: Fleet) -> float:
    """Return how many execution environments of a function share the requests: as many as run without any cache."""
    return max(1.0, *_running(_send(fleet, 1, math.inf)).values())


def _seal(fleet: Fleet, device_days: float) -> list[Component]:
    """Return what it costs to seal."""
    return cost.seal(
        days=device_days,
        segments=fleet.segments_a_day,
        points=fleet.points_a_day,
        batch=fleet.batch / fleet.hours,
    )


def _running(per_second: list[Component]) -> dict[str, float]:
    """Return how many calls of each function run at a time."""
    prefix = "Lambda GB-seconds of "
    gb_s = {line.name.removeprefix(prefix): line.quantity for line in per_second if line.name.startswith(prefix)}
    return {function: often / (spec.FUNCTIONS[function].memory_mb / 1024) for function, often in gb_s.items()}


def _reserved(function: str) -> int:
    return spec.FUNCTIONS[function].concurrency or 0


@lru_cache(maxsize=4096)
def needs(fleet: Fleet) -> Mapping[str, float]:
    """Return what a fleet needs, a second unless the name says otherwise. The rows of scale.json explain the names."""
    per_second = merged(_flow(fleet, 1))
    lines, running = {line.name: line.quantity for line in per_second}, _running(per_second)
    lookups = cost.Traffic(fleet.requests, fleet.every_s, _environments(fleet)).lookups
    waiting = {name for name in lines if name.startswith("Lambda calls of ")} - {"Lambda calls of iot-ingest"}
    return {
        **{f"running {function}": at_a_time for function, at_a_time in running.items()},
        "running": math.fsum(
            max(running.get(name, 0), _reserved(name)) for name in running.keys() | spec.FUNCTIONS.keys()
        ),
        "synchronous calls": math.fsum(lines[name] for name in waiting),
        "log calls": sum(running.values()),
        "GB of logs a day": lines["Logs, GB"] * DAY_S,
        "look-ups": lookups,
        "profiles": fleet.profiles,
        "profile writes": (lines["DynamoDB writes of counters"] + lines["DynamoDB writes of usage"]) / fleet.profiles,
        "profile reads": lookups * measured()["http_lookups"]["read_units"] / fleet.profiles,
        **_of_tables(fleet, lines, running["counters"]),
        **(_of_http(lines) if fleet.path == "http" else _of_mqtt(fleet, lines)),
        **(_of_sealer(lines, running) if fleet.is_sealed else {}),
    }


def _of_sealer(lines: dict[str, float], running: dict[str, float]) -> dict[str, float]:
    return {"sealer messages": lines["Lambda calls of sealer"], "sealer messages at a time": running["sealer"]}


def _of_tables(fleet: Fleet, lines: dict[str, float], counting: float) -> dict[str, float]:
    """Return the units of both tables, and the stream. ``counting``: how many calls of the counters function run."""
    of_request = cost.segment_units(fleet.path, fleet.batch, fleet.hours)
    deletes = sealings.PER_S if fleet.is_sealed else 0
    writes, reads = (sum(lines[name] for name in lines if name.startswith(f"DynamoDB {kind}")) for kind in _KINDS)
    sealer_writes, sealer_reads = (lines.get(f"DynamoDB {kind} of the sealer", 0) for kind in _KINDS)
    segment_writes = fleet.requests * of_request + sealer_writes
    shards = max(prices()["assumed"]["stream_shards"], segment_writes / _PARTITION_WRITES)
    return {
        "segment writes": segment_writes,
        "segment reads": sealer_reads,
        "entity writes": writes - segment_writes,
        "entity reads": reads - sealer_reads,
        "device writes": of_request / fleet.every_s + deletes,
        "shards": math.ceil(shards),
        "running counters a shard": counting / shards,
    }


_KINDS = ("writes", "reads")


def _of_http(lines: dict[str, float]) -> dict[str, float]:
    return {"requests": lines["API Gateway requests"], "authorizer calls": lines["Lambda calls of authorizer"]}


def _of_mqtt(fleet: Fleet, lines: dict[str, float]) -> dict[str, float]:
    return {
        "publishes": fleet.requests,
        "publishes of a client": 1 / fleet.every_s,
        "connected clients": lines["IoT Core connection minutes"] * 60,
        "connects": lines["IoT Core messages to connect"],
        "MQTT authorizer calls": lines["Lambda calls of iot-authorizer"],
    }


class Row(NamedTuple):
    """A line of the table, as in scale.json."""

    service: str
    what: str
    need: str
    """A key of ``needs``. A fleet that does not need it has no such line."""
    limit: str = ""
    """A key of ``limits``, or empty."""
    remedy: str = ""
    """What to do if the limit is too low."""


class Limit(NamedTuple):
    """What a quota of AWS or a setting of Decant allows."""

    figure: float
    raised: str
    """Who raises it: AWS on request, nobody (fixed), or who changes the code."""


@lru_cache(maxsize=1)
def limits() -> dict[str, Limit]:
    """Return the limits by name: AWS's quotas, what follows from two of them, and Decant's own settings."""
    of_aws = {
        name: Limit(quota.figure, "AWS" if quota.adjustable else "fixed") for name, quota in quotas.load().items()
    }
    a_call, at_a_time = of_aws["lambda_synchronous"].figure, _reserved("iot-authorizer")
    return of_aws | {
        "stage_requests": Limit(throttles.REQUESTS_PER_SECOND, "code"),
        "lambda_synchronous_calls": Limit(a_call * of_aws["lambda_concurrency"].figure, "AWS"),
        "iot_authorizer": Limit(at_a_time, "code"),
        "iot_authorizer_calls": Limit(a_call * at_a_time, "code"),
        "counters": Limit(1, "code"),
        "sealer": Limit(spec.SEALER_CONCURRENCY, "code"),
    }


@lru_cache(maxsize=1)
def all_rows() -> list[Row]:
    """Return the rows of scale.json."""
    return [Row(**row) for row in json.loads(Path(__file__).with_name("scale.json").read_text())]


def rows(fleet: Fleet) -> list[Row]:
    """Return the rows that this fleet has."""
    return [row for row in all_rows() if row.need in needs(fleet)]


def enough_for(fleet: Fleet, row: Row) -> float:
    """Return how many devices that send as these do stay within the limit of a row. Infinite: any number."""

    def need(devices: int) -> float:
        return needs(fleet._replace(devices=devices))[row.need]

    figure = limits()[row.limit].figure * (1 + 1e-12)  # floats: what is needed may be above it by a rounding error
    devices = bisect.bisect_right(range(1, MOST_DEVICES), figure, key=need)
    return math.inf if devices == MOST_DEVICES - 1 else devices


def first(fleet: Fleet) -> tuple[Row, float]:
    """Return the row whose limit the fleet meets first if it grows, and how many devices stay within it."""
    return min(((row, enough_for(fleet, row)) for row in rows(fleet) if row.limit), key=lambda found: found[1])
