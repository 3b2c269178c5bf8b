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
from pathlib import Path

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
INSERT = "INSERT INTO data VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
COLUMNS = "id, device, variable, value, unit, grp, time, location, metadata"
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "ne": "<>"}
SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
app = FastAPI()
db: sqlite3.Connection


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(SCHEMA)
    return connection


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
    db.executemany(INSERT, rows)
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
    kind = query.get("query")
    if kind == "conditional":
        where.append(f"value {COMPARISONS[query['function']]} ?")
        values.append(float(query["value"]))
    if kind == "last_value":
        where.append("value IS NOT NULL")
    source = f"FROM data WHERE {' AND '.join(where)}"
    if kind in ("count", "avg", "sum"):
        function = "COUNT(*)" if kind == "count" else f"{kind.upper()}(value)"
        return answer(db.execute(f"SELECT {function} {source}", values).fetchone()[0])
    if kind in ("min", "max"):  # SQLite takes the other columns of the row that has the value
        rows = db.execute(f"SELECT {COLUMNS}, {kind.upper()}(value) {source} GROUP BY variable", values)
        return answer([shape(row) for row in rows])
    if kind == "aggregate":
        return answer(buckets(source, values, SECONDS[query["interval"]], query["function"].upper()))
    qty = 1 if kind == "last_value" else int(query.get("qty", 15))
    order = "ASC" if query.get("ordination", "").startswith("asc") else "DESC"
    rows = db.execute(f"SELECT {COLUMNS} {source} ORDER BY time {order} LIMIT ?", [*values, qty])
    return answer([shape(row) for row in rows])


def buckets(source: str, values: list, seconds: int, function: str) -> list[dict]:
    rows = db.execute(
        f"SELECT variable, CAST(time AS INTEGER) / {seconds} AS bucket, {function}(value) {source} "
        "GROUP BY variable, bucket ORDER BY variable, bucket",
        values,
    )
    return [{"variable": name, "time": iso(bucket * seconds), "value": value} for name, bucket, value in rows]


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shape(row: tuple) -> dict:
    point = {
        "id": row[0],
        "device": row[1],
        "variable": row[2],
        "value": row[3],
        "unit": row[4],
        "group": row[5],
        "time": iso(row[6]),
        "location": json.loads(row[7]) if row[7] else None,
        "metadata": json.loads(row[8]) if row[8] else None,
    }
    return {name: value for name, value in point.items() if value is not None}


if __name__ == "__main__":
    db = connect(Path(os.environ["NAIVE_DB"]))
    uvicorn.run(
        app, port=int(os.environ["BENCH_PORT"]), loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
