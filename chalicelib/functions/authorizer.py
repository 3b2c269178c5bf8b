"""API Gateway's authorizer. It finds the caller behind the token and passes the caller on to the HTTP handler."""

from typing import Any

from chalice.app import Blueprint

from chalicelib import errors
from chalicelib.codec import tokens
from chalicelib.host import deadline, log, secret
from chalicelib.services.access import callers
from chalicelib.services.access.callers import Caller
from chalicelib.services.usage import floods, limits, plans

bp = Blueprint(__name__)

LIMIT_S = 7.0
"""How long it may call AWS. API Gateway waits for 10 s, and a cold start is part of that time."""


@bp.authorizer(name="authorizer")
def authorize(event: dict[str, Any]) -> dict[str, Any]:
    """Answer a REQUEST event of API Gateway.

    Returns:
        A policy that allows every route of the stage; the caller as context, as the routes check the permission; and
        the API key, by which a usage plan throttles the profile, or a device that floods. If there is no caller, or its
        profile is deleted, a policy that denies every route, which API Gateway answers with 401. To raise would count
        as an error of the function: a scanner would ring the alarm.

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
    api, stage, method, path = event["methodArn"].split("/", 3)
    resource = f"{api}/{stage}/*"
    key = _api_key(caller, method, path) if caller else None
    if caller is None or key is None:
        return _answer("nobody", "Deny", resource)
    return _answer(caller.subject or caller.profile, "Allow", resource) | {
        "context": callers.to_context(caller),
        "usageIdentifierKey": key,
    }


def _api_key(caller: Caller, method: str, path: str) -> str | None:
    """Return the API key by which the request is throttled; None: the profile is deleted.

    It is the key of the caller's profile, or a shared one: until the profile's own key works, and for devices that
    flood. Cost: no read within a minute of the last one, else half a read.
    """
    found = limits.of(caller.profile)
    if found.is_erased:
        return None
    sharer = caller.subject or caller.fingerprint
    if floods.is_loud(profile=caller.profile, sharer=sharer, method=method, path=path):
        return tokens.api_key(secret.current(), "", plans.LOUD)
    if found.key_ready != found.plan:
        return tokens.api_key(secret.current(), "", plans.WAITING)
    return tokens.api_key(secret.current(), caller.profile, found.plan)


def _answer(principal: str, effect: str, resource: str) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


# Chalice converts the event as that of a TOKEN authorizer. This authorizer needs the original event.
authorize._transform_event = lambda event: event
