"""TagoIO's own Python client, unmodified: every method of Resources.profile and Resources.serviceAuthorization."""

import pytest
from tagoio_sdk import Resources
from tagoio_sdk.infrastructure.api_request import TagoIORequestError
from tagoio_sdk.modules.Resources.Profile import Profile
from tagoio_sdk.modules.Resources.Service_Authorization import ServiceAuthorization

from tests.contract.conftest import own_methods

METHODS = {
    "Profile": {
        "list", "info", "summary", "create", "edit", "delete", "usageStatisticList", "auditLog", "auditLogQuery",
        "serviceEdit", "transferTokenToAnotherProfile", "tokenList", "tokenCreate", "tokenDelete", "addTeamMember",
        "teamList", "deleteTeamMember", "addonList", "addonEdit", "removeAddOn",
    },
    "ServiceAuthorization": {"tokenList", "tokenCreate", "tokenDelete", "tokenEdit"},
}  # fmt: skip


@pytest.fixture
def resources(server, resources):
    if not getattr(server, "password", None):
        pytest.skip("the password of the first account is not known")
    return resources


@pytest.fixture
def profile(resources):
    return resources.profile


@pytest.fixture
def current(profile):
    return profile.info("current")["info"]["id"]


def sign_in(server, **more):
    return {"email": server.email, "password": server.password, **more}


def test_every_method_of_the_client_is_known_here():
    for module in (Profile, ServiceAuthorization):
        assert own_methods(module) <= METHODS[module.__name__]


def test_the_life_of_a_profile(server, profile):
    made = profile.create({"name": "Python SDK"}, allocate_free_resources=True)["id"]
    assert made in [one["id"] for one in profile.list()]
    shown = profile.info(made)
    assert shown["info"]["name"] == "Python SDK" and shown["allocation"]["input"] == 9007199254740991
    assert profile.edit(made, {"name": "Renamed"}) == "Successfully Updated"
    assert profile.info(made)["info"]["name"] == "Renamed"
    with pytest.raises(TagoIORequestError, match="Authorization Denied"):
        profile.delete(made, {"password": "wrong"})
    assert profile.delete(made, {"password": server.password}) == "Successfully Removed"
    assert made not in [one["id"] for one in profile.list()]
    with pytest.raises(TagoIORequestError, match="Profile not found"):
        profile.info(made)


def test_summary_and_statistics(profile, current):
    assert profile.summary(current)["amount"]["device"] >= 1
    assert isinstance(profile.usageStatisticList(current, {"timezone": "UTC"}), list)


def test_tokens_and_switch(server, profile, current):
    made = profile.tokenCreate(current, sign_in(server, name="By Python", permission="full"))
    assert made["token"].startswith("p-")
    assert made["token"] in [one["token"] for one in profile.tokenList(current, {"amount": 100})]
    other = profile.create({"name": "Target"})["id"]
    moved = Resources({"token": made["token"]}).profile
    assert moved.transferTokenToAnotherProfile(other) == "Successfully Updated"
    assert moved.info("current")["info"]["id"] == other
    assert profile.tokenDelete(other, made["token"]) == "Token Successfully Removed"
    assert profile.delete(other, {"password": server.password}) == "Successfully Removed"


def test_team(profile, current):
    assert profile.addTeamMember(current, "python@example.org") == "User invited"
    (waiting,) = [one for one in profile.teamList(current) if one["email"] == "python@example.org"]
    assert waiting["active"] is False
    assert profile.deleteTeamMember(current, waiting["id"]) == "Account Successfully Removed"


def test_services_are_refused(profile, current):
    with pytest.raises(TagoIORequestError, match="quotas of its plan"):
        profile.serviceEdit(current, {"input": 1})


def test_service_authorizations(resources, current):
    services = resources.serviceAuthorization
    made = services.tokenCreate({"name": "By Python", "verification_code": "a"})
    assert made["token"].startswith("at") and made["profile"] == current
    query = {"fields": ["name", "token", "verification_code"], "filter": {"name": "By Python"}}
    assert services.tokenList(query) == [{"name": "By Python", "token": made["token"], "verification_code": "a"}]
    assert services.tokenEdit(made["token"], "b") == "Authorization Code Successfully Updated"
    assert services.tokenList(query)[0]["verification_code"] == "b"
    assert services.tokenDelete(made["token"]) == "Token Successfully Removed"
    assert services.tokenList(query) == []
