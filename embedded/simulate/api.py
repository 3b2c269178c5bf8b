"""The API as a client sees it, at any base URL."""

import json
import threading
from typing import Any
from urllib.parse import urlencode

import urllib3

from embedded.transfer.api import content_of

_ATTEMPTS = 5
_WAIT_S = 60.0
_TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)


class Failed(ValueError):
    """The API refused a request, or cannot be reached."""


class Stopped(Exception):
    """The user has ended the program while a request waited."""


class Api:
    """Sends requests, and waits if the API says so.

    Args:
        url: the base URL.
        stop: is set when the program must end.
        connections: how many requests there are at once.
    """

    def __init__(self, url: str, stop: threading.Event, connections: int) -> None:
        self._url, self._stop = url.rstrip("/"), stop
        self._pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False, timeout=_TIMEOUT)
        self.waits = 0
        """How often it has waited for a rate limit, or for a server that was not ready."""

    def call(self, method: str, path: str, token: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """Return the result of a request. Its points carry their times, so sending it again doubles nothing.

        Raises:
            Failed: it was refused, or the server did not answer five times.
            Stopped: the program ends.
        """
        url = self._url + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Token": token, "Content-Type": "application/json"}
        content, problem = None if body is None else json.dumps(body).encode(), ""
        for attempt in range(_ATTEMPTS):
            wait_s = 0.5 * 2**attempt
            try:
                answer = self._pool.request(
                    method, url, body=content, headers=headers, redirect=False, preload_content=False
                )
                received = content_of(answer) or b""
                if answer.status not in (429, 502, 503, 504):
                    return _result(answer.status, received, path)
                problem = f"{answer.status} {_message(received)}"
                wait_s = _seconds(answer.headers.get("Retry-After"), wait_s)
            except urllib3.exceptions.HTTPError as error:
                problem = str(error)
            self.waits += 1
            if self._stop.wait(wait_s):
                raise Stopped
        raise Failed(f"{method} {path}: {problem}")


def _seconds(text: str | None, otherwise: float) -> float:
    return min(float(text), _WAIT_S) if text and text.isdecimal() else otherwise


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return "without a message"


def _result(status: int, content: bytes, path: str) -> Any:
    if status >= 300:
        raise Failed(f"{path}: {status} {_message(content)}")
    try:
        return json.loads(content)["result"]
    except (ValueError, KeyError, TypeError):
        raise Failed(f"{path}: {status}, but no answer of this API") from None
