"""One HTTP request and its answer, as an ASGI application sees them.

Uvicorn's own class starts the application before the body is there, checks each header with two regular expressions
and writes head and body apart. Here the request is whole before it is handled, and an answer is one write. That makes
a tenth of a short request's time.
"""

import asyncio
import logging
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chalicelib.http import answers

Scope = dict[str, Any]
Message = dict[str, Any]
_BROKEN = answers.failed("Internal error; the log holds the details", 500)
_JOINED_BYTES = 65_536
"""A longer body is written apart from its head, as copying it would cost more than a second write."""
_logger = logging.getLogger(__name__)


def write_head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the status line and the headers of an answer. They must hold nothing that a client chose."""
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        parts += name, b": ", value, b"\r\n"
    return b"".join(parts)


class Connection(Protocol):
    """The part of a connection that an exchange needs."""

    transport: asyncio.Transport
    flow: FlowControl

    def finish(self) -> None:
        """Go on with the next request: the answer has been written."""


class Exchange:
    """A request that has arrived whole.

    Args:
        connection: where it came from.
        scope: ASGI's description of the request.
        body: its body.
        keep_alive: whether another request may follow on the connection.
        headers: what every answer has besides, such as the date.
    """

    __slots__ = ("_body", "_connection", "_head", "_headers", "_is_chunked", "_left", "is_over", "keep_alive", "scope")

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        body: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
    ) -> None:
        self._connection, self.scope, self._headers = connection, scope, headers
        self._body: bytes | None = body
        self._head: bytes | None = None
        """What waits to be written with the first part of the answer's body."""
        self._is_chunked = False
        """Whether a part of the answer has been written, and more of unknown length follows."""
        self._left: asyncio.Future[None] | None = None
        self.keep_alive = keep_alive
        self.is_over = False
        """Whether the answer has been written or the client has gone away."""

    async def run(self, app: Any) -> None:
        """Let an application answer. If it fails, the client is told so."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            _logger.exception("The application failed")
            if not self.is_over and not self._is_chunked:
                self.keep_alive = False
                content = str(_BROKEN.body).encode()
                headers = [(name.lower().encode(), str(value).encode()) for name, value in _BROKEN.headers.items()]
                headers.append((b"content-length", b"%d" % len(content)))
                await self.send({"type": "http.response.start", "status": 500, "headers": headers})
                await self.send({"type": "http.response.body", "body": content})
        finally:
            if not self.is_over:
                self._connection.transport.close()

    def end(self) -> None:
        """Note that the answer has been written, or that the client has gone away."""
        self.is_over = True
        if self._left is not None and not self._left.done():
            self._left.set_result(None)

    async def receive(self) -> Message:
        """Return the request's body; when called again, wait until the answer is complete or the client goes away."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.is_over:
            self._left = asyncio.get_running_loop().create_future()
            await self._left
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write the answer: its start, then its body in one part or several."""
        connection = self._connection
        if connection.flow.write_paused:
            await connection.flow.drain()
        if self.is_over:
            return
        if message["type"] == "http.response.start":
            self._head = write_head(message["status"], self._headers + message["headers"])
            return
        body, is_last = message.get("body", b""), not message.get("more_body")
        if self._head is not None:
            self._begin(self._head, body, is_last=is_last)
        else:
            connection.transport.write(_chunk(body, is_last=is_last))
        if is_last:
            self.end()
            if not self.keep_alive:
                connection.transport.close()
            connection.finish()

    def _begin(self, head: bytes, body: bytes, *, is_last: bool) -> None:
        """Write the head of an answer and the first part of its body. An answer of one part has a content-length."""
        write, self._head = self._connection.transport.write, None
        if not self.keep_alive:
            head += b"connection: close\r\n"
        if not is_last:
            self._is_chunked = True
            write(b"%stransfer-encoding: chunked\r\n\r\n%s" % (head, _chunk(body, is_last=False)))
        elif len(body) < _JOINED_BYTES:
            write(head + b"\r\n" + body)
        else:
            write(head + b"\r\n")
            write(body)


def _chunk(body: bytes, *, is_last: bool) -> bytes:
    return (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + (b"0\r\n\r\n" if is_last else b"")
