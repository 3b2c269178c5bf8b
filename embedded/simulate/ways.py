"""How readings get to the server: by HTTP or by MQTT. Both count what was kept."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from embedded.client import Refused, Stopped
from embedded.simulate.fleet import Device
from embedded.simulate.habits import Send

THREADS = 8
"""How many HTTP requests there are at once."""
_CONNECT_S = 15.0
_LAST_S = 5.0
"""How long the end waits for the last acknowledgements."""
_TLS_PORT = 8883
_TOPIC = "tago/data/post"


class Ended(Exception):
    """The user has ended the program while a request waited."""


class Counts:
    """What was done. Several threads add to it."""

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[str]()
        self.failure = ""
        """The newest reason why something was not kept."""

    def add(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        with self._lock:
            self._counts[name] += number

    def fail(self, reason: object) -> None:
        """Count a failure."""
        self.add("failed")
        self.failure = str(reason)

    def __getitem__(self, name: str) -> int:
        return self._counts[name]


class Http:
    """Sends by HTTP, in a few threads.

    Args:
        counts: counts what was kept.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._executor = ThreadPoolExecutor(THREADS, "http")
        self._room = threading.BoundedSemaphore(2 * THREADS)

    def send(self, device: Device, send: Send) -> None:
        """Send when there is room: a slow server makes devices send less often."""
        self._room.acquire()
        self._executor.submit(self._post, device, send).add_done_callback(lambda _: self._room.release())

    def _post(self, device: Device, send: Send) -> None:
        try:
            device.api.call("POST", "/data", body=send.points)
        except Ended:
            self._counts.add("unsent")
        except (Refused, Stopped) as error:
            self._counts.fail(error)
        else:
            self._counts.add("http")

    def close(self) -> None:
        """Wait for the requests that have begun."""
        self._executor.shutdown()


class Mqtt:
    """Sends by MQTT with QoS 1, over a connection for each device.

    Args:
        address: ``host:port``; port 8883 has TLS.
        devices: those that send.
        counts: counts what was acknowledged.
    """

    def __init__(self, address: str, devices: Sequence[Device], counts: Counts) -> None:
        self._counts = counts
        self._room = threading.BoundedSemaphore(max(1, 4 * len(devices)))
        """Messages that are not acknowledged, so that a broker that is down does not fill the memory."""
        self._clients = {device.number: self._client(address, device) for device in devices}

    def _client(self, address: str, device: Device) -> paho.Client:
        host, _, port = address.rpartition(":")
        client = paho.Client(CallbackAPIVersion.VERSION2, f"simulator-{device.number}", protocol=paho.MQTTv311)
        client.username_pw_set("Token", device.api.token)
        if int(port) == _TLS_PORT:
            client.tls_set()
        client.on_publish = self._published
        client.connect_async(host, int(port))
        client.loop_start()
        return client

    def connect(self, stop: threading.Event) -> None:
        """Wait until all are connected. Raises Stopped: they are not within 15 s."""
        end_s = time.monotonic() + _CONNECT_S
        while not all(client.is_connected() for client in self._clients.values()) and not stop.wait(0.05):
            if time.monotonic() > end_s:
                raise Stopped("MQTT: not all devices could connect; --mqtt none sends all by HTTP")

    def _published(self, *_: Any) -> None:
        self._counts.add("mqtt")
        self._room.release()

    def send(self, device: Device, send: Send) -> None:
        """Publish; a message that has no room, as the broker does not answer, is dropped and counted."""
        if not self._room.acquire(blocking=False):
            self._counts.fail("MQTT: the broker does not acknowledge")
            return
        self._counts.add("published")
        self._clients[device.number].publish(_TOPIC, json.dumps(send.points), qos=1)

    def close(self) -> None:
        """Wait a little for the last acknowledgements, then end the connections."""
        end_s = time.monotonic() + _LAST_S
        while self._counts["mqtt"] < self._counts["published"] and time.monotonic() < end_s:
            threading.Event().wait(0.02)
        self._counts.add("unsent", self._counts["published"] - self._counts["mqtt"])
        for client in self._clients.values():
            client.disconnect()
            client.loop_stop()
