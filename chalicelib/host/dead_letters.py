"""Dead letters: messages that could not be stored, each with the reason. On AWS an SQS queue keeps them."""

from collections.abc import Callable
from typing import Any

from chalicelib import settings
from chalicelib.host import queues
from chalicelib.host.slot import Slot

Keep = Callable[[str, dict[str, Any]], None]
"""A function that keeps a reason and a message."""


def keep(*, reason: str, message: dict[str, Any]) -> None:
    """Keep a message that can never be stored, so that the operator can look at it.

    Raises:
        errors.Unavailable: it is not kept. The message must be delivered again.
    """
    _slot.current()(reason, message)


def _in_sqs() -> Keep:
    send = queues.sender(settings.current().dead_letters_queue)
    return lambda reason, message: send({"reason": reason, "message": message})


_slot = Slot(_in_sqs)
use = _slot.use
