"""The pages for people in the embedded mode: from memory, gzipped, without a call of the app; and over real HTTP."""

import gzip
import http.client
import json
import re
import socket
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from chalicelib.host import log
from chalicelib.http import site
from embedded import seed, server
from embedded.site import Site
from tests.kit import asgi
from tests.kit.link import Link
from tests.kit.site import FILES, SCRIPT, built, unbuilt

__all__ = ["built", "unbuilt"]
BROWSER = {"accept": "text/html,*/*;q=0.8", "accept-encoding": "gzip, deflate, br"}


@pytest.fixture
def ask(serve):
    """Send one request through the gateway; return status, headers and the bytes of the answer."""

    def do(method, path, headers=None, app=None):
        async def scenario(gateway):
            if app is not None:
                gateway._app = app
            return await asgi.exchange(gateway, method, path, headers)

        return serve(scenario, parts=[Site()])

    return do


def fail(*_):
    raise AssertionError("the app was called")


@pytest.mark.parametrize("path", ["/console", "/docs", SCRIPT, "/console/licenses.txt"])
def test_file_is_answered_from_memory_as_the_app_answers_it(ask, serve, built, path):
    async def by_the_app(gateway):
        return await asgi.exchange(gateway, "GET", path)

    status, headers, content = ask("GET", path, app=fail)
    expected = serve(by_the_app)
    assert status == 200 and headers.pop("x-request-id") != expected[1].pop("x-request-id")
    assert (status, headers, content) == expected
    zipped = ask("GET", path, BROWSER, app=fail)
    assert zipped[1]["content-encoding"] == "gzip" and int(zipped[1]["content-length"]) == len(zipped[2])
    assert gzip.decompress(zipped[2]) == content and zipped[1]["vary"] == headers["vary"] == "Accept-Encoding"


def test_head_has_the_headers_of_get_and_no_body(ask, built):
    for headers in ({}, BROWSER):
        get, head = (ask(method, "/console", headers, app=fail) for method in ("GET", "HEAD"))
        assert get[1].pop("x-request-id") and head[1].pop("x-request-id")
        assert head[:2] == get[:2] and head[2] == b"" and get[2]


def test_page_that_the_client_has_is_304_without_body_and_length(ask, built):
    tag = ask("GET", "/console")[1]["etag"]
    for method in ("GET", "HEAD"):
        status, headers, content = ask(method, "/console", {"if-none-match": tag, **BROWSER}, app=fail)
        assert (status, content, headers["etag"]) == (304, b"", tag)
        assert not {"content-length", "content-encoding"} & headers.keys()
        assert headers["cache-control"] == "no-cache" and headers["x-request-id"]


def test_file_is_compressed_once(ask, serve, built, monkeypatch):
    calls = []
    compress = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda *args, **kwargs: calls.append(1) or compress(*args, **kwargs))

    async def scenario(gateway):
        return [await asgi.exchange(gateway, "GET", SCRIPT, BROWSER) for _ in range(3)]

    first, *others = serve(scenario, parts=[Site()])
    assert len(calls) == 1 and all(other[2] == first[2] for other in others)


def test_other_methods_are_answered_as_everywhere(ask, built):
    assert ask("POST", "/console")[0] == 405 and ask("POST", "/console")[1]["allow"] == "GET"
    status, headers, _ = ask("OPTIONS", "/console")
    assert status == 200 and "GET" in headers["access-control-allow-methods"] and headers["x-request-id"]


def test_root_and_slash_lead_to_the_page_behind_a_proxy_that_takes_a_prefix_away(ask, built, configure):
    for url, prefix in (("", ""), ("https://example.org", ""), ("https://example.org/iot/api/", "/iot/api")):
        configure(url=url)
        assert ask("GET", "/", BROWSER)[:1] == (303,)
        assert ask("GET", "/", BROWSER)[1]["location"] == f"{prefix}/console"
        index = json.loads(ask("GET", "/")[2])["result"]
        assert (index["console"], index["openapi"]) == (f"{prefix}/console", f"{prefix}/openapi.json")
        for path in ("/console/", "/docs/"):
            status, headers, _ = ask("GET", path)
            assert (status, headers["location"]) == (308, f"{prefix}{path.rstrip('/')}")


def test_no_address_that_a_client_makes_up_leads_to_another_host(ask, built):
    for path, place in (("//console/", "/console"), ("//docs//", "/docs"), ("//", "/console")):
        status, headers, _ = ask("GET", path, BROWSER)
        assert status in (303, 308) and headers["location"] == place


def test_short_answer_that_varies_by_something_else_is_not_compressed(ask, built):
    _, headers, content = ask("GET", "/", {"accept-encoding": "gzip"})
    assert headers["vary"] == "Accept" and "content-encoding" not in headers and json.loads(content)["status"]


def test_what_is_not_built_is_said_by_the_app(ask, unbuilt):
    status, headers, content = ask("GET", "/console", BROWSER)
    assert status == 404 and b"python -m web.build" in content and headers["x-request-id"]


@pytest.mark.parametrize("console", ["built", "unbuilt"])
def test_the_welcome_says_whether_the_console_is_built(console, request, capsys):
    request.getfixturevalue(console)
    tokens = seed.Seed("p-1", "2", "a@b.c", None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server._welcome("127.0.0.1", listener, SimpleNamespace(sockets=[listener]), tokens)
    assert ("/console   (not built)\n" in capsys.readouterr().out) == (console == "unbuilt")


def test_console_that_was_built_after_the_start_is_served_too(serve, unbuilt, built):
    async def scenario(gateway):
        return [await asgi.exchange(gateway, "GET", path, BROWSER) for path in ("/console", SCRIPT)]

    for status, headers, content in serve(scenario, parts=[Site({})]):
        assert status == 200 and headers["content-encoding"] == "gzip" and gzip.decompress(content)


def test_request_is_logged_with_its_id(ask, built):
    lines = []
    log.use(lambda text: lines.append(json.loads(text)))
    status, headers, _ = ask("GET", SCRIPT)
    (line,) = lines
    assert (line["status"], line["route"], line["request_id"]) == (status, SCRIPT, headers["x-request-id"])


def test_connection_stays_open_after_a_file_and_after_304(serve, built):
    async def scenario(gateway):
        link = Link(gateway)
        tag = site.files()["/console"].headers["ETag"]
        answers = []
        for headers in ("", f"If-None-Match: {tag}\r\n", ""):
            request = f"GET /console HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()
            link.http.data_received(request)
            for _ in range(20):
                await asgi.asyncio.sleep(0)
            answers.append(link.transport.sent)
            link.transport.sent = b""
        assert not link.transport.is_closed
        return answers

    first, second, third = serve(scenario, parts=[Site()])
    assert b" 200 " in first[:20] and b" 304 " in second[:20] and second.endswith(b"\r\n\r\n")
    assert re.sub(rb"x-request-id: \S+", b"", first) == re.sub(rb"x-request-id: \S+", b"", third)


def test_built_console_is_served_by_the_program(start):
    """Each file that a page names is there, and so is each that these name."""
    if not site.files():
        pytest.skip("the console is not built: python -m web.build")
    link = http.client.HTTPConnection(urlsplit(start().url).netloc, timeout=15)

    def get(path, **headers):
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        return answer, answer.read()

    answer, _ = get("/", Accept="text/html")
    assert (answer.status, answer.headers["location"]) == (303, "/console")
    for page in ("/console", "/docs"):
        answer, content = get(page, **{"Accept-Encoding": "gzip"})
        text = gzip.decompress(content).decode()
        named = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert answer.status == 200 and named and "<script>" not in text and "style=" not in text
        for name in named:
            assert re.fullmatch(r"console/[\w.-]+-[\w-]{8}\.(js|css|svg)", name), name
            answer, content = get(f"/{name}")
            assert answer.status == 200 and "immutable" in answer.headers["cache-control"] and content
            for inner in re.findall(rb"[\"'`]\./([\w.-]+\.(?:js|css))[\"'`]", content):
                assert get(f"/console/{inner.decode()}")[0].status == 200, inner
    assert get("/console/licenses.txt")[0].status == 200
    link.close()


def test_names_of_the_fake_are_like_those_of_a_build():
    assert {name.rpartition(".")[2] for name in FILES} == {"html", "js", "css", "svg", "txt", "sources"}
