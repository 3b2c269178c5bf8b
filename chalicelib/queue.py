"""The queue of dead letters: messages that could not be stored, each with the reason."""

from typing import Any

import orjson

from chalicelib import settings

_found: list[tuple[Any, str]] = []


def dead_letter(*, reason: str, message: dict[str, Any]) -> None:
    """Keep a message that will never be stored, so that somebody may look at it."""
    if not _found:
        import botocore.session

        client = botocore.session.get_session().create_client("sqs")
        _found.append((client, client.get_queue_url(QueueName=settings.current().dead_letters_queue)["QueueUrl"]))
    client, url = _found[0]
    client.send_message(QueueUrl=url, MessageBody=orjson.dumps({"reason": reason, "message": message}).decode())


def forget_client() -> None:
    """Drop the client: for tests that make a queue of their own."""
    _found.clear()
