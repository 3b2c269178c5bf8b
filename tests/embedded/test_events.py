"""The event stream over real HTTP: who may listen to which channel, and which events arrive."""

import asyncio
import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest

from embedded import events
from tests.kit.world import World
from tests.mqtt.client import Client


class Stream:
    """A listener, which reads events line by line."""

    def __init__(self, program, channels, token, name="channels"):
        self._link = http.client.HTTPConnection(urlsplit(program.url).netloc, timeout=15)
        self._link.request("GET", f"/events?{name}={channels}&token={token}", headers={"Accept": "text/event-stream"})
        self.answer = self._link.getresponse()

    def next(self):
        for line in self.answer:
            if line.startswith(b"data: "):
                return json.loads(line[6:])["payload"]
        return None

    def close(self):
        self.answer.close()
        self._link.close()


@pytest.fixture
def program(start):
    return start()


def device_id(program):
    return program.call("GET", "/info")["id"]


def test_points_of_both_ways_in_are_heard_as_they_are_stored(program):
    stream = Stream(program, f"device_data.{device_id(program)}", program.profile_token)
    assert stream.answer.status == 200 and stream.answer.headers["content-type"] == "text/event-stream"
    assert stream.answer.readline() == b":\n"
    program.call("POST", "/data", body=[{"variable": "a", "value": 1, "unit": "C"}, {"variable": "b", "value": "x"}])
    heard = stream.next()
    assert [(one["variable"], one["value"]) for one in heard] == [("a", 1), ("b", "x")] and heard[0]["unit"] == "C"
    assert heard == sorted(program.call("GET", "/data"), key=lambda one: one["variable"])
    client = Client(program.mqtt_port, program.device_token)
    client.publish("tago/data/post", json.dumps({"variable": "c", "value": 3}))
    assert stream.next()[0]["value"] == 3
    client.close()
    stream.close()


def test_inspector_hears_what_a_device_does_and_what_is_refused(program):
    stream = Stream(program, f"device_inspector.{device_id(program)}", program.profile_token, name="channel")
    client = Client(program.mqtt_port, program.device_token, "thermo")
    client.publish("tago/data/post", "{")
    client.publish("any/topic", "x")
    program.call("POST", "/data", body={"variable": "bad name"})
    heard = [stream.next() for _ in range(4)]
    assert [one["title"] for one in heard] == [
        "[MQTT] Connected",
        "[MQTT] Refused",
        "[MQTT] Publish",
        "[HTTP] POST /data",
    ]
    assert "JSON" in heard[1]["content"] and heard[3]["content"].startswith("400 ")
    assert {one["device_id"] for one in heard} == {device_id(program)}
    client.close()
    stream.close()


def test_only_the_owner_may_listen(program):
    own = device_id(program)
    cases = [
        (f"device_data.{own}", "", 401), (f"device_data.{own}", "00000000-0000-4000-8000-000000000000", 401),
        (f"device_data.{'0' * 24}", program.profile_token, 401), (f"device_data.{'0' * 24}", program.device_token, 401),
        ("notification", program.profile_token, 400), ("", program.profile_token, 400),
        (f"device_data.{own}", program.device_token, 200),
    ]  # fmt: skip
    for channels, token, status in cases:
        stream = Stream(program, channels, token)
        assert stream.answer.status == status, (channels, status)
        if status != 200:
            assert json.loads(stream.answer.read())["status"] is False
        stream.close()


def test_listeners_do_not_keep_the_server_from_stopping(program):
    streams = [Stream(program, f"device_data.{device_id(program)}", program.profile_token) for _ in range(3)]
    ended = []
    readers = [threading.Thread(target=lambda one=one: ended.append(one.next())) for one in streams]
    for reader in readers:
        reader.start()
    code, _, errors = program.stop()
    for reader in readers:
        reader.join(10)
    for stream in streams:
        stream.close()
    assert code == 0 and errors == "" and ended == [None] * 3


def test_too_many_parameters_are_refused_in_the_envelope(program):
    link = http.client.HTTPConnection(urlsplit(program.url).netloc, timeout=15)
    link.request("GET", "/events?" + "&".join(f"a{number}=1" for number in range(200)))
    answer = link.getresponse()
    body = json.loads(answer.read())
    assert answer.status == 400 and body["status"] is False and "too many" in body["message"]
    link.close()


@pytest.mark.parametrize("act", ["delete_token", "delete_device", "expire"])
def test_stream_ends_with_the_right_to_listen(sqlite, clock, monkeypatch, act):
    monkeypatch.setattr(events, "PING_S", 0.0)
    world, stream, bodies = World(), events.Events(lambda then: then(True)), []
    sent = {"device": world.device, "name": "listener", "permission": "read", "expire_time": "1 hour"}
    token = world.admin.post("/device/token", sent).result["token"]

    async def run():
        waiting = asyncio.Event()

        async def receive():
            await waiting.wait()

        async def send(message):
            bodies.append(message.get("body"))

        query = f"channels=device_data.{world.device}&token={token}".encode()
        task = asyncio.ensure_future(stream.listen(query, receive, send))
        while len(bodies) < 4:
            await asyncio.sleep(0)
        assert not task.done()
        if act == "expire":
            clock.advance(3_601)
        else:
            world.admin.delete(f"/device/token/{token}" if act == "delete_token" else f"/device/{world.device}")
        await asyncio.wait_for(task, 10)

    asyncio.run(run())
    assert bodies[-1] == b"" and stream.count == 0
