"""``GET /metrics``: what the server does, in Prometheus' text format.

All is read where it is anyway, and only when somebody asks. The values of labels are rows of the route table, methods
and statuses; nothing that a client chose is among them.
"""

import hmac
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from chalice.app import Response

from chalicelib.host import log
from chalicelib.http import answers
from embedded import measured
from embedded.commits import GroupCommit
from embedded.events import Events
from embedded.measured import Sample
from embedded.mqtt.broker import Broker
from embedded.settings import is_local

PATH = "/metrics"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FORWARDED = (b"x-forwarded-", b"x-real-ip", b"forwarded", b"via", b"cf-", b"true-client-ip")
"""How headers begin by which a proxy on this machine says that the request is not from this machine."""
_BEGAN_S = time.time()


class Metric(NamedTuple):
    """A metric, and how it is read. Its name and the texts of labels need no escapes."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    read: Callable[[], Iterable[Sample]]

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield f"# HELP {self.name} {self.about}"
        yield f"# TYPE {self.name} {self.kind}"
        for value, labels, suffix in self.read():
            shown = ",".join(f'{name}="{text}"' for name, text in labels.items())
            yield f"{self.name}{suffix}{f'{{{shown}}}' if shown else ''} {value}"


def one(read: Callable[[], float]) -> Callable[[], list[Sample]]:
    """Return how a metric is read that is a single number."""
    return lambda: [Sample(read())]


_REQUESTS = (
    Metric("decant_requests_total", "counter", "Answered requests by row and status.", measured.answer_samples),
    Metric("decant_request_duration_seconds", "histogram", "Time until the answer was written.", measured.time_samples),
)


def of_server(commits: GroupCommit, broker: Broker, stream: Events) -> Iterator[Metric]:
    """Yield what the parts of this server show."""
    sqlite = commits.store
    stored = one(lambda: sqlite.points_stored)
    yield Metric("decant_points_stored_total", "counter", "Points that devices sent.", stored)
    yield Metric(
        "decant_commit_duration_seconds", "histogram", "Time until a transaction was safe.",
        lambda: commits.times.samples({}),
    )  # fmt: skip
    waiting = one(lambda: sqlite.waiting.total)
    yield Metric("decant_sealer_waiting_segments", "gauge", "Small segments that wait to be sealed.", waiting)
    yield Metric("decant_mqtt_connections", "gauge", "MQTT clients.", one(lambda: len(broker.clients)))
    received = one(lambda: broker.received)
    yield Metric("decant_mqtt_messages_total", "counter", "Messages that MQTT clients published.", received)
    refused = one(lambda: broker.refused)
    yield Metric("decant_mqtt_messages_refused_total", "counter", "Those kept as dead letters.", refused)
    yield Metric("decant_event_listeners", "gauge", "Streams of GET /events.", one(lambda: stream.count))


def _of_process() -> Iterator[Metric]:
    """Yield Prometheus' usual metrics of a process. Only Linux shows memory and open files."""
    yield Metric("process_cpu_seconds_total", "counter", "Processor time.", one(time.process_time))
    yield Metric("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", one(lambda: _BEGAN_S))
    most = one(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield Metric("process_max_fds", "gauge", "How many files may be open.", most)
    if sys.platform == "linux":
        page_bytes = resource.getpagesize()
        pages = one(lambda: int(Path("/proc/self/statm").read_text().split()[1]) * page_bytes)
        yield Metric("process_resident_memory_bytes", "gauge", "Resident memory.", pages)
        yield Metric("process_open_fds", "gauge", "Open files.", one(lambda: len(os.listdir("/proc/self/fd"))))


class Metrics:
    """Answers ``GET /metrics``.

    Args:
        metrics: what it shows besides requests and the process.
        token: the token that a caller must send as ``Authorization: Bearer …``. Empty: none, and only this machine may
            ask.
        url: ``DECANT_URL``. If it is not of this machine, there is a proxy, which need not show in its requests: then
            nobody may ask without a token.
    """

    def __init__(self, metrics: Iterable[Metric], token: str = "", url: str = "") -> None:
        self._token = token.encode()
        self._is_public = bool(url) and not is_local(urlsplit(url).hostname or "")
        self._metrics = *_REQUESTS, *metrics, *_of_process()

    def text(self) -> str:
        """Return all metrics in the text format. Cost: 1 ms for 100 rows."""
        return "\n".join([*(line for metric in self._metrics for line in metric.lines()), ""])

    def row(self, scope: dict[str, Any]) -> str | None:
        """See gateway.Part."""
        return PATH if scope["path"] == PATH else None

    async def answer(self, scope: dict[str, Any], _receive: Any, _send: Any, request_id: str) -> Response:
        """See gateway.Part."""
        response = self._answer(scope)
        log.answered(response.status_code, request_id=request_id, method=scope["method"], route=PATH)
        return response

    def _answer(self, scope: dict[str, Any]) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return answers.failed("Method Not Allowed", 405, {"Allow": "GET"})
        headers = dict(scope["headers"])
        if self._token:
            if not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + self._token):
                return answers.failed("Authorization Denied", 401, {"WWW-Authenticate": "Bearer"})
        elif self._is_public or not _is_from_here(scope, headers):
            return answers.failed("Only this machine may read this, or a caller with DECANT_METRICS_TOKEN", 403)
        return Response(self.text(), headers={"Content-Type": _CONTENT_TYPE, "Vary": "Accept-Encoding"})


def _is_from_here(scope: dict[str, Any], headers: dict[bytes, bytes]) -> bool:
    """Return whether a program of this machine asks for itself, and not a proxy or a page in its browser.

    A page of another site can make its own name stand for 127.0.0.1, but then the request names that host. A proxy that
    is told nothing sends no header of its own, and the host that it asks; nginx then speaks HTTP/1.0.
    """
    if scope.get("http_version") == "1.0":
        return False
    try:
        host = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname or ""
    except ValueError:  # such as half an address
        return False
    peer = str((scope.get("client") or ("",))[0])
    return is_local(peer) and is_local(host) and not any(name.startswith(_FORWARDED) for name in headers)
