"""MQTT over WebSocket on the HTTP port: frames on the socket, and the bytes of an MQTT connection behind them.

Browsers have no other way to MQTT. A frame need not hold a whole packet, nor one packet only. The origin of a page is
not checked: the device token in CONNECT is the only credential, and no browser sends it by itself.

Source: OASIS MQTT 5.0, section 6; RFC 6455.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from embedded.connections import Connections

PATH = "/mqtt"
SUBPROTOCOLS = ("mqtt", "mqttv3.1")
"""The second is the name of version 3.1 in its clients."""
MAX_FRAMES = 128
"""How many frames of a connection are read in a turn of the loop, about a millisecond's work."""
MAX_UNSENT_BYTES = 64_000
"""If more bytes than this wait for a slow client, its pings are not answered."""
CLOSE_S = 5.0
"""How long the client has for its part of the closing handshake."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_VERSION = b"13"

Headers = Sequence[tuple[bytes, bytes]]


class Mqtt(Protocol):
    """The part of an MQTT connection that a WebSocket needs; see asyncio.Protocol."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""

    def data_received(self, data: bytes) -> None:
        """Take bytes."""

    def pause_writing(self) -> None:
        """Send no more for now."""

    def resume_writing(self) -> None:
        """Send again."""


Open = Callable[[], Mqtt]
"""Returns a new MQTT connection, which waits for its transport."""


class Refused(Exception):
    """The request does not open a WebSocket for MQTT.

    Args:
        status: of the answer.
        message: for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


UPGRADE = [(b"connection", b"upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", _VERSION)]
"""Headers of an answer 426."""


def greeting(method: str, headers: Headers, *, is_upgrade: bool) -> bytes:
    """Return the answer that opens a WebSocket.

    Args:
        method: of the request.
        headers: of the request, with names in lower case.
        is_upgrade: whether the request asks for an upgrade and needs none of its body.

    Raises:
        Refused: the request is not one that opens a WebSocket for MQTT.
    """
    if method != "GET" or not is_upgrade or b"websocket" not in _items(headers, b"upgrade", fold=True):
        raise Refused(426, "This path serves MQTT over WebSocket: ask for an upgrade to websocket")
    if _items(headers, b"sec-websocket-version") != [_VERSION]:
        raise Refused(426, "Sec-WebSocket-Version must be 13")
    offered = [item.decode("latin-1") for item in _items(headers, b"sec-websocket-protocol")]
    chosen = next((name for name in offered if name in SUBPROTOCOLS), None)
    if chosen is None:
        raise Refused(400, "Sec-WebSocket-Protocol must name mqtt")
    keys = _items(headers, b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refused(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    accept = base64.b64encode(hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n" % (accept, chosen.encode())
    )


def _items(headers: Headers, wanted: bytes, *, fold: bool = False) -> list[bytes]:
    """Return the items of a header that is a list, maybe in several lines."""
    text = b",".join(value for name, value in headers if name == wanted)
    return [item.strip() for item in (text.lower() if fold else text).split(b",") if item.strip()]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except ValueError:
        return False


class WebSocket(asyncio.Protocol):
    """A WebSocket, and the transport of the MQTT connection behind it.

    It holds no more than one read of the socket: a frame is passed on as its bytes arrive. Deadlines, limits and
    keep-alive are those of the MQTT connection.

    Args:
        mqtt: the MQTT connection.
        connections: all connections of this process.
    """

    def __init__(self, mqtt: Mqtt, connections: Connections) -> None:
        self._mqtt, self._connections = mqtt, connections
        self._loop = asyncio.get_running_loop()
        self._frames = Connection(ConnectionType.SERVER)
        self._is_paused = False
        """Whether the MQTT connection takes no bytes."""
        self._has_turn = False
        """Whether the next turn of the loop reads frames."""
        self._is_open = True
        """Whether neither side has begun to close."""
        self._is_lost = False
        """Whether the MQTT connection was told that it is over."""
        self._end: CloseConnection | None = None
        """The close frame that ends the connection, once the MQTT connection has dealt with all bytes before it."""
        self._socket: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, after the greeting was written."""
        self._socket = transport
        self._mqtt.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        if self._frames.state is not ConnectionState.CLOSED:
            self._frames.receive_data(data)
            if not self._has_turn:
                self._read()

    def _read(self) -> None:
        """Pass on what some frames hold. The rest waits for the next turn, so that other clients get theirs."""
        self._has_turn = False
        if self._socket.is_closing() or (self._is_paused and self._is_open):
            return
        received, has_more = self._take() if self._end is None else (b"", False)
        if received and self._is_open:
            self._mqtt.data_received(received)
        if self._is_paused and self._is_open:
            return  # what came before the end is dealt with before the end
        if self._end is not None:
            self._close(self._end)
            self._socket.close()
        elif has_more:
            self._read_later()
        else:
            self._socket.resume_reading()

    def _take(self) -> tuple[bytes, bool]:
        """Return what the next frames hold, and whether there may be more of them."""
        parts: list[bytes] = []
        for count, event in enumerate(self._frames.events(), 1):
            if isinstance(event, BytesMessage):
                parts.append(bytes(event.data))
            elif isinstance(event, TextMessage):
                self._end = CloseConnection(CloseReason.UNSUPPORTED_DATA, "MQTT comes in binary frames")
            elif isinstance(event, CloseConnection):
                self._end = event.response()
            elif isinstance(event, Ping):
                self._answer(event)
            if count == MAX_FRAMES or self._end is not None:
                return b"".join(parts), True
        return b"".join(parts), False

    def _answer(self, ping: Ping) -> None:
        if self._is_open and self.get_write_buffer_size() < MAX_UNSENT_BYTES:
            self._socket.write(self._frames.send(ping.response()))

    def _read_later(self) -> None:
        if not self._has_turn and not self._socket.is_closing():
            self._has_turn = True
            self._socket.pause_reading()
            self._loop.call_soon(self._read)

    def _close(self, event: CloseConnection) -> None:
        """Send a close frame, and end the MQTT connection."""
        if self._is_open:
            self._is_open = False
            self._socket.write(self._frames.send(event))
            self._loop.call_soon(self._leave)

    def _leave(self) -> None:
        """End the MQTT connection, and wait for the client's part of the closing handshake."""
        if not self._is_lost:
            self._lose()
            self._connections.enter(self, CLOSE_S)

    def _lose(self, exc: Exception | None = None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._mqtt.connection_lost(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the MQTT connection."""
        self._is_open = False
        self._lose(exc)
        self._connections.leave(self)

    def pause_writing(self) -> None:
        """Tell the MQTT connection that the client reads slowly."""
        if not self._is_lost:
            self._mqtt.pause_writing()

    def resume_writing(self) -> None:
        """Tell the MQTT connection that the client has read."""
        if not self._is_lost:
            self._mqtt.resume_writing()

    def write(self, data: bytes) -> None:
        """Send bytes to the client, unless it has begun to close; see asyncio.Transport, also for the methods below."""
        if self._is_open and self._frames.state is ConnectionState.OPEN:
            self._socket.write(self._frames.send(BytesMessage(data)))

    def close(self) -> None:
        """End the connection after what was written has been sent, and the client has answered."""
        self._close(CloseConnection(CloseReason.NORMAL_CLOSURE))
        self._read_later()

    def abort(self) -> None:
        """End the connection at once."""
        self._socket.abort()

    def pause_reading(self) -> None:
        """Pass on no bytes."""
        self._is_paused = True
        if not self._socket.is_closing():
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Pass on bytes again, from the next turn of the loop on."""
        if self._is_paused:
            self._is_paused = False
            self._read_later()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the client to read."""
        size: int = self._socket.get_write_buffer_size()
        return size

    def get_extra_info(self, name: str) -> Any:
        """Return a fact about the socket."""
        return self._socket.get_extra_info(name)

    def expire(self) -> None:
        """End the wait for the client; see connections.Connection."""
        self._socket.abort()

    evict = expire
