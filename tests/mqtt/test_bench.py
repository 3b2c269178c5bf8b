"""The benchmark of MQTT publishes what it says, and counts what it costs."""

import pytest

from bench import mqtt
from bench.servers import Server


@pytest.fixture
def server(program):
    return Server(
        "decant", program.url, profile_token=program.profile_token, mqtt_port=program.mqtt_port,
        websocket_port=int(program.url.rsplit(":", 1)[1]), process=program.process,
    )  # fmt: skip


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_is_stored(program, server, qos, connections):
    token = server.fresh()
    found = mqtt.run(server, token, mqtt.Scene(qos, connections, 90))
    assert found.per_second > 0 and 0 < found.p50 <= found.p99 and found.processor_us >= 0
    assert program.call("GET", "/data?query=count", token=token) == 90


def test_idle_connections_are_held(server):
    assert mqtt.hold(server.mqtt_port, server.fresh(), 20, lambda: 7.0) == 7.0


def test_names_of_the_rows_differ():
    names = [scene.name for scene in mqtt.scenes(1.0)]
    assert len(names) == len(set(names)) == 10 and "MQTT QoS 1, 16 connections" in names
