"""``python -m embedded vacuum`` makes an old file small, and whatever interrupts it leaves a database that is whole."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from embedded import backup, folder, vacuum
from tests.embedded.folders import damage, run
from tests.program import ROOT, fresh_environment

KILLED_AT = {
    "while it writes": "vacuum._Progress.show = lambda *_: os.kill(os.getpid(), 9)",
    "before the rename": "os.fsync = lambda _: os.kill(os.getpid(), 9)",
    "after the rename": "folder.sync_folder = lambda _: os.kill(os.getpid(), 9)",
}


@pytest.fixture
def old(data):
    """A data folder of an early version, whose database is mostly free pages."""
    with sqlite3.connect(data / "decant.db", isolation_level=None) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA auto_vacuum=NONE")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE much (body BLOB)")
        db.execute(
            "INSERT INTO much WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
            "SELECT randomblob(4000) FROM n"
        )
        db.execute("DROP TABLE much")
        db.execute(
            "INSERT INTO segments (device, key, points, version, expires_at, digest, body) "
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999) "
            "SELECT 'd', printf('%020x', i), 1, 1, NULL, x'00', randomblob(500) FROM n"
        )
    db.close()
    return data


def content(data):
    with sqlite3.connect(data / "decant.db") as db:
        rows = [
            db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("segments", "entities", "counters", "hours")
        ]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    return rows


def mode(data):
    with sqlite3.connect(data / "decant.db") as db:
        ((number,),) = db.execute("PRAGMA auto_vacuum")
    db.close()
    return number


def names(data):
    return {path.name for path in data.iterdir()}


def test_old_file_becomes_small_and_can_give_back_room_from_then_on(old):
    before, size = content(old), (old / "decant.db").stat().st_size
    assert mode(old) == 0
    done = run(old, "vacuum")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Vacuuming: ") and lines[0].endswith(" bytes") and len(lines) > 1
    assert f"had {size:,} bytes" in done.stdout
    assert mode(old) == 2 and content(old) == before and (old / "decant.db").stat().st_size < size / 3
    assert names(old) == {"decant.db", "secret", "lock"}
    assert (old / "decant.db").stat().st_mode & 0o777 == 0o600
    again = run(old, "vacuum")
    assert again.returncode == 0 and content(old) == before


def test_server_opens_what_was_vacuumed_and_refuses_to_let_go_of_it(start, tmp_path):
    program = start()
    program.call("POST", "/data", body={"variable": "a", "value": 7}, token=program.device_token)
    refused = run(tmp_path / "data", "vacuum")
    assert refused.returncode == 1 and refused.stderr.startswith("Cannot vacuum: Another process serves")
    assert program.stop()[0] == 0
    assert run(tmp_path / "data", "vacuum").returncode == 0
    again = start()
    assert again.call("GET", "/data", token=program.device_token)[0]["value"] == 7


@pytest.mark.parametrize("when", KILLED_AT)
def test_kill_at_any_moment_leaves_a_whole_database(old, when):
    before = content(old)
    code = f"import os, sys\nfrom pathlib import Path\nfrom embedded import folder, vacuum\n{KILLED_AT[when]}\nvacuum.vacuum(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(old)], cwd=ROOT, env=fresh_environment(), capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert content(old) == before and mode(old) == (2 if when == "after the rename" else 0)
    assert ("decant.db.part" in names(old)) == (when != "after the rename")
    (old / "decant.db.part-journal").write_bytes(b"what SQLite could keep beside a file")
    folder.check(old)
    assert not any("part" in name for name in names(old)), "the next start removes what is left"
    assert run(old, "vacuum").returncode == 0 and content(old) == before and mode(old) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [0, -1])
def test_signal_ends_it_and_nothing_has_changed(old, monkeypatch, number, moment):
    before, calls, handler = (old / "decant.db").read_bytes(), [], signal.getsignal(signal.SIGINT)
    look = vacuum._Progress.__call__
    monkeypatch.setattr(vacuum._Progress, "__call__", lambda self: calls.append(1) or look(self))
    if moment == 0:
        monkeypatch.setattr(vacuum._Progress, "show", lambda *_: os.kill(os.getpid(), number))
    else:
        monkeypatch.setattr(folder, "opened", _killing_at_second(folder.opened, number))
    with pytest.raises(folder.Unusable, match=r"stopped\. Nothing has changed"):
        vacuum.vacuum(old)
    assert (old / "decant.db").read_bytes() == before
    assert not any("part" in name for name in names(old)) and (moment or calls)
    assert signal.getsignal(signal.SIGINT) is handler


def _killing_at_second(opened, number):
    """Send a signal when the new file is opened to be checked."""

    def opening(path, *arguments):
        if path.name.endswith(".part"):
            os.kill(os.getpid(), number)
        return opened(path, *arguments)

    return opening


def test_it_needs_room_for_the_new_file(old, monkeypatch):
    before = (old / "decant.db").read_bytes()

    class Disk:
        f_bavail, f_frsize = 250, 4096

    monkeypatch.setattr(os, "statvfs", lambda _: Disk)
    with pytest.raises(folder.Unusable, match=r"has 1,024,000 bytes free, and the new file needs 2,\d{3},\d{3}"):
        vacuum.vacuum(old)
    assert (old / "decant.db").read_bytes() == before and not any("part" in name for name in names(old))


def test_another_program_that_reads_or_writes_is_noticed(old, monkeypatch):
    reader = sqlite3.connect(old / "decant.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM segments").fetchone()
    writer = sqlite3.connect(old / "decant.db", isolation_level=None)
    writer.execute("CREATE TABLE notes (text TEXT)")
    monkeypatch.setattr(vacuum, "_WAIT_S", 0)
    with pytest.raises(folder.Unusable, match="Another program uses"):
        vacuum.vacuum(old)
    reader.close()
    monkeypatch.setattr(vacuum._Progress, "show", lambda *_: writer.execute("INSERT INTO notes VALUES ('x')"))
    with pytest.raises(folder.Unusable, match="Another program uses"):
        vacuum.vacuum(old)
    writer.close()
    with sqlite3.connect(old / "decant.db") as db:
        assert db.execute("SELECT COUNT(*) FROM notes").fetchone()[0] > 0
    db.close()


def test_damage_and_a_missing_folder_are_named(old, tmp_path):
    damage(old / "decant.db")
    with pytest.raises(folder.Unusable, match="damaged"):
        vacuum.vacuum(old)
    assert not any("part" in name for name in names(old))
    done = run(tmp_path / "none", "vacuum")
    assert done.returncode == 1 and "start the server once" in done.stderr and not (tmp_path / "none").exists()


def test_a_backup_of_it_is_restored_as_it_is(old, tmp_path):
    vacuum.vacuum(old)
    before = content(old)
    backup.save(old, tmp_path / "saved")
    backup.restore(tmp_path / "saved", tmp_path / "other", force=False)
    assert mode(tmp_path / "other") == 2 and content(tmp_path / "other") == before
