"""The queue of dead letters: messages that could not be stored, each with the reason."""

from typing import Any

import orjson

from chalicelib import settings

_clients: list[Any] = []


def dead_letter(*, reason: str, message: dict[str, Any]) -> None:
    """Keep a message that will never be stored, so that somebody may look at it."""
    if not _clients:
        import botocore.session

        _clients.append(botocore.session.get_session().create_client("sqs"))
    body = orjson.dumps({"reason": reason, "message": message}).decode()
    _clients[0].send_message(QueueUrl=settings.current().dead_letters_url, MessageBody=body)
