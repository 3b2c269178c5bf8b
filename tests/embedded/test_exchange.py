"""One request and its answer, with applications that answer in every way, or not at all."""

import asyncio
import json
import tracemalloc

import pytest

from embedded.protocol import WRITE_S
from tests.kit.link import Link, settle

GET = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


def sized(body):
    return START | {"headers": [(b"content-length", b"%d" % len(body))]}


def exchange(application, sent=GET):
    """Return the transport after a request to an application."""

    async def run():
        link = Link(application)
        link.http.data_received(sent)
        await settle()
        is_closed = link.transport.is_closed
        await Link.lose_all()
        link.transport.is_closed = is_closed
        return link.transport

    return asyncio.run(run())


def test_application_that_fails_is_500_in_the_envelope_and_ends_the_connection(caplog):
    async def application(scope, receive, send):
        raise ValueError("a bug")

    transport = exchange(application)
    head, _, body = transport.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ") and b"connection: close" in head and transport.is_closed
    answer = json.loads(body)
    request_id = answer.pop("request_id")
    assert answer == {"status": False, "message": "Internal error; the log holds the details"}
    assert f"x-request-id: {request_id}".encode() in head and b"content-length: %d" % len(body) in head
    assert "a bug" in caplog.text


def test_failure_of_a_head_request_has_no_body():
    async def application(scope, receive, send):
        raise ValueError("a bug")

    head, _, body = exchange(application, b"HEAD /status HTTP/1.1\r\n\r\n").sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ") and b"content-length: " in head and body == b""


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_stream_that_fails_ends_without_its_last_chunk(error):
    async def application(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise error

    transport = exchange(application)
    assert transport.sent.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n") and transport.is_closed


@pytest.mark.parametrize("messages", [[], [START]])
def test_application_that_does_not_answer_ends_the_connection(messages):
    async def application(scope, receive, send):
        for message in messages:
            await send(message)

    transport = exchange(application)
    assert transport.sent == b"" and transport.is_closed


def test_application_that_is_cancelled_ends_the_connection():
    async def application(scope, receive, send):
        raise asyncio.CancelledError

    transport = exchange(application)
    assert transport.sent == b"" and transport.is_closed


def test_application_that_fails_after_its_answer_changes_nothing(caplog):
    async def application(scope, receive, send):
        await send(sized(b"ok"))
        await send({"type": "http.response.body", "body": b"ok"})
        await send({"type": "http.response.body", "body": b"more"})
        raise ValueError("a bug")

    transport = exchange(application)
    assert transport.sent == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" and not transport.is_closed
    assert "a bug" in caplog.text


def test_stream_is_chunked():
    async def application(scope, receive, send):
        await send(START)
        for part in (b"one", b"", b"a" * 20):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    transport = exchange(application)
    assert transport.sent.endswith(b"\r\n\r\n3\r\none\r\n14\r\n" + b"a" * 20 + b"\r\n3\r\nend\r\n0\r\n\r\n")
    assert not transport.is_closed


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 1_000_000])
def test_body_of_any_size_follows_its_head(size):
    body = b"x" * size

    async def application(scope, receive, send):
        await send(sized(body))
        await send({"type": "http.response.body", "body": body})

    assert exchange(application).sent == b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (size, body)


@pytest.mark.parametrize("sent", [b"HTTP/1.0\r\nConnection: keep-alive", b"HTTP/1.1\r\nConnection: close"])
def test_connection_ends_if_the_client_or_its_version_wants_it(sent):
    async def application(scope, receive, send):
        await send(sized(b""))
        await send({"type": "http.response.body"})

    transport = exchange(application, b"GET / %s\r\n\r\n" % sent)
    assert b"connection: close\r\n" in transport.sent and transport.is_closed


def test_application_hears_when_the_client_goes_away():
    heard = []

    async def application(scope, receive, send):
        heard.extend([await receive(), await receive(), await receive()])
        await send(START)
        await send({"type": "http.response.body"})

    async def run():
        link = Link(application)
        link.http.data_received(b"POST /data HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        await settle()
        assert heard == []
        link.lose()
        await settle()
        return link.transport.sent

    assert asyncio.run(run()) == b""
    assert heard == [
        {"type": "http.request", "body": b"abc", "more_body": False},
        {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]


def test_stream_to_an_old_client_ends_with_the_connection():
    async def application(scope, receive, send):
        await send(START)
        for part in (b"one", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    transport = exchange(application, b"GET /events HTTP/1.0\r\n\r\n")
    assert transport.sent == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo" and transport.is_closed


@pytest.mark.parametrize("goes", [False, True])
def test_nothing_is_written_until_the_client_reads(goes):
    async def application(scope, receive, send):
        await send(sized(b"ok"))
        await send({"type": "http.response.body", "body": b"ok"})

    async def run():
        link = Link(application)
        link.http.pause_writing()
        link.http.data_received(GET)
        await settle()
        assert link.transport.sent == b""
        link.lose() if goes else link.http.resume_writing()
        await settle()
        return link.transport.sent

    assert asyncio.run(run()) == (b"" if goes else b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def test_connection_that_stops_ends_after_its_answer():
    async def run():
        ready = asyncio.Event()

        async def application(scope, receive, send):
            await ready.wait()
            await send(sized(b"ok"))
            await send({"type": "http.response.body", "body": b"ok"})

        link = Link(application)
        link.http.data_received(GET)
        await settle()
        link.http.shutdown()
        assert not link.transport.is_closed
        ready.set()
        await settle()
        assert link.transport.is_closed and b"connection: close" in link.transport.sent
        idle = Link(application)
        idle.http.shutdown()
        assert idle.transport.is_closed

    asyncio.run(run())


def test_answer_that_broke_off_and_is_not_read_ends_the_connection():
    async def application(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise ValueError("a bug")

    async def run():
        link = Link(application)
        link.http.data_received(GET)
        await settle()
        link.transport.unsent = 20_000
        link.connections.sweep(link.connections.now_s + WRITE_S)
        return link.transport.is_aborted

    assert asyncio.run(run())


@pytest.mark.parametrize("path", [b"/nothing", b"/data"])
def test_body_that_nobody_reads_is_not_kept(path):
    """An idle connection holds nothing: the application answers without the body."""

    async def application(scope, receive, send):
        await send(sized(b"ok"))
        await send({"type": "http.response.body", "body": b"ok"})

    async def run():
        links = [Link(application) for _ in range(20)]
        request = b"OPTIONS %s HTTP/1.1\r\nContent-Length: 199000\r\n\r\n" % path + b"x" * 199_000
        tracemalloc.start()
        for link in links:
            link.http.data_received(request)
            await settle()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    assert asyncio.run(run()) < 500_000


def test_body_in_small_parts_takes_little_more_than_its_bytes():
    async def application(scope, receive, send):
        raise AssertionError("not complete")

    async def run():
        link = Link(application)
        link.http.data_received(b"POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        part = b"2\r\nab\r\n" * 1_000
        tracemalloc.start()
        for _ in range(90):
            link.http.data_received(part)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    assert asyncio.run(run()) < 400_000


@pytest.mark.parametrize("url", [b"http://x", b"http://h?x=1"])
@pytest.mark.parametrize("before", [b"", GET])
def test_url_without_a_path_is_refused_at_once(url, before):
    async def application(scope, receive, send):
        await send(sized(b"ok"))
        await send({"type": "http.response.body", "body": b"ok"})

    async def run():
        link = Link(application)
        link.http.data_received(before)
        await settle()
        link.transport.sent = b""
        link.http.data_received(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % url)
        await settle()
        return link.transport.sent

    assert asyncio.run(run()).startswith(b"HTTP/1.1 400 ")


def test_old_client_is_not_asked_to_continue():
    async def application(scope, receive, send):
        await send(sized(b"ok"))
        await send({"type": "http.response.body", "body": b"ok"})

    sent = b"POST /data HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    assert exchange(application, sent).sent.startswith(b"HTTP/1.1 200 ")
