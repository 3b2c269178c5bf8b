"""Asks for work on the backup or restore of a device. On AWS a queue takes the requests for the function ``files``."""

from collections.abc import Callable
from typing import Any

from chalicelib import settings
from chalicelib.host import queues
from chalicelib.host.slot import Slot


def ask(*, device: str, delay_s: int = 0) -> None:
    """Ask for work on the job of a device. In the embedded mode it does nothing: a chore looks for jobs.

    Raises:
        errors.Unavailable: the queue did not take it.

    Cost: one call on AWS; the first time another one, to find the queue.
    """
    _slot.current()({"device": device}, delay_s)


def nobody(_document: dict[str, Any], _delay_s: int) -> None:
    """Ask nobody: where a chore looks for jobs."""


def _in_sqs() -> Callable[[dict[str, Any], int], None]:
    return queues.sender(settings.current().files_queue)


_slot = Slot(_in_sqs)
use = _slot.use
