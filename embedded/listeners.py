"""Opens the ports of the MQTT broker: one without TLS and, if there is a certificate, one with TLS."""

import asyncio
import contextlib
import resource
import ssl

from embedded.mqtt.broker import Broker
from embedded.mqtt.connection import Connection
from embedded.settings import EmbeddedSettings

SWEEP_S = 1.0


async def listen(broker: Broker, options: EmbeddedSettings) -> list[asyncio.Server]:
    """Open the ports.

    Raises:
        OSError: a port is taken, or the certificate cannot be read.
    """
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Connection(broker), options.host, options.mqtt_port, backlog=1_024)]
    if options.mqtt_cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.mqtt_cert, options.mqtt_key)
        port = options.mqtts_port
        servers.append(
            await loop.create_server(lambda: Connection(broker), options.host, port, ssl=context, backlog=1_024)
        )
    return servers


async def sweep_often(broker: Broker) -> None:
    """Call ``broker.sweep`` every second. Never returns."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S)
        broker.sweep(loop.time())


def raise_file_limit() -> None:
    """Raise the limit of open connections to the most that the system allows."""
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
