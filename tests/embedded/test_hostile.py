"""Clients that mean harm, over real sockets: whatever one of them does, others are served and memory stays bounded."""

import contextlib
import http.client
import json
import resource
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

MEMORY_MB = 200
OTHERS_S = 2.0
"""How long another client's request may take. Alone it takes a few milliseconds; the machine may be busy."""


class Hostile:
    """Opens sockets to the program, and watches that another client is served meanwhile."""

    def __init__(self, program):
        self.program = program
        self.address = urlsplit(program.url).hostname, urlsplit(program.url).port
        self.opened, self.slowest_s = [], 0.0

    def open(self, data=b"", port=None):
        link = socket.create_connection((self.address[0], port or self.address[1]), timeout=20)
        self.opened.append(link)
        with contextlib.suppress(OSError):
            link.sendall(data)
        return link

    def serve_another(self):
        """Send a point and read it back as another client."""
        started_s = time.monotonic()
        assert self.program.call("POST", "/data", body={"variable": "other", "value": 1}) == "1 Data Added"
        assert self.program.call("GET", "/data?variables=other&qty=1")[0]["value"] == 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started_s)

    def pour(self, link, block, times):
        """Send a block again and again until the server ends the connection, while another client is served."""

        def send():
            with contextlib.suppress(OSError):
                for _ in range(times):
                    link.sendall(block)

        sender = threading.Thread(target=send)
        sender.start()
        while sender.is_alive():
            self.serve_another()
            assert self.program.memory_mb() < MEMORY_MB
            sender.join(0.01)

    def close(self):
        for link in self.opened:
            link.close()


@pytest.fixture
def hostile(start):
    made = []

    def do(**options):
        made.append(Hostile(start(**options)))
        return made[-1]

    yield do
    for one in made:
        one.close()
        assert one.slowest_s < OTHERS_S
        code, _, errors = one.program.stop()
        assert code == 0 and errors == ""


def answer_on(link):
    """Return the status and the envelope of an answer, read to the end of the connection."""
    with link.makefile("rb") as reader:
        head, _, content = reader.read().partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(content)


@pytest.mark.parametrize(
    ("begin", "block", "times", "status"),
    [
        (b"GET /status HTTP/1.1\r\n", b"x: " + b"y" * 65_000 + b"\r\n", 4_600, 431),
        (b"GET /status HTTP/1.1\r\nx: ", b"y" * 65_000, 4_600, 431),
        (b"GET /status?a=", b"y" * 60_000, 1_000, 414),
    ],
    ids=["300 MB of headers", "a header of 300 MB", "a URL of 60 MB"],
)
def test_endless_heads_are_refused(hostile, begin, block, times, status):
    attack = hostile()
    link = attack.open(begin)
    attack.pour(link, block, times)
    with contextlib.suppress(ConnectionResetError):
        got, envelope = answer_on(link)
        assert got == status and envelope["status"] is False


def test_pipelined_requests_hold_little_memory(hostile):
    attack = hostile()
    link = attack.open()
    link.settimeout(3)  # nothing is read, so the server stops reading too
    attack.pour(link, b"GET /status HTTP/1.1\r\n\r\n" * 400_000, 1)


def test_413_is_read_by_a_client_that_sends_first(hostile):
    attack = hostile()
    for size in (2_000_000, 300_000):
        link = attack.open(b"POST /data HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        status, envelope = answer_on(link)
        assert status == 413 and "200000 bytes" in envelope["message"]
    client = http.client.HTTPConnection(*attack.address, timeout=20)
    client.request("POST", "/data", b"x" * 2_000_000, {"Device-Token": attack.program.device_token})
    answer = client.getresponse()
    assert (
        answer.status == 413 and answer.headers["X-Request-Id"] and answer.headers["Access-Control-Allow-Origin"] == "*"
    )
    client.close()
    chunks = http.client.HTTPConnection(*attack.address, timeout=20)
    chunks.request("POST", "/data", iter([b"x" * 50_000] * 40), encode_chunked=True)
    assert chunks.getresponse().status == 413
    chunks.close()


@pytest.mark.parametrize("data", [b"", b"GET /st", b"POST /data HTTP/1.1\r\nContent-Length: 100\r\n\r\nx"])
def test_silent_connections_lock_nobody_out(hostile, data):
    attack = hostile(files=64)
    for number in range(120):
        attack.open(data, port=attack.program.mqtt_port if number % 3 == 0 and not data else None)
        if number % 10 == 9:
            attack.serve_another()
    attack.serve_another()


def test_slow_readers_hold_little_memory(hostile):
    attack = hostile()
    program = attack.program
    for _ in range(26):
        program.call("POST", "/data", body=[{"variable": "big", "value": "x" * 5_000}] * 36)
    request = f"GET /data?variables=big&qty=936 HTTP/1.1\r\nToken: {program.device_token}\r\n\r\n".encode()
    for _ in range(80):
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        link.connect(attack.address)
        link.sendall(request)
        attack.opened.append(link)
    assert program.call("GET", "/status")["version"] and program.memory_mb() < MEMORY_MB


def test_ten_thousand_half_open_connections(hostile):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attack = hostile()
    try:
        for number in range(min(10_000, hard - 500)):
            attack.open(b"POST /data HTTP/1.1\r\nHost: x\r\nContent-Le")
            if number % 1_000 == 999:
                attack.serve_another()
        attack.serve_another()
        assert attack.program.memory_mb() < MEMORY_MB
        attack.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
