"""Sends documents to SQS queues."""

import secrets
from collections.abc import Callable
from typing import Any

import orjson

from chalicelib import errors


def sender(name: str) -> Callable[..., None]:
    """Return a function that puts a document into a queue, as JSON. A second argument delays it by so many seconds.

    Args:
        name: of the queue. If it ends with ``.fifo``, the documents are delivered one after the other, in order.

    Raises:
        errors.Unavailable: SQS does not answer. The function raises it too.

    Cost: one call now, to find the queue, and one a document.
    """
    from chalicelib.host import aws

    def call(operation: str, **parameters: Any) -> Any:
        try:
            return getattr(client, operation)(**parameters)
        except aws.FAILURES as error:
            raise errors.Unavailable("The queue is not available, try again") from error

    client = aws.client("sqs")
    url, is_fifo = call("get_queue_url", QueueName=name)["QueueUrl"], name.endswith(".fifo")

    def send(document: dict[str, Any], delay_s: int = 0) -> None:
        delay = {"DelaySeconds": delay_s} if delay_s else {}
        order = {"MessageGroupId": "all", "MessageDeduplicationId": secrets.token_hex(16)} if is_fifo else {}
        call("send_message", QueueUrl=url, MessageBody=orjson.dumps(document).decode(), **order, **delay)

    return send
