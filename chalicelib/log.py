"""One structured line a request. Never a token, a value or a body."""

import logging
import sys
from typing import Any

import orjson
from chalice.app import Request

logger = logging.getLogger("decant.requests")


def start() -> None:
    """Write the lines to standard output, as they are."""
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def note(request: Request, **facts: Any) -> None:
    """Add facts, such as the profile or how many points, to the request's line."""
    request.context.setdefault("decant", {}).update(facts)


def request(event: Request, status: int, elapsed_ms: float) -> None:
    """Write the line of a finished request."""
    if not logger.isEnabledFor(logging.INFO):
        return
    context = event.context
    line: dict[str, Any] = {
        "request_id": context.get("requestId"),
        "method": event.method,
        "route": event.path,
        "status": status,
        "ms": round(elapsed_ms, 2),
    }
    line |= context.get("decant", {})
    logger.info(orjson.dumps(line).decode())
