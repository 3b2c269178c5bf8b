"""Reads points from files: CSV, NDJSON and Parquet, line by line."""

import csv
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple, cast

from chalicelib import errors
from chalicelib.codec import csvtext, jsontext
from chalicelib.schemas import points as schema
from embedded.client import loads
from embedded.transfer import parquet

_OF_ROW = ("time", "group", "unit", "location", "metadata")
"""Columns of a wide table that belong to all points of a row."""


class Shape(NamedTuple):
    """How the columns of a file become points."""

    columns: Mapping[str, str] = {}
    """The name in the file by field; fields that are not named have their own name."""
    is_wide: bool = False
    """Whether each column that is no field is a variable, and its cells are values."""
    delimiter: str = ","

    def field(self, column: str) -> str:
        """Return the field, or the variable of a wide table, that a column of the file holds."""
        name = column.strip()
        fields = {of_file: field for field, of_file in self.columns.items()}
        return fields.get(name) or (name.lower() if name.lower() in csvtext.COLUMNS else name)


class Source(NamedTuple):
    """A file of points."""

    entries: Iterator[tuple[int, Any]]
    """Each possible point as it was read, with the number of its line, or of its row in Parquet."""
    point: Callable[[Any], dict[str, Any]]
    """Returns an entry as the API takes it. Raises ValueError: it is no point."""


def opened(file: IO[bytes], kind: str, shape: Shape) -> Source:
    """Return the source that reads an open file.

    Args:
        file: the file; Parquet must be able to seek.
        kind: csv, ndjson or parquet.
        shape: how its columns become points.

    Raises:
        ValueError: the file has no header, or lacks a column that the shape names.

    Cost: a line in memory; of Parquet 10,000 rows.
    """
    if kind == "ndjson":
        return Source(_lines(file), lambda line: _from_json(line, shape))
    if kind == "parquet":
        columns = _fields(parquet.columns(file), shape)
        return Source(_entries(parquet.rows(file), columns, shape), _from_parquet)
    reader = csv.reader(map(_text, file), delimiter=shape.delimiter, strict=True)
    columns = _fields(_header(reader), shape)
    return Source(_entries(_rows(reader), columns, shape), _from_csv)


def _text(line: bytes) -> str:
    """Return a line as text. What is not UTF-8 becomes text that no point may hold."""
    return line.decode(errors="surrogateescape")


def _header(reader: Any) -> list[str]:
    """Return the cells of the first line, without a byte order mark. Raises ValueError: it is no CSV."""
    try:
        first, *others = next(reader, None) or [""]
    except csv.Error as error:
        raise ValueError(f"The first line is no CSV: {error}") from None
    return [first.removeprefix("\ufeff"), *others]


def _fields(columns: list[str], shape: Shape) -> list[str]:
    """Return the fields, or variables of a wide table, of columns. Raises ValueError: one is missing or there twice."""
    fields = [shape.field(name) for name in columns]
    wanted = {*shape.columns} | (set() if shape.is_wide else {"variable"})
    if missing := sorted(wanted - {*fields}):
        raise ValueError(
            f"There is no column for {', '.join(missing)}. The file has {', '.join(columns) or 'none'}: "
            "name the columns with --map, or use --wide if each column is a variable"
        )
    if twice := sorted({name for name in fields if name and fields.count(name) > 1}):
        raise ValueError(f"Two columns are called {twice[0]}: name the right one with --map")
    return fields


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, line


def _from_json(line: bytes, shape: Shape) -> dict[str, Any]:
    if line.lstrip()[:1] != b"{":
        raise ValueError("the line must be a JSON object")
    if shape.columns:
        given = loads(line)
        line = jsontext.dumps({shape.field(name): value for name, value in given.items()}).encode()
    return typed(line)


def typed(text: bytes) -> dict[str, Any]:
    """Read a point from its JSON. Raises ValueError: a field has another type; other fields are left out."""
    try:
        return dict(schema.read_points(text).items[0])
    except errors.ApiError as error:
        raise ValueError(error.message) from None


def _rows(reader: Any) -> Iterator[tuple[int, Any]]:
    """Yield the cells of CSV with the number of the line where they begin, or the reason why there are none."""
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, ValueError(f"up to line {reader.line_num} it is no CSV: {error}")
            continue
        if cells:
            yield number, cells


def _entries(rows: Iterator[tuple[int, Any]], columns: list[str], shape: Shape) -> Iterator[tuple[int, Any]]:
    """Yield names and cells of each row; of a wide table, of each cell that is not empty."""
    common = [index for index, name in enumerate(columns) if name in _OF_ROW]
    names = ["variable", "value", *(columns[index] for index in common)]
    for number, cells in rows:
        if isinstance(cells, ValueError):
            yield number, cells
        elif not shape.is_wide or len(cells) > len(columns):  # which no row may have: it becomes no point
            yield number, (columns, cells)
        else:
            shared = [cells[index] for index in common if index < len(cells)]
            for index, cell in enumerate(cells):
                if index not in common and columns[index] and cell not in (None, ""):
                    yield number, (names, [columns[index], cell, *shared])


def _from_csv(entry: Any) -> dict[str, Any]:
    columns, cells = _cells_or_raise(entry)
    row = csvtext.row(cells, [name if name in csvtext.COLUMNS else "" for name in columns], 0)
    if row.problem:
        raise ValueError(row.problem)
    return row.point


def _from_parquet(entry: Any) -> dict[str, Any]:
    columns, cells = _cells_or_raise(entry)
    return typed(jsontext.dumps(parquet.point(dict(zip(columns, cells, strict=False)))).encode())


def _cells_or_raise(entry: Any) -> tuple[list[str], list[Any]]:
    if isinstance(entry, ValueError):
        raise entry
    return cast(tuple[list[str], list[Any]], entry)
