"""``python -m embedded import``: stores the points of a file."""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from chalicelib.codec import jsontext
from chalicelib.host import clock
from chalicelib.services.points import rules
from embedded.client import Api, Stopped
from embedded.transfer import sources
from embedded.transfer.files import Problems, State, beside, told
from embedded.transfer.progress import Shown, counted, tell
from embedded.transfer.sending import Checked, Sender, batches
from embedded.transfer.target import find

SOME_REFUSED = 3
"""The exit status if all is done, but some lines were refused."""


class _Counts(NamedTuple):
    """How far an import is."""

    entries: int = 0
    """How many possible points of the file are done."""
    batches: int = 0
    stored: int = 0
    sent: int = 0
    refused: int = 0
    errors_bytes: int = 0
    """The size of the list of refused lines."""


def run(given: argparse.Namespace, api: Api) -> int:
    """Store the points of a file; return the exit status: 3 if lines were refused.

    Raises:
        ValueError: the file cannot be read, or holds no points.
        Stopped: the server cannot be reached or refuses; or a line is refused and ``--strict`` is given.

    Cost: a pass over the file for its digest, then a request for 1,000 points; one batch in memory.
    """
    name = "the input" if given.file == "-" else given.file
    path = None if given.file == "-" else Path(given.file)
    target = find(api, given.device).sending()
    shape = sources.Shape(dict(given.map), given.wide, given.delimiter)
    with ExitStack() as stack:
        stack.enter_context(told(Path(name)))
        file = stack.enter_context(_seekable(path))
        key = _digest(file, (given.format, sorted(shape.columns.items()), shape.is_wide, shape.delimiter))
        state = State(path and beside(path, "import"))
        work = {"work": key, "url": api.url, "device": target.device}
        counts = _Counts(**state.read(**work).get("counts", {}))
        listed = Path(given.errors) if given.errors else path and beside(path, "errors.csv")
        problems = Problems(listed, counts.errors_bytes, counts.refused)
        stack.callback(problems.close)
        if counts.entries:
            tell(f"Resuming after {counted(counts.stored, 'point')}")
        size_bytes = os.fstat(file.fileno()).st_size
        source = sources.opened(file, given.format, shape)
        sender = Sender(target.api, target.path, problems, is_strict=given.strict)
        shown = stack.enter_context(Shown(f"Importing {name}"))
        for batch in batches(_checked(source, counts.entries, problems, given.strict), counts.entries):
            stored, sent = sender.send(batch.points, f"{key}-{counts.batches}")
            problems.flush()
            counts = _Counts(
                batch.entries, counts.batches + 1, counts.stored + stored, counts.sent + sent, problems.count,
                problems.size_bytes,
            )  # fmt: skip
            state.write(**work, counts=counts._asdict())
            shown.step(file.tell(), size_bytes, counted(counts.stored, "point"))
    state.remove()
    tell(_summary(name, counts, problems))
    return SOME_REFUSED if counts.refused else 0


def _checked(source: sources.Source, done: int, problems: Problems, is_strict: bool) -> Iterator[Checked | None]:
    """Yield the points that keep the rules of the API; None for what is refused, which is listed."""
    now_ms = clock.now_ms()
    for line, entry in islice(source.entries, done, None):
        try:
            yield check(line, source.point(entry), now_ms)
        except (TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, ValueError) else "a text is not UTF-8"
            if is_strict:
                raise Stopped(f"Line {line}: {reason}") from None
            problems.add(line, reason)
            yield None


def check(where: object, point: dict[str, Any], now_ms: int) -> Checked:
    """Return a point, ready to be sent.

    Args:
        where: where it comes from.
        point: as the API takes it.
        now_ms: the present, for points without a time.

    Raises:
        ValueError: it breaks a rule of the API.
        TypeError: a text cannot be written as UTF-8.
    """
    time_ms = rules.draft(point, now_ms=now_ms, group="-").time_ms
    is_timed = point.get("time") not in (None, "")
    return Checked(where, time_ms if is_timed else None, jsontext.dumps(point).encode())


def _seekable(path: Path | None) -> IO[bytes]:
    """Return the open file; of the input, a copy, as it is read twice."""
    if path is not None:
        return path.open("rb")
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, copy)
    copy.seek(0)
    return copy


def _digest(file: IO[bytes], how: object) -> str:
    """Return a text that is equal for equal content that is read in the same way."""
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    digest.update(repr(how).encode())
    file.seek(0)
    return digest.hexdigest()


def _summary(name: str, counts: _Counts, problems: Problems) -> str:
    text = f"{name}: {counted(counts.stored, 'point')} stored"
    if counts.sent > counts.stored:
        text += f"; {counted(counts.sent - counts.stored, 'point')} alike in all fields, stored once"
    if counts.refused:
        text += f"; {counted(counts.refused, 'line')} refused"
        text += f", listed in {problems.path}" if problems.path else ""
    return text
