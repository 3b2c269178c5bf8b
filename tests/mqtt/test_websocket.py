"""MQTT over WebSocket on the HTTP port: with paho, and with frames that a test writes byte by byte."""

import asyncio
import base64
import hashlib
import json
import os
import random
import socket

import pytest

from embedded.connections import Connections
from embedded.mqtt import packets
from embedded.mqtt.connection import CONNECT_WITHIN_S, Connection
from embedded.websocket import CLOSE_S, MAX_FRAMES, MAX_UNSENT_BYTES, WebSocket
from tests.mqtt.client import VERSIONS, WAIT_S
from tests.mqtt.test_broker import POINT, STORED, _connect, _text, numbered
from tests.mqtt.test_connection import Transport as Recorder
from tests.mqtt.test_connection import publish, run, settled  # noqa: F401 - a fixture

KEY = base64.b64encode(bytes(range(16)))
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONNACK = b"\x20\x02\x00\x00"
HEADERS = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY.decode(),
    "Sec-WebSocket-Protocol": "mqtt",
}


def frame(data=b"", opcode=BINARY, *, is_last=True, is_masked=True, flags=0):
    """Return a frame as a client sends it."""
    size = len(data)
    head = bytes((is_last << 7 | flags | opcode,))
    mark = is_masked << 7
    if size < 126:
        head += bytes((mark | size,))
    elif size < 65_536:
        head += bytes((mark | 126,)) + size.to_bytes(2)
    else:
        head += bytes((mark | 127,)) + size.to_bytes(8)
    if not is_masked:
        return head + data
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def closing(code, reason=b""):
    return frame(code.to_bytes(2) + reason, CLOSE)


def request(path="/mqtt", method="GET", version="1.1", **changes):
    fields = {**HEADERS, **{name.replace("_", "-"): text for name, text in changes.items()}}
    lines = [f"{name}: {text}\r\n" for name, text in fields.items() if text is not None]
    return f"{method} {path} HTTP/{version}\r\n{''.join(lines)}\r\n".encode()


class Link:
    """A WebSocket whose frames a test writes. ``rest`` is what the server has sent and nobody has read."""

    def __init__(self, program, sent=None):
        host, port = program.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=WAIT_S)
        self.socket.sendall(request() if sent is None else sent)
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers = {}
        for line in iter(self._file.readline, b"\r\n"):
            name, _, text = line.decode().partition(": ")
            self.headers.setdefault(name.lower(), text.strip())

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))
        return self

    def frame(self):
        """Return opcode and data of the next frame; None if the connection has ended."""
        head = self._file.read(2)
        if not head:
            return None
        assert head[0] & 0x70 == 0 and head[0] & 0x80 and not head[1] & 0x80
        size = head[1]
        if size > 125:
            size = int.from_bytes(self._file.read(2 if size == 126 else 8))
        return head[0] & 15, self._file.read(size)

    def read(self, count):
        """Return so many bytes of MQTT, which binary frames hold."""
        found = b""
        while len(found) < count:
            opcode, data = self.frame()
            assert opcode == BINARY
            found += data
        return found

    def error(self):
        """Return the message of an answer in the API's envelope, after which the connection ends."""
        answer = json.loads(self._file.read(int(self.headers["content-length"])))
        assert answer["status"] is False and self.headers["connection"] in ("close", "upgrade")
        assert self._file.read() == b""
        return answer["message"]

    def close(self):
        self._file.close()
        self.socket.close()


@pytest.fixture
def link(program):
    opened = []

    def do(sent=None):
        opened.append(Link(program, sent))
        return opened[-1]

    yield do
    for one in opened:
        one.close()


@pytest.fixture
def http_port(program):
    return int(program.url.rpartition(":")[2])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_publishes_and_receives(device, connect, http_port, version, qos):
    client = connect(device.token, "web", version=version, port=http_port, transport="websockets", subscribe=["x/#"])
    assert not client.code.is_failure
    connect(device.token).publish("x/down", "y" * 70_000, qos)
    assert client.next() == ("x/down", b"y" * 70_000)
    client.publish(STORED, POINT, qos)
    client.publish(STORED, numbered(2))
    assert device.values() == [21.5, 2]


def test_refused_client_gets_connack_and_a_close_frame(link):
    client = link().send(frame(_connect("nonsense", "x")))
    assert client.read(4) == b"\x20\x02\x00\x05" and client.frame() == (CLOSE, (1000).to_bytes(2))
    client.send(closing(1000))
    assert client.frame() is None


def test_packets_may_be_split_over_frames_in_any_way(device, link):
    chance = random.Random(7)
    for number in range(20):
        stream = _connect(device.token, f"split{number}") + publish(number, 1) + publish(number + 100, 2) + b"\xc0\x00"
        sent, is_first = [], True
        while stream:
            size = chance.choice((0, 1, 1, 2, 3, 10, 200))
            part, stream = stream[:size], stream[size:]
            is_last = not stream or chance.random() < 0.5
            sent.append(frame(part, BINARY if is_first else CONTINUATION, is_last=is_last))
            is_first = is_last
            if chance.random() < 0.2:
                sent.append(frame(b"", PONG))  # between the parts of a message, too
        client = link()
        if number % 2:
            client.send(*sent)
        else:
            for one in sent:
                client.send(one)
        wanted = CONNACK + b"\x40\x02\x00\x01\x40\x02\x00\x02"
        found = client.read(len(wanted) + 2)
        assert found.replace(b"\xd0\x00", b"", 1) == wanted
        client.close()
    assert sorted(device.values()) == [*range(20), *range(100, 120)]


def test_frames_may_follow_the_request_in_the_same_write(device, link):
    client = link(request() + frame(_connect(device.token, "early")))
    assert client.status == 101 and client.headers["sec-websocket-accept"] == ACCEPT
    assert client.headers["sec-websocket-protocol"] == "mqtt" and client.read(4) == CONNACK


def test_one_frame_may_hold_thousands_of_packets(device, link):
    client = link().send(frame(_connect(device.token, "much")))
    assert client.read(4) == CONNACK
    client.send(frame(b"".join(publish(number, qos=0) for number in range(6_000)) + publish(6_000, 9)))
    assert client.read(4) == b"\x40\x02\x00\x09"
    assert device.points(query="count") == 6_001


def test_ping_is_answered_with_its_data(device, link):
    client = link().send(frame(b"are you there", PING))
    assert client.frame() == (PONG, b"are you there")
    client.send(frame(_connect(device.token, "c")), frame(b"", PING))
    assert {client.frame(), client.frame()} == {(BINARY, CONNACK), (PONG, b"")}


@pytest.mark.parametrize(("code", "reason"), [(1000, b""), (1001, b"the page was left"), (4_000, b"")])
def test_close_frame_is_answered_and_the_will_is_sent(device, connect, link, code, reason):
    watcher = connect(device.token, subscribe=["will"])
    client = link().send(frame(_will(device.token)))
    assert client.read(4) == CONNACK
    client.send(closing(code, reason))
    assert client.frame() == (CLOSE, code.to_bytes(2) + reason) and client.frame() is None
    assert watcher.next() == ("will", b"gone")


def test_what_came_before_the_close_frame_is_dealt_with(device, connect, link):
    watcher = connect(device.token, subscribe=["will"])
    client = link().send(frame(_will(device.token)))
    assert client.read(4) == CONNACK
    sent = [frame(publish(number, qos=0)) for number in range(300)]
    client.send(*sent, frame(b"\xe0\x00"), closing(1000))  # DISCONNECT cancels the will
    while client.frame() is not None:
        pass
    assert watcher.nothing_more() and device.points(query="count") == 300


def test_client_that_closes_at_once_has_its_messages_stored(device, link):
    sent = frame(_connect(device.token, "c")), frame(publish(1, 1) + publish(2, 2)), frame(b"\xc0\x00"), closing(1000)
    client = link(request() + b"".join(sent))
    found = []
    while (one := client.frame()) is not None:
        found.append(one)
    assert found[-1] == (CLOSE, (1000).to_bytes(2)) and device.values() == [1, 2]


def _will(token):
    body = _text("MQTT") + b"\x04\xc6" + (60).to_bytes(2) + _text("w") + _text("will") + _text("gone")
    body += _text("Token") + _text(token)
    return bytes((0x10, len(body))) + body


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"21.5", TEXT), 1003),
        (frame(b"x", is_masked=False), 1002),
        (frame(b"x", flags=0x40), 1002),
        (frame(b"x", 3), 1002),
        (frame(b"x", CONTINUATION), 1002),
        (frame(b"x" * 126, PING), 1002),
        (frame(b"x", CLOSE), 1002),
    ],
    ids=["text", "unmasked", "reserved bit", "reserved opcode", "continuation", "long ping", "short close"],
)
def test_wrong_frames_end_the_connection_with_a_code(device, link, sent, code):
    client = link().send(frame(_connect(device.token, "c")))
    assert client.read(4) == CONNACK
    client.send(sent)
    opcode, data = client.frame()
    assert opcode == CLOSE and int.from_bytes(data[:2]) == code and client.frame() is None


def test_another_connection_of_the_client_id_ends_the_websocket(device, connect, http_port):
    web = connect(device.token, "same", version="5", port=http_port, transport="websockets")
    connect(device.token, "same", version="5")
    assert web.ended.wait(WAIT_S) and web.end_code.value == packets.TAKEN_OVER


def test_stop_closes_websockets(start):
    program = start()
    client = Link(program)
    assert client.send(frame(_connect(program.device_token, "c"))).read(4) == CONNACK
    code, _, errors = program.stop()
    assert (code, errors) == (0, "")
    assert client.frame() == (CLOSE, (1000).to_bytes(2))
    client.close()


def test_any_origin_and_any_query_will_do(device, link):
    client = link(request("/mqtt?x=1", Origin="https://pages.example.com", Sec_WebSocket_Protocol="chat, mqttv3.1"))
    assert client.status == 101 and client.headers["sec-websocket-protocol"] == "mqttv3.1"
    assert client.send(frame(_connect(device.token, "c"))).read(4) == CONNACK


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (request(Sec_WebSocket_Protocol=None), 400, "Sec-WebSocket-Protocol must name mqtt"),
        (request(Sec_WebSocket_Protocol="chat, MQTT"), 400, "Sec-WebSocket-Protocol must name mqtt"),
        (request(Sec_WebSocket_Key=None), 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        (request(Sec_WebSocket_Key=f"{KEY.decode()},{KEY.decode()}"), 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        (request(Sec_WebSocket_Key="?" * 24), 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        (request(Sec_WebSocket_Version="8"), 426, "Sec-WebSocket-Version must be 13"),
        (request(Upgrade=None, Connection=None), 426, "This path serves MQTT over WebSocket: ask for an upgrade to websocket"),
        (request(Upgrade="h2c"), 426, "This path serves MQTT over WebSocket: ask for an upgrade to websocket"),
        (request(method="POST"), 426, "This path serves MQTT over WebSocket: ask for an upgrade to websocket"),
        (request(version="1.0"), 426, "This path serves MQTT over WebSocket: ask for an upgrade to websocket"),
        (request("/other", Connection="Upgrade, close"), 404, "Route Not Found"),
        (request("/mqtt/", Connection="Upgrade, close"), 404, "Route Not Found"),
    ],
    ids=lambda value: value[:60].decode().replace("\r\n", " ") if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_request_that_opens_no_websocket_gets_an_error(link, sent, status, says):
    client = link(sent)
    assert client.status == status and client.error() == says
    assert client.headers.get("sec-websocket-version") == ("13" if status == 426 else None)


class Socket(Recorder):
    """Records what a WebSocket writes."""

    is_aborted = False

    def is_closing(self):
        return self.is_closed

    def pause_reading(self):
        assert not self.is_closed
        super().pause_reading()

    def abort(self):
        self.is_closed = self.is_aborted = True


class Inner:
    """An MQTT connection that records what it is told."""

    def __init__(self):
        self.got, self.is_lost = b"", 0

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.is_lost += 1

    def data_received(self, data):
        self.got += data


def opened(bench):
    inner, there = Inner(), Socket()
    link = WebSocket(inner, bench.connections)
    link.connection_made(there)
    return link, inner, there


def test_flood_of_small_frames_is_read_over_many_turns(run):  # noqa: F811
    async def scenario(bench):
        link, inner, there = opened(bench)
        link.data_received(frame(b"x") * (3 * MAX_FRAMES))
        assert inner.got == b"x" * MAX_FRAMES and not there.is_reading
        await settled()
        assert inner.got == b"x" * 3 * MAX_FRAMES and there.is_reading

    run(scenario)


def test_paused_connection_gets_nothing_until_it_resumes(run):  # noqa: F811
    async def scenario(bench):
        link, inner, there = opened(bench)
        link.pause_reading()
        assert not there.is_reading
        link.data_received(frame(b"ab") + closing(1000))
        await settled()
        assert inner.got == b"" and not inner.is_lost and there.sent == b""
        link.resume_reading()
        await settled()
        assert inner.got == b"ab" and inner.is_lost == 1 and there.is_closed
        assert there.sent == b"\x88\x02\x03\xe8"

    run(scenario)


def test_close_frame_waits_for_the_packets_before_it(run):  # noqa: F811
    async def scenario(bench):
        link, inner, there = opened(bench)
        inner.data_received = lambda data: link.pause_reading()
        link.data_received(frame(b"ab") + closing(1000))
        await settled()
        assert not inner.is_lost and not there.is_closed
        link.resume_reading()
        await settled()
        assert inner.is_lost == 1 and there.is_closed

    run(scenario)


def test_client_that_does_not_answer_the_close_frame_is_given_up(run):  # noqa: F811
    async def scenario(bench):
        bench.connections = Connections(2, 0)
        link, inner, there = opened(bench)
        link.write(b"bye")
        link.close()
        link.close()
        link.write(b"too late")
        link.data_received(frame(b"x") * 9)
        await settled()
        assert there.sent == b"\x82\x03bye\x88\x02\x03\xe8" and inner.is_lost == 1 and inner.got == b""
        assert len(bench.connections) == 1 and there.is_reading and not there.is_closed
        bench.connections.sweep(CLOSE_S - 1)
        assert not there.is_closed
        bench.connections.sweep(CLOSE_S)
        assert there.is_aborted
        link.connection_lost(None)
        assert len(bench.connections) == 0 and inner.is_lost == 1

    run(scenario)


def test_no_bytes_break_the_connection_code(run):  # noqa: F811
    """Mutated frames either reach the MQTT connection or end the WebSocket with a code."""
    chance = random.Random(11)
    ends = set()

    async def scenario(bench):
        for _ in range(3_000):
            sent = bytearray(b"".join(_any_frame(chance) for _ in range(chance.randrange(1, 5))))
            for _ in range(chance.randrange(3)):
                sent[chance.randrange(len(sent))] = chance.randrange(256)
            link, inner, there = opened(bench)
            is_ended = chance.random() < 0.1
            if is_ended:
                link.close()
            while sent and not there.is_closed:
                size = chance.randrange(1, 40)
                link.data_received(bytes(sent[:size]))
                link.write(b"x")
                del sent[:size]
            await asyncio.sleep(0)
            ends.add(there.is_closed)
            assert inner.is_lost == (is_ended or there.is_closed)
            link.connection_lost(None)

    run(scenario)
    assert ends == {True, False}


def _any_frame(chance):
    opcode = chance.choice((CONTINUATION, TEXT, BINARY, BINARY, CLOSE, PING, PONG, 11))
    data = chance.randbytes(chance.choice((0, 1, 2, 5, 125, 126, 300)))
    return frame(data, opcode, is_last=chance.random() < 0.7, is_masked=chance.random() < 0.95)


def test_pings_of_a_client_that_does_not_read_are_not_answered(run):  # noqa: F811
    async def scenario(bench):
        link, _, there = opened(bench)
        there.unsent = MAX_UNSENT_BYTES
        link.data_received(frame(b"", PING))
        assert there.sent == b""

    run(scenario)


def test_silent_websocket_is_given_up_like_a_silent_connection(run):  # noqa: F811
    async def scenario(bench):
        there = Socket()
        link = WebSocket(Connection(bench.broker), bench.connections)
        link.connection_made(there)
        assert len(bench.connections) == 1
        link.data_received(frame(b"", PING))
        bench.broker.sweep(bench.loop.time() + CONNECT_WITHIN_S + 1)
        assert there.is_closed or there.sent.endswith(b"\x88\x02\x03\xe8")
        await settled()
        assert not bench.broker.opened

    run(scenario)
