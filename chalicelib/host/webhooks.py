"""Sends documents to URLs of clients, so that nothing waits long for them. ``outside`` says which URLs are allowed."""

import threading
from collections.abc import Callable
from typing import Any

from chalicelib.host import log
from chalicelib.host.slot import Slot

_MOST_THREADS = 4


def post(*, url: str, body: dict[str, Any]) -> None:
    """Send a document as JSON. It never raises: what fails is logged, without the URL, which may hold a secret."""
    _slot.current()(url, body)


def _on_aws() -> Callable[[str, dict[str, Any]], None]:
    """Send at once: the function stands still after its answer."""
    return lambda url, body: _try(url, body, may_be_local=False)


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
    failed = failure(url=url, body=body, may_be_local=may_be_local)
    if failed is not None:
        log.line("warning", function="webhooks", failed=failed)


def failure(*, url: str, body: dict[str, Any], may_be_local: bool = False) -> str | None:
    """Send a document as JSON and wait for the answer, for five seconds at most.

    Args:
        url: where to.
        body: the document.
        may_be_local: whether the address may be one that is not public.

    Returns:
        Why it failed, without the URL; None if the answer says success.
    """
    from chalicelib.host import outside  # ssl takes 20 ms to import

    try:
        status = outside.send_in_time(url, body, may_be_local=may_be_local)
    except (outside.Refused, TimeoutError) as error:
        return str(error)
    except outside.FAILURES as error:
        return type(error).__name__
    return None if status < 300 else f"status {status}"
