"""Publishes to SNS topics."""

from collections.abc import Callable
from typing import Any

import orjson

from chalicelib import errors
from chalicelib.host.slot import Slot


def publish(*, topic: str, subject: str, body: dict[str, Any]) -> None:
    """Publish a document to a topic.

    Args:
        topic: its ARN.
        subject: the subject of a mail, at most 100 characters of ASCII.
        body: the document. It is sent as JSON.

    Raises:
        errors.Unavailable: SNS did not take it.
    """
    from chalicelib.host import aws

    try:
        _slot.current()(TopicArn=topic, Subject=subject, Message=orjson.dumps(body).decode())
    except aws.FAILURES as error:
        raise errors.Unavailable("The topic is not available, try again") from error


def _in_sns() -> Callable[..., Any]:
    from chalicelib.host import aws

    publish: Callable[..., Any] = aws.client("sns").publish
    return publish


_slot = Slot(_in_sns)
use = _slot.use
