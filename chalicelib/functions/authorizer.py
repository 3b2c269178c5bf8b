"""API Gateway's authorizer. It finds the caller behind the token and passes the caller on to the HTTP handler."""

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
        A policy that allows every route of the stage; the caller as context, as the routes check the permission; and
        the profile's API key, by which the usage plan throttles the profile.

    Raises:
        Exception: there is no caller. Its text is the one that API Gateway turns into 401.
    """
    headers = {name.lower(): text for name, text in (event.get("headers") or {}).items()}
    text = tokens.from_headers(headers)
    caller = callers.resolve(text=text) if text else None
    if caller is None:
        raise Exception("Unauthorized")
    api, stage = event["methodArn"].split("/")[:2]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": caller.device or caller.profile,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": callers.to_context(caller),
        "usageIdentifierKey": tokens.api_key(secret.current(), caller.profile),
    }


# Chalice converts the event as that of a TOKEN authorizer. This authorizer needs the original event.
authorize._transform_event = lambda event: event
