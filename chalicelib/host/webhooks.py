"""Sends documents to URLs of clients, so that nothing waits long for them. ``outside`` says which URLs are allowed."""

import threading
from collections.abc import Callable
from typing import Any

from chalicelib.host import log
from chalicelib.host.slot import Slot

LIMIT_S = 5.0
"""How long one document may take."""
_MOST_THREADS = 4


def post(*, url: str, body: dict[str, Any]) -> None:
    """Send a document as JSON. It never raises: what fails is logged, without the URL, which may hold a secret."""
    _slot.current()(url, body)


def _on_aws() -> Callable[[str, dict[str, Any]], None]:
    """Send at once: the function stands still after its answer. It waits for ``LIMIT_S`` at most."""

    def send(url: str, body: dict[str, Any]) -> None:
        thread = threading.Thread(target=_try, args=(url, body), kwargs={"may_be_local": False}, daemon=True)
        thread.start()
        thread.join(LIMIT_S)
        if thread.is_alive():
            log.line("warning", function="webhooks", failed="no answer in time")

    return send


def in_threads() -> Callable[[str, dict[str, Any]], None]:
    """Return what the embedded mode uses: it sends in a thread, and waits for nothing."""
    free = threading.Semaphore(_MOST_THREADS)

    def work(url: str, body: dict[str, Any]) -> None:
        try:
            _try(url, body, may_be_local=True)
        finally:
            free.release()

    def send(url: str, body: dict[str, Any]) -> None:
        if free.acquire(blocking=False):
            threading.Thread(target=work, args=(url, body), daemon=True).start()
        else:
            log.line("warning", function="webhooks", failed="too many at once")

    return send


_slot = Slot(_on_aws)
use = _slot.use


def _try(url: str, body: dict[str, Any], *, may_be_local: bool) -> None:
    from chalicelib.host import outside  # ssl takes 20 ms to import

    try:
        status = outside.send(url, body, may_be_local=may_be_local)
    except (outside.Refused, *outside.FAILURES) as error:
        reason = str(error) if isinstance(error, outside.Refused) else type(error).__name__
        log.line("warning", function="webhooks", failed=reason)
        return
    if status >= 300:
        log.line("warning", function="webhooks", failed=f"status {status}")
