"""Logs one structured line for each request. It never holds a token, a value or a body."""

import sys
from collections.abc import Callable
from typing import Any

import orjson
from chalice.app import Request

from chalicelib.host.slot import Slot


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _stdout() -> Callable[[str], object]:
    return _to_stdout


_slot = Slot(_stdout)
"""Takes each line, including the newline. The standard logging module would cost ten times as much."""
use = _slot.use


def facts(request: Request) -> dict[str, Any]:
    """Return the extra facts of this request's line, such as its number of points. Callers add to the dictionary."""
    extra: dict[str, Any] = request.context.setdefault("decant", {})
    return extra


def request(event: Request, status: int, elapsed_ms: float) -> None:
    """Write the line of a finished request."""
    context = event.context
    written: dict[str, Any] = {
        "request_id": context.get("requestId"),
        "method": event.method,
        "route": event.path,
        "status": status,
        "ms": round(elapsed_ms, 2),
    }
    written.update(facts(event))
    _write(written)


def line(**written: Any) -> None:
    """Write a line about the work of a function that no HTTP request called."""
    _write(written)


def _write(written: dict[str, Any]) -> None:
    _slot.current()(orjson.dumps(written, option=orjson.OPT_APPEND_NEWLINE).decode())
