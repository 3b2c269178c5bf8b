"""What a client is sent, in process: its order, its bounds, and the end of a client that does not read."""

# ruff: noqa: F401, F811 - the fixture run

import asyncio
import socket

import pytest

from chalicelib import errors, store
from embedded.mqtt import outgoing
from embedded.mqtt.connection import CONNECT_WITHIN_S, Connection
from embedded.mqtt.outgoing import LINGER_S, MAX_UNSENT_BYTES, STALL_S, Outgoing
from tests.mqtt.test_broker import _connect, _text
from tests.mqtt.test_connection import Transport, publish, run, settled

PING, PINGRESP, CONNACK = b"\xc0\x00", b"\xd0\x00", b"\x20\x02\x00\x00"
SUBSCRIBE, SUBACK = b"\x82\x06\x00\x01\x00\x01a\x01", b"\x90\x03\x00\x01\x01"


def connect_5(token, client_id="c", properties=b"", will=b"", keep_alive=60, flags=0xC2):
    body = _text("MQTT") + bytes((5, flags | (4 if will else 0))) + keep_alive.to_bytes(2)
    body += bytes((len(properties),)) + properties + _text(client_id) + will + _text("T") + _text(token)
    return bytes((0x10, len(body) & 127 | 128, len(body) >> 7)) + body


def with_will(token, client_id, topic, payload):
    body = _text("MQTT") + bytes((4, 0xC6, 0, 60)) + _text(client_id) + _text(topic) + _text(payload)
    body += _text("T") + _text(token)
    return bytes((0x10, len(body) & 127 | 128, len(body) >> 7)) + body


def test_no_answer_passes_connack_or_an_acknowledgement_before_it(run):
    async def scenario(bench):
        writer, _ = busy(bench)
        writer.data_received(publish(1))  # from now on, answers wait for the commit
        links = [bench.open() for _ in range(2)]
        links[0][0].data_received(_connect(bench.world.token, "c4") + SUBSCRIBE + PING)
        links[1][0].data_received(connect_5(bench.world.token, "c5") + b"\x82\x07\x00\x01\x00\x00\x01a\x01" + PING)
        bench.broker.publish(device=bench.world.device, topic="a", payload=b"x", qos=0)
        for link, transport in links:
            link.data_received(publish(2, 7) + PING if link is links[0][0] else PING)
            assert transport.take() == b""
        await settled()
        old, new = (transport.take() for _, transport in links)
        assert old == CONNACK + SUBACK + PINGRESP + b"\x30\x04\x00\x01ax" + b"\x40\x02\x00\x07" + PINGRESP
        assert new[:1] == b"\x20" and new[2:4] == b"\x00\x00"
        assert new[2 + new[1] :] == b"\x90\x04\x00\x01\x00\x01" + PINGRESP + b"\x30\x05\x00\x01a\x00x" + PINGRESP

    run(scenario)


@pytest.mark.parametrize(("version", "expected"), [(4, b"\x20\x02\x00\x03"), (5, b"\x20\x03\x00\x88\x00")])
def test_connack_says_so_if_the_commit_before_it_fails(run, monkeypatch, version, expected):
    async def scenario(bench):
        writer, _ = busy(bench)

        def fail():
            store.current().rollback()
            raise errors.Unavailable

        with monkeypatch.context() as patch:
            patch.setattr(store.current(), "commit", fail)
            writer.data_received(publish(1))
            link, transport = bench.open()
            link.data_received((_connect if version == 4 else connect_5)(bench.world.token, "c") + PING)
            await settled()
        assert transport.take() == expected and transport.is_closed

    run(scenario)


@pytest.mark.parametrize(("version", "expected"), [(4, b"\x20\x02\x00\x03"), (5, b"\x20\x03\x00\x88\x00")])
def test_connack_says_so_if_the_store_is_down(run, monkeypatch, version, expected):
    async def scenario(bench):
        def fail(*_):
            raise errors.Unavailable

        monkeypatch.setattr(bench.broker, "open", fail)
        link, transport = bench.open()
        link.data_received((_connect if version == 4 else connect_5)(bench.world.token, "c") + PING)
        assert transport.take() == expected and transport.is_closed

    run(scenario)


def busy(bench):
    """Connect a client whose writes are not committed at once, as it is not alone."""
    bench.connected("bystander")
    return bench.connected("w")


class Slow(Transport):
    """A transport that is full, and tells whether it was aborted."""

    def __init__(self):
        super().__init__()
        self.is_aborted, self.unsent = False, 70_000

    def abort(self):
        self.is_aborted = self.is_closed = True


def test_unsent_bytes_are_bounded_also_while_a_commit_is_awaited(run):
    async def scenario(bench):
        for is_paused in (True, False):
            transport = Slow()
            sent = Outgoing(transport, bench.broker, lambda: None)
            if is_paused:
                sent.pause()
            else:
                writer, _ = busy(bench)
                writer.data_received(publish(1))
                sent.write_after_commit(b"x")
            for _ in range(MAX_UNSENT_BYTES // 100_000):
                sent.write(b"x" * 99_999)
            assert not transport.is_aborted and not sent.has_room and transport.take() == b""
            sent.write(b"x" * 100_000)
            assert transport.is_aborted and sent.is_over and sent.has_room
            await settled()
            sent.resume()
            assert transport.take() == b""

    run(scenario)


def test_transport_gets_the_rest_in_parts_so_that_it_never_holds_much(run):
    async def scenario(bench):
        transport = Slow()
        sent = Outgoing(transport, bench.broker, lambda: None)
        write = transport.write

        def fill(data):
            write(data)
            sent.pause()

        transport.write = fill
        sent.pause()
        for part in (b"a" * 100_000, b"b" * 100_000):
            sent.write(part)
        received = b""
        while len(received) < 200_000:
            sent.resume()
            received += (part := transport.take())
            assert 0 < len(part) <= 65_536
        assert received == b"a" * 100_000 + b"b" * 100_000

    run(scenario)


def test_client_that_takes_nothing_is_given_up_and_one_that_takes_a_little_is_not(run):
    async def scenario(bench):
        stuck, at_stuck = bench.connected("stuck")
        slow, at_slow = bench.connected("slow")
        for link, transport in ((stuck, at_stuck), (slow, at_slow)):
            link.data_received(SUBSCRIBE)
            transport.unsent = 70_000
            link.pause_writing()
        now_s = bench.loop.time()
        for second in range(int(STALL_S) + 1):
            for link in (stuck, slow):
                link.data_received(PING)  # it is not silent
            at_slow.unsent -= 100
            bench.broker.sweep(now_s + second)
            assert not at_stuck.is_closed
        bench.broker.sweep(now_s + STALL_S + 2)
        assert at_stuck.is_closed and not at_slow.is_closed

    run(scenario)


def test_client_that_does_not_read_loses_its_connection_to_another_at_once(run):
    async def scenario(bench):
        link, transport = bench.connected("same")
        transport.abort = lambda: setattr(transport, "is_aborted", True)
        link.pause_writing()
        bench.connected("same")
        assert transport.is_aborted and transport.take() == b""

    run(scenario)


def test_connection_that_was_closed_does_not_wait_for_the_client_for_ever(run):
    async def scenario(bench):
        link, transport = bench.connected()
        aborted = []
        transport.abort = lambda: aborted.append(1)
        link.data_received(b"\xe0\x00")
        now_s = bench.loop.time()
        bench.broker.sweep(now_s + LINGER_S - 1)
        assert transport.is_closed and not aborted
        bench.broker.sweep(now_s + LINGER_S + 1)
        assert aborted

    run(scenario)


def test_memory_for_clients_that_do_not_read_is_limited_for_all_of_them_together(run):
    async def scenario(bench):
        bench.connections._held_limit = 500_000
        clients = [bench.connected(f"c{number}") for number in range(6)]
        for link, transport in clients:
            transport.unsent = 100_000
            link.pause_writing()
        bench.broker.sweep(bench.loop.time())
        assert [transport.is_closed for _, transport in clients].count(True) == 1

    run(scenario)


def test_connect_has_one_deadline_however_its_bytes_come(run):
    async def scenario(bench):
        link, transport = bench.open()
        now_s = bench.loop.time()
        for second, byte in enumerate(_connect(bench.world.token, "c")[:12]):
            link._loop = type("Loop", (), {"time": lambda _, second=second: now_s + second})()
            link.data_received(bytes((byte,)))
            bench.broker.sweep(now_s + second)
            assert transport.is_closed is (second >= CONNECT_WITHIN_S)
        assert transport.is_closed and transport.take() == b""

    run(scenario)


def test_client_that_does_not_read_is_disconnected_over_a_socket_and_its_will_is_sent(run, monkeypatch):
    monkeypatch.setattr(outgoing, "STALL_S", 0.3)

    async def scenario(bench):
        watcher, at_watcher = bench.connected("watcher")
        watcher.data_received(b"\x82\x09\x00\x01\x00\x04will\x01")
        server = await bench.loop.create_server(lambda: Connection(bench.broker), "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.setblocking(False)
        await bench.loop.sock_sendall(client, with_will(bench.world.token, "deaf", "will", "gone") + SUBSCRIBE)
        while sum(len(space.listening) for space in bench.broker.sessions.spaces.values()) < 2:
            await asyncio.sleep(0.001)
        (deaf,) = [one for one in bench.broker.opened if one is not watcher]
        while not deaf._out.held_bytes:
            bench.broker.publish(device=bench.world.device, topic="a", payload=bytes(100_000), qos=0)
            await asyncio.sleep(0)
        at_watcher.take()
        async with asyncio.timeout(10):
            while deaf in bench.broker.opened:
                bench.broker.sweep(bench.loop.time())
                await asyncio.sleep(0.02)
        assert b"willgone" in at_watcher.take()
        client.close()
        server.close()

    run(scenario)
