"""The options of ``python -m embedded import`` and ``export``."""

import argparse
import os
import sys
from pathlib import PurePath
from typing import Any

from embedded import client_options

_KINDS = {".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
_FORMATS = ("csv", "ndjson", "parquet")
_TAGOIO = "https://api.tago.io"
_INTERRUPTED = 130


def add_to(commands: Any) -> None:
    """Add the commands to those of ``python -m embedded``."""
    about = "store the points of a file, or of TagoIO, by HTTP. The same command resumes what was stopped"
    reading = commands.add_parser("import", help="store the points of a file, or of TagoIO", description=about)
    reading.add_argument("file", nargs="?", metavar="FILE", help="the file; - is the input")
    _add_common(reading)
    reading.add_argument("--device", help="the id of the device, if the token is of a profile")
    reading.add_argument(
        "--map", type=_pairs, default=[], metavar="FIELD=COLUMN,…", help="columns that have other names"
    )
    reading.add_argument("--wide", action="store_true", help="each column that is no field is a variable")
    reading.add_argument("--delimiter", default=",", type=_delimiter, metavar="CHARACTER", help="of CSV; tab is a name")
    reading.add_argument("--strict", action="store_true", help="stop at the first line that is refused")
    reading.add_argument("--errors", metavar="FILE", help="list of refused lines; by default FILE.errors.csv")
    tagoio = reading.add_argument_group("from TagoIO, with --from-tagoio instead of a file")
    tagoio.add_argument("--from-tagoio", action="store_true", help="copy devices, tags, tokens, parameters and points")
    tagoio.add_argument("--tagoio-token", default=os.environ.get("TAGOIO_TOKEN", ""), help="or TAGOIO_TOKEN")
    tagoio.add_argument("--tagoio-url", default=_TAGOIO, metavar="URL", help=f"by default {_TAGOIO}")
    tagoio.add_argument("--folder", default="tagoio-import", help="for the new tokens and what was refused")
    tagoio.add_argument("--only", action="append", default=[], metavar="ID", help="a device; can be given again")
    writing = commands.add_parser(
        "export", help="write the points of a device into a file",
        description="write the points of a device into a file, by HTTP. The same command resumes what was stopped",
    )  # fmt: skip
    writing.add_argument("file", metavar="FILE", help="the file; - is the output")
    _add_common(writing)
    writing.add_argument("--device", help="the id of the device, if the token is of a profile")
    writing.add_argument("--variables", type=lambda text: text.split(","), default=[], metavar="NAME,…")
    for parser in (tagoio, writing):
        parser.add_argument("--start", metavar="TIME", help="the first time, such as 2026-01-31 or '7 days'")
        parser.add_argument("--end", metavar="TIME", help="the last time")


def _add_common(parser: argparse.ArgumentParser) -> None:
    client_options.add_to(parser, "a device or profile")
    parser.add_argument("--format", choices=_FORMATS, help="by default, what the file's name says")
    parser.add_argument(
        "--patience", type=float, default=600, metavar="SECONDS", help="for how long to try again if the server is away"
    )


def read_from(given: argparse.Namespace) -> int:
    """Run ``import``; return the exit status. Raises ValueError."""
    if given.from_tagoio == (given.file is not None):
        raise ValueError("give either a FILE or --from-tagoio")
    if given.from_tagoio:
        from embedded.transfer import tagoio as work  # noqa: PLC0415 - the server needs none of its libraries
    else:
        from embedded.transfer import importing as work  # type: ignore[no-redef]  # noqa: PLC0415

        given.format = _format(given)
    return _run(work, given)


def write_to(given: argparse.Namespace) -> int:
    """Run ``export``; return the exit status. Raises ValueError."""
    from embedded.transfer import exporting  # noqa: PLC0415

    given.format = _format(given)
    return _run(exporting, given)


def _run(work: Any, given: argparse.Namespace) -> int:
    from embedded.client import Api  # noqa: PLC0415

    try:
        status: int = work.run(given, Api(given.url, given.token, patience_s=given.patience))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"the answer of a server is not understood ({type(error).__name__}: {error})") from error
    except KeyboardInterrupt:
        print("Stopped. The same command resumes", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered cannot be written at the end
        print("Stopped: nobody reads the output any more", file=sys.stderr)
        return 1
    return status


def _format(given: argparse.Namespace) -> str:
    kind: str | None = given.format or _KINDS.get(PurePath(given.file).suffix.lower())
    if kind is None:
        raise ValueError(f"the name {given.file} does not say the format: use --format {' or '.join(_FORMATS)}")
    return kind


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and equals and column for name, equals, column in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} must be FIELD=COLUMN,FIELD=COLUMN")
    return [(name, column) for name, _, column in pairs]


def _delimiter(text: str) -> str:
    text = "\t" if text == "tab" else text
    if len(text) != 1:
        raise argparse.ArgumentTypeError("must be one character, or tab")
    return text
