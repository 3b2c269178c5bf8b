"""The authorizer of API Gateway: looks a token up once, and hands on whom it stands for."""

from typing import Any

from chalice.app import Blueprint

from chalicelib.codec import tokens
from chalicelib.host import secret
from chalicelib.services.access import callers

bp = Blueprint(__name__)


@bp.authorizer(name="authorizer")
def authorize(event: dict[str, Any]) -> dict[str, Any]:
    """Answer a REQUEST event of API Gateway.

    Returns:
        Leave to call every route of the stage; the grant as context, which the routes check; and the profile's API
        key, by which its usage plan throttles it.

    Raises:
        Exception: with the one text that API Gateway turns into 401.
    """
    headers = {name.lower(): text for name, text in (event.get("headers") or {}).items()}
    text = tokens.from_headers(headers)
    grant = callers.resolve(text=text) if text else None
    if grant is None:
        raise Exception("Unauthorized")
    api, stage = event["methodArn"].split("/")[:2]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": grant.device or grant.profile,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": callers.to_context(grant),
        "usageIdentifierKey": tokens.api_key(secret.current(), grant.profile),
    }


# Chalice reads events as those of a TOKEN authorizer; this one takes the event as it is.
authorize._transform_event = lambda event: event
