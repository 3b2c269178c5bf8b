"""The function that IoT Core asks whether an MQTT client may connect."""

import base64
import json
from typing import Any

from chalice.app import Blueprint

from chalicelib import errors, settings
from chalicelib.host import clock, log
from chalicelib.schemas.messages import STORED_TOPICS
from chalicelib.services.access import admission
from chalicelib.services.access.admission import Admission

bp = Blueprint(__name__)

DISCONNECT_S = 86_400
SHORTEST_S = 300
"""The shortest time that IoT Core takes."""
REFRESH_S = 900
"""How often the broker asks again. A session that could not be ended ends within this time. Each time costs a call."""
_BINDING_S = DISCONNECT_S + 7_200


@bp.lambda_function(name="iot-authorizer")
def authorize(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer whether an MQTT client may connect, and which topics it may use. The answer to any error is no."""
    try:
        answer = _answer(event, context.invoked_function_arn)
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
    own = f"device/{admitted.device}/*"
    statements = [("iot:Connect", [f"{base}:client/{admitted.client_id}"])]
    if admitted.may_publish:
        rule = settings.current().basic_ingest_rule
        topics = [*STORED_TOPICS, *([f"$aws/rules/{rule}/{STORED_TOPICS[0]}"] if rule else [])]
        shared = [f"{base}:topic/{topic}" for topic in topics]
        statements.append(("iot:Publish", [*shared, f"{base}:topic/{own}"]))
    if admitted.may_subscribe:
        statements.append(("iot:Subscribe", [f"{base}:topicfilter/{own}"]))
        statements.append(("iot:Receive", [f"{base}:topic/{own}"]))
    allowed = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in statements]
    return {"Version": "2012-10-17", "Statement": allowed}
