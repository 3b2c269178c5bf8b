"""Sends messages that failed for good to the ingest function again: those of an outage, or after a mistake was mended.

Three kinds of text lie in the queues: Lambda's record of a call it gave up, IoT Core's error action of a rule that
could not hand a message over, and the ingest function's own dead letters.
"""

import json
from typing import Any

from deploy import spec
from deploy.parts import Cloud

_PAGE = 10


def event_of(body: str, sent_ms: int) -> dict[str, Any] | None:
    """Return the event that the ingest function shall get again, or None when the text holds none.

    Args:
        body: of the queue's message.
        sent_ms: when it came into the queue: the time of a message that carries none.
    """
    try:
        document = json.loads(body)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
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


def retry(cloud: Cloud, queue: str) -> tuple[int, int]:
    """Deliver each message of a queue once; what is stored, or laid aside again as a dead letter, leaves the queue.

    Returns:
        How many were delivered, and how many were left where they are.
    """
    client, url = cloud.client("sqs"), cloud.queue_url(queue)
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    waiting = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
    delivered = kept = 0
    while delivered + kept < waiting:
        page = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(_PAGE, waiting - delivered - kept),
            AttributeNames=["SentTimestamp"],
            VisibilityTimeout=120,
        ).get("Messages", [])
        if not page:
            break
        for message in page:
            event = event_of(message["Body"], int(message["Attributes"]["SentTimestamp"]))
            if event is not None and _deliver(cloud, event):
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                delivered += 1
            else:
                kept += 1
    return delivered, kept


def _deliver(cloud: Cloud, event: dict[str, Any]) -> bool:
    answer = cloud.client("lambda").invoke(
        FunctionName=spec.FUNCTIONS["iot-ingest"].full_name(cloud.stage), Payload=json.dumps(event).encode()
    )
    return "FunctionError" not in answer
