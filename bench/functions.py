"""``python -m bench.functions``: the processor time that a call of each function takes, in milliseconds.

The store is moto in another process, whose time does not count. Each figure is the least of three runs. They are in
deploy/prices.json as ``cpu_ms``, rounded up, and deploy/cost.py makes run times of them.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

from app import app
from chalicelib.codec.keys import DAY_MS, segment_key
from chalicelib.codec.segment import HAS_VALUE, Draft, Item
from chalicelib.codec.segments import pack
from chalicelib.codec.times import to_iso
from chalicelib.functions import authorizer, counters, iot_authorizer, iot_ingest
from chalicelib.host import keys as keys_of_host
from chalicelib.host import log, secret
from chalicelib.services.access import callers
from chalicelib.services.accounts import profiles
from chalicelib.services.devices import devices
from chalicelib.services.points import sealing
from chalicelib.store import Delta, dynamodb_counters
from chalicelib.store.models import EntityModel, SegmentModel

HOUR_MS = 3_600_000
UNKNOWN_TOKEN = "00000000-0000-4000-8000-000000000000"


@contextmanager
def store() -> Iterator[None]:
    """Run moto's server in another process, as the AWS of this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ENDPOINT_URL": url, **keys}
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(url)
        yield
    finally:
        server.terminate()
        server.wait()


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/moto-api/data.json").close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("moto's server does not answer")


def cpu_ms(call: Callable[[], object], calls: int = 100) -> float:
    """Return the processor time of a call in milliseconds."""
    call()
    runs = []
    for _ in range(3):
        started = time.process_time()
        for _ in range(calls):
            call()
        runs.append((time.process_time() - started) / calls * 1000)
    return min(runs)


class Functions:
    """Calls the functions as AWS does. ``device`` sends points; ``history`` holds a thousand."""

    def __init__(self) -> None:
        for model in (SegmentModel, EntityModel):
            model.create_table(wait=True)
        keys_of_host.use(keys_of_host.nobody)
        self.profile, self.profile_token = profiles.create(name="Bench")
        sent: Any = {"name": "Bench", "type": "immutable", "chunk_period": "month", "chunk_retention": 36}
        self.device, self.history = (devices.create(profile=self.profile, sent=sent) for _ in range(2))
        self.now_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS
        self.numbers = count(1)
        for _ in range(10):
            self.send(100, self.history["token"])
        self.connect()

    def authorize(self, token: str) -> dict[str, Any]:
        """Ask the authorizer of API Gateway."""
        event = {"type": "REQUEST", "methodArn": "arn:aws:execute-api:r:1:api/api/GET/", "headers": {"token": token}}
        return authorizer.authorize(event, None)

    def http(self, method: str, path: str, token: str, body: Any = None, status: int = 200, **query: str) -> None:
        """Call the HTTP handler behind the authorizer, whose time is little if it has the token in its cache."""
        event = {
            "requestContext": {
                "resourcePath": path, "httpMethod": method, "requestId": "bench",
                "authorizer": self.authorize(token)["context"],
            },
            "multiValueQueryStringParameters": {name: [text] for name, text in query.items()} or None,
            "headers": {"content-type": "application/json"},
            "pathParameters": {}, "stageVariables": None, "isBase64Encoded": False,
            "body": json.dumps(body) if body is not None else None,
        }  # fmt: skip
        answer = app(event, None)
        assert answer["statusCode"] // 100 == status // 100, answer

    def points(self, how_many: int) -> list[dict[str, Any]]:
        """Return points that differ from those of any other call."""
        start_ms = self.now_ms + next(self.numbers) * 100
        return [
            {"variable": f"v{index % 5}", "value": index + 0.5, "unit": "C", "time": start_ms + index}
            for index in range(how_many)
        ]

    def send(self, how_many: int, token: str) -> None:
        """Send points over HTTP."""
        self.http("POST", "/data", token, self.points(how_many))

    def read(self, **query: str) -> None:
        """Read the points of ``history``."""
        self.http("GET", "/data", self.history["token"], **query)

    def connect(self) -> None:
        """Ask the authorizer of MQTT clients."""
        password = base64.b64encode(self.device["token"].encode()).decode()
        mqtt = {"username": "Token", "password": password, "clientId": "bench"}
        context = SimpleNamespace(invoked_function_arn="arn:aws:lambda:r:1:function:f")
        assert iot_authorizer.authorize({"protocolData": {"mqtt": mqtt}}, context)["isAuthenticated"]

    def ingest(self, how_many: int) -> None:
        """Hand an MQTT message to the ingest function."""
        event = {
            "payload": base64.b64encode(json.dumps(self.points(how_many)).encode()).decode(),
            "topic": "tago/data/post", "clientid": "bench", "timestamp": self.now_ms, "uuid": str(next(self.numbers)),
        }  # fmt: skip
        assert iot_ingest.store(event, None)["added"] == how_many

    def publish(self) -> None:
        """Publish a message to a device."""
        message = {"topic": "led", "message": "on", "bucket": self.device["device_id"], "options": {"qos": 1}}
        self.http("POST", "/analysis/services/mqtt/publish", self.profile_token, message)

    def update_counter(self) -> None:
        """Update the counter of a device."""
        sequence = f"{next(self.numbers):040}"
        delta = Delta(
            self.device["device_id"], self.profile, 1, 1, self.now_ms, sequence, sequence, self.now_ms // 3_600_000
        )
        assert dynamodb_counters.add(delta) is None

    def smalls(self, how_many: int) -> list[Item]:
        """Return segments of one point each, of one day."""
        day_ms = self.now_ms - self.now_ms % DAY_MS
        items = []
        for number in range(how_many):
            time_ms, line = day_ms + number * 150_000, f'"variable":"v{number % 5}","value":{number}.5,"unit":"C",'
            key = segment_key(time_ms, number)
            line += f'"group":"{key}0000","time":"{to_iso(time_ms)}"}}'
            draft = Draft(time_ms, f"v{number % 5}", HAS_VALUE, line, False)
            items.append(pack("d" * 24, [draft], key, time_ms * 1000, digest=bytes(32), expires_at=None))
        return items

    def changes(self, how_many: int) -> list[dict[str, Any]]:
        """Return changes as the counters function gets them from the stream, all of one device."""
        parameters = {
            "TableName": SegmentModel.Meta.table_name,
            "KeyConditionExpression": "#device = :device",
            "ExpressionAttributeNames": {"#device": "device"},
            "ExpressionAttributeValues": {":device": {"S": self.history["device_id"]}},
        }
        image = {
            name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
            for name, value in SegmentModel.shared().client._make_api_call("Query", parameters)["Items"][0].items()
        }
        stream = "arn:aws:dynamodb:us-east-1:123456789012:table/segments/stream/2026-01-01T00:00:00.000"
        keys = {name: image[name] for name in ("device", "key")}
        return [
            {
                "eventSourceARN": stream,
                "dynamodb": {"Keys": keys, "SequenceNumber": str(10**9 + number), "NewImage": image},
            }
            for number in range(how_many)
        ]


def measure() -> dict[str, float]:
    """Return milliseconds of processor time a call, by the kind of call as in deploy/prices.json."""
    log.use(len)
    secret.use(b"a secret of the benchmark")
    functions = Functions()
    token = functions.device["token"]
    changes, smalls = functions.changes(1_000), functions.smalls(sealing.MAX_POINTS)
    return {
        "authorizer": cpu_ms(lambda: functions.authorize(token)),
        "refused": cpu_ms(lambda: functions.authorize(UNKNOWN_TOKEN)),
        "store_call": cpu_ms(lambda: callers.resolve(text=token, is_fresh=True)),
        "http_1": cpu_ms(lambda: functions.send(1, token)),
        "http_100": cpu_ms(lambda: functions.send(100, token)),
        "bad_request": cpu_ms(lambda: functions.http("POST", "/data", token, [{"value": 1}], 400)),
        "mqtt_1": cpu_ms(lambda: functions.ingest(1)),
        "mqtt_100": cpu_ms(lambda: functions.ingest(100)),
        "mqtt_refresh": cpu_ms(functions.connect),
        "publish": cpu_ms(functions.publish),
        "last_value": cpu_ms(lambda: functions.read(query="last_value", variables="v1")),
        "last_15": cpu_ms(functions.read),
        "get_1000": cpu_ms(lambda: functions.read(qty="1000")),
        "poll": cpu_ms(lambda: functions.read(variables="v1", start_date="2200-01-01", qty="1000")),
        "counted": cpu_ms(functions.update_counter),
        "sealed": cpu_ms(lambda: sealing.merged(smalls, [], expires_at=None, closes_day=True), 10),
        "change": cpu_ms(lambda: counters.count({"Records": changes}, None), 5) / len(changes),
    }


if __name__ == "__main__":
    with store():
        for kind, milliseconds in measure().items():
            print(f"{kind:<14}{milliseconds:8.2f}")
