"""Estimates what Decant costs on AWS: the calls, units and bytes that the tests count, times the prices of pricing.py.

``python -m deploy.cost_page`` writes docs/cost.md from these estimates.
"""

import math
from typing import Literal, NamedTuple

from chalicelib.functions.iot_authorizer import DISCONNECT_S, REFRESH_S
from chalicelib.services.points import sealing
from chalicelib.settings import CACHE_S
from deploy import spec
from deploy.names import Names
from deploy.pricing import Component, cpu_ms, figures, lambda_calls, lambda_run, logs, measured, priced, prices, total

HOUR_S = 3_600
MONTH_S = 730 * HOUR_S
ACCESSES = ("last_value", "last_15", "get_1000")
Refusal = Literal["unknown token", "too many requests", "bad request", "unknown MQTT client"]


class Traffic(NamedTuple):
    """Requests or messages, and how often one device or client sends them."""

    requests: float
    every_s: float
    environments: float
    """How many execution environments of a function serve them. Each has caches of its own; infinite: none helps."""

    def once_in(self, seconds: float, environments: float = 1) -> float:
        """Return how many requests are the first of their device in ``seconds``, in one of so many environments.

        A device's requests are assumed to be spread evenly over the environments.
        """
        return self.requests * min(1.0, environments * self.every_s / seconds)

    @property
    def lookups(self) -> float:
        """How many requests find their token and device in no cache."""
        return self.once_in(CACHE_S, self.environments)

    @property
    def hours(self) -> float:
        """For how many hours a client is connected to send them."""
        return self.requests * self.every_s / HOUR_S


def send(
    *,
    points: float,
    batch: int,
    path: str,
    every_s: float,
    environments: float = 1,
    basic_ingest: bool = False,
    hours: float = 1,
) -> list[Component]:
    """Return what it costs to store points.

    Args:
        points: how many.
        batch: points a request or message. 1 and 100 were counted; see ``pricing.figures``.
        path: http or mqtt.
        every_s: seconds between two requests of one device.
        environments: execution environments of each function, as in ``Traffic``.
        basic_ingest: for MQTT, whether devices publish to the rule's own topic. AWS charges no message for that.
        hours: in how many UTC hours the points of a request are, on average. Each hour is a segment.
    """
    traffic, kind = Traffic(points / batch, every_s, environments), _batch_kind(path, batch)
    new_hour, hour_lookups = (measured()[name] for name in ("new_hour", "hour_lookups"))
    new_hours, hours_looked_up = traffic.once_in(HOUR_S), traffic.once_in(HOUR_S, environments)
    more_calls = (
        new_hours * new_hour["calls"] + hours_looked_up * hour_lookups["calls"] + traffic.requests * (hours - 1)
    )
    if path == "http":
        transport = _http(traffic, kind, more_calls=more_calls)
    else:
        transport = _mqtt(traffic, kind, more_calls=more_calls, basic_ingest=basic_ingest)
    writes = traffic.requests * segment_units(path, batch, hours) + new_hours * new_hour["write_units"]
    reads = new_hours * new_hour["read_units"] + hours_looked_up * hour_lookups["read_units"]
    return [
        *transport,
        priced("DynamoDB writes", writes, "write_unit"),
        priced("DynamoDB reads", reads + traffic.lookups * _lookup_units(path), "read_unit"),
        *count(changes=traffic.requests * hours, updates=traffic.once_in(spec.COUNTING_S)),
    ]


def segment_units(path: str, batch: float, hours: float = 1) -> float:
    """Return the write units of the segments of one request, as in ``send``."""
    return hours * figures(_batch_kind(path, batch / hours))["write_units"]


def _batch_kind(path: str, points: float) -> str:
    return f"{path}_{points:g}"


def _lookup_units(path: str) -> float:
    """Return the read units of a look-up of token or binding, and of the device."""
    kinds = {"http": ("authorizer_lookups", "http_lookups"), "mqtt": ("mqtt_lookups",)}[path]
    return float(sum(measured()[kind]["read_units"] for kind in kinds))


def _http(traffic: Traffic, kind: str, more_calls: float = 0, compressed: bool = False) -> list[Component]:
    """Price what each HTTP request takes, without the units of the tables.

    Args:
        traffic: the requests.
        kind: what they do, a key of measured.json and of the processor times.
        more_calls: calls of the tables beside those of ``kind`` and of look-ups.
        compressed: whether the answers are compressed.
    """
    requests, counted = traffic.requests, figures(kind)
    authorizer_calls = traffic.lookups * measured()["authorizer_lookups"]["calls"]
    http_calls = traffic.lookups * measured()["http_lookups"]["calls"] + more_calls
    answer_bytes = counted["compressed_bytes" if compressed else "answer_bytes"]
    out_bytes = answer_bytes + prices()["assumed"]["gateway_header_bytes"]
    return [
        priced("API Gateway requests", requests, "api_request"),
        *lambda_calls("authorizer", requests, "authorizer", 0, authorizer_calls),
        *lambda_calls("http", requests, kind, counted["calls"], http_calls),
        *logs(requests, counted["log_bytes"]),
        priced("Data out, GB", requests * out_bytes / 1e9, "data_out_gb"),
    ]


def _mqtt(traffic: Traffic, kind: str, more_calls: float, basic_ingest: bool) -> list[Component]:
    """Price what each MQTT message takes, and the connections, without the units of the tables for the messages."""
    messages, counted = traffic.requests, figures(kind)
    parts = -(-counted["payload_bytes"] // prices()["mqtt_message_bytes"])
    calls = traffic.lookups * measured()["mqtt_lookups"]["calls"] + more_calls
    return [
        priced("IoT Core messages", 0 if basic_ingest else messages * parts, "mqtt_message"),
        priced("IoT Core rules", messages * parts, "mqtt_rule"),
        priced("IoT Core actions", messages * parts, "mqtt_action"),
        *lambda_calls("iot-ingest", messages, kind, counted["calls"], calls),
        *logs(messages, counted["log_bytes"]),
        *connected(hours=traffic.hours),
    ]


def connected(*, hours: float) -> list[Component]:
    """Return what it costs to keep MQTT clients connected, without their messages.

    IoT Core asks the authorizer at each connection and every REFRESH_S seconds. It reads token, device and binding
    each time, and once an hour it writes the binding again.

    Args:
        hours: of all clients together.
    """
    counted = measured()["connected_hour"]
    return [
        priced("IoT Core connection minutes", hours * 60, "mqtt_connected_minute"),
        priced("IoT Core messages to connect", hours * HOUR_S / DISCONNECT_S, "mqtt_message"),
        *lambda_calls("iot-authorizer", hours * HOUR_S / REFRESH_S, "mqtt_refresh", calls_of_refresh()),
        priced("DynamoDB writes of bindings", hours * counted["write_units"], "write_unit"),
        priced("DynamoDB reads for refreshes", hours * counted["read_units"], "read_unit"),
    ]


def calls_of_refresh() -> float:
    """Return how many calls of DynamoDB the authorizer of MQTT clients makes each time, on average."""
    return float(measured()["connected_hour"]["calls"] / (HOUR_S / REFRESH_S))


def count(*, changes: float, updates: float) -> list[Component]:
    """Return what it costs to keep the counters. Lambda reads the stream free of charge.

    Args:
        changes: of the table of segments: each segment that is written, edited, deleted or expired is one.
        updates: how many counters are updated: one a device and batch of the stream.
    """
    busy_ms = updates * update_ms() + changes * cpu_ms("counters", "change")
    calls = changes / prices()["assumed"]["changes_a_call"]
    return [
        priced("DynamoDB writes of counters", updates * measured()["counted"]["write_units"], "write_unit"),
        *lambda_run("counters", calls, busy_ms + calls * prices()["assumed"]["runtime_ms"]),
    ]


def update_ms() -> float:
    """Return the time of one update of a counter, if the function's threads work side by side.

    They share one interpreter, so the time is at least the processor time.
    """
    busy_ms, assumed = cpu_ms("counters", "counted"), prices()["assumed"]
    return float(max(busy_ms, (busy_ms + assumed["service_ms"]) / assumed["counter_threads"]))


def expire(*, segments: float) -> list[Component]:
    """Return the most that it costs when segments expire. DynamoDB deletes them free of charge; the counters follow."""
    return count(changes=segments, updates=segments)


SEALED_POINTS = 240
"""How many points a day had that was sealed when ``sealed`` in measured.json was counted, one a request."""
SEALER_MESSAGES = 3
"""How many messages the sealer gets for a device and day: to seal, and 25 minutes later to delete, which needs two, as
SQS delays a message by 15 minutes at most."""


def seal(*, days: float, segments: float, points: float, batch: float = 1) -> list[Component]:
    """Return what it costs to seal days of devices, and to delete the segments that are sealed.

    Args:
        days: how many.
        segments: small segments of a device and day.
        points: points of a device and day.
        batch: points a segment.
    """
    counted, original = measured()["sealed"], figures(_batch_kind("http", batch))
    sealed = sealed_a_day(points)
    # It is put, and put again when it is counted, in transactions, which cost twice.
    rest = counted["write_units"] - SEALED_POINTS - 4 * -(-counted["stored_bytes"] // 1024)
    writes = segments * original["write_units"] + 4 * sealed * -(-sealed_bytes(points / sealed) // 1024) + rest
    read_share = segments * original["stored_bytes"] / (SEALED_POINTS * figures("http_1")["stored_bytes"])
    calls = counted["calls"] - SEALED_POINTS + segments
    return [
        priced("SQS requests", days * SEALER_MESSAGES * 3, "queue_request"),
        *lambda_calls("sealer", days * SEALER_MESSAGES, "sealed", 0, days * calls),
        priced("DynamoDB writes of the sealer", days * writes, "write_unit"),
        priced("DynamoDB reads of the sealer", days * counted["read_units"] * read_share, "read_unit"),
        *count(changes=days * (segments + 2 * sealed), updates=days * SEALER_MESSAGES),
    ]


def sealed_a_day(points: float) -> int:
    """Return how many sealed segments a day of so many points has."""
    return math.ceil(points / sealing.MAX_POINTS)


def sealed_bytes(points: float) -> float:
    """Return the size of a sealed segment of so many points."""
    return float(points / SEALED_POINTS * measured()["sealed"]["stored_bytes"])


def keep_sealed(*, points: float, a_day: float) -> list[Component]:
    """Return what it costs to keep sealed points for a month, with recovery to any second.

    Args:
        points: how many.
        a_day: how many of them a device sends in a day.
    """
    items = points / a_day * sealed_a_day(a_day)
    return keep_items(items, sealed_bytes(points / items))


def paid_back_months(*, a_day: int) -> float:
    """Return after how many months sealing has saved what it costs, for a device that sends points one by one."""
    days = MONTH_S / HOUR_S / 24
    cost = total(seal(days=days, segments=a_day, points=a_day))
    saved = total(keep(points=days * a_day, batch=1)) - total(keep_sealed(points=days * a_day, a_day=a_day))
    return cost / saved


def read(
    *, requests: float, access: str, every_s: float, environments: float = 1, compressed: bool = False
) -> list[Component]:
    """Return what it costs to read over HTTP.

    Args:
        requests: how many.
        access: a kind of read that was counted, one of ``ACCESSES``.
        every_s: seconds between two requests of one client.
        environments: execution environments of each function, as in ``Traffic``.
        compressed: whether the clients accept gzip. Answers from 1 kB on are compressed for them.
    """
    traffic = Traffic(requests, every_s, environments)
    reads = requests * measured()[access]["read_units"] + traffic.lookups * _lookup_units("http")
    return [*_http(traffic, access, compressed=compressed), priced("DynamoDB reads", reads, "read_unit")]


WATCHED_HOURS, POLL_S = 8 * 730 / 24, 5
"""For how many hours a month somebody looks at a device in the console, and how often it asks for new points then."""


def watch(*, polls: float) -> list[Component]:
    """Return what it costs if the console asks for new points of a device, and there are none.

    Args:
        polls: how many times it asks.
    """
    return read(requests=polls, access="poll", every_s=POLL_S)


def publish(*, messages: float) -> list[Component]:
    """Return what it costs if the API publishes messages to devices, each with one client that subscribes with QoS 1.

    IoT Core meters the message, its delivery and the client's acknowledgement. The topic rule of the devices' own
    topics matches too: it is triggered, although its WHERE clause leaves the message out.
    """
    return [
        *_http(Traffic(messages, CACHE_S, 1), "publish"),
        priced("IoT Core messages", messages * 3, "mqtt_message"),
        priced("IoT Core rules", messages, "mqtt_rule"),
        priced("IoT Core actions", messages, "mqtt_action"),
        priced("DynamoDB reads", messages * _lookup_units("http"), "read_unit"),
    ]


def refuse(*, requests: float, why: Refusal) -> list[Component]:
    """Return what refused requests cost.

    Args:
        requests: how many.
        why: API Gateway charges no request for unknown tokens (401) and too many requests (429).
    """
    if why == "bad request":
        return _http(Traffic(requests, 0, 1), "bad_request")
    if why == "too many requests":
        return lambda_calls("authorizer", requests, "authorizer", 0)
    counted = measured()["refused"]
    reads = priced("DynamoDB reads", requests * counted["read_units"], "read_unit")
    if why == "unknown token":
        out_bytes = counted["answer_bytes"] + prices()["assumed"]["gateway_header_bytes"]
        out = priced("Data out, GB", requests * out_bytes / 1e9, "data_out_gb")
        return [*lambda_calls("authorizer", requests, "refused", counted["calls"]), reads, out]
    function = lambda_calls("iot-authorizer", requests, "refused", counted["calls"])
    return [priced("IoT Core messages to connect", requests, "mqtt_message"), *function, reads]


def set_aside(*, messages: float) -> list[Component]:
    """Return what dead letters cost in the queue: each is sent, and once received and deleted."""
    return [priced("SQS requests", messages * 3, "queue_request")]


def keep(*, points: float, batch: float) -> list[Component]:
    """Return what it costs to keep points for a month, with recovery to any second.

    Args:
        points: how many.
        batch: points a segment. 1 and 100 were counted; see ``pricing.figures``.
    """
    return keep_items(points / batch, figures(_batch_kind("http", batch))["stored_bytes"])


def keep_items(items: float, item_bytes: float) -> list[Component]:
    """Return what it costs to keep items of the same size for a month, with recovery to any second."""
    gigabytes = items * (item_bytes + prices()["item_overhead_bytes"]) / 1e9
    return [
        priced("DynamoDB storage, GB", gigabytes, "storage_gb_month"),
        priced("Backups, GB", gigabytes, "backup_gb_month"),
    ]


def idle(*, free: bool = True) -> list[Component]:
    """Return what a deployment costs in a month without requests.

    Args:
        free: whether the deployment can use what is free in each account: some alarms, and requests to queues. False
            if others use that.
    """
    alarms = len(spec.alarms("dev")) - (prices()["free_alarms"] if free else 0)
    polls = 2 * MONTH_S / 60 * prices()["assumed"]["queue_polls_a_minute"] - (
        prices()["free_queue_requests"] if free else 0
    )
    counted, hours = measured()["housekeeping"], MONTH_S / HOUR_S
    return [
        priced("Alarms", max(0, alarms), "alarm_month"),
        *lambda_calls("housekeeping", hours, "housekeeping", counted["calls"]),
        priced("DynamoDB reads", hours * counted["read_units"], "read_unit"),
        priced("SQS requests", max(0, polls), "fifo_request"),
    ]


def counting_floor() -> list[Component]:
    """Return what the calls of the counters cost in a month if each shard has a change in every batching window."""
    assumed = prices()["assumed"]
    calls = MONTH_S / spec.COUNTING_S * assumed["stream_shards"]
    return lambda_run("counters", calls, calls * assumed["runtime_ms"])


def access_logs(*, requests: float) -> list[Component]:
    """Return what API Gateway's access logs would cost. ``up`` does not turn them on."""
    return logs(requests, prices()["assumed"]["access_log_bytes"])


def cold_start(function: str) -> float:
    """Return what the load time of one new execution environment costs, in dollars. Lambda charges for it."""
    (_, gb_s) = lambda_run(function, 1, prices()["assumed"]["load_ms"][function])
    return gb_s.dollars


def managed_key() -> list[Component]:
    """Return the most that KMS would charge in a month, if the tables used the key ``aws/dynamodb``.

    DynamoDB asks KMS again after five minutes, for each table and each role that uses it.
    """
    tables = spec.tables(Names("dev"))
    uses = sum(
        any(table in str(statement["Resource"]) for statement in spec.policy(function, Names("dev"))["Statement"])
        for function in spec.FUNCTIONS
        for table in tables
    )
    return [priced("KMS requests", uses * MONTH_S / prices()["kms_cache_s"], "kms_request")]


def arm_saving(components: list[Component]) -> float:
    """Return which part of an estimate arm64 would save, at the same run times."""
    dollars = prices()["dollars"]
    of_time = sum(component.dollars for component in components if component.name.startswith("Lambda GB-seconds"))
    return float(of_time * (1 - dollars["lambda_gb_s_arm"] / dollars["lambda_gb_s"]) / total(components))
