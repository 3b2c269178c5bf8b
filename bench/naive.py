"""The server to compare with, as somebody would write it in an afternoon.

It uses FastAPI, stores each point as a row in SQLite, and checks none of the rules. It answers with orjson and the same
fields as Decant, and commits each request with synchronous=FULL, as Decant does.
"""

import json
import os
import sqlite3
import time
import uuid
from datetime import UTC, datetime

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, TypeAdapter

SCHEMA = """
CREATE TABLE IF NOT EXISTS data (
    id TEXT PRIMARY KEY, device TEXT, variable TEXT, value, unit TEXT, grp TEXT, time REAL, location TEXT,
    metadata TEXT, created_at REAL);
CREATE INDEX IF NOT EXISTS by_time ON data (device, time);
CREATE INDEX IF NOT EXISTS by_variable ON data (device, variable, time);
"""


class Point(BaseModel):
    """A point as the client sends it, checked with pydantic's defaults."""

    variable: str
    value: bool | int | float | str | None = None
    unit: str | None = None
    group: str | None = None
    time: datetime | None = None
    location: dict | None = None
    metadata: dict | None = None


Points = TypeAdapter(list[Point])
app = FastAPI()
db = sqlite3.connect(os.environ["NAIVE_DB"], isolation_level=None, check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.executescript(SCHEMA)


def answer(result: object) -> Response:
    return Response(orjson.dumps({"status": True, "result": result}), media_type="application/json")


@app.post("/data")
async def send(request: Request) -> Response:
    sent = orjson.loads(await request.body())
    points = Points.validate_python(sent if isinstance(sent, list) else [sent])
    device, now, group = request.headers["token"], time.time(), uuid.uuid4().hex[:24]
    rows = [
        (
            uuid.uuid4().hex[:24], device, point.variable, point.value, point.unit, point.group or group,
            point.time.timestamp() if point.time else now,
            json.dumps(point.location) if point.location else None,
            json.dumps(point.metadata) if point.metadata else None,
            now,
        )
        for point in points
    ]  # fmt: skip
    db.execute("BEGIN")
    db.executemany("INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.execute("COMMIT")
    return answer(f"{len(rows)} Data Added")


@app.get("/data")
async def read(request: Request) -> Response:
    query = request.query_params
    where, values = ["device = ?"], [request.headers["token"]]
    if query.get("variables"):
        where.append("variable = ?")
        values.append(query["variables"])
    for condition, name in (("time >= ?", "start_date"), ("time <= ?", "end_date")):
        if query.get(name):
            where.append(condition)
            values.append(datetime.fromisoformat(query[name]).timestamp())
    conditions = " AND ".join(where)
    if query.get("query") == "count":
        return answer(db.execute(f"SELECT COUNT(*) FROM data WHERE {conditions}", values).fetchone()[0])
    if query.get("query") == "last_value":
        conditions += " AND value IS NOT NULL"
    qty = 1 if query.get("query") == "last_value" else int(query.get("qty", 15))
    rows = db.execute(
        "SELECT id, device, variable, value, unit, grp, time, location, metadata FROM data "
        f"WHERE {conditions} ORDER BY time DESC LIMIT ?",
        [*values, qty],
    )
    return answer([shape(row) for row in rows])


def shape(row: tuple) -> dict:
    point = {
        "id": row[0],
        "device": row[1],
        "variable": row[2],
        "value": row[3],
        "unit": row[4],
        "group": row[5],
        "time": datetime.fromtimestamp(row[6], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "location": json.loads(row[7]) if row[7] else None,
        "metadata": json.loads(row[8]) if row[8] else None,
    }
    return {name: value for name, value in point.items() if value is not None}


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["BENCH_PORT"]), loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
