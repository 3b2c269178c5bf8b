"""One request and its answer, with applications that answer in every way, or not at all."""

import asyncio
import json

import pytest

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
    assert json.loads(body) == {"status": False, "message": "Internal error; the log holds the details"}
    assert "a bug" in caplog.text


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


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_connection_ends_if_the_client_or_its_version_wants_it(version):
    async def application(scope, receive, send):
        await send(sized(b""))
        await send({"type": "http.response.body"})

    transport = exchange(application, b"GET / HTTP/%s\r\nConnection: close\r\n\r\n" % version)
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
