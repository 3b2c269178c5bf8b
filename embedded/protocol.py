"""HTTP/1.1 with limits. Uvicorn's protocol takes in all that a client sends, and waits for it for ever.

Here, a head or body over its limit is refused as it arrives, a second request is not read before the first is
answered, and each wait for the client ends. What the application never sees is answered in the API's envelope too.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chalicelib import settings
from chalicelib.host import log
from chalicelib.http import answers
from embedded import request_ids, websocket
from embedded.connections import Connections
from embedded.exchange import Exchange, failure

MAX_URL_BYTES = 8_192
MAX_HEADER_BYTES = 10_240
"""Names and values of all headers, as API Gateway counts them."""
MAX_HEADERS = 100
_MAX_HEAD_BYTES = MAX_URL_BYTES + MAX_HEADER_BYTES + 1_024
_MAX_CHUNKED_BYTES = 8 * settings.MAX_BODY_BYTES
"""A chunked body as it comes: a chunk of one byte takes six, and there are extensions and trailers."""
DRAIN_BYTES = 10_000_000
"""How much is read after a refusal. A client that is still sending would otherwise see a reset, not the answer."""

IDLE, HEAD, BODY, ANSWER, DRAIN = range(5)
"""What a connection waits for: a request, the rest of its head or body, our answer, or the end of a refused request."""
IDLE_S = 60.0
LIMITS_S = {IDLE: IDLE_S, HEAD: 10.0, BODY: 60.0, DRAIN: 10.0}
"""How long a connection waits for the client. A new connection has the time of a head for its first bytes."""
WRITE_S = 30.0
WRITE_BYTES = 30_000
"""A client that reads fewer bytes than this in ``WRITE_S`` is disconnected."""


_LONG_URL = 414, "The URL is too long"
_LONG_HEADERS = 431, "The headers are too long"
_LONG_BODY = 413, answers.TOO_LARGE.format(settings.MAX_BODY_BYTES)


def _size_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


class _Refused(Exception):
    """The request breaks a limit."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class BoundedHttp(HttpToolsProtocol):
    """The connection of one HTTP client.

    Args:
        connections: all connections of this process.
        open_mqtt: opens an MQTT connection behind a WebSocket; None: there are none.
        given: what uvicorn passes to a protocol.
    """

    def __init__(self, connections: Connections, open_mqtt: websocket.Open | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._connections, self._open_mqtt = connections, open_mqtt
        self._greeting: bytes | None = None
        """The answer after which the connection is a WebSocket."""
        self._phase = self._waits_for = IDLE
        self._raw_bytes = self._part_bytes = self._body_bytes = self._unsent_bytes = self._drained_bytes = 0
        self._length: int | None = None
        self._body = bytearray()
        self._parsed_url: Any = None
        self._exchange: Exchange | None = None
        """The latest request that arrived whole."""
        self._pending = b""
        """What the client sent before the answer to its last request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._connections.enter(self, LIMITS_S[HEAD])

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application."""
        self._connections.leave(self)
        if self._exchange is not None:
            self._exchange.end()
            self._exchange = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read requests until one is complete. What follows it waits for its answer, and reading pauses."""
        if self._phase < ANSWER:
            self._feed(data)
        elif self._phase == ANSWER:
            self._keep(self._pending + data)
        else:
            self._drained_bytes += len(data)
            if self._drained_bytes > DRAIN_BYTES:
                self.transport.abort()

    def _keep(self, data: bytes) -> None:
        self._pending = data
        self.flow.pause_reading()
        self._connections.hold(self, len(data))

    def _feed(self, data: bytes) -> None:
        """Give the parser one part of a request after the other, so that it never meets two requests at once.

        Data that can hold one request only, as nearly always, is one part: each part costs a microsecond or two.
        """
        start, size = 0, len(data)
        is_one = self._phase == IDLE and size <= _MAX_HEAD_BYTES and data.count(b" HTTP/") <= 1
        while start < size and self._phase < ANSWER:
            end = size if is_one else self._end_of_part(data, start)
            self._part_bytes = end - start
            try:
                self.parser.feed_data(data if end - start == size else memoryview(data)[start:end])
            except HttpParserUpgrade as upgrade:
                end = start + upgrade.args[0]  # The request is answered as if it had not asked for an upgrade.
            except HttpParserError as error:
                self._fail(error)
                return
            if self._phase < ANSWER and not self._is_within_limits(end - start):
                return
            start = end
        if self._greeting is not None:
            self._become_websocket(self._greeting, data[start:])
        elif self._phase < ANSWER:
            self._await_rest()
        elif start < size:
            self._keep(data[start:])

    def _end_of_part(self, data: bytes, start: int) -> int:
        """Return where the head or body ends, or what may be parsed of it now."""
        if self._phase == BODY:
            return len(data) if self._length is None else min(len(data), start + self._length - self._body_bytes)
        end = data.find(b"\r\n\r\n", start)
        return min(len(data) if end < 0 else end + 4, start + _MAX_HEAD_BYTES + 1 - self._raw_bytes)

    def _is_within_limits(self, size_bytes: int) -> bool:
        """Count bytes of an incomplete request, and refuse it if they are too many for it to be within its limits."""
        self._raw_bytes += size_bytes
        if self._phase == BODY:
            if self._length is None and self._raw_bytes > _MAX_CHUNKED_BYTES:
                self._refuse(*_LONG_BODY)
        elif self._raw_bytes > _MAX_HEAD_BYTES:
            is_url = self._phase == HEAD and len(self.url) > MAX_URL_BYTES
            self._refuse(*(_LONG_URL if is_url else _LONG_HEADERS))
        return self._phase != DRAIN

    def _await_rest(self) -> None:
        if self._waits_for != self._phase:
            self._wait(self._phase)
        self._connections.hold(self, self._raw_bytes)

    def _wait(self, phase: int) -> None:
        self._waits_for = phase
        if not self.flow.write_paused:
            self._connections.wait(self, LIMITS_S[phase])

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._phase == ANSWER:
            raise _Refused(400, "A second request came before the first was answered")
        self._phase = HEAD
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._length, self._body, self._body_bytes = None, bytearray(), 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Blanks around a value do not belong to it. Trailers, which follow a body, are ignored."""
        if self._phase == BODY:
            return
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"content-length":
            self._length = int(value)
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Wait for the body, unless the request breaks a limit."""
        self._check_head()
        self._parsed_url = parse_url(self.url)
        if self._parsed_url.path is None:
            raise _Refused(400, "The URL is not valid")
        if self.expect_100_continue and self.parser.get_http_version() != "1.0":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._phase = BODY

    def _check_head(self) -> None:
        if len(self.url) > MAX_URL_BYTES:
            raise _Refused(*_LONG_URL)
        may_be_long = self._raw_bytes + self._part_bytes > MAX_HEADER_BYTES
        if len(self.headers) > MAX_HEADERS or (may_be_long and _size_bytes(self.headers) > MAX_HEADER_BYTES):
            raise _Refused(*_LONG_HEADERS)
        if self._length is not None and self._length > settings.MAX_BODY_BYTES:
            raise _Refused(*_LONG_BODY)
        if self.parser.should_upgrade() and (self._length or b"transfer-encoding" in dict(self.headers)):
            # The parser takes the request as complete here, and would read its body as the next request.
            raise _Refused(400, "A request with a body cannot ask for an upgrade")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > settings.MAX_BODY_BYTES:
            raise _Refused(*_LONG_BODY)
        self._body += body

    def on_message_complete(self) -> None:
        """Call the application."""
        self._phase, self._raw_bytes = ANSWER, 0
        version = self.parser.get_http_version()
        url = self._parsed_url
        path = url.path.decode("ascii")
        if path == websocket.PATH and self._open_mqtt is not None:
            method, is_upgrade = self.parser.get_method().decode("ascii"), self.parser.should_upgrade()
            self._greeting = websocket.greeting(method, self.headers, is_upgrade=is_upgrade and version != "1.0")
            return
        scope = {
            "type": "http",
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "client": self.client,
        }
        body, self._body = bytes(self._body), bytearray()
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        self._exchange = Exchange(self, scope, body, self.server_state.default_headers, keep_alive=keep_alive)
        task = self.loop.create_task(self._exchange.run(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if not self.flow.write_paused:
            self._connections.work(self)

    def _become_websocket(self, greeting: bytes, rest: bytes) -> None:
        """Answer, and leave the socket to a WebSocket, which begins with what the client has sent already."""
        assert self._open_mqtt is not None  # noqa: S101 - there would be no greeting
        log.answered(101, request_id=request_ids.new(), method="GET", route=websocket.PATH)
        self._connections.leave(self)
        self.connections.discard(self)  # uvicorn's, of connections that a stop waits for
        self.parser = None  # type: ignore[assignment]  # as at the end: a cycle would be collected late
        self.flow.resume_reading()
        link = websocket.WebSocket(self._open_mqtt(), self._connections)
        self.transport.set_protocol(link)
        self.transport.write(greeting)
        link.connection_made(self.transport)
        link.data_received(rest)

    def finish(self) -> None:
        """Go on reading, after an answer."""
        if self.transport.is_closing():
            self._phase = DRAIN
            self._connections.wait(self, WRITE_S)
        else:
            self._become_idle()

    def _become_idle(self) -> None:
        self._phase = self._waits_for = IDLE
        if not self.flow.write_paused:
            self._connections.wait(self, IDLE_S)
        if self._pending:
            self.loop.call_soon(self._read_pending)
        else:
            self.flow.resume_reading()

    def _read_pending(self) -> None:
        if self.transport.is_closing():
            return
        data, self._pending = self._pending, b""
        self._connections.hold(self, 0)
        self._feed(data)
        if not self._pending:
            self.flow.resume_reading()

    def _fail(self, error: HttpParserError) -> None:
        cause = error.__context__
        if self._exchange is not None and not self._exchange.is_over:
            # The parser met the next request too soon, so the rest is lost: the client sends it again.
            self._exchange.keep_alive = False
            self.flow.pause_reading()
        elif isinstance(cause, _Refused | websocket.Refused):
            self._refuse(cause.status, cause.message)
        elif isinstance(error, HttpParserCallbackError):
            self._refuse(400, "The URL is not valid")
        else:
            self._refuse(400, f"The request is not valid HTTP/1.1: {error}")

    def _refuse(self, status: int, message: str) -> None:
        """Answer a request that the application does not see. Then ignore what still comes."""
        self._body = bytearray()
        headers = self.server_state.default_headers + (websocket.UPGRADE if status == 426 else [])
        self.transport.write(failure(status, message, headers))
        self.transport.write_eof()
        self._phase = DRAIN
        self._wait(DRAIN)
        self._connections.hold(self, 0)
        self.flow.resume_reading()

    def pause_writing(self) -> None:
        """Wait for the client to read. The transport calls this when it holds 64 kB."""
        super().pause_writing()
        self._connections.wait(self, WRITE_S)
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._connections.hold(self, self._unsent_bytes)

    def resume_writing(self) -> None:
        """Go on as before ``pause_writing``."""
        super().resume_writing()
        self._connections.hold(self, 0)
        if self._phase == ANSWER:
            self._connections.work(self)
        else:
            self._wait(self._phase)

    def expire(self) -> None:
        """See Connection."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if self.flow.write_paused and unsent_bytes <= self._unsent_bytes - WRITE_BYTES:
            self._connections.wait(self, WRITE_S)
            self._unsent_bytes = unsent_bytes
        elif unsent_bytes or self._phase == DRAIN:
            self.transport.abort()
        elif self._phase == IDLE:
            self.transport.close()
        else:
            self._refuse(408, "The request did not arrive in time")
            self.transport.close()

    def evict(self) -> None:
        """See Connection."""
        self.transport.abort()

    def shutdown(self) -> None:
        """End the connection, after the answer if there is one to give. The server calls this when it stops."""
        if self._exchange is not None and not self._exchange.is_over:
            self._exchange.keep_alive = False
        else:
            self.transport.close()
