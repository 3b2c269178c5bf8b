"""Stores the points of a file, a batch at each step."""

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from chalicelib import errors
from chalicelib.codec import csvtext, times
from chalicelib.host import clock
from chalicelib.host import files as host
from chalicelib.schemas.points import Sent
from chalicelib.services.devices import files
from chalicelib.services.points import expiry, rules, send
from chalicelib.store import Doc

MAX_ROWS = 1_000_000
BATCH_ROWS = 500
BATCH_BYTES = 262_144
"""What is read at once. No row may be longer."""
MAX_PROBLEMS = 20
"""How many rows that are no points the job names. All are counted."""


class Batch(NamedTuple):
    """Rows of a file, ready to be stored."""

    job: Doc
    """The job when they are stored."""
    prepared: send.Prepared | None
    """None: none of the rows is a point."""


def take(job: Doc, device: Doc) -> Batch:
    """Read and check the next rows. It uses no store but the file's.

    Rows that are no points, or outside of the window of an immutable device, are counted and left out.

    Args:
        job: with ``offset`` and ``line`` up to which rows are stored, ``columns``, ``points``, ``refused`` and
            ``problems``.
        device: the device that gets the points.

    Raises:
        errors.BadRequest: the file is no CSV from here on, has no usable first line, or too many rows.
    """
    content = host.current().read(files.key_of(job["profile"], job["path"]), job["offset"], BATCH_BYTES)
    lines = _Lines(content, is_end=job["offset"] + len(content) >= job["size"])
    try:
        return _batch(job, device, content, lines)
    except ValueError as error:
        raise errors.BadRequest(f"{error} (lines are counted from line {job['line'] + 1} on)") from None


class _Lines:
    """The complete lines of a piece of a file."""

    def __init__(self, content: bytes, *, is_end: bool) -> None:
        self.size, self.is_end = len(content), is_end
        self.given = 0
        """How many bytes of it were given out."""
        self.is_over = False
        self._content = io.BytesIO(content)

    def __iter__(self) -> Iterator[str]:
        for line in self._content:
            if not (line.endswith(b"\n") or self.is_end):
                break
            self.given += len(line)
            yield line.decode()
        self.is_over = True


def _batch(job: Doc, device: Doc, content: bytes, lines: _Lines) -> Batch:
    columns, taken, offset, line = job["columns"], list[csvtext.Row](), 0, 0
    try:
        for number, cells in csvtext.rows(lines):
            offset, line = lines.given, number
            if columns is None:
                columns = csvtext.columns_of(cells)
                continue
            taken.append(csvtext.row(cells, columns, job["line"] + number))
            if len(taken) == BATCH_ROWS:
                break
    except ValueError:
        if lines.is_end or not lines.is_over or not offset:  # else a quote ends behind this piece
            raise
    if not offset:
        offset, line = _empty_lines(job, content, lines)
    columns = columns or csvtext.columns_of([])
    if lines.is_over and lines.is_end:
        offset = lines.size
    rows = job["rows"] + len(taken)
    if rows > MAX_ROWS:
        raise errors.BadRequest(f"The file has over {MAX_ROWS} rows: the first {job['points']} points are stored")
    items, problems = _checked(taken, device, job["since_ms"])
    problems = [*job["problems"], *problems][:MAX_PROBLEMS]
    after = {
        **job, "columns": columns, "offset": job["offset"] + offset, "line": job["line"] + line, "rows": rows,
        "refused": job["refused"] + len(taken) - len(items), "problems": problems, "points": job["points"] + len(items),
    }  # fmt: skip
    after["status"] = "done" if after["offset"] >= job["size"] else "running"
    raw = ",".join(columns).encode() + b"\n" + content[:offset]
    return Batch(after, _prepare(job, device, Sent(items, raw)) if items else None)


def _empty_lines(job: Doc, content: bytes, lines: _Lines) -> tuple[int, int]:
    """Return the bytes and the number of lines that hold no row. Raises ValueError: a line is too long."""
    if not lines.given and not lines.is_end:
        raise ValueError(f"Line {job['line'] + 1} is longer than {BATCH_BYTES} bytes")
    return lines.given, content.count(b"\n", 0, lines.given)


def _checked(rows: list[csvtext.Row], device: Doc, now_ms: int) -> tuple[list[Any], list[str]]:
    """Return the points of rows, and what is wrong with the others."""
    window, items, problems = expiry.accepted_ms(device, now_ms), [], []
    for row in rows:
        problem = row.problem or _problem(row, now_ms, window)
        if problem:
            problems.append(f"Line {row.line}: {problem}")
        else:
            items.append(row.point)
    return items, problems


def _problem(row: csvtext.Row, now_ms: int, window: tuple[int, int] | None) -> str:
    """Return why a row is no point that the device takes; empty if it is one."""
    try:
        draft = rules.draft(row.point, now_ms=now_ms, group="-")
    except ValueError as error:
        return str(error)
    if window and not window[0] <= draft.time_ms <= window[1]:
        return f"time must be between {' and '.join(times.to_iso(bound)[:10] for bound in window)}"
    return ""


def _prepare(job: Doc, device: Doc, sent: Sent) -> send.Prepared:
    """Prepare points. The same rows of the same job are a retry, so they are stored only once.

    So they are if the same file is restored again and all of its points have a time, as with any request.
    """
    arrival = send.Arrival(job["since_ms"], f"{job['id']} {job['offset']}", is_import=True)
    return send.prepare(device=device, sent=sent, now=send.Now(job["since_ms"], clock.arrival_us()), arrival=arrival)
