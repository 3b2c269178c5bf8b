"""Files of the data folder: a backup and a restore in a process that is killed in between, and their addresses."""

import asyncio
import json
import signal
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

import pytest

from embedded.files import _PIECE_BYTES, URL_S, Folder
from tests.kit.asgi import exchange
from tests.kit.files import csv_of
from tests.kit.world import point

LIMIT_S = 30


def ask(program, method, path, body=None):
    return program.call(method, path, token=program.profile_token, body=body)


def wait_for(program, path):
    """Return the job of a file when it has ended."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        job = next((file["job"] for file in ask(program, "GET", "/files")["files"] if file["filename"] == path), None)
        if job and job["status"] in ("done", "failed"):
            return job
    raise AssertionError("the job does not end")


def test_restore_goes_on_after_a_kill_and_its_backup_can_be_fetched(start, tmp_path):
    program = start()
    device, *_ = ask(program, "GET", "/device")
    profile = ask(program, "GET", "/profile")[0]["id"]
    folder = tmp_path / "data" / "files" / profile
    folder.mkdir(parents=True)
    sent = [point("a", number, time=1_767_225_600_000 + number * 1_000) for number in range(20_000)]
    (folder / "all.csv").write_text(csv_of(*sent), newline="")
    ask(program, "POST", f"/device/{device['id']}/data/restore", {"file_address": "all"})
    program.stop(signal.SIGKILL)
    program = start()
    job = wait_for(program, "all.csv")
    assert (job["status"], job["points"], job["refused"]) == ("done", 20_000, 0)
    assert ask(program, "GET", f"/device/{device['id']}/data_amount") == 20_000
    ask(program, "POST", f"/device/{device['id']}/data/backup", {"file_address": "back"})
    assert wait_for(program, "back.csv")["points"] == 20_000
    url = ask(program, "GET", "/files/url?path=back")["url"]
    with urllib.request.urlopen(url) as answer:
        assert answer.read().count(b"\r\n") == 20_001 and answer.headers["X-Request-Id"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url.replace("back.csv", "all.csv"))


def test_address_of_a_file_works_for_an_hour_and_for_this_file_only(serve, tmp_path, clock, configure):
    configure(url="https://iot.example.org/api/")
    folder = Folder(tmp_path)
    for key in ("p/a b.csv", "p/other.csv"):
        upload = folder.begin(key, "job")
        folder.complete(key, upload, [folder.put_part(key, upload, [], b"variable\r\n")])
    url = urlsplit(folder.download_url("p/a b.csv"))
    assert url.path == "/api/file/p/a%20b.csv"
    query = url.query.encode()

    def ask(path="/file/p/a%20b.csv", query=query):
        async def scenario(gateway):
            return await exchange(gateway, "GET", path, query=query)

        return serve(scenario, parts=[folder])

    status, headers, content = ask()
    assert (status, content) == (200, b"variable\r\n") and headers["content-disposition"].endswith('"a b.csv"')
    assert headers["x-request-id"] and headers["access-control-expose-headers"] == "X-Request-Id"
    expires, signature = query.split(b"&")
    later = b"expires=%d" % (int(expires.partition(b"=")[2]) + 1)
    wrong = (
        b"",
        expires,
        signature,
        later + b"&" + signature,
        query[:-1],
        query + "é".encode(),
        b"expires=1e9&" + signature,
    )
    for path, given in (("/file/p/other.csv", query), *(("/file/p/a%20b.csv", each) for each in wrong)):
        status, headers, content = ask(path, given)
        assert (status, json.loads(content)["status"]) == (404, False) and headers["x-request-id"], (path, given)
    clock.now_ms += 3_601_000
    assert ask()[0] == 404


KEY = "0123456789abcdef01234567/a b.csv"
SECRET = "variable,value\r\na,1\r\n"


@pytest.fixture
def folder(tmp_path, clock):
    for name in (KEY, "fedcba987654321001234567/b.csv"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True)
        path.write_text(SECRET)
    (tmp_path / "secret").write_text("not a file of anybody")
    return Folder(tmp_path)


def get(folder, url, *, leaves_after=None):
    """Ask for an address; return status, headers and body, or None, and how many messages were sent."""
    sent, gone = [], asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if len(sent) == leaves_after:
            gone.set()

    found = urlsplit(url)
    scope = {"method": "GET", "path": found.path, "raw_path": found.path.encode(), "query_string": found.query.encode()}
    if asyncio.run(folder.answer(scope, receive, send, "id")) != 200:
        assert sent == []
        return None
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(message["body"] for message in rest), len(sent)


def test_file_is_sent_as_an_attachment_that_nobody_keeps(folder):
    status, headers, body, _ = get(folder, folder.download_url(KEY))
    assert (status, body.decode()) == (200, SECRET)
    assert headers[b"content-disposition"] == b'attachment; filename="a b.csv"'
    assert headers[b"x-content-type-options"] == b"nosniff" and headers[b"cache-control"] == b"private, no-store"


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("0123456789abcdef01234567", "fedcba987654321001234567").replace("a%20b", "b"),
        lambda url: url.replace("a%20b", "A%20B"),
        lambda url: url.replace("a%20b.csv", "..%2f..%2fsecret"),
        lambda url: url.replace("a%20b.csv", "../../secret"),
        lambda url: url.replace("a%20b", "a%20b%00"),
        lambda url: url.replace("/a%20b", "//a%20b"),
        lambda url: url.replace("a%20b", "a%20b%ff"),
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url.replace("expires=", "expires=%D9%A1"),
        lambda url: url.replace("expires=", "expires=%2B"),
        lambda url: url.partition("&signature=")[0],
        lambda url: url.partition("&signature=")[0] + "&signature=%C3%A9",
        lambda url: url[:-1],
        lambda url: url.partition("?")[0],
    ],
)  # fmt: skip
def test_changed_address_leads_nowhere(folder, change):
    url = folder.download_url(KEY)
    assert change(url) != url
    assert get(folder, change(url)) is None


def test_address_ends_with_its_hour_and_with_the_file(folder, clock):
    url = folder.download_url(KEY)
    clock.now_ms += (URL_S - 1) * 1000
    assert get(folder, url)[0] == 200
    clock.now_ms += 2_000
    assert get(folder, url) is None
    url = folder.download_url(KEY)
    folder.delete(KEY)
    assert get(folder, url) is None
    assert get(folder, folder.download_url(quote(KEY))) is None


def test_client_that_goes_away_ends_the_reading(folder, tmp_path):
    (tmp_path / "files" / KEY).write_bytes(b"x" * (_PIECE_BYTES * 50))
    assert get(folder, folder.download_url(KEY), leaves_after=3)[3] < 8
