"""The HTTP protocol's limits: heads, bodies, pipelining, waits, and bytes that are no HTTP."""

import asyncio
import gc
import json
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.host import log
from embedded import protocol
from embedded.connections import Connections
from embedded.protocol import BODY, DRAIN, DRAIN_BYTES, HEAD, IDLE, LIMITS_S, WRITE_BYTES, WRITE_S
from tests.kit.link import Link, settle
from tests.kit.world import World

GET = b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"


def post(token, value=1, end=b""):
    body = b'{"variable":"a","value":%d}' % value
    head = f"POST /data HTTP/1.1\r\nToken: {token}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body + end


def chunked(token, value=1):
    head = (
        f"POST /data HTTP/1.1\r\nToken: {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = b'{"variable":"a",', b'"value":%d}' % value
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in body) + b"0\r\n\r\n"


@pytest.fixture
def lines():
    """The lines of the log."""
    written = []
    log.use(lambda text: written.append(json.loads(text)))
    return written


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /status?a=%s HTTP/1.1\r\n\r\n" % (b"y" * 8_178), 200),
        (b"GET /status?a=%s HTTP/1.1\r\n\r\n" % (b"y" * 8_184), 414),
        (b"GET /status?a=%s" % (b"y" * 300_000), 414),
        (b"GET /status HTTP/1.1\r\nx: %s\r\n\r\n" % (b"y" * 10_239), 200),
        (b"GET /status HTTP/1.1\r\nx: %s\r\n\r\n" % (b"y" * 10_240), 431),
        (b"GET /status HTTP/1.1\r\n%s\r\n" % (b"x: y\r\n" * 100), 200),
        (b"GET /status HTTP/1.1\r\n%s\r\n" % (b"x: y\r\n" * 101), 431),
        (b"GET /status HTTP/1.1\r\nx: %s" % (b"y" * 300_000), 431),
        (b"GET /status HTTP/1.1\r\n%s: y" % (b"x" * 300_000), 431),
        (b"GET /status HTTP/1.1\r\n%s" % (b"x: y\r\n" * 50_000), 431),
        (b"\r\n" * 20_000, 431),
        (b"\r\n\r\n" * 20_000, 431),
    ],
    ids=lambda value: str(value)[-60:-40] if isinstance(value, bytes) else str(value),
)
@pytest.mark.parametrize("size", [1_000_000, 4_096, 997])
def test_head_over_a_limit_is_refused_as_it_arrives(serve, lines, request_head, status, size):
    async def scenario(gateway):
        link, found, taken = Link(gateway), [], 0
        while taken < len(request_head) and not found:
            found += await link.send(request_head[taken : taken + size])
            taken += size
        (answer,) = found
        assert answer.status == status and answer.headers["x-request-id"] == lines[-1]["request_id"]
        assert lines[-1]["status"] == status
        if status != 200:
            assert taken <= max(size, 25_000) and link.transport.is_ended
            assert answer.headers["connection"] == "close" and "too long" in answer.message

    serve(scenario)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_body_at_and_over_the_limit(serve, lines, is_chunked):
    async def scenario(gateway):
        world = World()
        for size, status in ((200_000, 200), (200_001, 413)):
            body = b'{"variable":"a","value":1}'.ljust(size)
            head = f"POST /data HTTP/1.1\r\nToken: {world.token}\r\nContent-Type: application/json\r\n".encode()
            if is_chunked:
                data = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, body)
            else:
                data = head + b"Content-Length: %d\r\n\r\n" % size + body
            link = Link(gateway)
            (answer,) = await link.send(*(data[at : at + 50_000] for at in range(0, len(data), 50_000)))
            assert answer.status == status == lines[-1]["status"]
            assert answer.headers["x-request-id"] == lines[-1]["request_id"]
        assert "200000 bytes" in answer.message and len(world.read(qty=5)) == 1

    serve(scenario)


def test_too_long_a_body_is_refused_before_it_is_asked_for(serve):
    async def scenario(gateway):
        link = Link(gateway)
        await settle()
        link.http.data_received(b"POST /data HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 7000000\r\n\r\n")
        await settle()
        assert b"100 Continue" not in link.transport.sent and link.transport.sent.startswith(b"HTTP/1.1 413 ")
        asked = Link(gateway)
        asked.http.data_received(b"POST /data HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        await settle()
        assert asked.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"

    serve(scenario)


@pytest.mark.parametrize(
    "block",
    [b"5;ext=" + b"x" * 60_000, b"0\r\nx: " + b"y" * 60_000, b"1\r\nx\r\n" * 10_000, b"0\r\n" + b"x: y\r\n" * 10_000],
)
def test_endless_chunks_and_trailers_are_refused(serve, block):
    async def scenario(gateway):
        link = Link(gateway)
        found, sent = await link.send(b"POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + block), len(block)
        while not found:
            found, sent = await link.send(block.removeprefix(b"0\r\n").replace(b"5;ext=", b"")), sent + len(block)
        assert [answer.status for answer in found] == [413] and sent < 2_000_000

    serve(scenario)


def test_what_follows_a_refusal_is_ignored_up_to_a_limit(serve):
    async def scenario(gateway):
        link = Link(gateway)
        (answer,) = await link.send(b"POST /data HTTP/1.1\r\nContent-Length: 90000000\r\n\r\n")
        assert answer.status == 413 and link.transport.is_ended and not link.transport.is_closed
        for _ in range(DRAIN_BYTES // 100_000):
            assert await link.send(b"x" * 100_000) == [] and not link.transport.is_closed
        await link.send(b"x")
        assert link.transport.is_aborted
        other = Link(gateway)
        await other.send(b"POST /data HTTP/1.1\r\nContent-Length: 90000000\r\n\r\n")
        other.connections.sweep(other.connections.now_s + LIMITS_S[DRAIN])
        assert other.transport.is_aborted

    serve(scenario)


def test_pipelined_requests_are_answered_one_at_a_time_in_order(serve):
    async def scenario(gateway):
        world, running = World(), []

        async def counted(scope, receive, send):
            running.append(scope["path"])
            assert len(running) == 1 and len(link.http.pipeline) == 0
            await gateway(scope, receive, send)
            running.clear()

        link = Link(counted)
        link.http.data_received(b"".join(post(world.token, value) for value in range(40)) + GET * 2)
        assert not link.transport.is_reading
        for _ in range(42):
            await settle()
        found = link.take()
        assert [answer.status for answer in found] == [200] * 42 and link.transport.is_reading
        assert len({answer.headers["x-request-id"] for answer in found}) == 42
        assert sorted(one["value"] for one in world.read(qty=100)) == list(range(40))

    serve(scenario)


def test_request_in_the_same_part_as_a_chunked_end_is_not_lost_silently(serve):
    async def scenario(gateway):
        world = World()
        link = Link(gateway)
        (answer,) = await link.send(chunked(world.token) + post(world.token, 2))
        assert answer.status == 200 and answer.headers["connection"] == "close" and link.transport.is_closed
        assert [one["value"] for one in world.read()] == [1]
        link = Link(gateway)
        first, second = await link.send(chunked(world.token, 3), post(world.token, 4))
        assert first.status == second.status == 200 and not link.transport.is_closed

    serve(scenario)


@pytest.mark.parametrize(
    ("sent", "phase", "statuses"),
    [
        ([], HEAD, []),
        ([b"\r\n"], HEAD, []),
        ([b"GET /sta"], HEAD, [408]),
        ([b"GET /sta", b"tus HTTP/1.1\r\nHost"], HEAD, [408]),
        ([b"POST /data HTTP/1.1\r\nContent-Length: 9\r\n\r\n"], BODY, [408]),
        ([b"POST /data HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"x", b"y"], BODY, [408]),
        ([b"POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"], BODY, [408]),
        ([GET], IDLE, []),
        ([GET, b"G"], HEAD, [408]),
    ],
)
def test_each_wait_for_the_client_ends(serve, sent, phase, statuses):
    async def scenario(gateway):
        link = Link(gateway)
        connections, started_s = link.connections, link.connections.now_s
        for number, part in enumerate(sent):
            connections.sweep(started_s + number)
            await link.send(part)
        begun_s = started_s + (0 if phase == BODY or not sent else len(sent) - 1)
        begun_s = started_s if sent[:1] == [b"GET /sta"] or sent == [b"\r\n"] else begun_s
        connections.sweep(begun_s + LIMITS_S[phase] - 0.1)
        assert not link.transport.is_closed
        connections.sweep(begun_s + LIMITS_S[phase])
        await settle()
        found = link.take()
        assert link.transport.is_closed and [answer.status for answer in found] == statuses
        link.lose()
        assert len(connections) == 0

    serve(scenario)


def test_request_that_is_being_answered_has_no_limit(serve):
    async def scenario(_gateway):
        async def slow(scope, receive, send):
            await settle()
            await settle()

        link = Link(slow)
        link.http.data_received(GET)
        link.connections.sweep(link.connections.now_s + 1e6)
        assert not link.transport.is_closed
        link.lose()
        await settle()
        await settle()

    serve(scenario)


def test_client_that_does_not_read_is_disconnected(serve):
    async def scenario(gateway):
        link = Link(gateway)
        await link.send(GET)
        link.transport.unsent = 5_000_000
        link.http.pause_writing()
        for _ in range(3):
            link.transport.unsent -= WRITE_BYTES
            link.connections.sweep(link.connections.now_s + WRITE_S)
            assert not link.transport.is_closed
        await link.send(GET)  # another request does not make it look alive
        link.transport.unsent -= WRITE_BYTES - 1
        link.connections.sweep(link.connections.now_s + WRITE_S)
        assert link.transport.is_aborted
        link.lose()

        reader = Link(gateway)
        reader.transport.unsent = 5_000_000
        reader.http.pause_writing()
        reader.transport.unsent = 0
        reader.http.resume_writing()
        reader.connections.sweep(reader.connections.now_s + WRITE_S)
        assert not reader.transport.is_closed
        reader.transport.unsent = 10  # below the mark at which the transport asks to pause
        reader.connections.sweep(reader.connections.now_s + LIMITS_S[IDLE])
        assert reader.transport.is_aborted

    serve(scenario)


def test_last_answer_that_is_not_read_ends_the_connection(serve):
    async def scenario(gateway):
        link = Link(gateway)
        await link.send(GET.replace(b"Host: x", b"Connection: close"))
        assert link.transport.is_closed and not link.transport.is_aborted
        link.transport.unsent = 10
        link.connections.sweep(link.connections.now_s + WRITE_S)
        assert link.transport.is_aborted

    serve(scenario)


def test_all_connections_together_hold_a_limited_number_of_bytes(serve):
    async def scenario(gateway):
        world = World()
        connections = Connections(1_000, 0.0, held_limit=1_000_000)
        links = [Link(gateway, connections) for _ in range(20)]
        head = f"POST /data HTTP/1.1\r\nToken: {world.token}\r\nContent-Length: 150000\r\n\r\n".encode()
        for link in links:
            await link.send(head + b" " * 100_000)
        ended = [link.transport.is_aborted for link in links]
        assert 9 <= ended.count(False) <= 10 and ended == sorted(ended, reverse=True)
        for link in links:
            if link.transport.is_aborted:
                link.lose()
        (answer,) = await links[-1].send(b'{"variable":"a","value":1}'.ljust(50_000))
        assert answer.status == 200
        links[-2].transport.unsent = 900_001
        links[-2].http.pause_writing()
        assert not links[-1].transport.is_closed and not links[-2].transport.is_closed
        assert all(link.transport.is_aborted for link in links[:-2])

    serve(scenario)


def test_connection_over_the_limit_ends_the_one_that_waits_longest(serve):
    async def scenario(gateway):
        connections = Connections(3, 0.0)
        links = [Link(gateway, connections) for _ in range(3)]
        links[0].http.data_received(GET)  # it is being answered, so it does not wait
        fourth = Link(gateway, connections)
        assert [link.transport.is_aborted for link in [*links, fourth]] == [False, True, False, False]
        await settle()
        fifth = Link(gateway, connections)
        assert [link.transport.is_aborted for link in [*links, fourth, fifth]] == [False, True, True, False, False]
        (answer,) = links[0].take()
        assert answer.status == 200 and len(connections) == 3

    serve(scenario)


def test_new_connection_is_ended_if_no_other_waits(serve):
    async def scenario(gateway):
        connections = Connections(1, 0.0)
        busy = Link(gateway, connections)
        busy.http.data_received(GET)
        new = Link(gateway, connections)
        assert new.transport.is_aborted and not busy.transport.is_closed
        await settle()

    serve(scenario)


@pytest.mark.parametrize("blanks", [" ", "\t", " \t  "])
def test_blanks_around_a_header_value_do_not_belong_to_it(serve, blanks):
    async def scenario(gateway):
        world = World()
        request = f"GET /info HTTP/1.1\r\nDevice-Token:{blanks}{world.token}{blanks}\r\n\r\n".encode()
        (answer,) = await Link(gateway).send(request)
        assert answer.result["id"] == world.device

    serve(scenario)


def test_trailers_are_no_headers(serve):
    async def scenario(gateway):
        world = World()
        request = chunked("none").removesuffix(b"\r\n") + f"Token: {world.token}\r\n\r\n".encode()
        (answer,) = await Link(gateway).send(request)
        assert answer.status == 401

    serve(scenario)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"FOO /status HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
        b"GET \xff HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nbad header: x\r\n\r\n",
        b"GET /status HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"GET /status HTTP/1.1\r\n x: folded\r\n\r\n",
        b"GET /status HTTP/1.1\r\nx: a\r\n folded\r\n\r\n",
        b"POST /data HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /data HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /data HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /data HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /data HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n",
        b"POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    ],
)
@pytest.mark.parametrize("before", [b"", GET])
def test_bytes_that_are_no_http_are_400_in_the_envelope(serve, lines, before, sent):
    async def scenario(gateway):
        link = Link(gateway)
        if before:
            assert (await link.send(before))[0].status == 200
        (answer,) = await link.send(sent)
        assert answer.status == 400 and answer.headers["connection"] == "close" and link.transport.is_ended
        assert answer.headers["x-request-id"] == lines[-1]["request_id"] and lines[-1]["status"] == 400
        assert await link.send(b"more", b"and more") == []
        link.lose()
        await settle()
        assert len(link.connections) == 0 and World().read() == []

    serve(scenario)


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.2"])
def test_upgrade_is_not_taken_and_the_request_is_answered(serve, upgrade, capfd):
    async def scenario(gateway):
        world = World()
        more = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\nHTTP2-Settings: AAMA\r\n"
        link = Link(gateway)
        upgrading = GET.replace(b"\r\n\r\n", b"\r\n" + more + b"\r\n")
        found = await link.send(upgrading, GET, upgrading + GET, GET)
        assert [answer.status for answer in found] == [200] * 5
        for make in (post, chunked):  # the parser does not read the body of such a request
            (answer,) = await Link(gateway).send(make(world.token).replace(b"\r\n", b"\r\n" + more, 1))
            assert answer.status == 400 and "upgrade" in answer.message and world.read() == []

    serve(scenario)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("make", [post, chunked])
def test_request_that_is_cut_anywhere_has_no_effect_and_one_that_is_split_anywhere_works(serve, make):
    async def scenario(gateway):
        world = World()
        whole = make(world.token)
        for size in range(len(whole)):
            cut = Link(gateway)
            assert await cut.send(whole[:size]) == []
            cut.lose()
            await settle()
            assert cut.take() == [] and len(cut.connections) == 0
        assert world.read() == []
        for size in range(1, len(whole)):
            split = Link(gateway)
            (answer,) = await split.send(whole[:size], whole[size:])
            assert answer.status == 200, size
            (answer,) = await split.send(GET)
            assert answer.status == 200
        slow = Link(gateway)
        (answer,) = await slow.send(*(whole[at : at + 1] for at in range(len(whole))))
        assert answer.status == 200 and len(world.read(qty=1_000)) == len(whole)

    serve(scenario)


HEADS = st.lists(
    st.sampled_from(
        [b"GET", b"POST", b"OPTIONS", b"CONNECT", b"PRI", b" ", b"/data", b"/status", b"*", b"?a=b", b"%zz", b"#x",
         b"http://x", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Content-Length: 3",
         b"Content-Length: 300000", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close",
         b"Connection: upgrade", b"Upgrade: x", b"Expect: 100-continue", b"Token: x", b":", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n",
         b"\x00", b"\xff", GET, post("x"), chunked("x")]
    )
    | st.binary(max_size=5),
    max_size=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADS, st.integers(1, 60))
def test_no_bytes_break_a_connection(serve, pieces, size):
    data = b"".join(pieces)

    async def scenario(gateway):
        link = Link(gateway)
        found = await link.send(*(data[at : at + size] for at in range(0, len(data), size)))
        assert all(answer.status < 500 and answer.headers["x-request-id"] for answer in found if answer.status)
        link.connections.sweep(link.connections.now_s + 1_000)
        await settle()
        link.connections.sweep(link.connections.now_s + 2_000)
        assert link.transport.is_closed
        link.lose()
        await settle()
        assert len(link.connections) == 0 and not link.http.tasks
        (answer,) = await Link(gateway).send(GET)
        assert answer.status == 200

    serve(scenario)


def test_limits_are_those_of_api_gateway():
    assert (protocol.MAX_HEADER_BYTES, protocol.MAX_URL_BYTES) == (10_240, 8_192)


def test_connection_that_becomes_a_websocket_leaves_nothing_of_http(serve):
    head = b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    head += b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

    async def scenario(gateway):
        link = Link(gateway, open_mqtt=asyncio.Protocol)
        Link.opened.remove(link)
        await settle()
        gc.disable()
        try:
            link.http.data_received(head)
            assert link.transport.sent.startswith(b"HTTP/1.1 101 ") and len(link.connections) == 0
            http = weakref.ref(link.http)
            del link.http
            assert http() is None
        finally:
            gc.enable()

    serve(scenario)
