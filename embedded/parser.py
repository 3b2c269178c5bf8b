"""``python -m embedded parser FILE --payload BODY``: runs a payload parser, and prints points, log and time.

It needs no data folder, and the server may run meanwhile.
"""

import argparse
import base64
import sys
import time
from pathlib import Path
from typing import Any

from chalicelib import errors, sandbox
from chalicelib.codec import jsontext
from chalicelib.host import clock
from chalicelib.schemas import payloads, records
from chalicelib.services.devices import parsers

_ABOUT = "run a payload parser, and print the points that would be stored"
_DEVICE = "0" * 24
_Result = tuple[list[Any], tuple[str, ...]]
"""Points, and lines for the inspector."""
_JSON_OR_TEXT, _TEXT = "", "text/plain"
"""Content types: of a body that is JSON if it can be read as such, and of one that is always a text."""


def add_to(commands: Any) -> None:
    """Add the command to those of ``python -m embedded``."""
    parser = commands.add_parser("parser", help=_ABOUT, description=_ABOUT)
    parser.add_argument("file", type=Path, metavar="FILE", help="the JavaScript")
    parser.add_argument(
        "--payload", required=True, metavar="BODY", help="what a device sends; @FILE reads a file, - the input"
    )
    parser.add_argument("--text", action="store_true", help="the body is a text, even if it looks like JSON")
    parser.add_argument("--network", action="store_true", help="run it as the parser of a network, which sets serial")
    for name, meaning in (("param", "a configuration parameter"), ("tag", "a tag")):
        parser.add_argument(
            f"--{name}", type=_pair, action="append", default=[], metavar="KEY=VALUE", help=f"{meaning} of the device"
        )


def run(arguments: argparse.Namespace) -> int:
    """Run a parser. Points go to the output, one a line; log and time to the error output. Return the exit status.

    Raises:
        ValueError: a file cannot be read, or the engine is missing.
    """
    source, body = _read(arguments.file), _body(arguments.payload)
    if len(source) > sandbox.MAX_SOURCE_BYTES:
        raise ValueError(f"{arguments.file} has {len(source)} bytes. A parser may have {sandbox.MAX_SOURCE_BYTES}")
    load_s = _load()
    started_s = time.perf_counter()
    try:
        payload = payloads.of_body(body, _TEXT if arguments.text else _JSON_OR_TEXT)
        points, notes = (_of_network if arguments.network else _of_device)(arguments, source, payload, body)
    except parsers.Failed as error:
        _tell(*error.notes, error.message)
        return 1
    except errors.ApiError as error:
        _tell(error.message)
        return 1
    took_s = time.perf_counter() - started_s
    for point in points:
        print(jsontext.dumps(point))
    count = "1 point" if len(points) == 1 else f"{len(points)} points"
    _tell(*notes, f"{count} in {took_s * 1e3:.1f} ms; the engine was loaded in {load_s * 1e3:.0f} ms")
    return 0


def _of_device(arguments: argparse.Namespace, source: bytes, payload: str, body: bytes) -> _Result:
    """Run the parser of a device."""
    params = [{"key": key, "value": value, "sent": False} for key, value in arguments.param]
    device = {"id": _DEVICE, "type": "mutable", "tags": [{"key": key, "value": value} for key, value in arguments.tag]}
    chain = parsers.Chain((parsers.Stage("device", _encoded(source)),), device, params)
    parsed = parsers.parse(chain, payload=payload, raw=body, now_ms=clock.now_ms())
    return list(parsed.sent.items), parsed.notes


def _of_network(_: argparse.Namespace, source: bytes, payload: str, __: bytes) -> _Result:
    """Run the parser of a network. The last line is the serial number."""
    now_ms = clock.now_ms()
    network = {"payload_decoder": _encoded(source)}
    found = parsers.find_serial(network=network, payload=payload, now_ms=now_ms)
    mended = records.mend(records.read(found.payload), now_ms=now_ms, window=None)
    return list(mended.items), (*found.notes, *mended.notes, f"serial: {found.serial}")


def _load() -> float:
    """Load the engine, which takes much longer than a run; return how long that took, in seconds."""
    started_s = time.perf_counter()
    try:
        sandbox.run("", payload="[]", raw_payload="[]", device="{}", budget=sandbox.Budget())
    except sandbox.Missing as error:
        raise ValueError(str(error)) from None
    return time.perf_counter() - started_s


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} must be KEY=VALUE")
    return key, value


def _body(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return _read(Path(text[1:])) if text.startswith("@") else text.encode()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None


def _encoded(source: bytes) -> str:
    return base64.b64encode(source).decode()


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)
