"""API Gateway's authorizer, and the handler that trusts it."""

import pytest

from chalicelib.codec import tokens
from chalicelib.functions.authorizer import authorize
from chalicelib.host import secret
from chalicelib.services.access import callers
from deploy import document
from tests.kit.api import Api
from tests.kit.billing import counting
from tests.kit.world import World, point

ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/api/POST/data"


def ask(headers):
    return authorize({"type": "REQUEST", "methodArn": ARN, "headers": headers}, None)


def test_good_token_gets_policy_context_and_key(world):
    answer = ask({"Device-Token": world.token})
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow" and statement["Resource"] == f"{ARN[:-10]}/*"
    assert answer["usageIdentifierKey"] == tokens.api_key(secret.current(), world.profile)
    assert 20 <= len(answer["usageIdentifierKey"]) <= 128
    assert all(isinstance(value, str) for value in answer["context"].values())
    assert callers.from_context(answer["context"]) == callers.resolve(text=world.token)
    assert world.token not in str(answer)


@pytest.mark.parametrize("name", [*tokens.HEADERS, "TOKEN", "Profile-Token"])
def test_every_header_is_looked_at(world, name):
    assert ask({name: f"Bearer {world.profile_token}"})["principalId"] == world.profile


@pytest.mark.parametrize("headers", [{}, None, {"token": "x"}, {"token": "00000000-0000-4000-8000-000000000000"}])
def test_bad_token_is_denied_every_route_and_is_no_error_of_the_function(world, headers):
    """API Gateway answers 401, as the document says. Nothing is logged, and no alarm rings."""
    answer = ask(headers)
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Deny" and statement["Resource"] == f"{ARN[:-10]}/*" and answer["principalId"]
    assert "context" not in answer and "usageIdentifierKey" not in answer
    assert document.GATEWAY_RESPONSES["ACCESS_DENIED"] == (401, "Authorization Denied")


@pytest.mark.parametrize("name", ["AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"])
def test_store_that_is_down_or_slow_is_503_with_the_time_to_try_again(name):
    answer = document.gateway_responses()[name]
    assert answer["statusCode"] == "503" and "gatewayresponse.header.Retry-After" in answer["responseParameters"]


def test_expiring_token_goes_through_the_context(clock, world):
    made = world.admin.post(
        "/device/token", {"device": world.device, "name": "t", "permission": "read", "expire_time": "1 day"}
    )
    grant = callers.from_context(ask({"token": made.result["token"]})["context"])
    assert grant.permission == "read" and grant.expires_ms == clock.now_ms + 86_400_000


def test_keys_of_profiles_differ(each_store):
    one, two = World(), World()
    assert ask({"token": one.token})["usageIdentifierKey"] != ask({"token": two.token})["usageIdentifierKey"]


def handed(token):
    """Call the app as API Gateway does after the authorizer: without a token, with the caller as context."""
    return Api(context=ask({"token": token})["context"])


def test_handler_trusts_the_context_and_reads_no_token(dynamo):
    world = World()
    world.send(point("a"))
    api = handed(world.token)
    with counting() as calls:
        assert api.post("/data", point("a")).result == "1 Data Added"
    assert dict(calls) == {"PutItem": 1}
    assert len(api.get("/data").result) == 2
    assert api.get("/device").status == 401
    assert handed(world.profile_token).get("/device").status == 200
