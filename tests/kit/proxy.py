"""An HTTP server between a client and Decant that loses, refuses and counts requests, and kills who sent them."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Proxy:
    """Passes requests on to ``url``, one after the other.

    ``on`` is called as on(number, method, path), with the number of requests of that method and path before this one.
    It returns None to pass it on, "before" to lose the request, "after" to lose the answer, or an answer: status,
    headers and body.
    """

    def __init__(self, url):
        self.target, self.on = url, lambda *_: None
        self.calls: list[Any] = []
        lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with lock:
                    path = self.path.partition("?")[0]
                    number = sum(call[:2] == (self.command, path) for call in proxy.calls)
                    proxy.calls.append((self.command, path, self.headers, body))
                    fate = proxy.on(number, self.command, path)
                    if isinstance(fate, tuple):
                        return self.answer(*fate)
                    if fate != "before":
                        answer = proxy.pass_on(self.command, self.path, self.headers, body)
                    if fate is None:
                        return self.answer(*answer)
                self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = handle_one

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, text in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A killed client is no fault."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def pass_on(self, method, path, headers, body):
        parts = urlsplit(self.target)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            kept = {name: text for name, text in headers.items() if name.lower() not in ("host", "connection")}
            connection.request(method, path, body or None, kept)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def sent(self, method, path):
        """Return the requests of a method and path: headers and body of each."""
        return [call[2:] for call in self.calls if call[:2] == (method, path)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
