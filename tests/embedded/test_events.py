"""The event stream over real HTTP: who may listen to which channel, and which events arrive."""

import asyncio
import contextlib
import http.client
import json
import threading
import tracemalloc
from urllib.parse import urlsplit

import pytest

from chalicelib import errors
from chalicelib.host import events as watchers
from chalicelib.services.access import tokens
from embedded import events
from tests.kit.link import Link, settle
from tests.kit.world import World, point
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


class Heard:
    """A listener in process, which reads at once unless it is told to wait."""

    def __init__(self, stream, query, method="GET", headers=()):
        self.bodies, self.start, self.may_read = [], None, asyncio.Event()
        self.may_read.set()
        self.scope = {"method": method, "query_string": query.encode(), "headers": headers}
        self.task = asyncio.ensure_future(stream.answer(self.scope, self._receive, self._send, "the-id"))

    async def _receive(self):
        await asyncio.Event().wait()

    async def _send(self, message):
        await self.may_read.wait()
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.bodies.append(message.get("body", b""))

    async def end(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def stream(sqlite):
    found = events.Events(lambda then: then(True))
    watchers.use(found)
    return found


@pytest.mark.parametrize("name", [b"token", b"device-token", b"authorization"])
def test_token_may_be_in_a_header_and_ends_the_stream_as_any_other(stream, name):
    world = World()
    text = {b"authorization": f"Bearer {world.token}"}.get(name, world.token)

    async def run():
        one = Heard(stream, f"channels=device_data.{world.device}", headers=[(name, text.encode())])
        await settle()
        assert one.start["status"] == 200 and one.bodies == [b":\n\n"]
        world.admin.delete(f"/device/token/{world.token}")
        await settle()
        assert (
            one.task.done()
            and (await Heard(stream, "channels=x", headers=[(name, text.encode())]).task).status_code == 401
        )

    asyncio.run(run())


def test_token_of_the_query_counts_before_that_of_a_header(stream):
    world = World()

    async def run():
        for query, header, is_heard in (
            (world.token, "bad", True),
            ("bad", world.token, False),
            ("", world.token, True),
        ):
            asked = f"channels=device_data.{world.device}" + (f"&token={query}" if query else "")
            one = Heard(stream, asked, headers=[(b"token", header.encode())])
            await settle()
            assert (one.start is not None) is is_heard
            await one.end()

    asyncio.run(run())


@pytest.mark.parametrize("act", ["delete_token", "delete_device", "deactivate", "expire"])
def test_stream_ends_at_once_with_the_right_to_listen(stream, clock, monkeypatch, act):
    world = World()
    sent = {"device": world.device, "name": "listener", "permission": "read", "expire_time": "1 hour"}
    token = world.admin.post("/device/token", sent).result["token"]

    async def run():
        one = Heard(stream, f"channels=device_data.{world.device}&token={token}")
        other = Heard(stream, f"channels=device_inspector.{world.device}&token={world.profile_token}")
        await settle()
        assert one.bodies == other.bodies == [b":\n\n"] and one.start["status"] == 200
        if act == "expire":
            monkeypatch.setattr(events, "PING_S", 0.0)
            clock.advance(3_601)
            world.send(point("a"))
        elif act == "deactivate":
            world.admin.put(f"/device/{world.device}", {"active": False})
        else:
            world.admin.delete(f"/device/token/{token}" if act == "delete_token" else f"/device/{world.device}")
        await settle()
        assert one.task.done() and one.bodies[-1] == b""
        assert other.task.done() is (act == "delete_device")  # a profile may listen to a device that is not active
        await other.end()
        assert stream.count == 0
        again = Heard(stream, one.scope["query_string"].decode())
        refusal = await again.task
        assert refusal.status_code == (400 if act == "deactivate" else 401)

    asyncio.run(run())


def test_listener_that_reads_too_slowly_is_ended_with_the_reason(stream):
    world = World()

    async def run():
        query = f"channels=device_data.{world.device}&token={world.profile_token}"
        slow = Heard(stream, query)
        await settle()
        slow.may_read.clear()
        value, held = "x" * 5_000, []
        tracemalloc.start()
        for _ in range(30):
            world.send(*(point("a", value) for _ in range(39)))
            await settle()
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert max(held) - held[0] < 2_500_000 and not slow.task.done()
        slow.may_read.set()
        await settle()
        assert slow.task.done() and b"read too slowly" in slow.bodies[-2] and len(slow.bodies) <= 4
        assert stream.count == 0

    asyncio.run(run())


def test_event_larger_than_the_limit_reaches_a_listener_that_keeps_up(stream, monkeypatch):
    monkeypatch.setattr(events, "MAX_WAITING_BYTES", 10)
    world = World()

    async def run():
        one = Heard(stream, f"channels=device_data.{world.device}&token={world.profile_token}")
        for value in range(3):
            await settle()
            world.send(point("a", value))
        await settle()
        assert len(one.bodies) == 4 and not one.task.done()
        await one.end()

    asyncio.run(run())


def test_listeners_are_counted_for_each_profile(stream, monkeypatch):
    monkeypatch.setattr(events, "MAX_PROFILE_LISTENERS", 3)
    monkeypatch.setattr(events, "MAX_LISTENERS", 5)
    worlds = [World(), World(), World()]

    async def run():
        queries = [f"channels=device_data.{world.device}&token={world.token}" for world in worlds]
        opened = [Heard(stream, queries[0]) for _ in range(3)]
        await settle()
        refusal = await Heard(stream, queries[0]).task
        assert refusal.status_code == 429 and "3 listeners" in refusal.body and refusal.headers["Retry-After"]
        opened += [Heard(stream, queries[1]) for _ in range(2)]
        await settle()
        assert [one.start["status"] for one in opened] == [200] * 5
        assert (await Heard(stream, queries[2]).task).status_code == 503
        await opened[0].end()
        again = Heard(stream, queries[0])
        await settle()
        assert again.start["status"] == 200
        for one in [*opened, again]:
            await one.end()
        assert stream.count == 0 and stream._by_profile == {} and stream._by_channel == {}

    asyncio.run(run())


def test_other_methods_of_the_stream(serve, stream):
    async def scenario(gateway):
        world = World()
        path = f"/events?channels=device_data.{world.device}&token={world.token} HTTP/1.1\r\n\r\n".encode()
        link = Link(gateway)
        preflight, denied, wrong = await link.send(
            b"OPTIONS /events HTTP/1.1\r\n\r\n", b"GET /events HTTP/1.1\r\n\r\n", b"POST " + path
        )
        assert preflight.status == 200 and "GET" in preflight.headers["access-control-allow-methods"]
        assert denied.status == 401 and wrong.status == 405 and wrong.headers["allow"] == "GET"
        link.http.data_received(b"HEAD " + path)
        await settle()
        head, _, rest = link.transport.sent.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and b"text/event-stream" in head and b"x-request-id" in head
        assert rest == b"" and stream.count == 0
        link.transport.sent = b""
        link.http.data_received(b"GET " + path)
        await settle()
        assert b"x-request-id" in link.transport.sent and b"200 OK" in link.transport.sent and stream.count == 1

    serve(scenario, parts=[stream])


@pytest.mark.parametrize("kind", ["analysis", "run_user", "service", "network"])
def test_only_devices_and_profiles_may_listen(sqlite, kind):
    world = World()
    sent = {"name": "t", "permission": "full"}
    token = tokens.create(kind=kind, profile=world.profile, subject="" if kind == "service" else "0" * 24, sent=sent)
    for caller, is_allowed in ((token["token"], False), (world.token, True), (world.profile_token, True)):
        with contextlib.nullcontext() if is_allowed else pytest.raises(errors.Denied):
            events._channels(f"channels=device_data.{world.device}".encode(), caller)
