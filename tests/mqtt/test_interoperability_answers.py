"""Which answers the broker gives first, and what it says to a version of MQTT that it does not speak."""

import pytest

from tests.mqtt.raw import CONNACK, PINGREQ, PINGRESP, PUBACK, STORED, SUBACK, connect, point, publish, subscribe


def test_answers_of_one_write_keep_their_order(device, peer):
    for version in (3, 4, 5):
        for number in range(20):
            client = peer(version=version)
            client.send(connect(device.token, f"c{number}", version), subscribe("a", version=version), PINGREQ)
            assert [client.next().kind for _ in range(3)] == [CONNACK, SUBACK, PINGRESP]


def test_answers_keep_their_order_behind_a_message(device, peer):
    client = peer(device.token)
    client.send(publish(STORED, point(1), 1), subscribe("a", packet_id=2), PINGREQ, publish(STORED, point(2), 1, 3))
    assert [client.next().kind for _ in range(4)] == [PUBACK, SUBACK, PINGRESP, PUBACK]


@pytest.mark.parametrize("version", [3, 4, 5])
def test_version_of_a_bridge_gets_code_1(device, peer, version):
    found = peer(version=4).send(connect(device.token, "bridge", version | 0x80)).rest()
    assert found == [(CONNACK, 1)]
    assert peer(version=4).send(connect(device.token, "new", 6)).rest() == [(CONNACK, 1)]
