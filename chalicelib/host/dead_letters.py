"""Dead letters: messages that could not be stored, each with the reason. In SQS, or where the embedded mode says."""

from collections.abc import Callable
from typing import Any

import orjson

from chalicelib import settings

Keep = Callable[[str, dict[str, Any]], None]
_current: list[Keep] = []


def dead_letter(*, reason: str, message: dict[str, Any]) -> None:
    """Keep a message that will never be stored, so that somebody may look at it."""
    if not _current:
        _current.append(_sqs())
    _current[0](reason, message)


def use(keep: Keep | None) -> None:
    """Set, or with None forget, what keeps dead letters in this process."""
    _current[:] = [] if keep is None else [keep]


def _sqs() -> Keep:
    import botocore.session

    client = botocore.session.get_session().create_client("sqs")
    url = client.get_queue_url(QueueName=settings.current().dead_letters_queue)["QueueUrl"]

    def keep(reason: str, message: dict[str, Any]) -> None:
        client.send_message(QueueUrl=url, MessageBody=orjson.dumps({"reason": reason, "message": message}).decode())

    return keep
