"""Dead letters: messages that could not be stored, each with the reason. On AWS an SQS queue keeps them."""

from collections.abc import Callable
from typing import Any

import orjson

from chalicelib import settings
from chalicelib.host.slot import Slot

Keep = Callable[[str, dict[str, Any]], None]
"""A function that keeps a reason and a message."""


def keep(*, reason: str, message: dict[str, Any]) -> None:
    """Keep a message that can never be stored, so that the operator can look at it."""
    _slot.current()(reason, message)


def _in_sqs() -> Keep:
    import botocore.session

    client = botocore.session.get_session().create_client("sqs")
    url = client.get_queue_url(QueueName=settings.current().dead_letters_queue)["QueueUrl"]

    def send(reason: str, message: dict[str, Any]) -> None:
        client.send_message(QueueUrl=url, MessageBody=orjson.dumps({"reason": reason, "message": message}).decode())

    return send


_slot = Slot(_in_sqs)
use = _slot.use
