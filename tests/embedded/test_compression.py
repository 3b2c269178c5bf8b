"""Compression in the embedded mode: answers that are asked for in gzip, and bodies that are sent in it."""

import gzip
import http.client
import json
import zlib

import pytest

from embedded.compression import accepts_gzip
from tests.kit import asgi
from tests.kit.world import World, point


@pytest.fixture
def exchange(serve):
    """Send one request through the gateway; return status, headers and the bytes of the answer."""

    def do(*args, **kwargs):
        return serve(lambda gateway: asgi.exchange(gateway, *args, query=b"qty=10000", **kwargs))

    return do


@pytest.fixture
def filled(sqlite):
    world = World()
    world.send(*[point("a", f"{index:0100d}") for index in range(20)])
    return world


ACCEPTED = [
    ("gzip", True), ("gzip, deflate, br", True), ("GZIP", True), ("br;q=1.0, gzip;q=0.8, *;q=0.1", True), ("*", True),
    ("gzip;q=0.001", True), ("gzip; q = 0.5", True), ("", False), ("identity", False), ("deflate, br", False),
    ("gzip;q=0", False), ("gzip;q=0.000", False), ("gzip;q=0, *", False), ("*;q=0", False), ("identity, gzip;q=0.5", False),
    ("gzip;q=x", False), ("gzip;q=-1", False), ("notgzip", False), ("gzip;", False), (",,gzip,,", True), ("gzi p", False),
]  # fmt: skip


@pytest.mark.parametrize(("accepted", "is_compressed"), ACCEPTED)
def test_answer_is_compressed_if_the_client_accepts_it(filled, exchange, accepted, is_compressed):
    plain = exchange("GET", "/data", {"token": filled.token})[2]
    status, headers, content = exchange("GET", "/data", {"token": filled.token, "accept-encoding": accepted})
    assert status == 200 and headers["vary"] == "Accept-Encoding"
    assert headers.get("content-encoding") == ("gzip" if is_compressed else None)
    assert int(headers["content-length"]) == len(content)
    assert (gzip.decompress(content) if is_compressed else content) == plain
    assert accepts_gzip(accepted) is is_compressed
    assert len(plain) > 4 * len(content) or not is_compressed


def test_short_answer_is_not_compressed(filled, exchange):
    _, headers, content = exchange("GET", "/status", {"accept-encoding": "gzip"})
    assert "content-encoding" not in headers and "vary" not in headers and json.loads(content)["status"] is True


def test_long_error_is_compressed(filled, exchange):
    headers = {"token": filled.token, "accept-encoding": "gzip"}
    body = json.dumps([{"variable": 1, "unit": 5}] * 50).encode()
    status, answered, content = exchange("POST", "/data", headers, body)
    assert status == 400 and answered["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(content))["field_errors"]) == 20


def test_head_has_the_headers_of_get(filled, exchange):
    for accepted in ("gzip", "identity"):
        headers = {"token": filled.token, "accept-encoding": accepted}
        get, head = (exchange(method, "/data", headers) for method in ("GET", "HEAD"))
        assert get[1].pop("x-request-id") != head[1].pop("x-request-id")
        assert head[:2] == get[:2] and head[2] == b"" and int(head[1]["content-length"]) == len(get[2])


def test_large_answer_is_compressed_whole(sqlite, exchange):
    world = World()
    for part in range(4):
        world.send(*[point("a", part * 1_000 + index) for index in range(1_000)])
    headers = {"token": world.token, "accept-encoding": "gzip"}
    _, answered, content = exchange("GET", "/data", headers)
    assert answered["content-encoding"] == "gzip"
    text = gzip.decompress(content)
    assert len(text) > 300_000 and len(json.loads(text)["result"]) == 4_000


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda raw: zlib.compress(raw, wbits=-15))],
    ids=["gzip", "zlib", "raw"],
)
def test_compressed_body_is_read_whatever_its_bytes_look_like(sqlite, exchange, coding, compress):
    world = World()
    headers = {"token": world.token, "content-type": "application/json", "content-encoding": coding}
    for number in range(100):
        body = compress(json.dumps({"variable": "a", "value": number}).encode())
        assert exchange("POST", "/data", headers, body)[0] == 200
    status, _, content = exchange("POST", "/data", headers, b'{"variable":"a","value":1}')
    assert status == 400 and b"Content-Encoding" in content
    assert world.read(query="count") == 100


def test_a_client_over_http_gets_and_sends_gzip(start):
    program = start()
    connection = http.client.HTTPConnection(program.url.removeprefix("http://"), timeout=30)
    headers = {"Device-Token": program.device_token, "Content-Type": "application/json"}
    body = gzip.compress(json.dumps([point("a", index) for index in range(2_000)]).encode())
    connection.request("POST", "/data", body, headers | {"Content-Encoding": "gzip"})
    assert json.loads(connection.getresponse().read())["result"] == "2000 Data Added"
    for method in ("GET", "HEAD", "GET"):
        connection.request(method, "/data?qty=2000", headers=headers | {"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.headers["Content-Encoding"] == "gzip" and int(answer.headers["Content-Length"]) > 1_000
        assert method == "HEAD" or len(json.loads(gzip.decompress(content))["result"]) == 2_000
    connection.close()
