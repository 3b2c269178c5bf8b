"""Empties the queues of what failed for good, after an outage or when a mistake is repaired.

The queues hold seven kinds of text. Three of them hold an MQTT message, which is sent to the ingest function again:
Lambda's record of a call that it gave up, the error action of an IoT Core rule that could not hand a message over, and
the ingest function's own dead letters. The counters function's hold a device, which is marked to be counted again.
Lambda's record of a run of the housekeeping that it gave up is removed, as the next hour's run does the same work. A
profile without an API key is removed too, as the nightly comparison asks for the key again. A device whose past days
could not be sealed goes to the sealer's queue again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy import spec
from deploy.parts import Cloud

_PAGE = 10
Document = dict[str, Any]


@dataclass
class Retried:
    """What became of the messages of a queue."""

    delivered: int = 0
    """How many were delivered again."""
    uncounted: list[str] = field(default_factory=list)
    """The devices that were marked to be counted again, one a message."""
    runs: int = 0
    """How many records of failed runs of the housekeeping, and of keys that could not be made, were removed."""
    kept: int = 0
    """How many stay in the queue."""

    @property
    def total(self) -> int:
        """How many messages were looked at."""
        return self.delivered + len(self.uncounted) + self.runs + self.kept


def event_of(body: str, sent_ms: int) -> dict[str, Any] | None:
    """Return the event to send to the ingest function again, or None if the text holds none.

    Args:
        body: of the message in the queue.
        sent_ms: when the message came into the queue, in milliseconds since 1970 UTC. The event gets this time if the
            text carries none.
    """
    document = _document(body)
    if "base64OriginalPayload" in document:
        return {
            "payload": document["base64OriginalPayload"],
            "topic": document.get("topic"),
            "clientid": document.get("clientId"),
            "principal": document.get("principal", ""),
            "timestamp": sent_ms,
        }
    event = document.get("requestPayload", document.get("message"))
    return event if isinstance(event, dict) and "payload" in event else None


def _document(body: str) -> Document:
    """Return the object that a text holds in JSON; an empty one if it holds none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def uncounted_device(body: str) -> str | None:
    """Return the device that the counters function set aside, or None if the text is of another kind."""
    device = _document(body).get("uncounted")
    return device if isinstance(device, str) and device else None


def is_run_of_housekeeping(body: str) -> bool:
    """Return whether the text is Lambda's record of a scheduled run that failed."""
    event = _document(body).get("requestPayload")
    return isinstance(event, dict) and event.get("detail-type") == "Scheduled Event"


def is_request_to_seal(body: str) -> bool:
    """Return whether the text asks for the sealing of a device's past days."""
    return {"profile", "device"} <= _document(body).keys()


def is_request_for_files(body: str) -> bool:
    """Return whether the text asks for work on the backup or restore of a device."""
    return _document(body).keys() == {"device"}


def retry(cloud: Cloud, queue: str, mark: Callable[[str], None]) -> Retried:
    """Work off each message of a queue once.

    A message is removed from the queue if the ingest function stored it or made a dead letter of it, if it holds a
    device and that is marked, if it goes to the sealer's queue again, or if it is a failed run of the housekeeping.

    Args:
        cloud: the account and stage.
        queue: its name.
        mark: marks a device, so that its points are counted again.
    """
    client, url = cloud.client("sqs"), cloud.queue_url(queue)
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    waiting = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
    done = Retried()
    while done.total < waiting:
        page = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(_PAGE, waiting - done.total),
            AttributeNames=["SentTimestamp"],
            VisibilityTimeout=120,
        ).get("Messages", [])
        if not page:
            break
        for message in page:
            if _is_worked_off(cloud, message, mark, done):
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            else:
                done.kept += 1
    return done


def _is_worked_off(cloud: Cloud, message: Document, mark: Callable[[str], None], done: Retried) -> bool:
    """Do what a message asks for; return whether that worked. Adds to ``done`` what was done."""
    body = message["Body"]
    device = uncounted_device(body)
    if device is not None:
        mark(device)
        done.uncounted.append(device)
        return True
    if is_run_of_housekeeping(body) or "key_of" in _document(body):
        done.runs += 1
        return True
    if is_request_for_files(body):  # the housekeeping asks for its job
        done.runs += 1
        return True
    if is_request_to_seal(body):
        cloud.client("sqs").send_message(QueueUrl=cloud.queue_url(cloud.names.sealer), MessageBody=body)
        done.delivered += 1
        return True
    event = event_of(body, int(message["Attributes"]["SentTimestamp"]))
    if event is None or not _deliver(cloud, event):
        return False
    done.delivered += 1
    return True


def _deliver(cloud: Cloud, event: dict[str, Any]) -> bool:
    answer = cloud.client("lambda").invoke(
        FunctionName=spec.FUNCTIONS["iot-ingest"].full_name(cloud.stage), Payload=json.dumps(event).encode()
    )
    return "FunctionError" not in answer
