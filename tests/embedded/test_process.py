"""The complete program as a process: first start, second start, clean stop, kill, two tenants at once."""

import http.client
import json
import re
import signal
import sqlite3
import subprocess
import threading

import pytest

TOKEN = "0f4c1d5e-8a3b-4d2c-9e1f-5a6b7c8d9e0f"


def test_first_start_prints_what_to_do_and_a_second_keeps_everything(start):
    first = start()
    assert first.url.startswith("http://127.0.0.1:") and first.profile_token.startswith("p-")
    assert f"export TAGOIO_API={first.url}" in first.welcome
    assert first.call("POST", "/data", body={"variable": "a", "value": 5}) == "1 Data Added"
    assert first.stop()[0] == 0
    again = start()
    assert (again.profile_token, again.device_token) == (first.profile_token, first.device_token)
    assert [one["value"] for one in again.call("GET", "/data")] == [5]


def test_printed_curl_lines_work(start):
    program = start()
    sent, read = re.findall(r"curl (?:.|\\\n)+?(?<!\\)\n", program.welcome)
    run = ["bash", "-c"]
    answers = [subprocess.run([*run, line], capture_output=True, text=True, check=True).stdout for line in (sent, read)]
    assert json.loads(answers[0]) == {"status": True, "result": "1 Data Added"}
    assert json.loads(answers[1])["result"][0]["value"] == 21.5


def test_tokens_can_be_set(start):
    program = start(
        DECANT_PROFILE_TOKEN=f"p-{TOKEN}",
        DECANT_DEVICE_TOKEN=TOKEN.replace("0f", "1a"),
    )
    assert (program.profile_token, program.device_token) == (f"p-{TOKEN}", TOKEN.replace("0f", "1a"))
    assert program.call("GET", "/device", token=f"p-{TOKEN}")[0]["name"] == "First device"
    program.stop()
    other = start(DECANT_PROFILE_TOKEN=f"p-{TOKEN[:-1]}e")
    assert other.call("GET", "/device", token=f"p-{TOKEN[:-1]}e")[0]["name"] == "First device"
    assert other.call("GET", "/device", token=f"p-{TOKEN}")[0]["name"] == "First device"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_cleanly_and_the_log_holds_no_secret(start, number):
    program = start()
    program.call("POST", "/data", body={"variable": "canary", "value": "canary-value"})
    program.call("GET", "/device", token=program.profile_token)
    code, out, err = program.stop(number)
    assert code == 0 and err == ""
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/data", 200),
        ("GET", "/device", 200),
    ]
    assert lines[0]["points"] == 1 and lines[0]["ms"] >= 0 and lines[0]["profile"] == lines[1]["profile"]
    for secret in ("canary", program.device_token, program.profile_token, program.profile_token[2:]):
        assert secret not in out


def test_second_process_on_a_data_directory_is_refused(start):
    first = start()
    second = start()
    assert second.process.wait(timeout=30) == 1 and "Another process serves" in second.process.stderr.read()
    assert first.call("GET", "/status")["version"]


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"DECANT_HTTP_PORT": "web"}, "Cannot start"),
        ({"DECANT_PROFILE_TOKEN": "short"}, "Cannot start"),
        ({"DECANT_DATA_DIR": "/proc/none"}, "Cannot start"),
    ],
)
def test_bad_settings_are_reported_and_end_the_process(start, environment, text):
    program = start(**environment)
    assert program.process.wait(timeout=30) == 1
    error = program.process.stderr.read()
    assert text in error and "Traceback" not in error


def test_port_in_use_is_reported(start, tmp_path):
    first = start()
    port = first.url.rpartition(":")[2]
    second = start(DECANT_HTTP_PORT=port, DECANT_DATA_DIR=str(tmp_path / "other"))
    assert second.process.wait(timeout=30) != 0 and "set DECANT_HTTP_PORT" in second.process.stderr.read()


def test_data_directory_is_for_its_owner_only_and_holds_no_token(start, tmp_path):
    program = start()
    other = program.call(
        "POST",
        "/device/token",
        program.profile_token,
        {"device": program.call("GET", "/info")["id"], "name": "second", "permission": "full"},
    )["token"]
    program.stop()
    directory = tmp_path / "data"
    assert directory.stat().st_mode & 0o077 == 0 and (directory / "secret").stat().st_mode & 0o077 == 0
    dump = "\n".join(sqlite3.connect(directory / "decant.db").iterdump()) + (directory / "secret").read_text()
    for token in (program.profile_token, program.device_token, other):
        assert token[2:] not in dump and token.replace("-", "")[2:] not in dump


def test_two_tenants_at_once_never_see_each_other(start):
    program = start()
    made = [program.call("POST", "/device", program.profile_token, {"name": f"Tenant {number}"}) for number in range(2)]
    wrong = []

    def use(number):
        token, name = made[number]["token"], f"tenant{number}"
        for turn in range(150):
            program.call("POST", "/data", token, [{"variable": name, "value": turn}] * 3)
            if {one["variable"] for one in program.call("GET", "/data?qty=50", token)} != {name}:
                wrong.append(name)
            if program.call("GET", "/info", token)["id"] != made[number]["device_id"]:
                wrong.append(name)

    threads = [threading.Thread(target=use, args=(number,)) for number in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_killed_again_and_again_keeps_every_acknowledged_point_once(start):
    """10,000 points in requests of 1 to 40, with kills and restarts. Requests without an answer are sent again."""
    program = start()
    total, kills, sent = 10_000, 5, 0
    while sent < total:
        size = min(1 + sent % 40, total - sent)
        body = [
            {"variable": "n", "value": sent + at, "time": 1_790_000_000_000 + (sent + at) * 100} for at in range(size)
        ]
        is_due = kills and sent >= (6 - kills) * total / 7
        if is_due:
            threading.Timer(0.002 * kills, program.process.kill).start()
            kills -= 1
        while True:
            try:
                assert program.call("POST", "/data", body=body) == f"{size} Data Added"
                if not is_due or program.process.poll() is not None:
                    break
            except (OSError, http.client.HTTPException):
                pass
            if is_due:
                program.process.wait(timeout=30)
                program, is_due = start(), False
        sent += size
    assert kills == 0
    got = []
    for skip in range(0, total, 5_000):
        got += program.call("GET", f"/data?qty=5000&skip={skip}&ordination=ascending")
    assert [one["value"] for one in got] == list(range(total))
    assert program.call("GET", "/data?query=count") == total
    assert (
        program.call("GET", f"/device/{program.call('GET', '/info')['id']}/data_amount", program.profile_token) == total
    )
