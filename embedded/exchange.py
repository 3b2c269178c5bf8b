"""One HTTP request and its answer, as an ASGI application sees them.

Uvicorn's own class starts the application before the body is there, checks each header with two regular expressions
and writes head and body apart. Here a request has arrived whole before it is handled, and an answer is one write. This
saves a tenth of a short request's time.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chalicelib.host import log
from chalicelib.http import answers
from embedded import measured, request_ids

if TYPE_CHECKING:
    from embedded.protocol import BoundedHttp

Headers = list[tuple[bytes, bytes]]
Message = dict[str, Any]
_logger = logging.getLogger(__name__)


def failure(status: int, message: str, headers: Headers, *, has_body: bool = True) -> bytes:
    """Log an answer that no application gives, and after which the connection ends. Return it, ready to be written.

    Args:
        status: its status.
        message: its message, also the reason in the log.
        headers: what every answer has besides.
        has_body: whether it has a body, as all have but those to HEAD.
    """
    request_id = request_ids.new()
    log.answered(status, request_id=request_id, reason=message)
    measured.answered("other", measured.NO_ROW, status)
    answer = answers.failed(message, status, {"Connection": "close"})
    answers.identify(answer, request_id)
    content = str(answer.body).encode()
    own = [(name.lower().encode(), str(value).encode()) for name, value in answer.headers.items()]
    head = _head(status, [*headers, (b"content-length", b"%d" % len(content)), *own])
    return head + b"\r\n" + (content if has_body else b"")


def _head(status: int, headers: Headers) -> bytes:
    """Return the status line and the headers of an answer. They must hold nothing that a client chose."""
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        parts += name, b": ", value, b"\r\n"
    return b"".join(parts)


class Exchange:
    """A request that has arrived whole, and its answer.

    Args:
        connection: where it came from.
        scope: ASGI's description of the request.
        body: its body.
        headers: what every answer has besides, such as the date.
        keep_alive: whether another request may follow on the connection.
    """

    __slots__ = (
        "_body", "_connection", "_gone", "_has_begun", "_head", "_headers", "_is_chunked", "_scope", "is_over",
        "keep_alive",
    )  # fmt: skip

    def __init__(
        self, connection: "BoundedHttp", scope: Message, body: bytes, headers: Headers, *, keep_alive: bool
    ) -> None:
        self._connection, self._scope, self._headers = connection, scope, headers
        self._body: bytes | None = body
        self._head: bytes | None = None
        """What waits to be written with the first part of the answer's body."""
        self._has_begun = False
        """Whether a part of the answer has been written, and more follows."""
        self._is_chunked = scope["http_version"] != "1.0"
        """Whether an answer in parts says where each ends. An older client reads to the end of the connection."""
        self._gone: asyncio.Future[None] | None = None
        self.keep_alive = keep_alive
        self.is_over = False
        """Whether the answer has been written or the client has gone away."""

    async def run(self, app: Any) -> None:
        """Let an application answer. If it fails before it has begun, the client is told so."""
        try:
            await app(self._scope, self.receive, self.send)
        except Exception:
            _logger.exception("The application failed")
            if not self.is_over and not self._has_begun:
                has_body = self._scope["method"] != "HEAD"
                message = "Internal error; the log holds the details"
                self._connection.transport.write(failure(500, message, self._headers, has_body=has_body))
        finally:
            if not self.is_over:
                self.end()
                self._connection.transport.close()
                self._connection.finish()

    def end(self) -> None:
        """Note that the answer has been written, or that the client has gone away."""
        self.is_over = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    async def receive(self) -> Message:
        """Return the request's body; when called again, wait until the answer is complete or the client goes away."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.is_over:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write the answer: its start, then its body in one part or several."""
        connection = self._connection
        if connection.flow.write_paused:
            await connection.flow.drain()
        if self.is_over:
            return
        if message["type"] == "http.response.start":
            self._head = _head(message["status"], self._headers + message["headers"])
            return
        body, is_last = message.get("body", b""), not message.get("more_body")
        if self._head is not None:
            self._begin(self._head, body, is_last=is_last)
        else:
            connection.transport.write(self._part(body, is_last=is_last))
        if is_last:
            self._body = None  # of a request that nobody read
            self.end()
            if not self.keep_alive:
                connection.transport.close()
            connection.finish()

    def _begin(self, head: bytes, body: bytes, *, is_last: bool) -> None:
        """Write the head of an answer and the first part of its body. An answer of one part has a content-length."""
        self._head = None
        if not self.keep_alive:
            head += b"connection: close\r\n"
        if not is_last:
            self._has_begun = True
            head += b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
            body = self._part(body, is_last=False)
        self._connection.transport.writelines((head, b"\r\n", body))

    def _part(self, body: bytes, *, is_last: bool) -> bytes:
        if not self._is_chunked:
            return body
        return (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + (b"0\r\n\r\n" if is_last else b"")
