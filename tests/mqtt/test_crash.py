"""SIGKILL again and again, while clients with persistent sessions come and go, publish and receive with QoS 1 and 2."""

import collections
import contextlib
import json
import random
import signal
import socket
import threading
import time

import pytest

from tests.mqtt.conftest import Device
from tests.mqtt.raw import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SESSION_EXPIRY, STORED, Peer, Tcp, ack, publish
from tests.program import Program

KILLS = 6
BETWEEN = 200
"""How many messages are acknowledged between two kills."""
WINDOW = 8
WITHIN_S = 60
CUTS = 0.01
"""How likely a client ends its connection after a packet, without DISCONNECT."""


class Client(threading.Thread):
    """A client that connects again with its persistent session until it is done."""

    def __init__(self, port, token, client_id, version):
        super().__init__(daemon=True)
        self.port, self.token, self.client_id, self.version = port, token, client_id, version
        self.stopping = threading.Event()
        self.ends_s = time.monotonic() + WITHIN_S
        self.connects = self.resumed = 0
        self.chance = random.Random(client_id)

    def run(self):
        while not self.is_done() and time.monotonic() < self.ends_s:
            try:
                peer = Peer(Tcp(self.port), self.version)
            except OSError:  # it is being started
                time.sleep(0.02)
                continue
            with contextlib.closing(peer.link), contextlib.suppress(OSError, AssertionError):  # what a kill cuts off
                self.connect(peer)
                self.talk(peer)

    def connect(self, peer):
        pairs = ((SESSION_EXPIRY, 600),) if self.version == 5 else ()
        answer = peer.connect(self.token, self.client_id, clean=False, with_=pairs)
        self.connects += 1
        self.resumed += answer.is_present


class Publisher(Client):
    """Publishes numbers from ``first`` on, each until the broker has acknowledged it."""

    def __init__(self, *where, qos, first):
        super().__init__(*where)
        self.qos, self.number, self.packet_id = qos, first, 0
        self.pending = collections.OrderedDict()
        """By packet id: the number, and whether PUBREC came."""
        self.acknowledged = set()

    def is_done(self):
        return self.stopping.is_set() and not self.pending

    def _write(self, packet_id, *, again):
        number, is_received = self.pending[packet_id]
        if is_received:
            return ack(PUBREL, packet_id)
        payload = json.dumps({"variable": "n", "value": number})
        return publish(STORED, payload, self.qos, packet_id, version=self.version, dup=again)

    def talk(self, peer):
        peer.send(*[self._write(packet_id, again=True) for packet_id in self.pending])
        while not self.is_done():
            more = []
            while len(self.pending) < WINDOW and not self.stopping.is_set():
                self.packet_id = self.packet_id % 60_000 + 1
                self.pending[self.packet_id] = self.number, False
                self.number += 1
                more.append(self._write(self.packet_id, again=False))
            peer.send(*more)
            found = peer.next()
            if found is None:
                raise ConnectionResetError
            self._answered(peer, found)
            if self.chance.random() < CUTS:
                return

    def _answered(self, peer, found):
        number, _ = self.pending[found.packet_id]
        self.acknowledged.add(number)
        if found.kind == PUBREC:
            self.pending[found.packet_id] = number, True
            peer.send(ack(PUBREL, found.packet_id))
        else:
            assert found.kind == (PUBACK if self.qos == 1 else PUBCOMP)
            del self.pending[found.packet_id]


class Subscriber(Client):
    """Subscribes once, and notes each message that it receives; with QoS 2, by the rules of a receiver."""

    def __init__(self, *where, qos):
        super().__init__(*where)
        self.qos, self.heard, self.held = qos, [], set()
        self.ready = threading.Event()

    def is_done(self):
        return self.stopping.is_set()

    def talk(self, peer):
        if not self.ready.is_set():
            assert peer.subscribe((STORED, self.qos)) == (self.qos,)
            self.ready.set()
        while not self.is_done():
            try:
                found = peer.next(wait_s=1)
            except TimeoutError:
                continue
            if found is None:
                raise ConnectionResetError
            if found.kind == PUBLISH:
                if found.packet_id not in self.held:
                    self.heard.append(json.loads(found.payload)["value"])
                if found.qos == 2:
                    self.held.add(found.packet_id)
                peer.send(ack(PUBACK if found.qos == 1 else PUBREC, found.packet_id))
            else:
                assert found.kind == PUBREL
                self.held.discard(found.packet_id)
                peer.send(ack(PUBCOMP, found.packet_id))
            if self.chance.random() < CUTS:
                return


def wait_for(condition, within_s=WITHIN_S):
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not happen in time"
        time.sleep(0.01)


class Crashes:
    """A program that is killed and started again on one port, and its clients."""

    def __init__(self, directory, version):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._directory = directory
        self.program = self._start()
        self.device = Device(self.program)
        where = self.port, self.device.token
        self.subscribers = [Subscriber(*where, f"s{qos}", version, qos=qos) for qos in (1, 2)]
        self.publishers = [
            Publisher(*where, f"p{number}", version, qos=1 + number % 2, first=number * 100_000) for number in range(4)
        ]

    def _start(self):
        return Program(self._directory, DECANT_MQTT_PORT=str(self.port))

    def run(self):
        for one in self.subscribers:
            one.start()
        for one in self.subscribers:
            assert one.ready.wait(10), "it could not subscribe"
        for one in self.publishers:
            one.start()
        for _ in range(KILLS):
            wanted = self.acknowledged() + BETWEEN
            wait_for(lambda wanted=wanted: self.acknowledged() >= wanted)
            _, output, errors = self.program.stop(signal.SIGKILL)
            assert "Traceback" not in output + errors
            self.program = self.device.program = self._start()
        for one in self.publishers:
            one.stopping.set()
        for one in self.publishers:
            one.join(WITHIN_S)
            assert not one.pending

    def acknowledged(self):
        return sum(len(one.acknowledged) for one in self.publishers)

    def stored(self):
        points = [*self.device.points(qty=10_000), *self.device.points(qty=10_000, skip=10_000)]
        return collections.Counter(point["value"] for point in points)

    def close(self):
        for one in (*self.subscribers, *self.publishers):
            one.stopping.set()
        self.program.close()


def doubled(counts):
    return {number for number, count in counts.items() if count > 1}


@pytest.mark.parametrize("version", [4, 5])
def test_nothing_acknowledged_is_lost_and_qos_2_is_never_doubled(tmp_path, version):
    crashes = Crashes(tmp_path / "data", version)
    try:
        crashes.run()
        sent = {qos: set().union(*(one.acknowledged for one in crashes.publishers if one.qos == qos)) for qos in (1, 2)}
        whole = sent[1] | sent[2]
        wait_for(lambda: all(whole <= set(one.heard) for one in crashes.subscribers), 15)
        stored = crashes.stored()
        assert whole <= set(stored) and len(whole) >= KILLS * BETWEEN
        assert doubled(stored) & sent[2] == set()
        assert doubled(collections.Counter(crashes.subscribers[1].heard)) & sent[2] == set()
        for one in crashes.subscribers:
            assert one.resumed == one.connects - 1 >= KILLS, "a persistent session was lost"
    finally:
        crashes.close()
