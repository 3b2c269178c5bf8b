"""Backup and restore: under load, of what was acknowledged, of unusable files, and that nothing is lost on the way."""

import sqlite3
import threading

import pytest

from embedded import backup, folder
from embedded.folder import Unusable
from tests.embedded.folders import cut, damage, foreign, run
from tests.program import Program


def saved(directory, file):
    done = run(directory, "backup", str(file))
    assert done.returncode == 0, done.stderr
    return done


def test_backup_under_load_opens_and_holds_all_that_was_acknowledged_before(start, tmp_path):
    program, acknowledged, is_over = start(), [], threading.Event()
    device = program.call("GET", "/info")["id"]

    def send():
        while not is_over.is_set():
            body = [{"variable": "n", "value": len(acknowledged), "metadata": {"x": "y" * 5_000}}] * 20
            assert program.call("POST", "/data", body=body) == "20 Data Added"
            acknowledged.append(len(acknowledged))

    sender = threading.Thread(target=send)
    sender.start()
    while len(acknowledged) < 30:
        assert sender.is_alive()
    counts, file = [], tmp_path / "saved"
    for number in range(3):
        counts.append(len(acknowledged))
        done = saved(tmp_path / "data", tmp_path / f"saved{number}")
        assert "Saving: 100 %" in done.stderr and done.stdout == ""
    is_over.set()
    sender.join()
    assert program.stop()[0] == 0
    for number, count in enumerate(counts):
        file = tmp_path / f"saved{number}"
        assert file.stat().st_mode & 0o777 == 0o600 and not list(tmp_path.glob("saved*-*"))
        db = sqlite3.connect(file)
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        assert (
            db.execute(
                "SELECT SUM(points) FROM (SELECT points FROM segments UNION ALL SELECT points FROM sealed)"
            ).fetchone()[0]
            >= 20 * count
        )
        db.close()
        assert run(tmp_path / f"new{number}", "restore", str(file)).returncode == 0
        restored = Program(tmp_path / f"new{number}")
        assert (restored.profile_token, restored.device_token) == (program.profile_token, program.device_token)
        amount = restored.call("GET", f"/device/{device}/data_amount", program.profile_token)
        assert amount >= 20 * count and amount % 20 == 0
        assert [one["value"] for one in restored.call("GET", "/data?qty=1&ordination=ascending")] == [0]
        code, _, errors = restored.stop()
        assert code == 0 and errors == ""


def test_backup_of_a_stopped_server_leaves_its_folder_as_it_was(data, tmp_path):
    before = (data / "decant.db").read_bytes()
    backup.save(data, tmp_path / "saved")
    assert (data / "decant.db").read_bytes() == before
    folder.check(data)
    backup.restore(tmp_path / "saved", tmp_path / "new", force=False)
    assert (tmp_path / "new/secret").read_text() == "0" * 64 and (tmp_path / "new/secret").stat().st_mode & 0o077 == 0
    tables = "SELECT name FROM sqlite_master WHERE name = 'backup'"
    with folder.opened(tmp_path / "new/decant.db") as db:
        assert db.execute(tables).fetchone() is None


def test_backup_never_replaces_a_file(data, tmp_path):
    (tmp_path / "saved").write_text("precious")
    done = run(data, "backup", str(tmp_path / "saved"))
    assert done.returncode == 1 and "exists already" in done.stderr
    assert (tmp_path / "saved").read_text() == "precious"


def test_backup_of_damaged_data_is_refused_and_leaves_no_file(data, tmp_path):
    damage(data / "decant.db")
    done = run(data, "backup", str(tmp_path / "saved"))
    assert done.returncode == 1 and f"{data / 'decant.db'} is damaged" in done.stderr
    assert not list(tmp_path.glob("saved*"))


@pytest.mark.parametrize("missing", ["folder", "database", "secret", "target"])
def test_backup_of_what_is_not_there_is_one_line(data, tmp_path, missing):
    directory, file = data, tmp_path / "saved"
    if missing == "folder":
        directory = tmp_path / "none"
    elif missing == "database":
        (data / "decant.db").unlink()
    elif missing == "secret":
        (data / "secret").unlink()
    else:
        file = tmp_path / "none/saved"
    done = run(directory, "backup", str(file))
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("Cannot ")


def test_restore_replaces_only_what_it_may(data, tmp_path):
    backup.save(data, tmp_path / "saved")
    other = Program(tmp_path / "other")
    assert other.call("POST", "/data", body={"variable": "kept", "value": 1}) == "1 Data Added"
    refused = run(tmp_path / "other", "restore", str(tmp_path / "saved"), "--force")
    assert refused.returncode == 1 and "Another process serves" in refused.stderr
    other.process.kill()
    other.process.wait(timeout=30)
    refused = run(tmp_path / "other", "restore", str(tmp_path / "saved"))
    assert refused.returncode == 1 and "is not empty" in refused.stderr and "--force" in refused.stderr
    again = Program(tmp_path / "other")
    assert [one["value"] for one in again.call("GET", "/data")] == [1]
    again.process.kill()
    again.process.wait(timeout=30)
    assert run(tmp_path / "other", "restore", str(tmp_path / "saved"), "--force").returncode == 0
    assert (tmp_path / "other/secret").read_text() == "0" * 64
    with folder.opened(tmp_path / "other/decant.db") as db:
        assert (
            db.execute(
                "SELECT SUM(points) FROM (SELECT points FROM segments UNION ALL SELECT points FROM sealed)"
            ).fetchone()[0]
            == 1_600
        )
    for program in (other, again):
        program.close()


@pytest.mark.parametrize("spoil", [cut, foreign, lambda path: path.write_text("text"), lambda path: path.write_text(""),
                                   lambda path: path.unlink(), damage])  # fmt: skip
def test_unusable_backup_is_refused_and_nothing_is_changed(data, tmp_path, spoil):
    file = tmp_path / "saved"
    backup.save(data, file)
    spoil(file)
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    with pytest.raises(Unusable, match=str(file)) as refusal:
        backup.restore(file, data, force=True)
    assert "restore a backup" not in str(refusal.value), "advice that goes round in a circle"
    (data / "lock").unlink(missing_ok=True)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_plain_copy_of_a_database_is_no_backup(data, tmp_path):
    with pytest.raises(Unusable, match="does not hold the secret"):
        backup.restore(data / "decant.db", tmp_path / "new", force=False)


@pytest.mark.parametrize("stop_at", ["rename", "sync_folder", "read_secret"])
def test_restore_that_is_killed_leaves_the_old_or_the_new_data(data, tmp_path, stop_at, monkeypatch):
    backup.save(data, tmp_path / "saved")
    with folder.opened(data / "decant.db") as db:
        db.execute("DELETE FROM segments")
    (data / "secret").write_text("1" * 64)

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*((backup.Path, "rename", kill) if stop_at == "rename" else (backup.folder, stop_at, kill)))
        with pytest.raises(Killed):
            backup.restore(tmp_path / "saved", data, force=True)
    folder.check(data)
    is_old = folder.read_secret(data) == b"1" * 64
    with folder.opened(data / "decant.db") as db:
        assert db.execute("SELECT COUNT(*) FROM segments").fetchone()[0] == (0 if is_old else 40)
    assert is_old == (stop_at == "rename")
