"""Logs one structured line for each request. It never holds a token, a value or a body."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any

import orjson
from chalice.app import Request

from chalicelib import errors
from chalicelib.codec import times
from chalicelib.host import clock
from chalicelib.host.slot import Slot

_SHORTEST = 4
"""Constants with fewer characters tell nothing, and would occur by chance in what a client sent."""


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


def request(event: Request, status: int, elapsed_ns: int) -> None:
    """Write the line of a finished request."""
    context = event.context
    written: dict[str, Any] = {
        "time": _now(),
        "level": _level(status),
        "request_id": context.get("requestId"),
        "method": event.method,
        "route": event.path,
        "status": status,
        "ms": elapsed_ns // 10_000 / 100,
    }
    written.update(facts(event))
    _slot.current()(_dumped(written))


def answered(status: int, **written: Any) -> None:
    """Write the line of an answer that no route gave."""
    line(_level(status), status=status, **written)


def line(level: str = "info", /, **written: Any) -> None:
    """Write a line about the work of a function that no HTTP request called."""
    _slot.current()(_dumped({"time": _now(), "level": level, **written}))


def text(level: str, /, **written: Any) -> str:
    """Return the text of a line, with its newline."""
    return _dumped({"time": _now(), "level": level, **written})


def _now() -> str:
    """Return the time as in the API. Most lines are of the same second as the line before."""
    second, millisecond = divmod(clock.now_ms(), 1000)
    return f"{_second(second)}.{millisecond:03}Z"


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return times.to_iso(second * 1000)[:-5]


def _level(status: int) -> str:
    return "info" if status < 400 else "warning" if status < 500 else "error"


def _dumped(written: dict[str, Any]) -> str:
    return orjson.dumps(written, option=orjson.OPT_APPEND_NEWLINE).decode()


def reason(error: Exception) -> str:
    """Return why something was refused, without anything that the client may have sent.

    Only those parts of the message are kept that are constants of the code that raised the error.

    >>> sent = "a secret"
    >>> try:
    ...     raise errors.BadRequest(f"qty must be a number, not {sent!r}")
    ... except errors.BadRequest as error:
    ...     reason(error)
    'qty must be a number, not …'
    """
    if isinstance(error, errors.ApiError) and error.reason is not None:
        return error.reason
    message = str(error)
    ours = {text for text in _constants(error) if len(text) >= _SHORTEST and text in message}
    if not ours:
        return type(error).__name__
    parts = re.split(f"({'|'.join(map(re.escape, sorted(ours, key=len, reverse=True)))})", message)
    parts[::2] = ["…" if part else "" for part in parts[::2]]
    return "".join(parts)


def cause(error: BaseException) -> str:
    """Return the code that AWS or SQLite gives the cause of an error, or the name of its type: a text may hold data."""
    while isinstance(error, errors.ApiError) and error.__cause__ is not None:
        error = error.__cause__
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or getattr(error, "sqlite_errorname", type(error).__name__))


def _constants(error: BaseException) -> Iterator[str]:
    """Yield the texts in the code of every function that the error, or an error behind it, came through."""
    cause: BaseException | None = error
    while cause is not None:
        trace: TracebackType | None = cause.__traceback__
        while trace is not None:
            yield from (text for text in trace.tb_frame.f_code.co_consts if isinstance(text, str))
            trace = trace.tb_next
        cause = cause.__context__
