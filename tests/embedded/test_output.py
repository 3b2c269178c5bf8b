"""Log lines of the embedded mode: a pipe that nobody reads, a closed stdout, a full disk, and lines of libraries."""

import fcntl
import json
import logging
import os
import re
import subprocess
import sys

import pytest

from chalicelib.host import log
from embedded import output
from embedded.output import Handler, Output
from tests.program import ROOT, Program, fresh_environment


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    os.set_blocking(writer, False)  # so that ``flush`` can be called here, where it must not wait
    yield reader, writer
    for fd in (reader, writer):
        os.close(fd)


@pytest.fixture
def out(pipe, monkeypatch):
    """An output without its thread."""
    monkeypatch.setattr("threading.Thread.start", lambda _: None)
    return Output(pipe[1])


def numbers(text):
    return [json.loads(line).get("n") for line in text.splitlines()]


def line(number):
    return json.dumps({"n": number, "x": "é" * 50}, ensure_ascii=False) + "\n"


def test_slow_reader_gets_every_line_once_and_whole(out, pipe):
    got = b""
    for number in range(500):
        out.write(line(number))
        out.flush()
        if number % 7 == 0:
            got += os.read(pipe[0], 1_500)
    while len(got.splitlines()) < 500 or not got.endswith(b"\n"):
        out.flush()
        got += os.read(pipe[0], 100_000)
    assert numbers(got.decode()) == list(range(500))


def test_pipe_that_nobody_reads_takes_bounded_memory_and_the_drops_are_counted(out, pipe, monkeypatch):
    monkeypatch.setattr(output, "MAX_WAITING_BYTES", 10_000)
    for number in range(2_000):
        out.write(line(number))
        out.flush()
        assert sum(map(len, out._lines)) + len(out._rest) <= 20_000
    got = b""
    for _ in range(20):
        out.flush()
        got += os.read(pipe[0], 4_096) if out._rest or b"dropped" not in got else b""
    kept = [json.loads(text) for text in got.decode().splitlines()]
    dropped = sum(one.get("dropped_lines", 0) for one in kept)
    whole = [one["n"] for one in kept if "n" in one]
    assert whole == sorted(set(whole)) and len(whole) + dropped == 2_000
    assert kept[-1]["dropped_lines"] and kept[-1]["level"] == "warning" and kept[-1]["time"]


def test_writing_that_fails_for_a_while_loses_nothing(out, pipe, monkeypatch):
    write, full = os.write, [True]

    def failing(fd, content):
        if full[0]:
            raise OSError(28, "No space left on device")
        return write(fd, content)

    monkeypatch.setattr(os, "write", failing)
    for number in range(3):
        out.write(line(number))
        out.flush()
    full[0] = False
    out.flush()
    out.flush()
    assert numbers(os.read(pipe[0], 4_096).decode()) == [0, 1, 2]


def test_without_a_stdout_lines_go_nowhere():
    nowhere = Output(None)
    for number in range(10):
        nowhere.write(line(number))
    assert nowhere._lines == []
    nowhere.close()


def test_what_libraries_log_becomes_a_line():
    lines = []
    log.use(lines.append)
    logger = logging.Logger("library")
    logger.addHandler(Handler())
    try:
        raise ValueError("\ud800")
    except ValueError:
        logger.exception("It %s", "broke")
    written = json.loads(lines[0])
    assert (written["level"], written["logger"]) == ("error", "library")
    assert written["message"].startswith("It broke\nTraceback")


@pytest.mark.parametrize("is_closed", [False, True])
def test_server_whose_stdout_nobody_reads_goes_on_serving_and_stops(tmp_path, is_closed):
    """Its pipe holds 4 kB, which is full after some 15 lines. 300 requests write 60 kB."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    program = Program.__new__(Program)
    program.process = subprocess.Popen(
        [sys.executable, "-m", "embedded"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE,
        env=fresh_environment() | {"DECANT_DATA_DIR": str(tmp_path), "DECANT_HTTP_PORT": "0", "DECANT_MQTT_PORT": "0"},
    )  # fmt: skip
    os.close(writer)
    welcome = ""
    while "TAGOIO_SSE" not in welcome:
        welcome += os.read(reader, 4_096).decode()
    program.url, program.device_token = (
        re.search(r"API=(\S+)", welcome)[1],
        re.search(r"Device token +(\S+)", welcome)[1],
    )
    if is_closed:
        os.close(reader)
    for number in range(300):
        assert program.call("POST", "/data", body={"variable": "n", "value": number}) == "1 Data Added"
    assert program.call("GET", "/data?query=count") == 300
    program.process.terminate()
    assert program.process.wait(timeout=30) == 0
    if not is_closed:
        os.close(reader)
    with program.process.stderr as errors:
        assert errors.read() == b""
