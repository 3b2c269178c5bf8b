"""The command ``simulate``: makes devices, fills their past, and sends until Ctrl-C."""

import heapq
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.progress import track

from embedded.client import Api, Refused
from embedded.simulate import fleet, kinds
from embedded.simulate.fleet import Device
from embedded.simulate.habits import Habits
from embedded.simulate.kinds import Point
from embedded.simulate.options import Options
from embedded.simulate.ways import THREADS, Counts, Ended, Http, Mqtt

_STEP_S = 600
"""How far readings of the past are from each other."""
_BATCH = 900
"""How many points of the past are in a request: below 200,000 bytes, whatever they hold."""
_PATIENCE_S = 30.0
"""For how long a request is tried again."""
_MQTT_EVERY = 4
"""Each device whose number this divides sends by MQTT."""


def run(options: Options) -> int:
    """Simulate until Ctrl-C; return the exit status. Raises ValueError: as ``simulate``."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return simulate(options, stop)


def simulate(options: Options, stop: threading.Event) -> int:
    """Simulate until ``stop`` is set; print what was done, and return the exit status: 1 if something failed.

    Raises:
        ValueError: there is no address of an API, or no token; or the API refuses, or is not there, at the start.
    """
    counts = Counts()

    def wait(seconds: float) -> None:
        counts.add("waits")
        if stop.wait(seconds):
            raise Ended

    api = Api(options.url, options.token, patience_s=_PATIENCE_S, connections=THREADS, wait=wait)
    try:
        devices = [*fleet.devices(api, options.seed, options.devices)]
        print(f"{len(devices)} devices, tag {fleet.TAG}={options.seed}. Ctrl-C ends.", flush=True)
        _fill(options, devices, counts, stop)
        _live(options, devices, counts, stop)
    except Refused as error:
        raise ValueError(f"{api.url} refuses: {error}") from None
    except Ended:
        pass
    _report(counts)
    return int(counts["failed"] > 0)


def _fill(options: Options, devices: Sequence[Device], counts: Counts, stop: threading.Event) -> None:
    """Send the past of each device, from its newest point on: what was filled by an earlier start stays as it is."""
    if not options.history_s:
        return
    now_s = int(time.time())

    def fill(device: Device) -> None:
        begin_s = max(now_s - options.history_s, int(fleet.newest_s(device)) + 1)
        for points in batches(options.seed, device.number, begin_s, now_s):
            if stop.is_set():
                return
            device.api.call("POST", "/data", body=points)
            counts.add("past", len(points))

    with ThreadPoolExecutor(2) as executor:
        pending = executor.map(fill, devices)
        for _ in track(pending, "Filling the past", total=len(devices), disable=not sys.stdout.isatty()):
            pass


def batches(seed: int, number: int, begin_s: int, end_s: int) -> Iterator[list[Point]]:
    """Yield the points of a device's past, oldest first, a request's worth at a time."""
    batch: list[Point] = []
    for time_s in range(begin_s - begin_s % -_STEP_S, end_s, _STEP_S):
        batch += kinds.reading(seed, number, time_s, _STEP_S)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _live(options: Options, devices: Sequence[Device], counts: Counts, stop: threading.Event) -> None:
    """Send what the devices measure now. Each has a moment of its own within ``every_s``."""
    over_mqtt = [device for device in devices if options.mqtt and device.number % _MQTT_EVERY == 0]
    http, mqtt = Http(counts), Mqtt(options.mqtt, over_mqtt, counts) if over_mqtt else None
    by_mqtt = {device.number for device in over_mqtt}
    try:
        if mqtt is not None:
            mqtt.connect(stop)
        _rounds(options, devices, counts, stop, lambda device: mqtt if mqtt and device.number in by_mqtt else http)
    finally:
        http.close()
        if mqtt is not None:
            mqtt.close()


def _rounds(
    options: Options,
    devices: Sequence[Device],
    counts: Counts,
    stop: threading.Event,
    way: Callable[[Device], Http | Mqtt],
) -> None:
    habits = [Habits(options.seed, device.number, options.every_s) for device in devices]
    latest_s, begin_s = [0] * len(devices), time.monotonic()
    due = [(begin_s + options.every_s * number / len(devices), number, 0) for number in range(len(devices))]
    while due and not stop.is_set():
        due_s, number, done = heapq.heappop(due)
        if stop.wait(max(0.0, due_s - time.monotonic())):
            return
        counts.add("left out", -habits[number].left_out)
        latest_s[number] = max(int(time.time()), latest_s[number] + 1)  # if it was held up, not the same second twice
        for send in habits[number].sends(latest_s[number]):
            way(devices[number]).send(devices[number], send)
            counts.add("late", send.is_late)
            counts.add("again", send.is_again)
            counts.add("points", 0 if send.is_again else len(send.points))
        counts.add("left out", habits[number].left_out)
        if options.rounds is None or done + 1 < options.rounds:
            # A device that could not send in time measures again when it can, and does not make up for it.
            heapq.heappush(due, (max(due_s + options.every_s, time.monotonic()), number, done + 1))


def _report(counts: Counts) -> None:
    print(
        f"Past: {counts['past']} points. Sent: {counts['points']} points, {counts['http']} requests by HTTP, "
        f"{counts['mqtt']} messages by MQTT; of these {counts['late']} late and {counts['again']} twice.\n"
        f"Left out: {counts['left out']} readings of silent devices, {counts['unsent']} at the end. "
        f"Waited: {counts['waits']} times. Failed: {counts['failed']}"
        + (f", {counts.failure}" if counts.failure else ""),
        flush=True,
    )
