"""Opens the ports: of the HTTP server, of the MQTT broker and, if there is a certificate, of the broker with TLS."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import ssl

from embedded.connections import Connections
from embedded.mqtt.broker import Broker
from embedded.mqtt.connection import CONNECT_WITHIN_S, Connection
from embedded.settings import EmbeddedSettings

_logger = logging.getLogger(__name__)

SWEEP_S = 1.0
MAX_CONNECTIONS = 20_000
_SPARE_FILES = 24
"""For the listening sockets, for files that are opened later, and for connections that are just being ended."""
BACKLOG = 1_024


def bind_http(options: EmbeddedSettings) -> list[socket.socket]:
    """Open the port of the HTTP server on each address of the host. Uvicorn would end the process with a traceback.

    Raises:
        ValueError: an address cannot be used; the text names the setting.
    """
    opened: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(options.host, options.http_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            opened.append(socket.create_server(address, family=family, backlog=BACKLOG))
    except OSError as error:
        for listener in opened:
            listener.close()
        raise _unusable("HTTP", options.host, options.http_port, error, "DECANT_HTTP_PORT") from None
    return opened


def _unusable(protocol: str, host: str, port: int, error: OSError, name: str) -> ValueError:
    is_address = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
    advice = "set DECANT_HOST to an address of this machine" if is_address else f"set {name} to use another port"
    return ValueError(f"{protocol} on {host} port {port}: {error}; {advice}")


async def listen(broker: Broker, options: EmbeddedSettings) -> list[asyncio.Server]:
    """Open the ports of the MQTT broker.

    Raises:
        ValueError: an address cannot be used or the certificate cannot be read; the text names the setting.
    """
    context = _tls_context(options) if options.mqtt_cert else None
    servers = [await _open(broker, options.host, options.mqtt_port, "DECANT_MQTT_PORT")]
    if context is not None:
        servers.append(await _open(broker, options.host, options.mqtts_port, "DECANT_MQTTS_PORT", context))
    return servers


def _tls_context(options: EmbeddedSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(str(options.mqtt_cert), options.mqtt_key)
    except OSError as error:
        files = f"DECANT_MQTT_CERT ({options.mqtt_cert}) or DECANT_MQTT_KEY ({options.mqtt_key or 'not set'})"
        raise ValueError(f"{files} cannot be used: {error}. Both are files in PEM format") from None
    return context


async def _open(
    broker: Broker, host: str, port: int, name: str, context: ssl.SSLContext | None = None
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            lambda: Connection(broker), host, port, ssl=context, backlog=BACKLOG,
            ssl_handshake_timeout=CONNECT_WITHIN_S if context else None,
        )  # fmt: skip
    except OSError as error:
        raise _unusable("MQTT", host, port, error, name) from None


async def sweep_often(broker: Broker, connections: Connections) -> None:
    """Call both ``sweep`` every second. Never returns, as no deadline of a connection would hold any more."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_S)
        for sweep in (broker.sweep, connections.sweep):
            try:
                sweep(loop.time())
            except Exception:
                _logger.exception("A sweep of the connections failed")


def raise_file_limit() -> None:
    """Raise the limit of open connections to the most that the system allows."""
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit() -> int:
    """Return how many connections fit under the limit of open files, besides the files that are open already."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MAX_CONNECTIONS, files - len(os.listdir("/dev/fd")) - _SPARE_FILES))
