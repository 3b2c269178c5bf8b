"""Files of the data folder: a backup and a restore in a process that is killed in between, and their addresses."""

import json
import signal
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from embedded.files import Folder
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
        upload = folder.begin(key)
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
