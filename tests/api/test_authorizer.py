"""API Gateway's authorizer, and the handler that trusts it."""

import pytest

from chalicelib import store
from chalicelib.codec import tokens
from chalicelib.functions.authorizer import authorize
from chalicelib.host import cache, secret
from chalicelib.services.access import callers
from chalicelib.services.usage import limits, plans
from deploy import document
from tests.kit.api import Api
from tests.kit.billing import counting
from tests.kit.networks import Network
from tests.kit.world import World, point

LIMITS = {"plan": "free", "key_ready": "free", "blocked": [], "rpm": {}, "is_erased": False}
ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/api/POST/data"


def ask(headers):
    return authorize({"type": "REQUEST", "methodArn": ARN, "headers": headers}, None)


def test_good_token_gets_policy_context_and_key(world):
    answer = ask({"Device-Token": world.token})
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow" and statement["Resource"] == f"{ARN[:-10]}/*"
    assert answer["usageIdentifierKey"] == tokens.api_key(secret.current(), "", "waiting")
    assert 20 <= len(answer["usageIdentifierKey"]) <= 128
    assert all(isinstance(value, str) for value in answer["context"].values())
    assert callers.from_context(answer["context"]) == callers.resolve(text=world.token)
    assert world.token not in str(answer)


def test_network_goes_through_the_context_with_the_key_of_its_profile(world):
    network = Network(world)
    answer = ask({"Network-Token": network.token})
    assert answer["principalId"] == network.id and callers.from_context(answer["context"]).kind == "network"
    assert callers.from_context(answer["context"]) == callers.resolve(text=network.token)
    assert answer["usageIdentifierKey"] == tokens.api_key(secret.current(), "", "waiting")
    limits.change(world.profile, plan="free", key_ready="free")
    found = ask({"Network-Token": network.token})["usageIdentifierKey"]
    assert found == tokens.api_key(secret.current(), world.profile, "free")


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


def key_of(world):
    return ask({"token": world.token})["usageIdentifierKey"]


def test_keys_of_profiles_and_plans_differ_and_a_profile_without_a_working_key_shares_one(clock, each_store):
    one, two = World(), World()
    waiting = key_of(one)
    assert key_of(two) == waiting == tokens.api_key(secret.current(), "", plans.WAITING)
    for world in (one, two):
        assert limits.note_key(world.profile, "unlimited")
    keys = [key_of(one), key_of(two)]
    limits.change(one.profile, plan="free")
    assert key_of(one) == waiting and key_of(two) == keys[1]
    assert not limits.note_key(one.profile, "unlimited") and limits.note_key(one.profile, "free")
    keys.append(key_of(one))
    assert len({waiting, *keys}) == 4 and keys[2] == tokens.api_key(secret.current(), one.profile, "free")


def test_token_of_a_deleted_profile_is_refused_within_a_minute(clock, dynamo):
    world = World()
    assert ask({"token": world.token})["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    store.current().put(limits.new(world.profile, "free")._replace(doc={**LIMITS, "is_erased": True}))
    clock.advance(61)
    answer = ask({"token": world.token})
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny" and "usageIdentifierKey" not in answer


def test_authorizer_reads_token_and_limits_once_a_minute(clock, dynamo):
    world = World()
    cache.clear_all()
    for reads in (2, 0):
        with counting() as calls:
            ask({"token": world.token})
        assert calls["GetItem"] == reads


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
