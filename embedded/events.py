"""The event stream: sends stored points and device activity to the listeners of ``GET /events``, as they happen.

Source: TagoIO's clients: channels ``device_data.<id>`` and ``device_inspector.<id>``, a comment every five seconds.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
from chalice.app import Response

from chalicelib import errors
from chalicelib.codec import keys, segments, times, tokens
from chalicelib.codec.segment import Item
from chalicelib.host import clock, log
from chalicelib.http import answers
from chalicelib.services.access import callers, reach
from chalicelib.services.access.callers import Caller

PATH = "/events"
CHANNELS = ("device_data", "device_inspector")
PING_S = 5.0
MAX_LISTENERS = 1_000
MAX_PROFILE_LISTENERS = 100
MAX_CHANNELS = 100
MAX_WAITING_BYTES = 1_000_000
"""How many bytes of events may wait for one listener. A listener that reads too slowly for that is ended."""
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", answers.REQUEST_ID.encode()),
]
_PING = b":\n\n"
_TOO_SLOW = b": The stream ends here: too many events were waiting, as they were read too slowly\n\n"
Settle = Callable[[Callable[[bool], None]], None]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Listener:
    """What waits to be sent to one listener."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting_bytes = 0
        self._is_over = False
        self.must_check = False
        """Whether the right to listen may have ended."""

    def add(self, data: bytes) -> None:
        """Add an event, unless too much is waiting: then the listener is ended."""
        if self._waiting_bytes and self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
            self.end(_TOO_SLOW)
        elif not self._is_over:
            self._waiting_bytes += len(data)
            self._queue.put_nowait(data)

    def check(self) -> None:
        """Check at once whether it still may listen."""
        self.must_check = True
        self._queue.put_nowait(b"")

    def end(self, last: bytes = b"") -> None:
        """End the stream after one last text. What is waiting is dropped."""
        self._is_over = True
        self._waiting_bytes = 0
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(last)
        self._queue.put_nowait(None)

    async def next(self) -> bytes | None:
        """Wait for the next text to send; None: there is no more."""
        try:
            data = await asyncio.wait_for(self._queue.get(), PING_S)
        except TimeoutError:
            return _PING
        self._waiting_bytes -= min(self._waiting_bytes, len(data or b""))
        return data


class Events:
    """The listeners of all channels.

    Args:
        settle: calls back with whether the writes so far were committed. Listeners never hear of undone writes.
    """

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._by_channel: dict[str, set[Listener]] = {}
        self._by_profile: dict[str, int] = {}
        self.count = 0
        self._is_over = False

    def stored(self, device: str, items: list[Item]) -> None:
        """Send stored points to the device's listeners; see Watcher."""
        channel = f"device_data.{device}"
        if channel in self._by_channel:
            lines: list[str] = []
            for item in items:
                segment = segments.decode(item)
                lines += segment.splice(range(len(segment.offsets)), details=False)
            if lines:
                self._emit_kept(channel, f"[{','.join(lines)}]")

    def seen(self, device: str, title: str, content: str) -> None:
        """Send something that a device did to the device's listeners; see Watcher."""
        channel = f"device_inspector.{device}"
        if channel in self._by_channel:
            entry = {
                "connection_id": keys.new_id(),
                "content": content,
                "device_id": device,
                "timestamp": times.to_iso(clock.now_ms()),
                "title": title,
            }
            self._emit_kept(channel, orjson.dumps(entry).decode())

    def _emit_kept(self, channel: str, payload: str) -> None:
        data = f'data: {{"channel":"{channel}","payload":{payload}}}\n\n'.encode()
        self._settle(lambda is_kept: self._emit(channel, data) if is_kept else None)

    def _emit(self, channel: str, data: bytes) -> None:
        for listener in self._by_channel.get(channel, ()):
            listener.add(data)

    def revoked(self, device: str) -> None:
        """Check at once whoever listens to the device; see Watcher."""
        for kind in CHANNELS:
            for listener in self._by_channel.get(f"{kind}.{device}", ()):
                listener.check()

    def close(self) -> None:
        """End every stream."""
        self._is_over = True
        for listener in {listener for listeners in self._by_channel.values() for listener in listeners}:
            listener.end()

    def row(self, scope: dict[str, Any]) -> str | None:
        """See gateway.Part."""
        return PATH if scope["path"] == PATH else None

    async def answer(self, scope: dict[str, Any], receive: Receive, send: Send, request_id: str) -> Response | int:
        """Serve a request for ``/events``; see gateway.Part."""
        method, query = scope["method"], scope["query_string"]
        if method not in ("GET", "HEAD"):
            is_preflight = method == "OPTIONS"
            return answers.preflight() if is_preflight else answers.failed("Method Not Allowed", 405, {"Allow": "GET"})
        token = _token(scope["headers"])
        try:
            caller, channels = _channels(query, token)
        except errors.ApiError as error:
            log.answered(error.status, request_id=request_id, method=method, route=PATH, reason=log.reason(error))
            return answers.refused(error)
        refusal = self._refuse(caller.profile)
        if refusal is not None:
            return refusal
        headers = [*_HEADERS, (b"x-request-id", request_id.encode())]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        if method == "HEAD":
            await send(start)
            await send({"type": "http.response.body"})
            return 200
        with self._listener(caller.profile, channels) as listener:
            gone = asyncio.ensure_future(until_gone(receive))
            try:
                await send(start)
                await _stream(listener, gone, send, lambda: _may_listen(query, token))
            finally:
                gone.cancel()
        return 200

    def _refuse(self, profile: str) -> Response | None:
        """Return the refusal of one listener too many, or None."""
        if self.count >= MAX_LISTENERS or self._is_over:
            return answers.failed("Too many listeners, try again later", 503, {"Retry-After": "60"})
        if self._by_profile.get(profile, 0) >= MAX_PROFILE_LISTENERS:
            reason = f"The profile has {MAX_PROFILE_LISTENERS} listeners, end one of them first"
            return answers.failed(reason, 429, {"Retry-After": "60"})
        return None

    @contextlib.contextmanager
    def _listener(self, profile: str, channels: list[str]) -> Iterator[Listener]:
        """Count a listener, and let it hear its channels."""
        listener = Listener()
        for channel in channels:
            self._by_channel.setdefault(channel, set()).add(listener)
        self._by_profile[profile] = self._by_profile.get(profile, 0) + 1
        self.count += 1
        try:
            yield listener
        finally:
            self.count -= 1
            self._by_profile[profile] -= 1
            if not self._by_profile[profile]:
                del self._by_profile[profile]
            for channel in channels:
                self._by_channel[channel].discard(listener)
                if not self._by_channel[channel]:
                    del self._by_channel[channel]


async def _stream(listener: Listener, gone: "asyncio.Future[None]", send: Send, may_listen: Callable[[], bool]) -> None:
    """Send events, and a comment in every pause, until the client goes away or may not listen any more."""
    loop = asyncio.get_running_loop()
    data: bytes | None = _PING
    checked_s = loop.time()
    while data is not None and not gone.done():
        await send({"type": "http.response.body", "body": data, "more_body": True})
        data = await listener.next()
        if listener.must_check or loop.time() - checked_s >= PING_S:
            listener.must_check = False
            checked_s = loop.time()
            data = data if may_listen() else None
    await send({"type": "http.response.body", "body": b""})


def _token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token in the headers of a request, or an empty text."""
    return tokens.from_headers({name.decode("latin-1"): text.decode("latin-1") for name, text in headers}) or ""


def _may_listen(query: bytes, token: str) -> bool:
    """Return whether the token still works and the devices still exist. A store that is down decides nothing."""
    try:
        _channels(query, token)
    except errors.Unavailable:
        return True
    except errors.ApiError:
        return False
    return True


async def until_gone(receive: Receive) -> None:
    """Wait until the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _channels(query: bytes, token: str) -> tuple[Caller, list[str]]:
    """Return the caller, and the channels that the query asks for. The caller may listen to each of them.

    Args:
        query: the query string. Its token counts first: a client that sends one cannot set headers.
        token: that of the headers.

    Raises:
        errors.Denied: no valid token, or another profile's device.
        errors.BadRequest: no channel, or an unknown one, or the caller's device is deactivated.
    """
    try:
        parameters = parse_qs(query.decode("latin-1"), max_num_fields=MAX_CHANNELS + 1)
    except ValueError:
        raise errors.BadRequest("Error on Query String parameters: too many") from None
    caller = callers.resolve(text=parameters.get("token", [token])[-1])
    if caller is None or caller.kind not in ("device", "profile") or not caller.may("read"):
        raise errors.Denied
    if caller.subject:
        reach.own_device_or_raise(caller)
    names = [name for part in ("channels", "channel") for text in parameters.get(part, ()) for name in text.split(",")]
    if not 0 < len(names) <= MAX_CHANNELS:
        raise errors.BadRequest(f"channels must name 1 to {MAX_CHANNELS} channels")
    for name in names:
        kind, _, device = name.partition(".")
        if kind not in CHANNELS:
            raise errors.BadRequest(f"channels must be device_data.<id> or device_inspector.<id>, not {name[:50]}")
        if caller.subject not in ("", device):
            raise errors.Denied
        try:
            reach.device_or_raise(profile=caller.profile, device=device)
        except errors.NotFound:
            raise errors.Denied from None
    return caller, list(dict.fromkeys(names))
