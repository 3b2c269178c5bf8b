"""Webhooks: which URLs nothing is sent to, and what a server gets."""

import http.server
import json
import socket
import threading

import pytest

from chalicelib.host import log, outside, webhooks


@pytest.fixture
def server():
    """A server on this machine, as its port and what it got. It answers with the status in the path."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            got.append((self.path, self.headers["Content-Type"], json.loads(self.rfile.read(length))))
            self.send_response(int(self.path[1:4]))
            self.send_header("Location", "/200/redirected")
            self.end_headers()

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running.server_address[1], got
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_document_is_posted_once_and_no_redirect_is_followed(server, status):
    port, got = server
    url = f"http://127.0.0.1:{port}/{status}/a?b=c"
    assert outside.send(url, {"percent": 90}, may_be_local=True) == status
    assert got == [(f"/{status}/a?b=c", "application/json", {"percent": 90})]


def test_the_embedded_mode_sends_in_a_thread_and_logs_what_fails(server):
    port, got = server
    lines: list[str] = []
    log.use(lines.append)
    send = webhooks.in_threads()
    for path in ("200", "500"):
        send(f"http://127.0.0.1:{port}/{path}", {"a": 1})
    send("http://127.0.0.1:1/secret", {"a": 1})
    send("http://example.org/secret", {"a": 1})
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread() and "work" in repr(getattr(thread, "name", "")):
            thread.join(5)
    failed = [json.loads(line)["failed"] for line in lines]
    assert len(got) == 2 and len(failed) == 3
    assert {"status 500", "ConnectionRefusedError", "The URL must begin with https://"} == set(failed)
    assert not any("secret" in line for line in lines)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1",
        "fd00:ec2::254", "192.0.0.192", "192.0.0.8", "fec0::1", "64:ff9b:1::7f00:1", "::127.0.0.1", "::", "::ffff:0:7f00:1",
        "5f00::1", "ff0e::1", "2001:db8::1", "2001:0:7f00:1:0:0:80ff:fffe", "::ffff:192.0.0.192",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused_on_aws(monkeypatch, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))
    private = (family, socket.SOCK_STREAM, 6, "", (address, 443))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [public, private])
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("it connected"))
    with pytest.raises(outside.Refused, match="not public"):
        outside.send("https://example.org/", {}, may_be_local=False)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34", "192.0.1.1", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34", "2002:5db8:d822::1",
    ],
)  # fmt: skip
def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch, address):
    connected = []
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    answers = [[(family, socket.SOCK_STREAM, 6, "", (address, 443))]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.pop())

    def connect(place, timeout):
        connected.append((place, timeout))
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        outside.send("https://example.org/", {}, may_be_local=False)
    assert connected == [((address, 443), 5.0)]


@pytest.mark.parametrize(
    ("url", "may_be_local", "reason"),
    [
        ("https://example.org/a", False, None),
        ("http://example.org/a", True, "must begin with https://"),
        ("http://localhost:8000/", True, None),
        ("http://localhost:8000/", False, "must begin with https://"),
        ("ftp://example.org", True, "must begin with https://"),
        ("https://", False, "must be a URL"),
        ("https://user:secret@example.org", False, "must not hold a user name or password"),
        ("https://example.org:99999/", False, "is not a URL"),
        ("https://example.org/a b", False, "must be a URL"),
        ("https://example.org/\r\nx", False, "must be a URL"),
        ("https://exämple.org/", False, "must be a URL"),
        ("https://example.org/" + "a" * 2000, False, "must be a URL"),
    ],
)
def test_the_form_of_a_url(url, may_be_local, reason):
    found = outside.problem(url, may_be_local=may_be_local)
    assert (found is None) if reason is None else (found or "").startswith(reason)


def test_on_aws_nothing_waits_longer_than_the_limit(monkeypatch):
    lines: list[str] = []
    log.use(lines.append)
    done = threading.Event()
    monkeypatch.setattr(outside, "LIMIT_S", 0.01)
    monkeypatch.setattr(outside, "send", lambda *_, **__: done.wait(5) and 200)
    webhooks.use(None)
    webhooks.post(url="https://example.org/", body={})
    done.set()
    assert "no answer in time" in lines[0]
