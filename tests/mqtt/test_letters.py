"""Dead letters of the embedded mode: they are bounded, and an operator lists, retries and drops them."""

import re
import subprocess
import sys

from chalicelib import store
from chalicelib.host import dead_letters, log
from embedded import letters
from tests.mqtt.test_broker import STORED, numbered
from tests.mqtt.test_connection import publish, run, settled  # noqa: F401 - a fixture
from tests.program import ROOT, Program, fresh_environment


def command(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "embedded", "letters", *arguments], cwd=ROOT, capture_output=True, text=True,
        env=fresh_environment() | {"DECANT_DATA_DIR": str(directory)}, timeout=60, check=False,
    )  # fmt: skip


def message(device, number=0, payload="e30=", client_id="c"):
    return {
        "payload": payload, "topic": STORED, "clientid": client_id, "principal": device,
        "timestamp": 1_700_000_000_000, "uuid": str(number),
    }  # fmt: skip


def kept(device):
    return [one.doc["message"]["uuid"] for one in store.current().list(f"device#{device}", "letter#")]


def test_letters_of_a_device_are_bounded_in_number_the_oldest_go_first_and_the_log_says_so(sqlite, clock):
    lines, found = [], letters.Letters()
    log.use(lines.append)
    for number in range(letters.MAX_LETTERS + 5):
        found.keep("bad", message("d", number))
        clock.advance(1)
    found.keep("bad", message("other"))
    assert kept("d") == [str(number) for number in range(5, letters.MAX_LETTERS + 5)] and kept("other") == ["0"]
    assert len(lines) == 5 and '"dropped_dead_letters":1' in lines[0]
    again = letters.Letters()  # as after a restart
    again.keep("bad", message("d", "new"))
    assert kept("d")[0] == "6" and kept("d")[-1] == "new" and len(kept("d")) == letters.MAX_LETTERS


def test_letters_of_a_device_are_bounded_in_bytes(sqlite, clock):
    found = letters.Letters()
    for number in range(30):
        found.keep("bad", message("d", number, "x" * 100_000))
        clock.advance(1)
    assert kept("d") == [str(number) for number in range(21, 30)]
    found.keep("bad", message("d", "small"))
    assert len(kept("d")) == 10


def test_letters_go_with_their_device(run):  # noqa: F811
    async def scenario(bench):
        dead_letters.use(letters.Letters().keep)
        link, _ = bench.connected()
        body = publish(1)[:-1] + b"["
        link.data_received(body)
        await settled()
        assert len(kept(bench.world.device)) == 1
        bench.world.admin.delete(f"/device/{bench.world.device}")
        assert kept(bench.world.device) == []

    run(scenario)


def test_operator_lists_retries_and_drops(tmp_path, connect):
    """A message that was refused as the device was inactive is stored when it is tried again."""
    program = Program(tmp_path / "data")
    client = connect(program.device_token, "c", port=program.mqtt_port)
    for payload in ('{"variable": ', "[1]"):
        client.publish(STORED, payload)
    plain = command(tmp_path / "data")
    assert plain.returncode == 0 and plain.stderr.startswith("2 of at most 100 a device, or 1,000,000 bytes"), plain
    first, second = plain.stdout.splitlines()
    pattern = r"(\d{13}-[0-9a-f]{8})  (\S+Z)  ([0-9a-f]{24})  (\d+) bytes to 'tago/data/post': (.+)"
    (one, _, device, size, reason), (two, *_) = (re.fullmatch(pattern, line).groups() for line in (first, second))
    assert size == "13" and reason
    assert command(tmp_path / "data", "list", one, "--payload").stdout.splitlines() == [first, "  '{\"variable\": '"]
    refused = command(tmp_path / "data", "drop", "--all")
    assert refused.returncode == 1 and refused.stderr.startswith("Cannot use the dead letters: Another process serves")
    program.stop()

    assert "say which to drop" in command(tmp_path / "data", "drop").stderr
    assert "no letter nonsense" in command(tmp_path / "data", "retry", "nonsense").stderr
    tried = command(tmp_path / "data", "retry", one)
    assert tried.returncode == 1 and tried.stdout.startswith(f"{one}  not stored: "), tried
    assert command(tmp_path / "data", "drop", one).stdout == "1 dropped\n"
    assert [line[:22] for line in command(tmp_path / "data", "list", "--device", device).stdout.splitlines()] == [two]
    assert command(tmp_path / "data", "list", "--device", "0" * 24).stdout == ""


def test_letter_that_can_be_stored_now_is_stored_once_and_gone(tmp_path, connect):
    program = Program(tmp_path / "data")
    client = connect(program.device_token, "c", port=program.mqtt_port)
    client.publish(STORED, numbered(7, time="2026-11-01T00:00:00Z").replace("}", ""))
    program.stop()
    import sqlite3

    with sqlite3.connect(tmp_path / "data" / "decant.db") as db:
        ((owner, name, doc),) = db.execute("SELECT owner, name, doc FROM entities WHERE name LIKE 'letter#%'")
        import base64
        import json

        letter = json.loads(doc)
        letter["message"]["payload"] = base64.b64encode(numbered(7, time="2026-11-01T00:00:00Z").encode()).decode()
        db.execute("UPDATE entities SET doc = ? WHERE owner = ? AND name = ?", (json.dumps(letter), owner, name))
        # One that an earlier version wrote has no device, and another owner.
        letter["message"].pop("principal")
        letter["message"]["payload"] = base64.b64encode(numbered(8, time="2026-11-01T00:00:00Z").encode()).decode()
        old = "dead-letters", "1700000000000-0123abcd", json.dumps(letter)
        db.execute("INSERT INTO entities (owner, name, doc, version) VALUES (?, ?, ?, 1)", old)
    done = command(tmp_path / "data", "retry", "--all")
    assert done.returncode == 0 and done.stdout.count("stored, points: 1") == 2, done
    assert command(tmp_path / "data").stdout == ""
    program = Program(tmp_path / "data")
    assert sorted(one["value"] for one in program.call("GET", "/data?qty=10")) == [7, 8]
    program.close()
