"""Failures: work that a function sets aside, so that it can go on with the rest. On AWS an SQS queue keeps them."""

from collections.abc import Callable
from typing import Any

from chalicelib import settings
from chalicelib.host import queues
from chalicelib.host.slot import Slot


def keep_uncounted(*, device: str, reason: str) -> None:
    """Keep a device with changes that its counters will never include. ``python -m deploy retry`` reads this.

    Raises:
        errors.Unavailable: the queue did not take it.
    """
    _slot.current()({"reason": reason, "uncounted": device})


def keep_unmade(profile: str, reason: str) -> None:
    """Keep a profile whose API key cannot be made. ``python -m deploy retry`` removes this.

    Raises:
        errors.Unavailable: the queue did not take it.
    """
    _slot.current()({"reason": reason, "key_of": profile})


def _in_sqs() -> Callable[[dict[str, Any]], None]:
    return queues.sender(settings.current().failures_queue)


_slot = Slot(_in_sqs)
use = _slot.use
