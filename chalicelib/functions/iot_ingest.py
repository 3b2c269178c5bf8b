"""The function that stores the messages that IoT Core's topic rules pass on."""

import base64
import binascii
from typing import Any

from chalice.app import Blueprint

from chalicelib import errors
from chalicelib.codec import keys
from chalicelib.host import dead_letters, deadline, log
from chalicelib.services.access import client_ids
from chalicelib.services.devices import ingest
from chalicelib.services.devices.ingest import Message

bp = Blueprint(__name__)


@bp.lambda_function(name="iot-ingest")
def store(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store a message.

    If a message can never be stored, the function puts it into the dead-letter queue with the reason, and returns: a
    second delivery would not help. If the store is down, the function raises, and Lambda delivers the message again.
    Nothing is stored twice.

    Args:
        event: ``payload`` (base64), ``topic``, ``clientid``, ``principal``, ``timestamp`` (milliseconds) and ``uuid``,
            as the rule selects them. The UUID differs between two equal messages, but not between two deliveries of
            one message.
        context: Lambda's context object.

    Raises:
        errors.Unavailable: the store is down.
    """
    deadline.begin(context)
    try:
        added = ingest.store(_message(event))
    except errors.Unavailable:
        raise
    except errors.ApiError as error:
        dead_letters.keep(reason=error.message, message=event)
        log.line("warning", function="iot-ingest", refused=log.reason(error))
        return {"added": 0, "refused": error.message}
    log.line(function="iot-ingest", points=added)
    return {"added": added}


def _message(event: dict[str, Any]) -> Message:
    try:
        payload = base64.b64decode(event["payload"], validate=True)
        client_id, topic, arrived_ms = event["clientid"], event["topic"], int(event["timestamp"])
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise errors.BadRequest("The message is not as the topic rule shapes it") from None
    sender = client_ids.device_of(client_id=client_id)
    principal = event.get("principal")
    if sender is not None and _is_other_device(principal, sender[1]):
        raise errors.BadRequest(f"The client is device {principal}, but its client id is bound to {sender[1]}")
    return Message(sender, client_id, topic, payload, arrived_ms, str(event.get("uuid", "")))


def _is_other_device(principal: Any, device: str) -> bool:
    """Return whether ``principal()`` names another device than the client id.

    The authorizer names the device as the principal, but AWS does not document that the rule gets that name. So only
    what looks like a device's id counts.
    """
    return isinstance(principal, str) and keys.is_id(principal) and principal != device
