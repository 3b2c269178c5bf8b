"""``python -m embedded export``: writes the points of a device into a file."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

from chalicelib.codec import csvtext, jsontext, times
from chalicelib.host import clock
from embedded.client import Api, Refused, Stopped
from embedded.transfer import parquet
from embedded.transfer.files import State, beside, sync, told
from embedded.transfer.pages import Cursor, Point, Range, read
from embedded.transfer.progress import Shown, counted, tell
from embedded.transfer.target import Target, find


class _Done(NamedTuple):
    """How far an export is."""

    variables: int = 0
    """How many of the named variables are done."""
    cursor: Cursor = Cursor()
    points: int = 0
    size_bytes: int = 0
    """How much of the unfinished file is valid."""


class _Format(NamedTuple):
    """How points are written while they arrive."""

    head: bytes
    write: Callable[[Sequence[Point]], bytes]


def _ndjson(points: Sequence[Point]) -> bytes:
    """Return points as lines of JSON, without the device."""
    for point in points:
        point.pop("device", None)
    return "".join([jsontext.dumps(point) + "\n" for point in points]).encode()


_NDJSON = _Format(b"", _ndjson)
_FORMATS = {
    "ndjson": _NDJSON,
    "csv": _Format(csvtext.header(has_ids=True).encode(), lambda points: csvtext.write(points, has_ids=True).encode()),
    "parquet": _NDJSON,
}
"""Parquet cannot be written in pieces that survive a kill, so it is made of the lines at the end."""


def run(given: argparse.Namespace, api: Api) -> int:
    """Write the points of a device into a file, in rising order of time; return the exit status.

    Named variables are written one after the other. The file appears, under its name, when it is complete.

    Raises:
        ValueError: a date cannot be read, or the file cannot be written.
        Stopped: the server cannot be reached or refuses.

    Cost: a request for 10,000 points, and one page in memory. Parquet needs room for the lines, too.
    """
    if given.format == "parquet":
        parquet.load()
    target = find(api, given.device)
    asked = {
        "url": api.url, "device": target.device, "format": given.format, "variables": given.variables,
        "start": given.start, "end": given.end,
    }  # fmt: skip
    try:
        to_file = given.file != "-"
        done = _into_file(given, target, Path(given.file), asked) if to_file else _into_output(given, target)
    except Refused as error:
        raise Stopped(f"The server refuses to be read: {error}") from None
    tell(f"{'the output' if given.file == '-' else given.file}: {counted(done.points, 'point')} written")
    return 0


def _into_file(given: argparse.Namespace, target: Target, path: Path, asked: dict[str, Any]) -> _Done:
    part, state = beside(path, "part"), State(beside(path, "export"))
    kept = state.read(asked=asked) if part.exists() else {}
    done = _Done(**kept["done"] | {"cursor": Cursor(*kept["done"]["cursor"])}) if kept else _Done()
    bounds = kept.get("bounds") or bounds_of(given)
    with told(path):
        if kept and part.stat().st_size >= done.size_bytes:
            tell(f"Resuming after {counted(done.points, 'point')}")
        else:
            part.touch(0o600)
            done = _Done()
        with part.open("r+b") as file:
            file.truncate(done.size_bytes)
            file.seek(done.size_bytes)

            def keep(now: _Done) -> None:
                sync(file)
                state.write(asked=asked, bounds=bounds, done=now._asdict())

            done = _write(given, target, bounds, file, done, keep)
            sync(file)
        if given.format == "parquet":
            whole = beside(path, "new")
            with part.open("rb") as lines, whole.open("wb") as made:
                parquet.write(iter(lines), made)
                sync(made)
            whole.replace(path)
            part.unlink()
        else:
            part.replace(path)
        state.remove()
    return done


def _into_output(given: argparse.Namespace, target: Target) -> _Done:
    output = sys.stdout.buffer
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile()) if given.format == "parquet" else output
        done = _write(given, target, bounds_of(given), file, _Done(), lambda _: file.flush())
        if given.format == "parquet":
            file.seek(0)
            parquet.write(iter(file), output)
        output.flush()
    return done


def _write(
    given: argparse.Namespace, target: Target, bounds: Sequence[str | None], file: IO[bytes], done: _Done,
    keep: Callable[[_Done], None],
) -> _Done:  # fmt: skip
    """Write the points that are not done yet. ``keep`` is called after each page."""
    form, variables = _FORMATS[given.format], given.variables or [None]
    size_bytes = done.size_bytes
    if not size_bytes:
        size_bytes += file.write(form.head)
    with Shown(f"Exporting to {given.file}") as shown:
        total = _count(target, bounds, given.variables) if shown.is_bar else None
        for number in range(done.variables, len(variables)):
            what = Range(target.path, bounds[0], bounds[1], variables[number])
            for page, cursor in read(target.api, what, done.cursor):
                size_bytes += file.write(form.write(page))
                done = _Done(number, cursor, done.points + len(page), size_bytes)
                keep(done)
                shown.step(done.points, total, counted(done.points, "point"))
            done = done._replace(variables=number + 1, cursor=Cursor())
    return done


def bounds_of(given: argparse.Namespace) -> list[str | None]:
    """Return start and end as absolute times, so that they stay the same if the export is resumed."""
    bounds: list[str | None] = []
    for text, name in ((given.start, "start"), (given.end, "end")):
        try:
            bound_ms = text and times.parse_bound(text, now_ms=clock.now_ms(), is_end=name == "end")
        except ValueError as error:
            raise ValueError(f"--{name} {text!r} {error}: {times.BOUND_FORMS}") from None
        bounds.append(times.to_iso(bound_ms) if bound_ms is not None else None)
    return bounds


def _count(target: Target, bounds: Sequence[str | None], variables: Sequence[str] | None) -> int | None:
    """Return how many points there are; None if the server does not say."""
    query = [("query", "count"), *(("variables", name) for name in variables or ())]
    query += [(name, bound) for name, bound in zip(("start_date", "end_date"), bounds, strict=True) if bound]
    count = target.api.call("GET", target.path, query=query)
    return count if isinstance(count, int) else None
