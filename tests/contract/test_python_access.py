"""TagoIO's own Python client: access management, analyses and run users."""

from datetime import datetime

import pytest
from tagoio_sdk import Resources
from tagoio_sdk.infrastructure.api_request import TagoIORequestError
from tagoio_sdk.modules.Resources.Access import Access
from tagoio_sdk.modules.Resources.Analyses import Analyses

from tests.contract.conftest import own_methods

METHODS = {
    Access: {"list", "create", "edit", "delete", "info"},
    Analyses: {
        "list", "create", "edit", "delete", "info", "run", "tokenGenerate", "uploadScript", "downloadScript",
        "listSnippets", "getSnippetFile",
    },
}  # fmt: skip
ALLOW = {"effect": "allow", "action": ["access"], "resource": ["device", "tag_match", "site"]}
DENY = {"effect": "deny", "action": ["access"], "resource": ["device", "tag.key", "secret", "tag.value", "yes"]}
SITE = [{"key": "site", "value": "A"}]


@pytest.mark.parametrize("module", METHODS, ids=lambda module: module.__name__)
def test_every_method_of_the_client_is_known_here(module):
    assert own_methods(module) == METHODS[module]


def test_policies(resources):
    sent = {"name": "Sites", "permissions": [DENY, ALLOW], "targets": [["analysis"]], "tags": SITE, "active": True}
    made = resources.access.create(sent)["am_id"]
    found = resources.access.info(made)
    assert found["permissions"] == [ALLOW, DENY] and found["targets"] == [["analysis"]] and found["tags"] == SITE
    assert isinstance(found["created_at"], datetime)
    rows = resources.access.list({"filter": {"name": "Site*"}, "fields": ["name", "active", "created_at"]})
    assert [(row["id"], row["active"]) for row in rows] == [(made, True)]
    assert resources.access.edit(made, {"active": False}) == "Access Management Successfully Updated"
    assert resources.access.delete(made) == "Successfully Removed"
    with pytest.raises(TagoIORequestError, match="Access Management Not Found"):
        resources.access.info(made)


def test_an_analysis_does_what_its_policies_allow(resources):
    seen = resources.devices.create({"name": "Seen", "type": "mutable", "tags": SITE})["device_id"]
    hidden = resources.devices.create({"name": "Hidden", "type": "mutable", "tags": [*SITE, {"key": "secret", "value": "yes"}]})  # fmt: skip
    made = resources.analysis.create({"name": "Reader", "runtime": "python-rt2025", "tags": SITE})
    assert made["id"] in [one["id"] for one in resources.analysis.list({"amount": 100})]
    assert resources.analysis.info(made["id"])["token"] == made["token"]
    assert resources.analysis.tokenGenerate(made["id"]) == {"analysis_token": made["token"]}
    resources.access.create({"name": "P", "permissions": [DENY, ALLOW], "targets": [["analysis", "id", made["id"]]]})
    own = Resources({"token": made["token"]})
    assert [one["id"] for one in own.devices.listDevice()] == [seen]
    assert own.devices.info(seen)["name"] == "Seen"
    for call in (lambda: own.devices.info(hidden["device_id"]), lambda: own.devices.edit(seen, {"name": "Other"})):
        with pytest.raises(TagoIORequestError, match="Authorization Denied"):
            call()
    assert resources.analysis.edit(made["id"], {"active": False}) == "Successfully Updated"
    with pytest.raises(TagoIORequestError, match="Authorization Denied"):
        own.devices.listDevice()
    with pytest.raises(TagoIORequestError, match="Decant runs no analyses"):
        resources.analysis.run(made["id"])
    assert resources.analysis.delete(made["id"]) == "Successfully Removed"


def test_a_run_user_sees_what_its_policies_allow(resources):
    seen = resources.devices.create({"name": "Shared", "type": "mutable"})["device_id"]
    sent = {"name": "Ann", "email": "ann@example.org", "password": "secret12", "timezone": "UTC", "active": True}
    user = resources.run.userCreate(sent)["user"]
    assert {"id": user, "name": "Ann"} in resources.run.listUsers()
    assert resources.run.userInfo(user)["email"] == "ann@example.org"
    resources.access.create({
        "name": "Shared", "targets": [["run_user", "id", user]],
        "permissions": [{"effect": "allow", "action": ["access"], "resource": ["device", "id", seen]}],
    })  # fmt: skip
    login = resources.run.loginAsUser(user, {"expire_time": "1 hour"})
    assert isinstance(login["expire_date"], datetime)
    own = Resources({"token": login["token"]})
    assert [one["id"] for one in own.devices.listDevice()] == [seen]
    assert own.devices.getDeviceData(seen, {"qty": 1}) == []
    assert resources.run.userEdit(user, {"password": "another1"}) == "TagoIO Run User Successfully Updated"
    with pytest.raises(TagoIORequestError, match="Authorization Denied"):
        own.devices.listDevice()
    assert resources.run.userDelete(user) == "Successfully Removed"
