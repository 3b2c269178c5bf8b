"""Whose packets are handled when, in process: turns of busy connections, and clients over their rate."""

# ruff: noqa: F401, F811 - the fixture run

import asyncio
import contextlib
import math
import socket

import pytest

from embedded import listeners
from embedded.mqtt import incoming, rounds
from embedded.mqtt.connection import MAX_PACKETS, Connection
from embedded.mqtt.incoming import MAX_DROPPABLE_BYTES, MAX_HELD_BYTES, MAX_LOOKED_AT, Incoming, has_left
from embedded.mqtt.reading import Malformed
from embedded.mqtt.rounds import TURN_S, Rounds
from tests.mqtt.test_broker import STORED, _connect, _text
from tests.mqtt.test_connection import Later, limit, publish, run, settled
from tests.mqtt.test_outgoing import PING, PINGRESP, SUBACK, SUBSCRIBE, with_will

SMALL = b"\x30\x04\x00\x01bx"
"""A message of QoS 0 that nobody wants."""


class Busy:
    """A handler that needs a second each time, and has so many packets."""

    def __init__(self, line, name, count, loop, seen):
        self.line, self.name, self.count, self.loop, self.seen = line, name, count, loop, seen

    def handle(self):
        self.seen.append((self.name, self.loop.turn))
        self.loop.now_s += 1
        self.count -= 1
        if self.count:
            self.line.enter(self)


class Loop:
    """A loop whose time and turns the test moves."""

    def __init__(self):
        self.now_s, self.turn, self._calls = 0.0, 0, []

    def time(self):
        return self.now_s

    def call_soon(self, call):
        self._calls.append(call)

    def run(self):
        calls, self._calls = self._calls, []
        self.turn += 1
        for call in calls:
            call()
        return bool(calls)


def test_connections_take_turns_within_the_time_of_a_turn(monkeypatch):
    loop, seen = Loop(), []
    monkeypatch.setattr(rounds.asyncio, "get_running_loop", lambda: loop)
    line = Rounds(1.5)
    for name, count in (("a", 3), ("b", 2), ("c", 1)):
        line.enter(Busy(line, name, count, loop, seen))
    assert not line.is_free
    while loop.run():
        pass
    assert seen == [("a", 1), ("b", 1), ("c", 2), ("a", 2), ("b", 3), ("a", 3)]
    assert line.is_free
    loop.now_s += 2
    assert not line.is_free, "the time of this turn is over"
    loop.run()
    assert line.is_free and loop.run() and not loop.run(), "a loop with nothing to do is not kept awake"


def test_client_that_sends_thousands_of_messages_at_once_lets_others_in_between(run):
    async def scenario(bench):
        links = [bench.connected(f"flood{number}") for number in range(3)]
        other, at_other = bench.connected("other")
        bench.broker.rounds = Rounds()
        for link, _ in links:
            link.data_received(SMALL * 20_000)
        assert not any(transport.is_reading for _, transport in links)
        count = 0
        while not all(transport.is_reading for _, transport in links):
            other.data_received(PING)
            assert at_other.take() == PINGRESP, "a ping does not wait in line"
            other.data_received(SUBSCRIBE)
            while not (found := at_other.take()):
                await asyncio.sleep(0)
            assert found == SUBACK
            count += 1
        assert count > 20
        assert not any(link._in.buffer for link, _ in links)

    run(scenario)


def test_messages_in_line_keep_their_order_and_all_are_stored(run):
    async def scenario(bench):
        bench.broker.rounds = Rounds(0.0)
        link, transport = bench.open()
        count = 2 * MAX_PACKETS + 5
        link.data_received(_connect(bench.world.token, "c") + b"".join(publish(n, n + 1) for n in range(count)) + PING)
        link.data_received(publish(count, count + 1))
        while not transport.is_reading or link._in.buffer:
            await asyncio.sleep(0)
        await settled()
        acks = b"".join(b"\x40\x02" + (n + 1).to_bytes(2) for n in range(count))
        assert transport.take() == b"\x20\x02\x00\x00" + acks + PINGRESP + b"\x40\x02" + (count + 1).to_bytes(2)
        assert [one["value"] for one in bench.world.read(qty=200)] == [*range(count, -1, -1)]

    run(scenario)


def test_connection_that_ends_while_it_is_in_line_is_passed_over(run):
    async def scenario(bench):
        gone, _ = bench.connected("gone")
        here, at_here = bench.connected("here")
        bench.broker.rounds = Rounds()
        gone.data_received(publish(1, qos=0) * 1_000)
        here.data_received(publish(2))
        gone.connection_lost(None)
        while not at_here.take():
            await asyncio.sleep(0)
        assert bench.world.read(query="count") < 1_000

    run(scenario)


def test_little_is_read_of_a_client_before_it_is_its_turn(run):
    async def scenario(bench):
        bench.broker.rounds = Rounds()
        server = await bench.loop.create_server(lambda: Connection(bench.broker), "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.setblocking(False)
        sending = asyncio.ensure_future(
            bench.loop.sock_sendall(client, _connect(bench.world.token, "c") + SMALL * 50_000 + PING)
        )
        most, received = 0, b""
        while not received.endswith(PINGRESP):
            most = max([most, *(len(link._in.buffer) for link in bench.broker.opened)])
            with contextlib.suppress(BlockingIOError):
                received += client.recv(100)
            await asyncio.sleep(0)
        assert received == b"\x20\x02\x00\x00" + PINGRESP and 10_000 < most < 33_000
        await sending
        client.close()
        while bench.broker.opened:
            await asyncio.sleep(0)
        server.close()

    run(scenario)


def test_fault_of_the_broker_ends_that_connection_and_no_other(run, monkeypatch):
    async def scenario(bench):
        links = [bench.connected(f"c{number}") for number in range(2)]
        bench.broker.rounds = Rounds(0.0)
        assert bench.broker.rounds.is_free and not bench.broker.rounds.is_free, "both wait for the next turn"
        accept, faults = bench.broker.accept, []
        bench.loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

        def fail(who, session, message):
            if session.client_id == "c0":
                raise ZeroDivisionError
            return accept(who, session, message)

        monkeypatch.setattr(bench.broker, "accept", fail)
        for link, _ in links:
            link.data_received(SMALL + publish(1))
        await settled()
        await settled()
        assert links[0][1].is_closed and [type(fault) for fault in faults] == [ZeroDivisionError]
        assert links[1][1].take() == b"\x40\x02\x00\x01" and not links[1][1].is_closed

    run(scenario)


def test_fault_in_a_sweep_does_not_end_the_sweeps(run, monkeypatch, caplog):
    async def scenario(bench):
        called = []

        def fail(_now_s):
            called.append("broker")
            raise ZeroDivisionError

        monkeypatch.setattr(listeners, "SWEEP_S", 0.0)
        monkeypatch.setattr(bench.broker, "sweep", fail)
        monkeypatch.setattr(bench.connections, "sweep", lambda _now_s: called.append("connections"))
        sweeps = asyncio.ensure_future(listeners.sweep_often(bench.broker, bench.connections))
        await settled()
        assert called[:4] == ["broker", "connections"] * 2 and not sweeps.done()
        sweeps.cancel()

    run(scenario)
    assert "ZeroDivisionError" in caplog.text


def held(bench, monkeypatch, link):
    """Put a client over its rate: the next message that it sends waits."""
    limit(monkeypatch, publish=1)
    later = Later(link)
    link.data_received(publish(1, 1))
    return later


def test_client_over_its_rate_gets_pings_and_what_it_sends_waits_in_order(run, monkeypatch, clock):
    async def scenario(bench):
        link, transport = bench.connected()
        later = held(bench, monkeypatch, link)
        half = publish(3, 3)
        link.data_received(publish(2, 2) + PING + SUBSCRIBE + PING + half[:5])
        await settled()
        assert transport.take() == b"\x40\x02\x00\x01" + PINGRESP * 2
        link.data_received(half[5:] + PING + PING[:1])
        assert transport.take() == PINGRESP
        link.data_received(PING[1:])
        assert transport.take() == PINGRESP and transport.is_reading
        clock.advance(60)
        later.come()
        await settled()
        assert transport.take() == b"\x40\x02\x00\x02" + SUBACK
        clock.advance(60)
        later.come()
        await settled()
        assert transport.take() == b"\x40\x02\x00\x03"
        assert [one["value"] for one in bench.world.read(ordination="ascending")] == [1, 2, 3]

    run(scenario)


@pytest.mark.parametrize("farewell", ["disconnect", "lost"])
def test_what_waits_for_the_rate_is_not_stored_when_the_client_leaves(run, monkeypatch, clock, farewell):
    async def scenario(bench):
        watcher, at_watcher = bench.connected("watcher")
        watcher.data_received(b"\x82\x09\x00\x01\x00\x04will\x01")
        link, transport = bench.open()
        link.data_received(with_will(bench.world.token, "w", "will", "gone"))
        later = held(bench, monkeypatch, link)
        link.data_received(publish(2, 2) + publish(3, 3) + (b"\xe0\x00" if farewell == "disconnect" else b""))
        assert transport.is_closed is (farewell == "disconnect")
        link.connection_lost(None)
        await settled()
        assert (b"willgone" in at_watcher.take()) is (farewell == "lost")
        clock.advance(60)
        later.come()
        await settled()
        assert bench.world.read(query="count") == 1 and not link._in.buffer

    run(scenario)


def test_no_more_than_a_limit_is_read_over_the_rate_and_the_end_is_noticed(run, monkeypatch, clock):
    async def scenario(bench):
        link, transport = bench.connected()
        later = held(bench, monkeypatch, link)
        ends = socket.socketpair()
        transport.get_extra_info = {"socket": ends[0]}.get
        link.data_received(publish(2) * (MAX_HELD_BYTES // len(publish(2))))
        await settled()
        assert transport.is_reading
        link.data_received(publish(2) * 2)
        await settled()
        assert not transport.is_reading
        bench.broker.sweep(bench.loop.time() + 1_000)
        assert not transport.is_closed, "it cannot send a ping, so it is not silent"
        ends[1].send(b"more")
        assert not has_left(transport)
        ends[1].close()
        bench.broker.sweep(bench.loop.time() + 1_000)
        assert transport.is_closed
        clock.advance(60)
        later.come()
        await settled()
        assert bench.world.read(query="count") == 1
        ends[0].close()
        assert not has_left(transport)

    run(scenario)


def test_messages_of_qos_0_over_the_rate_are_dropped_so_that_the_client_is_still_heard(run, monkeypatch, clock):
    async def scenario(bench):
        link, transport = bench.connected()
        later = held(bench, monkeypatch, link)
        waits = MAX_DROPPABLE_BYTES // len(publish(0, qos=0)) + 1
        for _ in range(10):
            link.data_received(publish(0, qos=0) * 1_000 + PING)
            await settled()
        assert transport.is_reading and link._in.buffer == publish(0, qos=0) * waits
        link.data_received(publish(3, 3) + PING)
        assert transport.take() == b"\x40\x02\x00\x01" + PINGRESP * 11 and link._in.dropped == 10_000 - waits
        limit(monkeypatch)
        later.come()
        while link._in.buffer:
            await asyncio.sleep(0)
        await settled()
        assert transport.take() == b"\x40\x02\x00\x03" and link._in.dropped == 0
        assert bench.world.read(query="count") == waits + 2

    run(scenario)


def test_pings_are_found_in_parts_and_each_packet_is_looked_at_once():
    waiting = Incoming()
    first = b"\x32\x05\x00\x01a\x00\x01"
    waiting.buffer += first + (PING + SMALL) * MAX_LOOKED_AT + PING[:1]
    assert waiting.look_ahead() == (MAX_LOOKED_AT // 2, None, True)
    assert waiting.look_ahead() == (MAX_LOOKED_AT // 2, None, True)
    assert waiting.look_ahead() == (0, None, False)
    assert waiting.buffer == first + SMALL * MAX_LOOKED_AT + PING[:1]
    waiting.buffer += PING[1:] + b"\xe0\x02\x04\x00" + PING
    assert waiting.look_ahead() == (1, b"\x04\x00", False)
    assert waiting.dropped == 0
    assert waiting.take(2, 7) == (0x32, first[2:]) and waiting.buffer[: len(SMALL)] == SMALL
    waiting.buffer[:] = first + b"\x00"
    with pytest.raises(Malformed):
        waiting.look_ahead()


def test_connections_that_wait_for_the_rate_hold_no_turn_and_no_timer_when_they_end(run, monkeypatch, clock):
    async def scenario(bench):
        link, _ = bench.connected()
        limit(monkeypatch, publish=0)
        link.data_received(publish(1))
        timer = link._held_until
        assert not timer.cancelled() and bench.broker.rounds.is_free
        link.connection_lost(None)
        assert timer.cancelled()

    run(scenario)
