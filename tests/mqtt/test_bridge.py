"""Mosquitto's bridge and clients, of Debian's packages mosquitto and mosquitto-clients, against the broker."""

import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from tests.mqtt.raw import STORED, Peer, Tcp
from tests.program import ROOT

PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
"""Debian puts the broker where only root looks."""
WITHIN_S = 45
"""Mosquitto waits up to 30 s before it connects a bridge again."""


def program_of(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not on this machine: Mosquitto was not tried")
    return found


class Mosquitto:
    """A Mosquitto broker with a bridge to the program; all settings of the bridge that have a default keep it.

    ``bridge``: the lines of the bridge in the place of those.
    """

    def __init__(self, folder, program, token, *more, bridge=()):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._log = folder / "mosquitto.log"
        settings = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous true", "log_type all", f"log_dest file {self._log}"
        ]  # fmt: skip
        lines += bridge or [
            "connection decant", f"address 127.0.0.1:{program.mqtt_port}", "remote_username Token",
            f"remote_password {token}", "topic up/# out 1", f"topic {STORED} out 2", "topic down/# in 2", *more,
        ]  # fmt: skip
        if os.geteuid() == 0:
            lines.insert(0, "user root")
        settings.write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen(
            [program_of("mosquitto"), "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.local = self._open()

    def _open(self):
        ends_s = time.monotonic() + 10
        while True:
            try:
                client = Peer(Tcp(self.port), 4)
                break
            except OSError:
                assert time.monotonic() < ends_s and self._process.poll() is None, self.log()
                time.sleep(0.02)
        assert client.connect(None, "local", username=None).reasons == (0,)
        return client

    def log(self):
        return self._log.read_text() if self._log.exists() else ""

    def wait_for(self, text):
        ends_s = time.monotonic() + WITHIN_S
        while text not in self.log():
            assert time.monotonic() < ends_s, self.log()[-3_000:]
            time.sleep(0.05)

    def close(self):
        self.local.link.close()
        self._process.terminate()
        self._process.wait(timeout=10)


@pytest.fixture
def bridge(program, device, tmp_path):
    opened = []

    def do(*more):
        opened.append(Mosquitto(tmp_path, program, device.token, *more))
        opened[-1].wait_for("Received SUBACK")
        return opened[-1]

    yield do
    for one in opened:
        one.close()


@pytest.mark.parametrize("settings", [(), ("bridge_protocol_version mqttv50",), ("bridge_protocol_version mqttv31",)])
def test_bridge_in_both_directions(device, peer, bridge, settings):
    far = peer(device.token, "far", 4)
    far.subscribe("up/#")
    near = bridge(*settings)
    near.local.subscribe(("down/#", 2))
    for qos in (0, 1, 2):
        near.local.publish("up/x", f"up {qos}", qos)
        assert far.message().payload == b"up %d" % qos
        far.publish("down/x", f"down {qos}", qos)
        found = near.local.message()
        assert (found.topic, found.payload) == ("down/x", b"down %d" % qos)
    near.local.publish(STORED, json.dumps({"variable": "n", "value": 7}), 2)
    near.local.publish("up/last", "", 1)
    assert far.message().topic == "up/last"
    assert device.values() == [7]


def test_bridge_of_the_page_connects_at_once_and_in_both_directions(program, device, peer, tmp_path):
    page = (ROOT / "docs/mqtt.md").read_text()
    (bridge,) = re.findall(r"^```\n(connection .*?)```$", page, re.MULTILINE | re.DOTALL)
    bridge = bridge.replace(":1883", f":{program.mqtt_port}")
    bridge = re.sub(r"(remote_password) \S+", rf"\1 {device.token}", bridge).splitlines()
    near = Mosquitto(tmp_path, program, device.token, bridge=bridge)
    try:
        near.wait_for("Received SUBACK")
        assert "Connection Refused" not in near.log()
        near.local.subscribe(("cmd/#", 1))
        peer(device.token, "far", 4).publish("cmd/x", "on", 1)
        assert near.local.message().payload == b"on"
        near.local.publish(STORED, json.dumps({"variable": "n", "value": 7}), 1)
        ends_s = time.monotonic() + WITHIN_S
        while device.values() != [7]:
            assert time.monotonic() < ends_s, near.log()[-3_000:]
            time.sleep(0.05)
    finally:
        near.close()


def test_bridge_sends_what_it_kept_while_the_broker_was_away(start, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    program = start(DECANT_MQTT_PORT=port)
    near = Mosquitto(tmp_path, program, program.device_token, "restart_timeout 1")
    try:
        near.wait_for("Received SUBACK")
        program.stop()
        for value in (1, 2, 3):
            near.local.publish(STORED, json.dumps({"variable": "n", "value": value}), 1)
        program = start(DECANT_MQTT_PORT=port)
        ends_s = time.monotonic() + WITHIN_S
        while program.call("GET", "/data?query=count") < 3:
            assert time.monotonic() < ends_s, near.log()[-3_000:]
            time.sleep(0.05)
        stored = [point["value"] for point in program.call("GET", "/data?ordination=ascending")]
        assert stored == [1, 2, 3]
    finally:
        near.close()


@pytest.fixture
def command(program, device):
    """Return a function that runs one of Mosquitto's clients, or starts it."""
    started = []

    def do(name, version, *arguments, is_background=False):
        where = ["-V", version, "-h", "127.0.0.1", "-p", str(program.mqtt_port), "-u", "Token", "-P", device.token]
        line = [program_of(name), *where, *arguments]
        if not is_background:
            return subprocess.run(line, check=True, capture_output=True, text=True, timeout=20).stdout
        started.append(subprocess.Popen(line, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield do
    for one in started:
        one.kill()
        one.wait()
        one.stdout.close()


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquitto_pub_stores_points(device, command, version, qos):
    command("mosquitto_pub", version, "-q", qos, "-t", STORED, "-m", '{"variable":"n","value":1}')
    ends_s = time.monotonic() + 5
    while device.values() != [1]:  # with QoS 0, nothing says when it is stored
        assert time.monotonic() < ends_s


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_mosquitto_sub_gets_messages(device, peer, command, version):
    listener = command("mosquitto_sub", version, "-q", "2", "-t", "a/#", "-C", "3", "-v", is_background=True)
    sender, ready_s = peer(device.token, "s"), time.monotonic() + 10
    number = 0
    while listener.poll() is None and time.monotonic() < ready_s:  # until it has subscribed, it gets nothing
        sender.publish("a/b", str(number), number % 3, 1)
        number += 1
        time.sleep(0.02)
    lines = listener.stdout.read().split("\n")[:3]
    first = int(lines[0].split()[1])
    assert lines == [f"a/b {first + at}" for at in range(3)]


def test_mosquitto_rr_asks_and_is_answered(device, peer, command):
    responder = peer(device.token, "r")
    responder.subscribe("questions")
    asked = command("mosquitto_rr", "mqttv5", "-t", "questions", "-e", "answers/1", "-m", "?", is_background=True)
    question = responder.message()
    (topic,) = question.all(0x08)
    responder.publish(topic, "42", 1, with_=[(name, value) for name, value in question.properties if name == 0x09])
    assert asked.wait(10) == 0 and asked.stdout.read().strip() == "42"
