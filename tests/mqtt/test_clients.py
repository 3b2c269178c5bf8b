"""Asynchronous clients for Python, over TCP and WebSocket: aiomqtt, and that of amqtt, which shares no code with paho."""

import asyncio
import json
import logging

import aiomqtt
import pytest
from amqtt.client import MQTTClient
from paho.mqtt.client import MQTTv5, MQTTv311
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

STORED = "tago/data/post"
WITHIN_S = 10
POINT = json.dumps({"variable": "n", "value": 1})


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, WITHIN_S))


def http_port(program):
    return int(program.url.rsplit(":", 1)[1])


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_aiomqtt(program, device, transport, version):
    port = program.mqtt_port if transport == "tcp" else http_port(program)

    async def scenario():
        async with aiomqtt.Client(
            "127.0.0.1", port, username="Token", password=device.token, protocol=version, transport=transport,
            websocket_path="/mqtt",
        ) as client:  # fmt: skip
            await client.publish(STORED, POINT, qos=1)
            await client.subscribe("a/#", qos=2)
            for qos in (0, 1, 2):
                properties = None
                if version == MQTTv5:
                    properties = Properties(PacketTypes.PUBLISH)
                    properties.UserProperty = [("k", str(qos))]
                await client.publish(f"a/{qos}", f"qos {qos}", qos=qos, properties=properties)
                found = await anext(client.messages)
                assert (str(found.topic), found.payload, found.qos) == (f"a/{qos}", b"qos %d" % qos, qos)
                assert version != MQTTv5 or found.properties.UserProperty == [("k", str(qos))]

    run(scenario())
    assert device.values() == [1]


@pytest.mark.parametrize("transport", ["mqtt", "ws"])
def test_client_of_amqtt(program, device, transport, caplog):
    caplog.set_level(logging.CRITICAL)
    where = f"127.0.0.1:{program.mqtt_port}" if transport == "mqtt" else f"127.0.0.1:{http_port(program)}/mqtt"

    async def scenario():
        client = MQTTClient("amqtt", config={"auto_reconnect": False})
        await client.connect(f"{transport}://Token:{device.token}@{where}")
        await client.publish(STORED, POINT.encode(), qos=1)
        assert list(await client.subscribe([("a/#", 2)])) == [2]
        for qos in (0, 1, 2):
            await client.publish(f"a/{qos}", b"qos %d" % qos, qos=qos)
            found = await client.deliver_message(timeout_duration=WITHIN_S)
            assert (found.topic, bytes(found.data), found.qos) == (f"a/{qos}", b"qos %d" % qos, qos)
        await client.disconnect()

    run(scenario())
    assert device.values() == [1]
