"""The data folder: damaged, cut off and foreign files, the secret, the lock, and stops that were not clean."""

import os
import signal
import sqlite3
import threading

import pytest

from chalicelib.store.sqlite import SqliteStore
from embedded import folder
from embedded.folder import Unusable
from tests.embedded.folders import cut, damage, foreign, overwrite, run


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: overwrite(path, 0, b"this is no database at all"), "is damaged, or not a database of SQLite"),
        (lambda path: overwrite(path, 100, b"\xff" * 4_000), "is damaged, or not a database of SQLite"),
        (cut, "is damaged, or not a database of SQLite"),
        (lambda path: os.truncate(path, 1_000), "is damaged, or not a database of SQLite"),
        (lambda path: os.truncate(path, 0), "is missing or empty"),
        (lambda path: path.unlink(), "is missing or empty"),
        (foreign, "is another program's database"),
    ],
)  # fmt: skip
def test_unusable_database_is_refused_with_what_to_do(data, spoil, text):
    spoil(data / "decant.db")
    done = run(data)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Cannot start: {data / 'decant.db'} {text}")
    assert "restore FILE --force" in line or "set DECANT_DATA_DIR" in line


def test_damage_inside_is_found_if_the_last_stop_was_not_clean(data):
    path = data / "decant.db"
    damage(path)
    folder.check(data)
    log = sqlite3.connect(path, isolation_level=None)
    log.execute("PRAGMA journal_mode=WAL")
    log.execute("PRAGMA user_version=1")  # changes the first page alone
    with pytest.raises(Unusable, match="is damaged"):
        folder.check(data)
    log.close()


def test_killed_process_is_checked_and_starts(start, tmp_path):
    program = start()
    program.call("POST", "/data", body={"variable": "a", "value": 5})
    program.process.kill()
    again = start()
    assert [one["value"] for one in again.call("GET", "/data")] == [5]
    assert "The last stop was not clean: checking" in again.stop()[2]
    third = start()
    assert third.stop()[2] == ""


def test_check_that_takes_too_long_is_given_up_with_a_warning(data, capsys, monkeypatch):
    class Slow:
        def __init__(self, db):
            self.db = db

        def execute(self, sql):
            self.db.interrupt_asked.wait(30)
            error = sqlite3.OperationalError("interrupted")
            error.sqlite_errorcode = sqlite3.SQLITE_INTERRUPT
            raise error

        def interrupt(self):
            self.db.interrupt_asked.set()

    class Asked:
        interrupt_asked = threading.Event()

    folder.quick_check(Slow(Asked), data / "decant.db", 0.01)
    assert "Not all of it was checked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: path.write_text(""), "is empty or cut off"),
        (lambda path: path.write_text("abc"), "is empty or cut off"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    ],
)
def test_unusable_secret_is_refused_and_kept(data, spoil, text):
    path = data / "secret"
    spoil(path)
    before = path.exists()
    done = run(data)
    assert done.returncode == 1 and f"Cannot start: {path} {text}" in done.stderr and "Traceback" not in done.stderr
    assert path.exists() == before


@pytest.mark.parametrize("name", ["decant.db", "lock"])
def test_folder_in_the_place_of_a_file_is_one_line(tmp_path, name):
    (tmp_path / "data" / name).mkdir(parents=True)
    done = run(tmp_path / "data")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "Cannot start" in done.stderr


def test_file_in_the_place_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "data").write_text("")
    done = run(tmp_path / "data")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "set DECANT_DATA_DIR" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_folder_that_may_not_be_written_is_one_line(tmp_path):
    (tmp_path / "data").mkdir(mode=0o500)
    done = run(tmp_path / "data")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "set DECANT_DATA_DIR" in done.stderr


def test_start_that_was_killed_between_database_and_secret_goes_on(tmp_path):
    SqliteStore(tmp_path / "decant.db").close()
    folder.check(tmp_path)
    assert len(folder.read_secret(tmp_path)) == 64 == len(folder.read_secret(tmp_path))


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"DECANT_HTTP_PORT": "abc"}, "DECANT_HTTP_PORT must be a whole number from 0 to 65535, not 'abc'"),
        ({"DECANT_DEDUPE": "maybe"}, "DECANT_DEDUPE must be true or false, not 'maybe'"),
        ({"DECANT_PROFILE_TOKEN": "short"}, "DECANT_PROFILE_TOKEN must be a UUID, for a profile with p- in front"),
        ({"DECANT_HOST": "no.such.host.invalid"}, "set DECANT_HOST to an address of this machine"),
        ({"DECANT_HOST": "192.0.2.1"}, "set DECANT_HOST to an address of this machine"),
        (
            {"DECANT_HTTP_PORT": "-1", "DECANT_SYNCHRONOUS": "OFF", "DECANT_DEDUPE": "x", "DECANT_DEVICE_TOKEN": "y"},
            "DECANT_HTTP_PORT must be a whole number from 0 to 65535, not '-1'; "
            "DECANT_SYNCHRONOUS must be FULL or NORMAL, not 'OFF'; DECANT_DEDUPE must be true or false, not 'x'",
        ),
        ({"DECANT_DATA_DIR": "/dev/null"}, "/dev/null is not a folder: set DECANT_DATA_DIR to one"),
        ({"DECANT_DATA_DIR": "/dev/null/data"}, "/dev/null/data is not a folder: set DECANT_DATA_DIR to one"),
    ],
)  # fmt: skip
def test_wrong_setting_is_one_line(tmp_path, environment, text):
    done = run(tmp_path / "data", **environment)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and text in done.stderr


def test_unknown_setting_is_a_warning_and_serving_goes_on(start):
    program = start(DECANT_HTTP_PROT="1")
    assert program.call("GET", "/status")
    assert (
        program.stop(signal.SIGTERM)[2] == "Warning: DECANT_HTTP_PROT is not a setting, do you mean DECANT_HTTP_PORT?\n"
    )
