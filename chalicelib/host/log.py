"""One structured line a request. Never a token, a value or a body."""

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
"""Takes each line, with its end. The standard logging module would cost ten times as much."""
use = _slot.use


def note(request: Request, **facts: Any) -> None:
    """Add facts, such as the profile or how many points, to the request's line."""
    request.context.setdefault("decant", {}).update(facts)


def request(event: Request, status: int, elapsed_ms: float) -> None:
    """Write the line of a finished request."""
    context = event.context
    facts: dict[str, Any] = {
        "request_id": context.get("requestId"),
        "method": event.method,
        "route": event.path,
        "status": status,
        "ms": round(elapsed_ms, 2),
    }
    line(**facts, **context.get("decant", {}))


def line(**facts: Any) -> None:
    """Write a line: what a request or a function did."""
    _slot.current()(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE).decode())
