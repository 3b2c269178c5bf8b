"""Reads and writes points as Parquet, exactly. Needs pyarrow, which is installed apart.

The columns of a file that is written: ``id``, ``time`` (milliseconds, UTC), ``variable``, ``value`` (a double),
``text`` and ``boolean`` (values of these types), ``exact`` (the digits of a number that the double does not give),
``unit``, ``group``, ``location`` and ``metadata`` (JSON).
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, Any

from chalicelib.codec import jsontext, numbers, times
from embedded.client import loads

_ROWS = 10_000
_MISSING = "Parquet needs pyarrow: pip install --require-hashes -r requirements-parquet.txt"


def load() -> tuple[Any, Any]:
    """Return pyarrow and its module for Parquet. Raises ValueError: it is not installed."""
    try:
        import pyarrow  # noqa: PLC0415 - an extra, and large
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ValueError(_MISSING) from None
    return pyarrow, pyarrow.parquet


def write(lines: Iterator[bytes], file: IO[bytes]) -> None:
    """Write points, each as its JSON, as Parquet.

    Raises:
        ValueError: pyarrow is missing.

    Cost: 10,000 points in memory.
    """
    arrow, parquet = load()
    texts = ("variable", "text", "exact", "unit", "group", "location", "metadata")
    types = {
        "id": arrow.string(), "time": arrow.timestamp("ms", "UTC"), "value": arrow.float64(), "boolean": arrow.bool_(),
        **dict.fromkeys(texts, arrow.string()),
    }  # fmt: skip
    order = ("id", "time", "variable", "value", "text", "boolean", "exact", "unit", "group", "location", "metadata")
    table = arrow.schema([(name, types[name]) for name in order])
    with parquet.ParquetWriter(file, table, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for line in lines:
            rows.append(_row(loads(line)))
            if len(rows) == _ROWS:
                writer.write_batch(arrow.RecordBatch.from_pylist(rows, table))
                rows.clear()
        writer.write_batch(arrow.RecordBatch.from_pylist(rows, table))


def columns(file: IO[bytes]) -> list[str]:
    """Return the names of the columns. Raises ValueError: it is no Parquet, or pyarrow is missing."""
    arrow, parquet = load()
    try:
        return list(parquet.ParquetFile(file).schema_arrow.names)
    except arrow.ArrowInvalid as error:
        raise ValueError(f"The file is no Parquet: {error}") from None


def rows(file: IO[bytes]) -> Iterator[tuple[int, list[Any]]]:
    """Yield the rows, each with its number from 1."""
    _, parquet = load()
    number = 0
    for batch in parquet.ParquetFile(file).iter_batches(batch_size=_ROWS):
        for row in zip(*(_cells(column) for column in batch.columns), strict=True):
            number += 1
            yield number, list(row)


def point(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a point. Raises ValueError: a cell has a type that a point has not."""
    made = {name: row.get(name) for name in ("variable", "unit", "group", "time", "location", "metadata")}
    for name in ("location", "metadata"):
        text = made[name]
        if isinstance(text, str):
            made[name] = loads(text.encode())
    given = (row.get(name) for name in ("text", "boolean", "value"))
    value = next((cell for cell in given if cell is not None), None)
    made["value"] = _number(value) if isinstance(value, float) else value
    if row.get("exact") is not None:
        made["value"] = numbers.parse(row["exact"])
    return {name: cell for name, cell in made.items() if cell is not None}


def _row(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point as a row."""
    value = point.get("value")
    row = {name: point.get(name) for name in ("id", "variable", "unit", "group")}
    row["time"] = times.to_datetime(times.parse_time(point["time"]))
    for name in ("location", "metadata"):
        row[name] = jsontext.dumps(point[name]) if name in point else None
    if isinstance(value, bool):
        row["boolean"] = value
    elif isinstance(value, str):
        row["text"] = value
    elif value is not None:
        row["value"] = float(value)
        exact = jsontext.dumps(value)
        row["exact"] = None if jsontext.dumps(_number(float(value))) == exact else exact
    return row


def _number(double: float) -> float | int:
    """Return the number that a double stands for: whole ones are whole."""
    return int(double) if double.is_integer() and abs(double) < 2**53 else double


def _cells(column: Any) -> list[Any]:
    """Return a column as Python's objects; times as text, and what pandas writes for a missing number as None."""
    cells: list[Any] = column.to_pylist()
    first = next((cell for cell in cells if cell is not None), None)
    if isinstance(first, datetime):
        return [cell and times.to_iso(times.from_datetime(cell)) for cell in cells]
    if isinstance(first, float):
        return [None if cell is not None and math.isnan(cell) else cell for cell in cells]
    return cells
