"""Dead letters: messages that could not be stored, each with the reason. On AWS an SQS queue keeps them."""

from collections.abc import Callable
from typing import Any

import orjson

from chalicelib import errors, settings
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
    from chalicelib.host import aws

    def call(operation: str, **parameters: Any) -> Any:
        try:
            return getattr(client, operation)(**parameters)
        except aws.FAILURES as error:
            raise errors.Unavailable("The dead-letter queue is not available, try again") from error

    client = aws.client("sqs")
    url = call("get_queue_url", QueueName=settings.current().dead_letters_queue)["QueueUrl"]

    def send(reason: str, message: dict[str, Any]) -> None:
        call("send_message", QueueUrl=url, MessageBody=orjson.dumps({"reason": reason, "message": message}).decode())

    return send


_slot = Slot(_in_sqs)
use = _slot.use
