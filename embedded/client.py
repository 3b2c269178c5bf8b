"""A client of the API that waits when it must: for a rate, a server that restarts, or a network that is down."""

import copy
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from chalicelib.codec import jsontext, numbers
from embedded.settings import is_local

Query = Sequence[tuple[str, str | int]]
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_RATE_WAIT_S = 61.0
"""The longest wait for a rate: its limit counts by the minute."""
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
MAX_ANSWER_BYTES = 64_000_000
"""How long an answer may be when it is inflated. Those of Decant are at most 5 MB."""
ANSWER_S = 300.0
"""How long an answer may take."""
_PIECE_BYTES = 65_536
_TOO_LARGE = 413
_RETRY_AFTER = re.compile(r"Retry-After: (\d+)")


class Stopped(ValueError):
    """The work cannot be finished now. The same command resumes it."""


class Refused(Exception):
    """The server refused a request for good.

    Args:
        status: of HTTP.
        message: what the server says.
        field_errors: its reasons by field or by index, if it gives them.
    """

    def __init__(self, status: int, message: str, field_errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.field_errors = status, message, field_errors or {}

    def __str__(self) -> str:
        return f"{self.message} ({self.status})"


class Api:
    """Calls one server with one token. Threads may share it.

    Args:
        url: the address of the API, with or without a slash at its end.
        token: of a device or profile.
        patience_s: for how long a call is tried again before it fails.
        connections: how many calls there are at once; further ones wait.
        wait: waits for some seconds. What it raises ends the call.
        now_s: the time in seconds since 1970.

    Raises:
        ValueError: it is no address of HTTP, or there is no token.
    """

    def __init__(
        self, url: str, token: str, *, patience_s: float, connections: int = 1,
        wait: Callable[[float], None] = time.sleep, now_s: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        if not re.match(r"https?://[^/]", url):
            raise ValueError(f"{url!r} is no address of an API, such as https://api.example.com")
        if not token:
            raise ValueError("No token is given: use --token, or the environment variable DECANT_TOKEN")
        self.url = url.rstrip("/")
        self._patience_s, self._wait, self._now_s = patience_s, wait, now_s
        self._is_near = is_local((urllib3.util.parse_url(url).host or "").strip("[]"))
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT, maxsize=connections, block=True)
        self._take(token)

    def _take(self, token: str) -> None:
        self.token = token
        self._headers = {"Token": token, "Content-Type": "application/json"}
        self._headers |= {} if self._is_near else urllib3.make_headers(accept_encoding="gzip")
        self._free_at: dict[tuple[str, str], float] = {}
        """When a route whose rate is used up is free again, in seconds since 1970."""

    def with_token(self, token: str) -> "Api":
        """Return a client of the same server with another token, which shares the connections."""
        other = copy.copy(self)
        other._take(token)
        return other

    def call(self, method: str, path: str, *, query: Query = (), body: object = None, key: str | None = None) -> Any:
        """Call a route; return ``result``. Numbers that a float would round are ``Decimal``.

        It tries again after 429, 5xx and a lost connection: after the time that the server names, else after a
        quarter of a second, twice that, and so on up to 30 s. The caller makes sure that a call may come twice.

        Args:
            method: of HTTP.
            path: of the route.
            query: names and texts.
            body: JSON in bytes, or what is to be sent as JSON; None: no body.
            key: the ``Idempotency-Key``.

        Raises:
            Refused: the server refused it for good.
            Stopped: it has failed for ``patience_s`` seconds.
        """
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        content = body if isinstance(body, bytes | None) else jsontext.dumps(body).encode()
        until_s, wait_s = self._now_s() + self._patience_s, _FIRST_WAIT_S
        self._wait_for_rate(method, path)
        while True:
            try:
                answer = self._pool.request(
                    method, url, headers=headers, body=content, redirect=False, preload_content=False
                )
                received = content_of(answer)
            except urllib3.exceptions.HTTPError as error:
                problem, asked_s = f"{self.url} does not answer: {_reason(error)}", None
            else:
                if answer.status < 500 and answer.status != 429:
                    self._note_rate(method, path, answer.headers)
                    return _result(answer.status, received)
                problem = f"{self.url} answers {answer.status}: {_message(received) or answer.reason or 'no reason'}"
                asked_s = _asked_s(answer.headers, received)
            if self._now_s() >= until_s:
                raise Stopped(f"{problem}. The same command resumes")
            self._wait(asked_s if asked_s is not None else wait_s * random.uniform(0.5, 1))  # noqa: S311
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def pages(self, path: str, fields: Sequence[str] = (), query: Query = (), *, amount: int = 100) -> list[Any]:
        """Return all items of a list, in rising order of their creation.

        Args:
            path: of the route.
            fields: those that items shall have; empty: those that they have anyway.
            query: filters.
            amount: how many items to ask for at once.

        Raises:
            Refused, Stopped: as in ``call``.
        """
        items: list[Any] = []
        shape = [*query, *(("fields", name) for name in fields)]
        while True:
            number = len(items) // amount + 1
            first = (("page", number), ("amount", amount), ("orderBy", "created_at,asc"))
            page = self.call("GET", path, query=[*first, *shape])
            items += page
            if len(page) < amount:
                return items

    def _note_rate(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Remember until when the rate of a route is used up."""
        if headers.get("X-RateLimit-Remaining") == "0":
            reset = headers.get("X-RateLimit-Reset", "")
            if reset.isdecimal():
                self._free_at[method, path] = float(reset)

    def _wait_for_rate(self, method: str, path: str) -> None:
        free_at = self._free_at.pop((method, path), 0.0)
        wait_s = free_at - self._now_s()
        if wait_s > 0:  # at most a minute, even if the clocks differ
            self._wait(min(wait_s, _RATE_WAIT_S))


def loads(raw: bytes) -> Any:
    """Parse JSON. Raises ValueError. A number that a float would round is a ``Decimal``."""
    return numbers.loads_exact(raw) if numbers.may_be_inexact(raw) else orjson.loads(raw)


def content_of(answer: urllib3.BaseHTTPResponse) -> bytes | None:
    """Return the body of an answer that is not read yet; None if it is too long. No server can fill the memory with it.

    Raises:
        urllib3.exceptions.HTTPError: it cannot be read, or takes too long.
    """
    parts, size_bytes, end_s = list[bytes](), 0, time.monotonic() + ANSWER_S
    try:
        while piece := answer.read1(_PIECE_BYTES):
            parts.append(piece)
            size_bytes += len(piece)
            if size_bytes > MAX_ANSWER_BYTES:
                return None
            if time.monotonic() > end_s:
                raise urllib3.exceptions.TimeoutError(f"the answer takes over {ANSWER_S:.0f} s")
        answer.release_conn()
    finally:
        if not answer.closed:
            answer.close()
    return b"".join(parts)


def _result(status: int, content: bytes | None) -> Any:
    if content is None:
        raise Refused(_TOO_LARGE, f"The answer is over {MAX_ANSWER_BYTES} bytes")
    try:
        body = loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or "status" not in body:
        raise Refused(status, "This is no answer of the API: is the address right?")
    if status >= 300 or body["status"] is not True:
        raise Refused(status, str(body.get("message") or body.get("result")), _errors_of(body))
    return body.get("result")


def _errors_of(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("field_errors")
    return found if isinstance(found, dict) else {}


def _message(content: bytes | None) -> str:
    """Return what the server says; empty if it is not understood."""
    try:
        return str(loads(content or b"")["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _asked_s(headers: Mapping[str, str], content: bytes | None) -> float | None:
    """Return after how many seconds the server asks to be called again; None if it does not say."""
    text = headers.get("Retry-After", "")
    if not text.isdecimal() and (found := _RETRY_AFTER.search((content or b"").decode(errors="replace"))):
        text = found[1]
    return min(float(text), _RATE_WAIT_S) if text.isdecimal() else None


def _reason(error: Exception) -> str:
    text = str(error)
    return text.rpartition(": ")[2] or type(error).__name__
