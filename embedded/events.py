"""The event stream: sends stored points and device activity to the listeners of ``GET /events``, as they happen.

Source: TagoIO's clients: channels ``device_data.<id>`` and ``device_inspector.<id>``, a comment every five seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import orjson

from chalicelib import errors
from chalicelib.codec import keys, segments, times
from chalicelib.codec.segments import Item
from chalicelib.host import clock
from chalicelib.http import answers
from chalicelib.services.access import callers, reach

CHANNELS = ("device_data", "device_inspector")
PING_S = 5.0
MAX_LISTENERS = 1_000
MAX_CHANNELS = 100
_MAX_WAITING = 1_000
"""How many events may wait for one listener. It misses further ones."""
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"access-control-allow-origin", b"*"),
]
_PING = b":\n\n"
Queue = asyncio.Queue[bytes | None]
Settle = Callable[[Callable[[bool], None]], None]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Events:
    """The listeners of all channels.

    Args:
        settle: calls back with whether the writes so far were committed. Listeners never hear of undone writes.
    """

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._by_channel: dict[str, set[Queue]] = {}
        self.count = 0
        self._is_over = False

    def stored(self, device: str, items: list[Item]) -> None:
        """Send stored points to the device's listeners; see Watcher."""
        channel = f"device_data.{device}"
        if channel in self._by_channel:
            lines: list[str] = []
            for item in items:
                segment = segments.decode(item)
                lines += segments.splice(segment, range(len(segment.offsets)), details=False)
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
        for queue in self._by_channel.get(channel, ()):
            if not queue.full():
                queue.put_nowait(data)

    def close(self) -> None:
        """End every stream."""
        self._is_over = True
        for queue in {queue for queues in self._by_channel.values() for queue in queues}:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def listen(self, query: bytes, receive: Receive, send: Send) -> dict[str, Any] | None:
        """Serve one listener until it goes away. Return the answer if it is refused, else None."""
        try:
            channels = _channels(query)
        except errors.ApiError as error:
            refusal: dict[str, Any] = answers.refused(error).to_dict()
            return refusal
        if self.count >= MAX_LISTENERS or self._is_over:
            refusal = answers.failed("Too many listeners, try again later", 503, {"Retry-After": "60"}).to_dict()
            return refusal
        queue: Queue = asyncio.Queue(_MAX_WAITING)
        for channel in channels:
            self._by_channel.setdefault(channel, set()).add(queue)
        self.count += 1
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _stream(queue, gone, send, lambda: _may_listen(query))
        finally:
            gone.cancel()
            self.count -= 1
            for channel in channels:
                self._by_channel[channel].discard(queue)
                if not self._by_channel[channel]:
                    del self._by_channel[channel]
        return None


async def _stream(queue: Queue, gone: "asyncio.Future[None]", send: Send, may_listen: Callable[[], bool]) -> None:
    """Send events, and a comment in every pause, until the client goes away or may not listen any more."""
    loop = asyncio.get_running_loop()
    data: bytes | None = _PING
    checked_s = loop.time()
    while data is not None and not gone.done():
        await send({"type": "http.response.body", "body": data, "more_body": True})
        try:
            data = await asyncio.wait_for(queue.get(), PING_S)
        except TimeoutError:
            data = _PING
        if loop.time() - checked_s >= PING_S:
            checked_s = loop.time()
            data = data if may_listen() else None
    await send({"type": "http.response.body", "body": b""})


def _may_listen(query: bytes) -> bool:
    """Return whether the token still works and the devices still exist. A store that is down decides nothing."""
    try:
        _channels(query)
    except errors.Unavailable:
        return True
    except errors.ApiError:
        return False
    return True


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _channels(query: bytes) -> list[str]:
    """Return the channels that the query asks for, after checking that the token may listen to each of them.

    Raises:
        errors.Denied: no valid token, or another profile's device.
        errors.BadRequest: no channel, or an unknown one.
    """
    try:
        parameters = parse_qs(query.decode("latin-1"), max_num_fields=MAX_CHANNELS + 1)
    except ValueError:
        raise errors.BadRequest("Error on Query String parameters: too many") from None
    caller = callers.resolve(text=parameters.get("token", [""])[-1])
    if caller is None or not caller.may("read"):
        raise errors.Denied
    names = [name for part in ("channels", "channel") for text in parameters.get(part, ()) for name in text.split(",")]
    if not 0 < len(names) <= MAX_CHANNELS:
        raise errors.BadRequest(f"channels must name 1 to {MAX_CHANNELS} channels")
    for name in names:
        kind, _, device = name.partition(".")
        if kind not in CHANNELS:
            raise errors.BadRequest(f"channels must be device_data.<id> or device_inspector.<id>, not {name[:50]}")
        if caller.device not in ("", device):
            raise errors.Denied
        try:
            reach.device_or_raise(profile=caller.profile, device=device)
        except errors.NotFound:
            raise errors.Denied from None
    return list(dict.fromkeys(names))
