"""Random histories of a client with a kept session: what the database has is what the broker knows, after each commit."""

import random

import pytest

from chalicelib import errors, store
from embedded.mqtt.broker import Broker
from tests.mqtt.test_broker import _connect
from tests.mqtt.test_connection import run, settled  # noqa: F401 - a fixture
from tests.mqtt.test_sessions import KEPT, ack, left, message, subscribe

STEPS = 150


def known(broker):
    """Return what a broker knows of its sessions, in a form that can be compared."""
    return {
        session.client_id: (
            dict(session.subscriptions),
            set(session.received),
            [one.number for one in session.waiting],
            {packet_id: (one.number, one.qos, one.is_released) for packet_id, one in session._inflight.items()},
            session.held_bytes,
        )
        for session in broker.sessions.by_id.values()
        if session.row
    }


class History:
    """A broker, and a client that acknowledges when it wants to. The client keeps what it must know of QoS 2."""

    def __init__(self, bench, chance):
        self.bench, self.chance, self.sent = bench, chance, []
        self.link = self.transport = None
        self.got, self.unreleased, self.to_answer = [], set(), []

    async def connect(self, client_id="c"):
        self.link, self.transport = self.bench.open()
        self.to_answer.clear()  # acknowledgements belong to a connection
        self.link.data_received(_connect(self.bench.world.token, client_id, flags=KEPT))
        await settled()

    def read(self):
        """Take what the broker has sent."""
        data = self.transport.take()
        while data:
            first, length, start = data[0], data[1], 2
            if length > 127:
                length, start = length % 128 + 128 * data[2], 3
            body, data = data[start : start + length], data[start + length :]
            if first >> 4 == 3:
                self.take(first >> 1 & 3, body[3:5], body[5:])
            elif first == 0x62:
                self.unreleased.discard(body)
                self.to_answer.append(b"\x70\x02" + body)

    def take(self, qos, packet_id, payload):
        expected = {bytes((kind, 2)) + packet_id for kind in (0x40, 0x50)}
        assert not expected & {*self.to_answer}, "sent twice on one connection"
        if qos == 1 or packet_id not in self.unreleased:
            self.got.append(payload)
        if qos == 2:
            self.unreleased.add(packet_id)
        self.to_answer.append(bytes((0x40 if qos == 1 else 0x50, 2)) + packet_id)

    def deliver(self, payload, qos):
        self.bench.broker.publish(device=self.bench.world.device, topic="a", payload=payload, qos=qos)

    async def publish(self):
        for _ in range(self.chance.randrange(1, 12)):
            payload = b"%d" % len(self.sent) + bytes(self.chance.choice((0, 5_000)))
            self.sent.append((payload, self.chance.choice((1, 2))))
            self.deliver(*self.sent[-1])

    async def answer(self):
        if self.link is not None:
            for _ in range(min(self.chance.randrange(1, 20), len(self.to_answer))):
                self.link.data_received(self.to_answer.pop(0))

    async def send(self):
        """Send messages with QoS 2, and release some."""
        if self.link is not None:
            self.link.data_received(message("b", b"x", self.chance.randrange(1, 4), 2))
            if self.chance.random() < 0.5:
                self.link.data_received(ack(0x62, self.chance.randrange(1, 4)))

    async def leave(self):
        if self.link is not None:
            self.link.connection_lost(None)
            self.link = None

    async def restart(self):
        self.link = None  # its process was killed: the old broker does nothing more
        self.bench.broker = self.another_broker()

    def another_broker(self):
        return Broker(self.bench.commits, self.bench.connections, self.bench.broker._workers)

    async def fail(self):
        """Let a commit fail."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store.current(), "commit", undo)
            self.deliver(b"undone", 2)
            await self.answer()
            await settled()
        if self.link is not None:
            assert self.transport.is_closed and b"undone" not in self.transport.sent
        await self.leave()

    async def bounce(self):
        """Come back before a message is committed that was delivered to the connection before."""
        await self.publish()
        await self.leave()
        await self.connect()


def undo():
    store.current().rollback()
    raise errors.Unavailable


ACTIONS = (
    [History.publish] * 3
    + [History.answer] * 2
    + [History.send, History.leave, History.restart, History.fail, History.bounce]
)


@pytest.mark.parametrize("seed", range(8))
def test_database_has_what_the_broker_knows_and_qos_2_arrives_once(run, seed):  # noqa: F811
    async def scenario(bench):
        history = History(bench, random.Random(seed))
        for client_id in ("absent", "c"):
            await history.connect(client_id)
            history.link.data_received(subscribe("a", 2))
            await settled()
            if client_id != "c":
                await history.leave()
        for step in range(STEPS):
            await history.chance.choice(ACTIONS)(history)
            await settled()
            if history.link is None and history.chance.random() < 0.6:
                await history.connect()
            if history.link is not None:
                history.read()
            await settled()
            assert known(history.another_broker()) == known(bench.broker), step
            left()
        await finish(history)

    run(scenario)


async def finish(history):
    """Let the client acknowledge everything, and compare what it got with what was sent."""
    if history.link is None:
        await history.connect()
    for _ in range(10 * STEPS):
        history.read()
        await history.answer()
        await settled()
    assert b"undone" not in history.got and not history.to_answer
    for qos in (1, 2):
        sent = [payload for payload, its_qos in history.sent if its_qos == qos]
        got = [payload for payload in history.got if payload in {*sent}]
        assert [*dict.fromkeys(got)] == sent, "each, in order"
        assert qos == 1 or got == sent, "once"
    session = history.bench.broker.sessions.by_id[history.bench.world.device, "c"]
    assert store.current().mqtt.messages(session.row) == [] and session.held_bytes == 0
