"""The decisions of access management, compared with a plain model that says the rules again in other words."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.services.access import catalogue, permissions
from chalicelib.services.access.permissions import NOTHING, tagged

IDS, KEYS, VALUES = ("x", "y"), ("a", "b"), ("1", "2")
ACTIONS = ("access", "edit", "create", "get_data", "token_access")
MALFORMED = (["id"], ["path", "x"], ["id", "x", "y"], ["tag.key", "a", "b"], [None], ["tag_match", 1])
seeds = st.integers(0, 2**32).map(random.Random)
"""Sources of chance. To draw each part of a policy from hypothesis would take ten times as long."""


def a_tuple(chance, first):
    """Return a tuple of any form, or of none."""
    key, value = chance.choice(KEYS), chance.choice(VALUES)
    forms = (
        [], ["id", chance.choice(IDS)], ["tag.key", key, "tag.value", value], ["tag_match", key],
        chance.choice(MALFORMED),
    )  # fmt: skip
    return [first, *chance.choice(forms)]


def a_document(chance):
    tags = [{"key": chance.choice(KEYS), "value": chance.choice(VALUES)} for _ in range(chance.randrange(4))]
    return {"id": chance.choice(IDS), "tags": tags}


def a_policy(chance):
    def permission():
        return {
            "effect": chance.choice(("allow", "allow", "deny")),
            "action": [chance.choice(ACTIONS) for _ in range(chance.randrange(3))],
            "resource": a_tuple(chance, chance.choice(("device", "device", "device", "action", "dashboard"))),
        }

    kinds = [chance.choice(("analysis", "run_user")) for _ in range(chance.choice((1, 2)))]
    return {
        "id": "p",
        "targets": [a_tuple(chance, kind) for kind in kinds],
        "permissions": [permission() for _ in range(chance.randrange(5))],
    }


def holds(parts, about, caller, *, is_target=False):
    """Return whether a tuple names an object, by the words of the contract."""
    having = {(tag["key"], tag["value"]) for tag in about["tags"]}
    own = {(tag["key"], tag["value"]) for tag in caller["tags"]}
    if len(parts) == 1:
        return True
    if len(parts) == 3 and parts[1] == "id":
        return parts[2] == about["id"]
    if len(parts) == 3 and parts[1] == "tag_match":
        return any(key == parts[2] and (is_target or (key, value) in own) for key, value in having)
    if len(parts) == 5 and (parts[1], parts[3]) == ("tag.key", "tag.value"):
        return (parts[2], parts[4]) in having
    return False


def model(policies, kind, caller, resource, action, about):
    """Return whether the caller may do it."""
    effects = set()
    for policy in policies:
        if not any(target[0] == kind and holds(target, caller, caller, is_target=True) for target in policy["targets"]):
            continue
        for permission in policy["permissions"]:
            parts = permission["resource"]
            if parts[0] != resource or action not in permission["action"] or not holds(parts, about, caller):
                continue
            if kind == "run_user" and (resource, action) != ("device", "access"):
                continue
            if resource == "action" and action in ("get_data", "token_access"):
                continue
            if action == "create" and parts[1:2] == ["id"]:
                continue
            effects.add(permission["effect"])
    return effects == {"allow"}


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_decisions_are_those_of_the_model(chance):
    """100 examples x 5 sets of policies x 20 objects = 10,000 decisions; a list shows what single decisions allow."""
    for _ in range(5):
        policies = [a_policy(chance) for _ in range(chance.randrange(5))]
        kind, caller = chance.choice(("analysis", "run_user")), a_document(chance)
        resource, action = chance.choice(("device", "device", "action")), chance.choice(ACTIONS)
        if kind == "run_user" and action == "get_data":
            action = "access"
        read = [permissions.read(policy) for policy in policies]
        rights = permissions.rights(read, kind, tagged(caller), f"{resource}/{action}")
        objects = [a_document(chance) for _ in range(20)]
        expected = [model(policies, kind, caller, resource, action, about) for about in objects]
        assert [rights.allow(tagged(about)) for about in objects] == expected
        shown = [about for about in objects if rights.visible()(about)]
        assert shown == [about for about, is_seen in zip(objects, expected, strict=True) if is_seen]
        if rights.allow(NOTHING):  # what is unknown needs a grant for all
            assert rights.allowed.is_all


@settings(deadline=None)
@given(seeds)
def test_an_allow_more_removes_nothing_and_a_deny_more_adds_nothing(chance):
    def is_allowed(policies):
        read = [permissions.read(policy) for policy in policies]
        return permissions.rights(read, "analysis", tagged(caller), "device/access").allow(tagged(about))

    for _ in range(5):
        before, extra = [a_policy(chance) for _ in range(3)], a_policy(chance)
        caller, about = a_document(chance), a_document(chance)
        for effect in ("allow", "deny"):
            more = extra | {"permissions": [rule | {"effect": effect} for rule in extra["permissions"]]}
            if is_allowed(before) is (effect == "allow"):
                assert is_allowed([*before, more]) is is_allowed(before)


@settings(deadline=None)
@given(seeds)
def test_what_matches_nothing_is_named_and_nothing_else(chance):
    policy = a_policy(chance)
    kinds = {parts[0] for parts in policy["targets"] if permissions.read_match(parts) is not None}
    faults = sum(permissions.read_match(parts) is None for parts in policy["targets"])
    for permission in policy["permissions"]:
        match = permissions.read_match(permission["resource"])
        if match is None:
            faults += 1
            continue
        for kind in kinds:
            for action in dict.fromkeys(permission["action"]):
                faults += match.form not in catalogue.forms(kind, f"{permission['resource'][0]}/{action}")
    assert len(permissions.faults(policy)) == faults
