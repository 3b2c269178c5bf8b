"""The two functions behind IoT Core: who may connect, and what becomes of a message.

The device of a message is what the broker authenticated: the topic names it where the policy lets only that device
publish, else the client id does, which the authorizer bound to one device. The payload is never asked.
"""

import base64
import binascii
import json
from typing import Any

from chalice.app import Blueprint

from chalicelib import errors, settings
from chalicelib.host import dead_letters, deadline, log
from chalicelib.schemas import messages
from chalicelib.services.access import callers, client_ids
from chalicelib.services.devices import actions, devices, params
from chalicelib.services.points import send
from chalicelib.services.points.send import Arrival

bp = Blueprint(__name__)

DISCONNECT_S = 86_400
REFRESH_S = 900
"""How often the broker asks again: a deleted token ends its session within this. Each time costs a call."""
_BINDING_S = DISCONNECT_S + 7_200


@bp.lambda_function(name="iot-authorizer")
def authorize(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer whether an MQTT client may connect, and to which topics. Anything wrong, and a store that is down: no."""
    try:
        answer = _admit(event, context.invoked_function_arn)
    except (errors.ApiError, KeyError, ValueError, TypeError) as error:
        log.line(function="iot-authorizer", refused=type(error).__name__)
        answer = None
    return answer or {"isAuthenticated": False}


def _admit(event: dict[str, Any], arn: str) -> dict[str, Any] | None:
    mqtt = event["protocolData"]["mqtt"]
    password = base64.b64decode(mqtt["password"], validate=True).decode()
    grant = callers.resolve(text=password)
    if grant is None or grant.kind != "device":
        return None
    device = devices.get_or_raise(profile=grant.profile, device=grant.device)
    client_id = mqtt["clientId"]
    if not device["active"] or not client_ids.bind(client_id=client_id, grant=grant, keep_s=_BINDING_S):
        return None
    return {
        "isAuthenticated": True,
        "principalId": grant.device,
        "disconnectAfterInSeconds": DISCONNECT_S,
        "refreshAfterInSeconds": REFRESH_S,
        "policyDocuments": [json.dumps(_policy(arn, client_id, grant), separators=(",", ":"))],
    }


def _policy(arn: str, client_id: str, grant: callers.Grant) -> dict[str, Any]:
    _, partition, _, region, account = arn.split(":")[:5]
    base = f"arn:{partition}:iot:{region}:{account}"
    own = f"device/{grant.device}/*"
    statements = [("iot:Connect", [f"{base}:client/{client_id}"])]
    if grant.permission in ("full", "write"):
        rule = settings.current().basic_ingest_rule
        topics = [*messages.STORED_TOPICS, *([f"$aws/rules/{rule}/{messages.STORED_TOPICS[0]}"] if rule else [])]
        shared = [f"{base}:topic/{topic}" for topic in topics]
        statements.append(("iot:Publish", [*shared, f"{base}:topic/{own}"]))
    if grant.permission in ("full", "read"):
        statements.append(("iot:Subscribe", [f"{base}:topicfilter/{own}"]))
        statements.append(("iot:Receive", [f"{base}:topic/{own}"]))
    allowed = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in statements]
    return {"Version": "2012-10-17", "Statement": allowed}


@bp.lambda_function(name="iot-ingest")
def ingest(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store what a topic rule passes on.

    A message that cannot be stored goes to the dead-letter queue with the reason, and the function returns: to deliver
    it again would not help. A store that is down raises, and Lambda delivers again; what was stored stays one.

    Args:
        event: ``payload`` (base64), ``topic``, ``clientid``, ``timestamp`` (milliseconds) and ``uuid``, by which two
            messages that are alike are told from one that is delivered twice; as the rule selects them.
        context: Lambda's.

    Raises:
        errors.Unavailable: the store is down.
    """
    deadline.begin(context)
    try:
        added = _store(event)
    except errors.Unavailable:
        raise
    except errors.ApiError as error:
        dead_letters.dead_letter(reason=error.message, message=event)
        log.line(function="iot-ingest", refused=error.message[:200])
        return {"added": 0, "refused": error.message}
    log.line(function="iot-ingest", points=added)
    return {"added": added}


def _store(event: dict[str, Any]) -> int:
    try:
        topic, client_id, arrived_ms = messages.plain(event["topic"]), event["clientid"], int(event["timestamp"])
        payload = base64.b64decode(event["payload"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise errors.BadRequest("The message is not as the topic rule shapes it") from None
    named, below = messages.device_of_topic(topic) or (None, topic)
    bound = client_ids.device_of(client_id=client_id)
    if bound is None:
        if named is not None and below != messages.OWN_TOPIC:
            return 0  # what the API itself publishes to a device passes the rule too, and no client is behind it
        raise errors.BadRequest("No device is bound to the client id")
    profile, device_id = bound
    if named not in (None, device_id):
        raise errors.BadRequest(f"The topic is another device's: {topic[:200]}")
    device = devices.get_or_raise(profile=profile, device=device_id)
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    is_always = below == messages.OWN_TOPIC if named else topic in messages.STORED_TOPICS
    if not is_always and not actions.is_stored(device=device, topic=below):
        return 0
    items = messages.read_message(
        payload, topic, is_hex=lambda: params.value_of(device=device_id, key="payload_type") == "hex"
    )
    arrival = Arrival(arrived_ms, f"{client_id} {topic} {event.get('uuid', '')}")
    return send.send(device=device, items=items, raw=payload, arrival=arrival)
