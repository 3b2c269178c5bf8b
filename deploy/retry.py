"""Sends messages that failed for good to the ingest function again, after an outage or when a mistake is repaired.

The queues hold three kinds of text: Lambda's record of a call that it gave up, the error action of an IoT Core rule
that could not hand a message over, and the ingest function's own dead letters.
"""

import json
from typing import Any

from deploy import spec
from deploy.parts import Cloud

_PAGE = 10


def event_of(body: str, sent_ms: int) -> dict[str, Any] | None:
    """Return the event to send to the ingest function again, or None if the text holds none.

    Args:
        body: of the message in the queue.
        sent_ms: when the message came into the queue, in milliseconds since 1970 UTC. The event gets this time if the
            text carries none.
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
    """Deliver each message of a queue once.

    Removes a message from the queue if the ingest function stored it or made a dead letter of it.

    Returns:
        How many messages were delivered, and how many stay in the queue.
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
