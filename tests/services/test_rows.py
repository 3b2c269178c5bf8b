"""Every later version reads what a released version has written. tests/rows keeps the rows and answers of each release.

On a release, ``FREEZE=0.2.0 pytest tests/services/test_rows.py`` writes the rows and answers of the current version.
"""

import base64
import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from chalicelib import store
from chalicelib.codec import keys
from chalicelib.services.access import callers, client_ids
from chalicelib.store.models import EntityModel, SegmentModel
from chalicelib.store.sqlite import SqliteStore
from tests.kit.api import Api
from tests.kit.clock import NOW_MS
from tests.kit.faults import client
from tests.kit.sealing import seal
from tests.kit.world import World, point

FOLDER = Path(__file__).parents[1] / "rows"
VERSIONS = sorted(path.stem for path in FOLDER.glob("*.json"))
HOUR_START = NOW_MS - NOW_MS % keys.HOUR_MS
TABLES = {"segments": SegmentModel.Meta.table_name, "entities": EntityModel.Meta.table_name}
PATHS = (
    "/data?qty=1000", "/data?query=last_value", "/data?query=first_insert&details=true", "/data?query=count", "/info",
    "/data?query=min&variables=exact", "/device/params", "/data?query=sum&variables=many&start_date=2026-09-01",
)  # fmt: skip


def fill():
    """Store one object of each kind; return the tokens with which to read them."""
    world = World()
    world.send(*[point("many", number, unit="C", time=HOUR_START + number) for number in range(100)])
    world.send(point("exact", 0.1, time=HOUR_START - 5), point("place", True, location={"lat": 1, "lng": 2}, group="g"))
    world.api.post("/data", raw='{"variable": "exact", "value": 12345678901234567890123456789, "metadata": {"a": [1]}}')
    world.send(point("keyed", "text"), headers={"idempotency-key": "k"})
    ids = [one["id"] for one in world.read(variables="many", qty=6)]
    world.api.put("/data", {"id": ids[0], "value": "edited"})
    world.api.put("/data", {"id": ids[1], "time": HOUR_START - 40 * keys.HOUR_MS})
    world.api.delete("/data", query={"ids": ids[2:4]})
    world.admin.post(f"/device/{world.device}/params", {"key": "k", "value": "v", "sent": True})
    world.admin.post(
        "/device/token",
        {
            "device": world.device,
            "name": "limited",
            "permission": "read",
            "expire_time": "2099-01-01",
            "serie_number": "s",
        },
    )
    made = world.admin.post(
        "/device", {"name": "Frozen", "type": "immutable", "chunk_period": "month", "chunk_retention": 3, "tags": [{"key": "a", "value": "b"}]}
    ).result  # fmt: skip
    Api(made["token"]).post("/data", [point("cold", 1, time=HOUR_START)])
    caller = callers.resolve(text=world.token)
    client_ids.bind(client_id="thermo", caller=caller, keep_s=90_000)
    return {"profile": world.profile_token, "device": world.token, "frozen": made["token"]}


def answers(tokens):
    found = {path: json.loads(Api(tokens["device"]).get(path).text) for path in PATHS}
    found["frozen"] = json.loads(Api(tokens["frozen"]).get("/data").text)
    found["devices"] = json.loads(Api(tokens["profile"]).get("/device?orderBy=name&fields=chunk_period").text)
    return found


def encode(item):
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for name, value in item.items()
    }


def decode(item):
    return {name: {"B": base64.b64decode(value["B"])} if "B" in value else value for name, value in item.items()}


def rows_of_dynamodb():
    return {name: [encode(item) for item in client().scan(TableName=table)["Items"]] for name, table in TABLES.items()}


def freeze(sqlite, dynamo, use):
    """Return rows and answers of the current version, on either store."""
    found = {}
    for kind, backend in (("sqlite", sqlite), ("dynamodb", dynamo)):
        use(backend)
        tokens = fill()
        rows = rows_of_dynamodb() if backend is dynamo else list(sqlite._db.iterdump())
        found[kind] = {"tokens": tokens, "rows": rows, "answers": answers(tokens)}
    return found


@pytest.mark.skipif("FREEZE" not in os.environ, reason="writes the rows of a release; FREEZE names it")
def test_freeze(clock, sqlite, dynamo):
    from chalicelib import store
    from chalicelib.host import cache

    def use(backend):
        cache.clear_all()
        store.use(backend)

    (FOLDER / f"{os.environ['FREEZE']}.json").write_text(json.dumps(freeze(sqlite, dynamo, use), indent=1) + "\n")


def kept(version, kind):
    return json.loads((FOLDER / f"{version}.json").read_text())[kind]


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_of_a_release_are_read_from_dynamodb(clock, dynamo, version):
    found = kept(version, "dynamodb")
    for name, items in found["rows"].items():
        for item in items:
            client().put_item(TableName=TABLES[name], Item=decode(item))
    assert answers(found["tokens"]) == found["answers"]
    assert Api(found["tokens"]["device"]).post("/data", point("many", 1)).result == "1 Data Added"
    assert client_ids.device_of(client_id="thermo") is not None
    assert Api(found["tokens"]["device"]).post("/data", point("many", 1)).result == "1 Data Added"


def open_old(tmp_path, version, request):
    """Open a database with the rows of a release; return what is kept of it, and the store."""
    found, path = kept(version, "sqlite"), tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("\n".join(found["rows"]))
    opened = SqliteStore(path, synchronous="NORMAL")
    request.addfinalizer(opened.close)
    store.use(opened)
    return found, opened


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_of_a_release_are_read_from_sqlite(clock, tmp_path, version, request):
    found, _ = open_old(tmp_path, version, request)
    assert answers(found["tokens"]) == found["answers"]
    assert Api(found["tokens"]["device"]).post("/data", point("many", 1)).result == "1 Data Added"


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_of_a_release_are_sealed_and_give_the_same_answers(clock, tmp_path, version, request):
    found, opened = open_old(tmp_path, version, request)
    devices = [row[0] for row in opened._db.execute("SELECT DISTINCT device FROM segments")]
    assert sum(seal(device) for device in devices) >= 2
    assert answers(found["tokens"]) == found["answers"]


def test_a_release_is_frozen():
    assert VERSIONS, "no release is kept"
