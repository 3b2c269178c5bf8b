"""What listens beside HTTP: the MQTT broker on its ports, plain and, with a certificate, encrypted."""

import asyncio
import contextlib
import os
import resource
import ssl
from typing import NamedTuple

from embedded.mqtt.broker import Broker
from embedded.mqtt.connection import Connection

SWEEP_S = 1.0


class MqttSettings(NamedTuple):
    """Where to listen."""

    port: int
    tls_port: int
    certificate: str | None
    key: str | None


def load() -> MqttSettings:
    """Read the environment.

    Raises:
        ValueError: a port is no number.
    """
    return MqttSettings(
        int(os.environ.get("DECANT_MQTT_PORT") or "1883"),
        int(os.environ.get("DECANT_MQTTS_PORT") or "8883"),
        os.environ.get("DECANT_MQTT_CERT") or None,
        os.environ.get("DECANT_MQTT_KEY") or None,
    )


async def listen(broker: Broker, host: str, found: MqttSettings) -> list[asyncio.Server]:
    """Open the ports.

    Raises:
        OSError: one is taken, or the certificate cannot be read.
    """
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(broker), host, found.port, backlog=1_024)]
    if found.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(found.certificate, found.key)
        servers.append(
            await loop.create_server(lambda: Connection(broker), host, found.tls_port, ssl=context, backlog=1_024)
        )
    return servers


async def sweep_often(broker: Broker) -> None:
    """Give up silent clients and forget old sessions, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S)
        broker.sweep(loop.time())


def raise_file_limit() -> None:
    """Let the process have as many connections as the system allows it."""
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
