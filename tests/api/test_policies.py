"""/am: creates, reads, changes, deletes and lists policies."""

import itertools

import pytest

from chalicelib.services.access import catalogue
from tests.kit.governed import policy, rule, tagged

DENY, ALLOW = rule("deny", "access", "device"), rule("allow", "edit", "device")


def test_a_policy_is_stored_as_sent_with_allow_first(clock, world):
    found = policy(world, DENY, ALLOW, targets=[["analysis"], ["run_user", "tag_match", "K"]], tags=tagged("a=1"))
    shown = world.admin.get(f"/am/{found}").result
    created_at = shown.pop("created_at")
    assert shown.pop("updated_at") == created_at == "2026-09-21T14:13:20.000Z"
    assert shown == {
        "id": found, "profile": world.profile, "name": "Policy", "active": True, "tags": tagged("a=1"),
        "permissions": [ALLOW, DENY], "targets": [["analysis"], ["run_user", "tag_match", "K"]],
    }  # fmt: skip


def test_tuples_are_cut_to_five_parts_and_denied_is_deny(world):
    longer = ["device", "tag.key", "a", "tag.value", "1", "more", "parts"]
    found = policy(world, rule("denied", "access", *longer), targets=[["analysis", *longer[1:]]])
    shown = world.admin.get(f"/am/{found}").result
    assert shown["permissions"] == [rule("deny", "access", *longer[:5])]
    assert shown["targets"] == [["analysis", *longer[1:5]]]


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("permissions", {"permissions": [rule("allow", "access", "devices")]}),
        ("permissions", {"permissions": [rule("allow", "access,drop", "device")]}),
        ("permissions", {"permissions": [rule("maybe", "access", "device")]}),
        ("permissions", {"permissions": [rule("allow", "access")]}),
        ("permissions", {"permissions": [rule("allow", "access", 5)]}),
        ("permissions", {"permissions": [rule("allow", "access", {"a": 1})]}),
        ("permissions", {"permissions": [{"effect": "allow", "action": "access", "resource": ["device"]}]}),
        ("permissions", {"permissions": [DENY] * 101}),
        ("permissions", {"permissions": [rule("allow", "access", "device", 2**64)]}),
        ("permissions", {"permissions": None}),
        ("targets", {"targets": [["profile"]]}), ("targets", {"targets": [[]]}), ("targets", {"targets": ["analysis"]}),
        ("targets", {"targets": [["analysis"]] * 101}), ("name", {"name": ""}), ("active", {"active": 1}),
    ],
)  # fmt: skip
def test_only_unknown_names_and_wrong_shapes_are_refused(world, field, sent):
    found = policy(world, ALLOW)
    before = world.admin.get(f"/am/{found}").result
    complete = {"name": "P", "permissions": [ALLOW], "targets": [["analysis"]], **sent}
    for answer in (world.admin.post("/am", complete), world.admin.put(f"/am/{found}", sent)):
        assert answer.status == 400 and [*answer.body["field_errors"]] == [field], answer.text
    assert world.admin.get(f"/am/{found}").result == before and len(world.admin.get("/am").result) == 1


@pytest.mark.parametrize("field", ["name", "permissions", "targets"])
def test_required_fields(world, field):
    sent = {"name": "P", "permissions": [], "targets": []}
    sent.pop(field)
    assert world.admin.post("/am", sent).body["field_errors"] == {field: [f"{field} is required"]}


def test_pairs_that_no_catalogue_has_are_stored(world):
    odd = [rule("allow", "login_as_user", "device"), rule("allow", "upload", "file", "path", "a/")]
    found = policy(world, *odd, rule("allow", "", "device") | {"action": []}, targets=[])
    assert len(world.admin.get(f"/am/{found}").result["permissions"]) == 3


def test_edit_replaces_lists_that_are_sent_and_keeps_the_others(world):
    found = policy(world, ALLOW, DENY, tags=tagged("a=1"))
    assert world.admin.put(f"/am/{found}", {"name": "New", "profile": "x", "id": "x", "created_at": 0}).result == (
        "Access Management Successfully Updated"
    )
    assert world.admin.put(f"/am/{found}", {"permissions": [DENY], "active": False}).status == 200
    shown = world.admin.get(f"/am/{found}").result
    assert (shown["name"], shown["permissions"], shown["targets"]) == ("New", [DENY], [["analysis"]])
    assert (shown["tags"], shown["profile"], shown["id"]) == (tagged("a=1"), world.profile, found)
    assert shown["active"] is False


def test_the_list_never_shows_permissions_or_targets(world):
    first, second = policy(world, name="B"), policy(world, name="A", active=False, tags=tagged("a=1"))
    rows = world.admin.get("/am").result
    assert rows == [
        {"id": second, "tags": tagged("a=1"), "profile": world.profile, "name": "A"},
        {"id": first, "tags": [], "profile": world.profile, "name": "B"},
    ]
    assert [row["id"] for row in world.admin.get("/am?filter[active]=false&fields=active").result] == [second]
    assert [row["id"] for row in world.admin.get("/am?filter[tags][0][key]=a").result] == [second]
    for field in ("permissions", "targets"):
        assert world.admin.get(f"/am?fields={field}").status == 400


def test_delete_respects_the_protection_tag(world):
    found = policy(world, tags=tagged("_deletion_protection="))
    answer = world.admin.delete(f"/am/{found}")
    assert answer.status == 400 and "_deletion_protection" in answer.message
    world.admin.put(f"/am/{found}", {"tags": []})
    assert world.admin.delete(f"/am/{found}").result == "Successfully Removed"
    for answer in (world.admin.get(f"/am/{found}"), world.admin.delete(f"/am/{found}"), world.admin.put("/am/x", {})):
        assert (answer.status, answer.message) == (404, "Access Management Not Found")


def test_settings_print_the_catalogue(world):
    shown = world.admin.get("/am/settings").result
    assert shown["resources"]["access_management"] == {"label": "Access Management"}
    assert shown["settings"].keys() == {"analysis", "run_user"}
    device = {grant["value"]: grant["match_by"] for grant in shown["settings"]["analysis"]["device"]}
    assert device["create"] == ["tag", "tag_match", "any"] and device["get_data"] == ["id", "tag", "tag_match", "any"]
    assert [grant["value"] for grant in shown["settings"]["run_user"]["device"]] == ["access"]
    for grants in shown["settings"].values():
        assert grants.keys() <= shown["resources"].keys()
        for grant in itertools.chain(*grants.values()):
            assert grant.keys() == {"label", "value", "description", "match_by"} and all(grant.values())


def test_the_catalogue_names_each_grant_once_and_known_things():
    for grants in catalogue.CATALOGUE.values():
        assert len({(grant.resource, grant.action) for grant in grants}) == len(grants)
        assert {grant.resource for grant in grants} <= catalogue.LABELS.keys() <= catalogue.RESOURCES
        assert {grant.action for grant in grants} <= catalogue.ACTIONS
        assert all("any" in grant.match_by for grant in grants)
