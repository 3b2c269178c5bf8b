"""Asks the deployed API over HTTPS, and compares answers with what the API's document promises."""

import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import urllib3

from chalicelib.http.answers import REQUEST_ID
from deploy import document
from deploy.live.patience import Patience

THREADS = 4
"""How many requests a burst sends at once. A new account runs ten functions at once, and others need some of them."""
_CONNECT_S = 5.0
_PREFIX = "gatewayresponse.header."


class Answer(NamedTuple):
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    text: str
    took_ms: float

    @property
    def body(self) -> dict[str, Any]:
        """The envelope, or an empty one if the text is none."""
        try:
            parsed = json.loads(self.text)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def result(self) -> Any:
        """The result of a request that succeeded. Raises Refused."""
        if self.status != 200 or "result" not in self.body:
            raise Refused(f"{self.status} {self.text[:200]}")
        return self.body["result"]


class Refused(Exception):
    """The API refused a request that should succeed."""


class Api:
    """Sends requests. TLS is verified with the system's authorities.

    Args:
        url: the base URL.
        patience: says how long an answer may take.
    """

    def __init__(self, url: str, patience: Patience) -> None:
        self._url, self._patience = url.rstrip("/"), patience
        self._pool = urllib3.PoolManager(ssl_context=ssl.create_default_context(), maxsize=THREADS)

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request.

        Args:
            method: such as GET.
            path: below the base URL.
            token: of the caller.
            body: bytes, or anything else to be sent as JSON.
            headers: others than the content type and the token.

        Raises:
            urllib3.exceptions.HTTPError: there was no answer.
            OutOfTime: the time for all checks is over.
        """
        asked = {"Content-Type": "application/json"} | ({"Token": token} if token else {}) | dict(headers or {})
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        started_s = self._patience.now_s()
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=self._patience.answer_s())
        raw = self._pool.request(
            method, self._url + path, body=sent, headers=asked, timeout=timeout, retries=False, redirect=False
        )
        took_ms = (self._patience.now_s() - started_s) * 1000
        answered = {name.lower(): value for name, value in raw.headers.items()}
        return Answer(raw.status, answered, raw.data.decode(errors="replace"), took_ms)

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()


def differences(answer: Answer, name: str) -> list[str]:
    """Return how an answer differs from an answer that the API's document defines.

    Args:
        answer: the answer.
        name: a key of ``document.GATEWAY_RESPONSES`` with a status.
    """
    promised = document.gateway_responses()[name]
    found = [] if str(answer.status) == promised["statusCode"] else [f"expected {promised['statusCode']}"]
    request_id = answer.headers.get(REQUEST_ID.lower(), "")
    for full_name, value in promised["responseParameters"].items():
        header = full_name.removeprefix(_PREFIX)
        actual = answer.headers.get(header.lower())
        if not actual:
            found.append(f"no {header}")
        elif value.startswith("'") and actual.partition(";")[0] != value.strip("'"):
            found.append(f"{header}: {actual}")
    envelope = json.loads(promised["responseTemplates"]["application/json"])
    if "request_id" in envelope:
        envelope["request_id"] = request_id
    if answer.body != envelope:
        found.append(f"body: {answer.text[:300]}")
    return found
