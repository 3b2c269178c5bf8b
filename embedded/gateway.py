"""Replaces API Gateway: an ASGI application that turns a request into a proxy event and calls the Chalice app.

The app runs in the event loop's thread only. Chalice keeps the current request in one attribute, so in threads one
tenant would see another's request. Long reads go on in threads, after the app has given them up. An answer is sent only
after everything that its request wrote or read is safe.
"""

import asyncio
import base64
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import chalice.app
from chalice.app import Response

from chalicelib import errors, settings
from chalicelib.host import events, log
from chalicelib.http import answers
from chalicelib.http.answers import Postponed
from embedded import compression, measured, request_ids
from embedded.commits import GroupCommit
from embedded.events import Receive, Send, until_gone
from embedded.router import Router
from embedded.workers import Workers

_MAX_FIELDS = 1_001
_SHOWN_CHARS = 1_000
"""How many characters of a body the inspector shows."""
_LOOPBACK = ("127.0.0.1", "::1")
_NO_FACTS: dict[str, Any] = {}

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
Scope = dict[str, Any]


def remember_content_types() -> None:
    """Cache Chalice's comparison of content types: its two calls a request take a tenth of the request's time."""
    inner: Any = chalice.app
    bare = inner._matches_content_type

    @lru_cache(maxsize=256)
    def remembered(content_type: str, valid: tuple[str, ...]) -> bool:
        return bool(bare(content_type, [*valid]))

    inner._matches_content_type = lambda content_type, valid: remembered(content_type, tuple(valid))


class Part(Protocol):
    """A part of the server that answers requests without the app."""

    def row(self, scope: Scope) -> str | None:
        """Return the row of a request, for the metrics; None: the request is not for this part."""

    async def answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> Response | int:
        """Return the answer, or the status of one that this part has sent."""


class Gateway:
    """The ASGI application.

    Args:
        app: the Chalice app, called with proxy events.
        resources: its routes, such as ``/device/{device_id}``.
        commits: the group commit; an answer waits for it.
        workers: threads for long reads; None: the loop does them.
        parts: what answers requests before the app: the first one whose request it is.
    """

    def __init__(
        self,
        app: Handler,
        resources: Iterable[str],
        commits: GroupCommit,
        workers: Workers | None = None,
        parts: Sequence[Part] = (),
    ) -> None:
        self._app = app
        self._router = Router(resources)
        self._commits = commits
        self._workers = workers
        self._parts = parts
        self._prefix = urlsplit(settings.current().url).path.rstrip("/")
        """What the path of the API begins with for clients, if a proxy takes it away."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id, began_s, group = request_ids.new(), time.perf_counter(), 0
        part = self._part(scope)
        try:
            if part is None:
                answer, group = await self._answer(scope, receive, request_id)
            else:
                response = await part.answer(scope, receive, send, request_id)
                if isinstance(response, int):
                    measured.answered(scope["method"], scope["row"], response)
                    return
                answer = _complete(response, request_id)
        except _Gone:
            measured.answered(scope["method"], scope["row"], 499)
            return
        if not await self._commits.wait(group):
            answer = _not_kept(scope, request_id)
        content, headers = answer["body"].encode(), answer["headers"]
        encoding: tuple[tuple[bytes, bytes], ...] = ()
        if content and "Accept-Encoding" in headers.get("Vary", ""):
            content, encoding = await compression.compress(content, scope["headers"])
        headers.pop(answers.REQUEST_ID, None)  # the rest is cached
        remaining = headers.pop(answers.RATE_REMAINING, None)
        raw = [
            *_encode(tuple(headers.items())),
            *encoding,
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(content)),
        ]
        if remaining is not None:
            raw.append((b"x-ratelimit-remaining", remaining.encode()))
        await send({"type": "http.response.start", "status": answer["statusCode"], "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
        measured.answered(scope["method"], scope["row"], answer["statusCode"], time.perf_counter() - began_s)

    def _part(self, scope: Scope) -> Part | None:
        """Return what answers a request; None: the app. ``scope["row"]`` is set, for the metrics."""
        for part in self._parts:
            row = part.row(scope)
            if row is not None:
                scope["row"] = row
                return part
        scope["row"] = measured.NO_ROW
        return None

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> tuple[dict[str, Any], int]:
        """Return the answer, and the transaction that must be safe before it is sent; 0: none.

        Raises:
            _Gone: the client went away while a long read was running.
        """
        route = self._router.find(scope["raw_path"].decode("latin-1"))
        if route is None:
            return _failed(scope, request_id, "Route Not Found", 404), 0
        scope["row"] = route[0]
        if scope["method"] == "OPTIONS":
            log.answered(200, request_id=request_id, method="OPTIONS", route=route[0])
            return _complete(answers.preflight(), request_id), 0
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = (await receive())["body"]
        try:
            query = _query(scope["query_string"])
        except ValueError:
            return _failed(scope, request_id, "Error on Query String parameters: too many", 400), 0
        event = self._event(scope, route, headers, query, body, request_id)
        mark = self._commits.watch()
        answer = self._app(event, None)
        facts = event["requestContext"].get("decant", _NO_FACTS)
        group = self._commits.needed(mark, facts)
        if "postponed" in answer:
            answer, group = await self._finish(scope, request_id, answer["postponed"], group, facts, receive)
        device = facts.get("device")
        if device is not None:
            content = f"{answer['statusCode']} {(event['body'] or '')[:_SHOWN_CHARS]}"
            events.current().seen(device, f"[HTTP] {scope['method']} {scope['path']}", content)
        return answer, group

    async def _finish(
        self,
        scope: Scope,
        request_id: str,
        postponed: Postponed | None,
        group: int,
        facts: dict[str, Any],
        receive: Receive,
    ) -> tuple[dict[str, Any], int]:
        """Finish a request that takes long, while others are answered."""
        answer: dict[str, Any] = {}
        while postponed is not None:
            if not await self._commits.wait(group):
                return _not_kept(scope, request_id), 0
            try:
                await self._work(facts.get("profile", ""), postponed, receive)
            except errors.Unavailable as error:
                return _failed(scope, request_id, error.message, error.status, {"Retry-After": "1"}), 0
            mark = self._commits.watch()
            answer = postponed.finish().to_dict()
            # What a thread has read may be newer than the last transaction that is safe.
            group = self._commits.newest if postponed.is_read else self._commits.needed(mark, facts)
            postponed = answer.get("postponed")
        return answer, group

    async def _work(self, profile: str, postponed: Postponed, receive: Receive) -> None:
        """Do the work of an answer in a thread, or give others a turn. Raises errors.Unavailable, _Gone."""
        if postponed.work is None:
            await asyncio.sleep(0)
        elif self._workers is None:
            postponed.work()
        elif not await self._workers.run(
            profile, postponed, functools.partial(until_gone, receive) if postponed.is_read else _never
        ):
            log.answered(499, profile=profile, reason="the client went away")
            raise _Gone

    def _event(
        self,
        scope: Scope,
        route: tuple[str, dict[str, str]],
        headers: dict[str, str],
        query: dict[str, list[str]] | None,
        body: bytes,
        request_id: str,
    ) -> dict[str, Any]:
        text, is_base64 = "", "content-encoding" in headers  # a body in text counts as inflated
        if not is_base64:
            try:
                text = body.decode()
            except UnicodeDecodeError:
                is_base64 = True
        if is_base64:
            text = base64.b64encode(body).decode()
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return {
            "resource": route[0],
            "path": scope["path"],
            "httpMethod": method,
            "headers": headers,
            "multiValueQueryStringParameters": query,
            "pathParameters": route[1],
            "stageVariables": None,
            "requestContext": {
                "resourcePath": route[0],
                "httpMethod": method,
                "path": self._prefix + scope["path"],
                "requestId": request_id,
                "identity": {"sourceIp": _address(scope)},
                "headers": headers,  # ``requests.headers`` reads them from here; ASGI's names are in lower case
            },
            "body": text or None,
            "isBase64Encoded": is_base64,
        }


def _address(scope: Scope) -> str:
    """Return the address of the client. A proxy on this machine names it last in ``X-Forwarded-For``."""
    address = str((scope.get("client") or ("",))[0])
    if address in _LOOPBACK:
        for name, value in reversed(scope["headers"]):
            if name == b"x-forwarded-for":
                return str(value.rpartition(b",")[2].strip().decode("latin-1"))
    return address


@lru_cache(maxsize=256)
def _encode(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def _failed(
    scope: Scope, request_id: str, message: str, status: int, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return and log an answer that no route gives. The log does not hold the path, as the client chose it."""
    log.answered(status, request_id=request_id, method=scope["method"], reason=message)
    return _complete(answers.failed(message, status, headers), request_id)


def _not_kept(scope: Scope, request_id: str) -> dict[str, Any]:
    return _failed(scope, request_id, "The store could not keep this, try again", 503, {"Retry-After": "1"})


def _complete(response: Response, request_id: str) -> dict[str, Any]:
    """Return an answer that the app did not give."""
    answers.identify(response, request_id)
    answer: dict[str, Any] = response.to_dict()
    return answer


async def _never() -> None:
    """A body that has arrived whole is stored, whether or not the client waits for the answer."""
    await asyncio.get_running_loop().create_future()


class _Gone(Exception):
    """The client went away during a long read."""


@lru_cache(maxsize=256)
def _query(raw: bytes) -> dict[str, list[str]] | None:
    """Read a query string. The result is cached: do not change it."""
    if not raw:
        return None
    query: dict[str, list[str]] = {}
    for name, text in parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS):
        query.setdefault(name, []).append(text)
    return query
