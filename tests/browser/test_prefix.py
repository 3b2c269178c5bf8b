"""The console below a path, as on AWS, where the API is at ``/api`` and has no event stream."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.program import Program

PREFIX = "/api"


class Proxy(BaseHTTPRequestHandler):
    """Passes on what is below the prefix, without it. Everything else is 404, and so is the event stream."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def pass_on(self):
        """Ask the program, and answer what it answers."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix(PREFIX)
        status, headers, content = 404, [], b""
        if path != self.path and not path.startswith("/events"):
            link = http.client.HTTPConnection(self.server.behind, timeout=15)
            link.request(self.command, path or "/", body or None, dict(self.headers.items()))
            answer = link.getresponse()
            status, headers, content = answer.status, answer.getheaders(), answer.read()
            link.close()
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "date", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = pass_on

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture(scope="module")
def below(built, chromium, tmp_path_factory):
    """The program behind a proxy. ``url`` is its address there."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}{PREFIX}"
        program = Program(tmp_path_factory.mktemp("below") / "data", DECANT_URL=url)
        server.behind = urlsplit(program.url).netloc
        program.url = url
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield program
        server.shutdown()
        serving.join()
        program.close()


@pytest.mark.parametrize("start", ["/", "/console/", "/console"])
def test_every_way_in_leads_to_the_console_below_the_path(page, below, start):
    page.goto(below.url + start)
    expect(page.get_by_label("Profile token")).to_be_visible()
    assert page.url.partition("#")[0] == f"{below.url}/console"


def test_console_works_below_a_path_and_without_the_event_stream(page, below, sign_in, tolerated):
    tolerated.append("status of 404")  # of the stream
    device = below.call("GET", "/info")["id"]
    sign_in(page, program=below, place=f"device/{device}/live")
    below.call("POST", "/data", body={"variable": "below_a_path", "value": 7})
    expect(page.get_by_text("below_a_path").first).to_be_visible(timeout=20_000)


def test_page_about_the_api_works_below_a_path(page, below):
    page.goto(f"{below.url}/docs/")
    assert page.url == f"{below.url}/docs"
    expect(page.get_by_text("/device/{device_id}").first).to_be_visible()
