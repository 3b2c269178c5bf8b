"""The function that IoT Core asks whether an MQTT client may connect."""

import base64
import json
from typing import Any

from chalice.app import Blueprint

from chalicelib import errors, settings
from chalicelib.codec import topics
from chalicelib.host import clock, deadline, log
from chalicelib.schemas.messages import STORED_TOPICS
from chalicelib.services.access import admission
from chalicelib.services.access.admission import Admission

bp = Blueprint(__name__)

LIMIT_S = 3.0
"""How long it may call AWS. IoT Core waits for 5 s, and a cold start is part of that time."""
DISCONNECT_S = 86_400
SHORTEST_S = 300
"""The shortest time that IoT Core takes."""
REFRESH_S = 900
"""How often the broker asks again. A session that could not be ended ends within this time. Each time costs a call."""
_BINDING_S = DISCONNECT_S + 7_200
_ANY_CONNECT = {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["PersistentConnect", "LastWill"]}}
"""Names what a client may ask for: a session that outlasts the connection, and a will. AWS demands that a policy names
them. The topic of a will needs ``iot:Publish``, and a message with RETAIN ``iot:RetainPublish`` besides.

Source: AWS IoT Core developer guide, "Connect policy examples" and "Retained message policy examples"."""


@bp.lambda_function(name="iot-authorizer")
def authorize(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer whether an MQTT client may connect, and which topics it may use.

    The answer to whatever a client sends is no error of the function: a scanner would ring the alarm.

    Raises:
        errors.Unavailable: the store does not answer in time. IoT Core refuses the client, and the alarm rings.
    """
    with deadline.limited(LIMIT_S):
        try:
            answer = _answer(event, context.invoked_function_arn)
        except errors.Unavailable as error:
            log.line("error", function="iot-authorizer", failed=log.cause(error))
            raise
        except (errors.ApiError, KeyError, ValueError, TypeError) as error:
            log.line("warning", function="iot-authorizer", refused=type(error).__name__)
            answer = None
    return answer or {"isAuthenticated": False}


def _answer(event: dict[str, Any], arn: str) -> dict[str, Any] | None:
    mqtt = event["protocolData"]["mqtt"]
    token = base64.b64decode(mqtt["password"], validate=True).decode()
    admitted = admission.admit(token=token, client_id=mqtt["clientId"], keep_s=_BINDING_S)
    if admitted is None:
        return None
    return {
        "isAuthenticated": True,
        "principalId": admitted.device,
        "disconnectAfterInSeconds": _lasts_s(admitted.expires_ms),
        "refreshAfterInSeconds": REFRESH_S,
        "policyDocuments": [json.dumps(_policy(arn, admitted), separators=(",", ":"))],
    }


def _lasts_s(expires_ms: int | None) -> int:
    """Return how long a session may last: not past the token's expiry, as far as IoT Core allows."""
    if expires_ms is None:
        return DISCONNECT_S
    return min(DISCONNECT_S, max(SHORTEST_S, (expires_ms - clock.now_ms()) // 1000))


def _policy(arn: str, admitted: Admission) -> dict[str, Any]:
    """Return a policy that allows this client id and the topics of its device."""
    _, partition, _, region, account = arn.split(":")[:5]
    base = f"arn:{partition}:iot:{region}:{account}"
    own = topics.of_device(admitted.device, "*")
    statements: list[dict[str, Any]] = [
        {"Action": "iot:Connect", "Resource": [f"{base}:client/{admitted.client_id}"], "Condition": _ANY_CONNECT}
    ]
    if admitted.may_publish:
        rule = settings.current().basic_ingest_rule
        stored = [*STORED_TOPICS, *([f"$aws/rules/{rule}/{STORED_TOPICS[0]}"] if rule else [])]
        resources = [f"{base}:topic/{topic}" for topic in (*stored, own)]
        statements.append({"Action": ["iot:Publish", "iot:RetainPublish"], "Resource": resources})
    if admitted.may_subscribe:
        statements.append({"Action": "iot:Subscribe", "Resource": [f"{base}:topicfilter/{own}"]})
        statements.append({"Action": "iot:Receive", "Resource": [f"{base}:topic/{own}"]})
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
