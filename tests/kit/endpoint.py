"""A server that stands for an endpoint of AWS, and fails in a way that a test chooses."""

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextlib.contextmanager
def serving(answer: Callable[[int], bytes | None], *, after_s: float = 0) -> Any:
    """Serve HTTP on this machine; yield the address and a list with the number of each request.

    Args:
        answer: returns what to send for the request with a number, from 1 on. None: nothing, ever.
        after_s: how long each answer takes.
    """
    is_over = threading.Event()
    requests: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            requests.append(len(requests) + 1)
            sent = answer(requests[-1])
            is_over.wait(after_s if sent is not None else None)
            with contextlib.suppress(OSError):  # the client has given up
                self.wfile.write(sent or b"")

        def handle(self):
            with contextlib.suppress(OSError):
                super().handle()

    class Server(ThreadingHTTPServer):
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            is_over.set()
            server.shutdown()
            thread.join()


def response(status, body):
    """Return an HTTP answer of DynamoDB with a JSON text as its body."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()
