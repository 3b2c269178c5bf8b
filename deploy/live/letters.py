"""Looks for dead letters of the checks. It leaves those of others in the queue."""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from deploy.parts import Cloud

Letter = dict[str, Any]
"""The message in a dead letter, as the topic rule selected it."""
_PAGES, _PAGE = 20, 10
_HIDDEN_S = 30
"""How long a message of others stays hidden if it is not given back, for instance because the process was killed."""


class Letters:
    """The queue of dead letters.

    Args:
        cloud: the account and stage.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._client = cloud.client("sqs")
        self._url = self._client.get_queue_url(QueueName=cloud.names.dead_letters)["QueueUrl"]

    def take(self, is_wanted: Callable[[Letter], bool]) -> Letter | None:
        """Return the first dead letter that is wanted, and remove it. None: there is none, or SQS does not show it yet.

        Cost: up to 20 calls, and one for each ten messages of others.
        """
        others: list[str] = []
        try:
            for _ in range(_PAGES):
                page = self._client.receive_message(
                    QueueUrl=self._url, MaxNumberOfMessages=_PAGE, VisibilityTimeout=_HIDDEN_S
                ).get("Messages", [])
                if not page:
                    return None
                ours = None
                for letter in page:
                    message = _message(letter["Body"])
                    if ours is None and is_wanted(message):
                        ours = message
                        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=letter["ReceiptHandle"])
                    else:
                        others.append(letter["ReceiptHandle"])
                if ours is not None:
                    return ours
            return None
        finally:
            self._give_back(others)

    def _give_back(self, handles: list[str]) -> None:
        for start in range(0, len(handles), _PAGE):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles[start : start + _PAGE])
            ]
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def payload_of(letter: Letter) -> bytes:
    """Return the payload of the message, empty if it has none."""
    try:
        return base64.b64decode(letter.get("payload", ""), validate=True)
    except (TypeError, ValueError, binascii.Error):
        return b""


def _message(body: str) -> Letter:
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return {}
    return message if isinstance(message, dict) else {}
