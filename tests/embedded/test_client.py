"""The client waits for rates and for servers that are away, with a clock of its own."""

import argparse
import json

import pytest

from embedded.client import Api, Refused, Stopped
from embedded.simulate import options as simulation
from embedded.transfer import commands as transfer
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
