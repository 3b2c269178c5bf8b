"""A backup and a restore in a real process that is killed in between."""

import signal
import time
import urllib.error
import urllib.request

import pytest

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
