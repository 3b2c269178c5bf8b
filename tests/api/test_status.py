"""GET /status: what it says to anybody, with a store that works, that cannot be read, and that takes no writes."""

import sqlite3

from botocore.exceptions import EndpointConnectionError

from chalicelib import __version__
from chalicelib.store import sqlite_room
from tests.kit.api import Api
from tests.kit.faults import hook


def test_status_says_version_uptime_store_and_health_to_anybody(each_store):
    result = Api().get("/status").result
    uptime_s = result.pop("uptime_s")
    kind = "sqlite" if each_store.is_exclusive else "dynamodb"
    assert result == {"version": __version__, "store": kind, "health": "ok"}
    assert isinstance(uptime_s, int) and uptime_s >= 0


def test_status_is_503_in_the_envelope_if_sqlite_cannot_be_read(sqlite):
    sqlite._db.execute("ALTER TABLE entities RENAME TO elsewhere")
    answer = Api().get("/status")
    assert answer.status == 503 and answer.headers["retry-after"] == "1"
    assert "elsewhere" not in answer.text and "entities" not in answer.text
    sqlite._db.execute("ALTER TABLE elsewhere RENAME TO entities")
    assert Api().get("/status").result["health"] == "ok"


def test_status_is_503_in_the_envelope_if_dynamodb_does_not_answer(dynamo):
    def refuse(**_):
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    with hook("before-send.dynamodb", refuse, first=True):
        assert Api().get("/status").status == 503


def test_status_is_read_only_while_another_process_has_the_lock(sqlite, tmp_path):
    outside = sqlite3.connect(tmp_path / "decant.db", isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    assert Api().get("/status").result["health"] == "read-only"
    outside.execute("ROLLBACK")
    outside.close()
    assert Api().get("/status").result["health"] == "ok" and not sqlite.in_transaction


def test_status_is_read_only_while_the_disk_is_full(sqlite, monkeypatch):
    sqlite.room.is_short = True
    assert Api().get("/status").result["health"] == "read-only"
    monkeypatch.setattr(sqlite_room, "_MIN_INSIDE_BYTES", 0)
    assert Api().get("/status").result["health"] == "ok"


def test_status_leaves_an_open_transaction_alone(sqlite):
    sqlite.grouped = True
    sqlite.delete("owner", ["name"])
    assert Api().get("/status").result["health"] == "ok" and sqlite.in_transaction
    sqlite.commit()
    sqlite.grouped = False
