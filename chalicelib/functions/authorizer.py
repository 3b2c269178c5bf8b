"""API Gateway's authorizer. It finds the caller behind the token and passes the caller on to the HTTP handler."""

from typing import Any

from chalice.app import Blueprint

from chalicelib import errors
from chalicelib.codec import tokens
from chalicelib.host import deadline, log, secret
from chalicelib.services.access import callers

bp = Blueprint(__name__)

LIMIT_S = 7.0
"""How long it may call AWS. API Gateway waits for 10 s, and a cold start is part of that time."""


@bp.authorizer(name="authorizer")
def authorize(event: dict[str, Any]) -> dict[str, Any]:
    """Answer a REQUEST event of API Gateway.

    Returns:
        A policy that allows every route of the stage; the caller as context, as the routes check the permission; and
        the profile's API key, by which the usage plan throttles the profile. If there is no caller, a policy that
        denies every route, which API Gateway answers with 401. To raise would count as an error of the function: a
        scanner would ring the alarm.

    Raises:
        errors.Unavailable: the store or the secret does not answer in time. API Gateway answers 503.
    """
    with deadline.limited(LIMIT_S):
        try:
            return _decide(event)
        except errors.Unavailable as error:
            log.line("error", function="authorizer", failed=log.cause(error))
            raise


def _decide(event: dict[str, Any]) -> dict[str, Any]:
    headers = {name.lower(): text for name, text in (event.get("headers") or {}).items()}
    text = tokens.from_headers(headers)
    caller = callers.resolve(text=text) if text else None
    api, stage = event["methodArn"].split("/")[:2]
    resource = f"{api}/{stage}/*"
    if caller is None:
        return _answer("nobody", "Deny", resource)
    return _answer(caller.subject or caller.profile, "Allow", resource) | {
        "context": callers.to_context(caller),
        "usageIdentifierKey": tokens.api_key(secret.current(), caller.profile),
    }


def _answer(principal: str, effect: str, resource: str) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


# Chalice converts the event as that of a TOKEN authorizer. This authorizer needs the original event.
authorize._transform_event = lambda event: event
