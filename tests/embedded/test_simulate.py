"""The simulator: its readings, its habits, and the real command against a running server."""

import itertools
import re
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from datetime import UTC, datetime

import pytest

from chalicelib.codec import times
from embedded.simulate import kinds, options
from embedded.simulate.command import batches, simulate
from embedded.simulate.habits import Habits
from tests.kit.proxy import Proxy
from tests.program import ROOT, fresh_environment

NOON_S = int(datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp())
DAY_S = 86_400


def values(number, variable, step_s=600, days=2):
    readings = (kinds.reading(1, number, NOON_S + at, step_s) for at in range(0, days * DAY_S, step_s))
    return [point["value"] for points in readings for point in points if point["variable"] == variable]


def command(program, *arguments):
    return [
        sys.executable, "-m", "embedded", "simulate", "--url", program.url, "--token", program.profile_token,
        "--mqtt", f"127.0.0.1:{program.mqtt_port}", *arguments,
    ]  # fmt: skip


def run(program, *arguments):
    done = subprocess.run(
        command(program, *arguments), cwd=ROOT, env=fresh_environment(), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "Failed: 0\n" in done.stdout, done.stdout + done.stderr
    return counts(done.stdout)


def counts(text):
    found = re.search(
        r"Past: (\d+) points. Sent: (\d+) points, (\d+) requests by HTTP, (\d+) messages by MQTT; of these \d+ late and (\d+)",
        text,
    )
    return dict(zip(("past", "points", "http", "mqtt", "again"), map(int, found.groups()), strict=True))


def stored(program):
    return sum(
        program.call("GET", f"/device/{row['id']}/data_amount", program.profile_token)
        for row in program.call("GET", "/device?amount=1000&filter[tags][0][key]=simulator&filter[tags][0][value]=1", program.profile_token)
    )  # fmt: skip


def test_days_have_their_curves():
    warm = values(0, "temperature", days=1)
    assert 6 < max(warm) - min(warm) < 20 and min(warm) > -25 and max(warm) < 45
    assert warm.index(max(warm)) < 60 or warm.index(max(warm)) > 120, "noon to evening of the first day, or next noon"
    energy = values(1, "energy")
    assert energy == sorted(energy) and energy[-1] > energy[0] > 0 and min(values(1, "power")) > 0
    assert {bool(speed) for speed in values(2, "speed")} == {True, False}
    level = values(3, "level", days=8)
    falls = [later - sooner for sooner, later in itertools.pairwise(level)]
    assert 10 < min(level) < 30 and max(level) > 90 and 0 < sum(step > 50 for step in falls) <= 3
    assert max(values(4, "co2")) > 600 > 500 > min(values(4, "co2"))
    door = values(5, "open")
    assert 4 < len(door) < 200 and all(sooner != later for sooner, later in itertools.pairwise(values(5, "open", 120)))


def test_readings_follow_from_seed_number_and_time():
    for number in range(2 * len(kinds.KINDS)):
        assert kinds.reading(1, number, NOON_S, 5) == kinds.reading(1, number, NOON_S, 5)
    assert kinds.reading(1, 0, NOON_S, 5) != kinds.reading(2, 0, NOON_S, 5) != kinds.reading(2, 6, NOON_S, 5)


def test_past_is_on_one_grid_and_in_order_whenever_it_begins():
    whole = [point for batch in batches(1, 0, NOON_S - DAY_S, NOON_S) for point in batch]
    later = [point for batch in batches(1, 0, NOON_S - 5_000, NOON_S) for point in batch]
    assert whole == sorted(whole, key=lambda point: point["time"]) and len(whole) == 144 * 4
    assert whole[-len(later) :] == later and min(point["time"] for point in later) >= (NOON_S - 5_000) * 1_000


def test_device_is_late_twice_and_silent_but_loses_nothing_else():
    habits = Habits(1, 0, 5)
    sends = [send for at in range(0, 20_000, 5) for send in habits.sends(NOON_S + at)]
    first = [send for send in sends if not send.is_again]
    assert 4_000 - habits.left_out - 10 < len(first) <= 4_000 - habits.left_out < 4_000
    sent_at = [send.points[0]["time"] for send in first]
    assert len(set(sent_at)) == len(sent_at) and sent_at != sorted(sent_at)
    assert any(send.is_late for send in sends)
    again = [(sooner, later) for sooner, later in itertools.pairwise(sends) if later.is_again]
    assert again and all(sooner.points == later.points for sooner, later in again)


def test_start_makes_devices_fills_their_past_and_the_next_start_finds_them_again(start):
    program = start()
    first = run(program, "--devices", "8", "--every", "1s", "--history", "1d", "--rounds", "2")
    assert first["past"] > 8 * 144 and first["http"] >= 8 and first["mqtt"] >= 3
    assert stored(program) == first["past"] + first["points"]
    second = run(program, "--devices", "9", "--every", "1s", "--history", "1d", "--rounds", "1")
    rows = program.call("GET", "/device?amount=100&fields=name&fields=tags", program.profile_token)
    simulated = [row for row in rows if {"key": "simulator", "value": "1"} in row["tags"]]
    assert len(simulated) == 9 == len({row["name"] for row in simulated})
    assert second["past"] < first["past"] / 4, "only the ninth device has a past that is not filled"
    assert stored(program) == first["past"] + first["points"] + second["past"] + second["points"]


@pytest.mark.parametrize("way", ["http", "mqtt"])
def test_what_is_sent_twice_is_stored_once(start, way):
    program = start()
    extra = () if way == "mqtt" else ("--mqtt", "none")
    sent = run(program, "--devices", "150", "--rounds", "4", "--every", "1s", *extra)
    assert sent["again"] > 3 and (sent["mqtt"] > 100) == (way == "mqtt")
    assert stored(program) == sent["points"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_ctrl_c_ends_it_cleanly_with_counts_also_while_it_fills_the_past(start, number):
    program = start()
    for history in ((), ("--history", "90d")):
        process = subprocess.Popen(
            command(program, "--devices", "30", "--every", "1s", *history), cwd=ROOT, env=fresh_environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout.readline().startswith("30 devices")
        process.send_signal(number)
        output, problems = process.communicate(timeout=30)
        assert process.returncode == 0 and counts(output) and not problems


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--token", "x", "--devices", "5001"], "500 readings a second are the most"),
        (["--token", "x", "--devices", "0"], "must be at least 1"),
        (["--token", "x", "--mqtt", "here"], "--mqtt must be HOST:PORT or none"),
    ],
    ids=["rate", "devices", "mqtt"],
)
def test_arguments_that_make_no_sense_are_refused(arguments, reason):
    parser = ArgumentParser()
    options.add_to(parser.add_subparsers())
    with pytest.raises(ValueError) as caught:
        options.options_of(parser.parse_args(["simulate", *arguments]))
    assert reason in str(caught.value)


def test_wrong_token_is_said_in_one_line(start):
    program = start()
    refused = f"{program.url} refuses: Authorization Denied (401)"
    none = "No token is given: use --token, or the environment variable DECANT_TOKEN"
    for token, reason in (("p-00000000-0000-4000-8000-000000000000", refused), ("", none)):
        done = subprocess.run(
            command(program, "--token", token), cwd=ROOT, env=fresh_environment(), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, f"Cannot simulate: {reason}\n")


def test_ctrl_c_ends_a_wait_for_a_rate_limit():
    def refuse(*_):
        stop.set()
        return 429, {"Retry-After": "60"}, b'{"status": false, "message": "busy"}'

    stop, server = threading.Event(), Proxy("")
    server.on = refuse
    try:
        began_s = time.monotonic()
        assert simulate(options.Options(server.url, "token", "", 1, 5, 0, 1, None), stop) == 0
        assert time.monotonic() - began_s < 10
    finally:
        server.close()


def test_demo_starts_server_and_devices_and_ends_both(tmp_path):
    environment = fresh_environment() | {
        "DECANT_DATA_DIR": str(tmp_path / "demo"), "DECANT_HTTP_PORT": "0", "DECANT_MQTT_PORT": "0",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "embedded", "demo"], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    lines = iter(process.stdout.readline, "")
    shown = next(line for line in lines if line.startswith("Open "))
    assert re.fullmatch(
        r"Open http://127\.0\.0\.1:\d+/console and sign in with the profile token p-[0-9a-f-]{36}\n", shown
    )
    assert any(line.startswith("60 devices") for line in lines)
    process.send_signal(signal.SIGINT)
    output, problems = process.communicate(timeout=60)
    assert process.returncode == 0 and not problems and counts(output)
    assert (tmp_path / "demo/decant.db").exists() and not (tmp_path / "demo/decant.db-wal").exists(), "it has ended"


def test_demo_that_cannot_start_says_why_and_ends(tmp_path, start):
    program = start()
    environment = fresh_environment() | {
        "DECANT_DATA_DIR": str(tmp_path / "other"), "DECANT_HTTP_PORT": program.url.rpartition(":")[2], "DECANT_MQTT_PORT": "0",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "embedded", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "DECANT_HTTP_PORT" in done.stderr and "Open " not in done.stdout


def test_times_of_readings_are_read_as_milliseconds():
    assert times.parse_time(kinds.reading(1, 0, NOON_S, 5)[0]["time"]) == NOON_S * 1_000
