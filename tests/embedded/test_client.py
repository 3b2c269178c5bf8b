"""The client waits for rates and for servers that are away, with a clock of its own."""

import argparse
import contextlib
import gzip
import json
import socket
import threading
import tracemalloc

import pytest

from embedded import client as client_module
from embedded.client import Api, Refused, Stopped
from embedded.simulate import options as simulation
from embedded.transfer import commands as transfer
from embedded.transfer import pages
from tests.kit.proxy import Proxy


class Clock:
    """Waits at once, and remembers it."""

    def __init__(self):
        self.now_s, self.waits = 1_000_000_000.0, []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    """A server that gives the answers of ``server.answers``, one after the other."""
    server = Proxy("")
    server.answers = []
    server.on = lambda *_: server.answers.pop(0)
    yield server
    server.close()


@pytest.fixture
def api(server, clock):
    return Api(server.url + "/", "token", patience_s=60, wait=clock.wait, now_s=lambda: clock.now_s)


def answer(status=200, result="ok", message=None, **headers):
    body = {"status": status < 300, "result": result} if status < 300 else {"status": False, "message": message}
    return status, {name.replace("_", "-"): text for name, text in headers.items()}, json.dumps(body).encode()


def test_refused_rates_are_waited_for(api, server, clock):
    server.answers = [
        answer(429, message="Too many requests (Retry-After: 8)", Retry_After="7"),
        answer(429, message="Too many requests (Retry-After: 8)"), answer(),
    ]  # fmt: skip
    assert api.call("GET", "/data") == "ok" and clock.waits == [7, 8]


def test_a_rate_that_is_used_up_is_not_called_before_it_is_free(api, server, clock):
    used_up = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(int(clock.now_s) + 20)}
    server.answers = [
        answer(**used_up),
        answer(),
        answer(),
        answer(**used_up | {"X_RateLimit_Reset": "9999999999"}),
        answer(),
    ]
    api.call("GET", "/data")
    api.call("GET", "/info")
    assert clock.waits == []
    api.call("GET", "/data")
    assert clock.waits == [20]
    api.call("GET", "/data")
    api.call("GET", "/data")
    assert clock.waits == [20, 61], "a clock that is wrong stops nothing"


def test_servers_that_fail_are_tried_again_and_more_and_more_seldom(api, server, clock):
    server.answers = ["before", answer(503, message="The store is busy"), (502, {}, b"<html>"), answer()]
    assert api.call("POST", "/data", body=b"[]", key="k") == "ok"
    assert len(clock.waits) == 3 and all(
        low <= wait <= 2 * low for wait, low in zip(clock.waits, (0.125, 0.25, 0.5), strict=True)
    )
    assert {headers["Idempotency-Key"] for headers, _ in server.sent("POST", "/data")} == {"k"}


def test_patience_ends(api, server, clock):
    server.answers = [answer(503, message="The store is busy")] * 100
    with pytest.raises(Stopped, match=r"answers 503: The store is busy. The same command resumes$"):
        api.call("GET", "/data")
    assert 60 <= sum(clock.waits) < 91


def test_what_is_refused_for_good_is_not_tried_again(api, server, clock):
    server.answers = [
        (400, {}, b'{"status": false, "message": "no", "field_errors": {"0": ["bad"]}}'), (200, {}, b"<html>"),
        (301, {"Location": "/"}, b""), (200, {}, b'{"status": false, "message": "TagoCore says so"}'),
    ]  # fmt: skip
    with pytest.raises(Refused) as refused:
        api.call("GET", "/data")
    assert (refused.value.status, refused.value.field_errors) == (400, {"0": ["bad"]})
    for reason in ("is the address right", "is the address right", "TagoCore says so"):
        with pytest.raises(Refused, match=reason):
            api.call("GET", "/data")
    assert clock.waits == []


def test_numbers_keep_their_digits_and_the_token_its_header(api, server):
    server.answers = [(200, {}, b'{"status": true, "result": [12345678901234567890123, 0.1234567890123456789012]}')]
    assert [str(number) for number in api.call("GET", "/data")] == [
        "12345678901234567890123",
        "0.1234567890123456789012",
    ]
    ((headers, _),) = server.sent("GET", "/data")
    assert (headers["Token"] == "token" and "Accept-Encoding" not in headers) or headers[
        "Accept-Encoding"
    ] == "identity"


def test_far_servers_may_compress(clock):
    assert "accept-encoding" in Api("https://example.com", "token", patience_s=0)._headers


def test_another_token_has_rates_of_its_own(api, server, clock):
    server.answers = [answer(X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(clock.now_s) + 20)), answer()]
    api.call("GET", "/data")
    assert api.with_token("other").call("GET", "/data") == "ok" and clock.waits == []
    assert [headers["Token"] for headers, _ in server.sent("GET", "/data")] == ["token", "other"]


def test_lists_are_read_to_their_end(api, server):
    server.answers = [answer(result=[1, 2]), answer(result=[3])]
    assert api.pages("/device", ("id",), [("filter[name]", "a*")], amount=2) == [1, 2, 3]
    pages = [path for _, path, _, _ in server.calls]
    assert pages == ["/device"] * 2


@pytest.mark.parametrize(
    "command", [["import", "a.csv"], ["export", "a.csv"], ["simulate"]], ids=lambda given: given[0]
)
def test_each_command_takes_address_and_token_from_the_same_variables(monkeypatch, command):
    monkeypatch.setenv("TAGOIO_API", "https://api.example.com")
    monkeypatch.setenv("DECANT_TOKEN", "t")
    monkeypatch.setenv("DECANT_URL", "https://shown.example.com")  # of a server
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    simulation.add_to(commands)
    transfer.add_to(commands)
    given = parser.parse_args(command)
    assert (given.url, given.token) == ("https://api.example.com", "t")


@pytest.fixture
def raw():
    """Return a function that starts a server which answers every request with these pieces, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(head, piece):
        def run():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        client.recv(65_536)
                        client.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
                        while True:
                            client.sendall(piece)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    listener.close()


_BOMB = gzip.compress(b" " * 10_000_000)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"Content-Type: application/json", b" " * 65_536),
        (b"Transfer-Encoding: chunked", b"10000\r\n" + b" " * 65_536 + b"\r\n"),
        (b"Content-Length: 999999999999", b" " * 65_536),
        (b"Content-Encoding: gzip", _BOMB),
    ],
    ids=["to the end", "chunks", "length", "gzip"],
)
def test_endless_answers_do_not_fill_the_memory(raw, monkeypatch, head, piece):
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 1_000_000)
    url = raw(head, piece)
    tracemalloc.start()
    with pytest.raises(Refused, match="The answer is over 1000000 bytes"):
        Api(url, "token", patience_s=0).call("GET", "/data")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_answer_that_drips_ends(raw, monkeypatch, clock):
    monkeypatch.setattr(client_module, "ANSWER_S", 0.2)
    api = Api(raw(b"Content-Length: 999999999", b" "), "token", patience_s=0, wait=clock.wait)
    with pytest.raises(Stopped, match="does not answer"):
        api.call("GET", "/data")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_token_is_not_sent_to_where_a_redirect_leads(api, server, status):
    other = Proxy("")
    other.on = lambda *_: answer()
    server.answers = [(status, {"Location": f"{other.url}/data"}, b"")]
    with pytest.raises(Refused):
        api.call("GET", "/data")
    assert other.calls == []
    other.close()


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"null", b"[]", b'{"status":1,"result":2}', b'{"status":true', b'{"a":' * 5_000, b"\xff"]
)
def test_what_is_no_answer_of_the_api_is_refused(api, server, body):
    server.answers = [(200, {}, body)]
    with pytest.raises(Refused):
        api.call("GET", "/data")


@pytest.mark.parametrize(
    "body", [b'{"message":' + b"[" * 900 + b"1.00000000000000000001", b"[1]", b"", b'{"message":1}']
)
def test_failure_without_a_message_is_tried_again(api, server, body):
    server.answers = [(503, {}, body), (429, {"Retry-After": "\xb2"}, body), answer()]
    assert api.call("GET", "/data") == "ok"


@pytest.mark.parametrize("hour", [0, 1], ids=["all at one time", "one after the other"])
def test_server_that_repeats_itself_ends_the_reading(api, server, monkeypatch, hour):
    monkeypatch.setattr(pages, "MAX_QTY", 2)
    page = [{"id": str(number), "time": f"2026-01-01T{number * hour:02}:00:00.000Z"} for number in range(2)]
    server.answers = [answer(result=page)] * 3
    with pytest.raises(Stopped, match="again and again"):
        for _ in pages.read(api, pages.Range("/data"), pages.Cursor()):
            pass
