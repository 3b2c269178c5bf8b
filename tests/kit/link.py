"""The embedded HTTP protocol in process, over a transport that records what it is told."""

import asyncio
import functools
from typing import Any, ClassVar, cast

import uvicorn
from uvicorn.server import ServerState

from embedded.connections import Connections
from embedded.protocol import BoundedHttp
from tests.kit.api import Answer


class Transport:
    """Records what a protocol writes. A test says how much of it the client has not read."""

    def __init__(self):
        self.sent, self.unsent = b"", 0
        self.is_closed = self.is_aborted = self.is_ended = False
        self.is_reading = True

    def set_protocol(self, protocol):
        """Let another protocol have what arrives."""
        self.protocol = protocol

    def get_extra_info(self, name):
        """Tell nothing about the socket."""

    def write(self, data):
        """Record bytes."""
        assert not self.is_ended, "written after the end of the answer"
        self.sent += data

    def writelines(self, parts):
        """Record bytes, which leave in one write."""
        self.write(b"".join(parts))

    def write_eof(self):
        """Note that nothing more is written."""
        self.is_ended = True

    def close(self):
        """Note the end of the connection."""
        self.is_closed = True

    def abort(self):
        """Note the end of the connection."""
        self.is_closed = self.is_aborted = True

    def is_closing(self):
        """Return whether the connection was ended."""
        return self.is_closed

    def pause_reading(self):
        """Note that nothing is read. As with uvloop, a connection that ends must not be paused."""
        assert not self.is_closed
        self.is_reading = False

    def resume_reading(self):
        """Note that bytes are read again."""
        self.is_reading = True

    def get_write_buffer_size(self):
        """Return how many bytes the client has not read."""
        return self.unsent


class Link:
    """A client's connection to an ASGI application. It must be made inside a running loop.

    Args:
        application: the ASGI application.
        connections: all connections; None: new ones.
        open_mqtt: opens an MQTT connection behind a WebSocket.
    """

    opened: ClassVar[list[Any]] = []

    def __init__(self, application, connections=None, open_mqtt=None):
        self.opened.append(self)
        loop = asyncio.get_running_loop()
        self.connections = Connections(100, loop.time()) if connections is None else connections
        protocol = cast("Any", functools.partial(BoundedHttp, self.connections, open_mqtt))
        config = uvicorn.Config(application, http=protocol, ws="none", lifespan="off", log_level="warning")
        config.load()
        self.transport = Transport()
        state = ServerState()
        self.http = BoundedHttp(
            self.connections, open_mqtt, config=config, server_state=state, app_state={}, _loop=loop
        )  # fmt: skip
        self.http.connection_made(cast("Any", self.transport))

    async def send(self, *parts):
        """Receive bytes, each part in one turn of the loop, and let the application answer. Return the answers."""
        for part in parts:
            if self.transport.is_closed:
                break
            self.http.data_received(part)
            await settle()
        return self.take()

    def take(self):
        """Return the new answers, each with its envelope checked."""
        sent, self.transport.sent = self.transport.sent, b""
        found = []
        while sent:
            head, _, rest = sent.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            if first.split(" ", 2)[1] != "100":
                headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
                length = int(headers["content-length"])
                content, rest = rest[:length], rest[length:]
                assert len(content) == length
                raw = {"statusCode": int(first.split(" ")[1]), "headers": headers, "body": content.decode()}
                found.append(Answer(raw))
            sent = rest
        return found

    def lose(self):
        """End the connection as a client does that goes away."""
        self.opened.remove(self)
        self.http.connection_lost(None)

    @classmethod
    async def lose_all(cls):
        """End all connections, and let the application notice it."""
        for link in list(cls.opened):
            link.lose()
        await settle()


async def settle():
    """Let every task of the loop run until it waits."""
    for _ in range(25):
        await asyncio.sleep(0)
