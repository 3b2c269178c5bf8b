"""Access management: what policies let an analysis and a run user do."""

import json
import math
import re

import pytest

from chalicelib import routes
from chalicelib.host import cache, deadline, log
from chalicelib.http.access import LISTS
from chalicelib.http.route import ANALYSIS, DEVICE
from chalicelib.services import entities
from chalicelib.services.access import catalogue, reach
from chalicelib.store import Entity, names
from tests.kit.api import Api
from tests.kit.billing import counting
from tests.kit.governed import Analysis, device, policy, rule, tagged
from tests.kit.world import World, point

UNKNOWN_ID = "0" * 24
ANY_TAG = ("device", "tag.key", "a", "tag.value", "1")


def ids(answer):
    return {row["id"] for row in answer.result}


def test_1_a_deny_of_one_policy_wins_over_the_allow_of_another(world):
    analysis, other = Analysis(world), device(world)
    policy(world, rule("allow", "access", "device"))
    policy(world, rule("deny", "access", "device", "id", world.device))
    assert analysis.api.get(f"/device/{world.device}").status == 401
    assert ids(analysis.api.get("/device")) == {other}
    assert analysis.api.get(f"/device/{other}").result["id"] == other


def test_2_one_action_a_route(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "edit", "device"), rule("deny", "access", "device", "id", world.device))
    assert analysis.api.put(f"/device/{world.device}", {"name": "Other"}).status == 200
    assert analysis.api.get(f"/device/{world.device}").status == 401


def test_3_a_change_of_tags_is_judged_by_the_old_and_the_new_ones(world):
    analysis, mine = Analysis(world), device(world, "a=1")
    policy(
        world, rule("allow", "edit", *ANY_TAG), rule("deny", "edit", "device", "tag.key", "locked", "tag.value", "1")
    )
    put = analysis.api.put
    assert put(f"/device/{mine}", {"name": "Other"}).status == 200
    assert put(f"/device/{mine}", {"tags": tagged("b=1")}).status == 401  # it would lose the tag
    assert put(f"/device/{mine}", {"tags": tagged("a=1", "locked=1")}).status == 401  # it would get one that is denied
    assert put(f"/device/{world.device}", {"tags": tagged("a=1")}).status == 401  # it does not have the tag yet
    assert put(f"/device/{mine}", {"tags": tagged("a=1", "b=2")}).status == 200
    assert world.admin.get(f"/device/{mine}").result["tags"] == tagged("a=1", "b=2")


def test_3_an_object_keeps_its_id_when_its_tags_change(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "edit", "device", "id", world.device))
    assert analysis.api.put(f"/device/{world.device}", {"tags": tagged("a=1")}).status == 200


def test_4_creation_is_judged_by_the_tags_of_the_body(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "create", *ANY_TAG))
    assert analysis.api.post("/device", {"name": "New", "tags": tagged("a=1")}).status == 200
    assert analysis.api.post("/device", {"name": "New"}).status == 401
    assert analysis.api.post("/device", {"name": "New", "tags": tagged("a=2")}).status == 401


def test_a_body_is_not_read_for_callers_who_may_not(world):
    analysis, mine = Analysis(world), device(world, "a=1")
    requests = [("POST", "/device"), ("PUT", f"/device/{mine}"), ("POST", "/device/token"), ("POST", "/am")]
    assert [analysis.api(*request, raw="{").status for request in requests] == [401] * 4
    policy(world, rule("allow", "create,edit,token_access", *ANY_TAG))
    assert [analysis.api(*request, raw="{").status for request in requests] == [400, 400, 400, 401]


def test_5_creation_cannot_be_allowed_by_id(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "create", "device", "id", world.device))
    assert analysis.api.post("/device", {"name": "New", "tags": tagged("a=1")}).status == 401


@pytest.mark.parametrize(
    ("caller", "object_tags", "is_seen"),
    [
        (("K=a", "K=b"), ("K=b",), True), ((), (), False), (("K=a",), ("K=b",), False), (("K=a",), (), False),
        ((), ("K=a",), False), (("K=a",), ("k=a",), False), (("K=a",), ("K=A",), False),
    ],
)  # fmt: skip
def test_6_tag_match_needs_a_common_value(world, caller, object_tags, is_seen):
    analysis, mine = Analysis(world, caller), device(world, *object_tags)
    policy(world, rule("allow", "access", "device", "tag_match", "K"))
    assert (analysis.api.get(f"/device/{mine}").status == 200) is is_seen
    assert (mine in ids(analysis.api.get("/device"))) is is_seen


MALFORMED = [
    ["device", "id"], ["device", "id", "x", "y"], ["device", "tag.key", "a"], ["device", "tag.key", "a", "value", "1"],
    ["device", "tag_match"], ["device", "path", "a"], ["device", ""], ["device", "ID", UNKNOWN_ID], ["device", 5],
    ["device", None], ["device", "id", 5], ["device", ["id"]], ["device", "tag_match", {"a": 1}],
]  # fmt: skip


@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_7_malformed_tuples_match_nothing_and_are_logged(world, effect):
    analysis, lines = Analysis(world), []
    log.use(lambda line: lines.append(json.loads(line)))
    rest = [rule("allow", "access", "device")] if effect == "deny" else []
    found = policy(world, *[rule(effect, "access", *parts) for parts in MALFORMED], *rest)
    assert (analysis.api.get(f"/device/{world.device}").status == 200) is (effect == "deny")
    (warning,) = [line for line in lines if "policy" in line]
    assert (warning["policy"], warning["level"]) == (found, "warning")
    assert warning["ignored"] == [f"permission {len(rest) + index}: malformed" for index in range(len(MALFORMED))]
    stored = world.admin.get(f"/am/{found}").result["permissions"]
    assert [permission["resource"] for permission in stored[len(rest) :]] == MALFORMED


def test_7_malformed_targets_match_nobody_and_are_logged(world):
    analysis, lines = Analysis(world, ("a=1",)), []
    log.use(lambda line: lines.append(json.loads(line)))
    targets = [["analysis", *parts[1:]] for parts in MALFORMED]
    policy(world, rule("allow", "access", "device"), targets=targets)
    assert analysis.api.get(f"/device/{world.device}").status == 401
    (warning,) = [line for line in lines if "policy" in line]
    assert warning["ignored"] == [f"target {index}: malformed" for index in range(len(MALFORMED))]


def test_8_a_target_tag_match_needs_only_the_key(world):
    with_key, without = Analysis(world, ("K=anything",)), Analysis(world, ("L=anything",))
    policy(world, rule("allow", "access", "device"), targets=[["analysis", "tag_match", "K"]])
    assert with_key.api.get(f"/device/{world.device}").status == 200
    assert without.api.get(f"/device/{world.device}").status == 401


def test_10_access_to_a_device_is_not_access_to_its_tokens_or_data(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "access", "device"))
    for path in (f"/device/token/{world.device}", f"/device/{world.device}/data", f"/device/{world.device}/chunk"):
        assert analysis.api.get(path).status == 401
    assert analysis.api.post(f"/device/{world.device}/data", point()).status == 401
    for path in ("params", "data_amount"):
        assert analysis.api.get(f"/device/{world.device}/{path}").status == 200


def test_11_deny_alone_shows_nothing(world):
    analysis = Analysis(world)
    policy(world, rule("deny", "access", "device", "id", UNKNOWN_ID))
    assert analysis.api.get(f"/device/{world.device}").status == 401
    assert analysis.api.get("/device").result == []


@pytest.mark.parametrize("hidden", [("device", "id", UNKNOWN_ID), ANY_TAG])
def test_12_unknown_and_hidden_objects_look_alike_without_an_any_grant(world, hidden):
    analysis = Analysis(world)
    policy(world, rule("allow", "access", *hidden))
    answers = [analysis.api.get(f"/device/{one}") for one in (world.device, UNKNOWN_ID, World().device, "x")]
    assert {(answer.status, answer.text) for answer in answers} == {(401, answers[0].text)}
    policy(world, rule("allow", "access", "device"))
    assert [analysis.api.get(f"/device/{one}").status for one in (UNKNOWN_ID, World().device, "x")] == [404] * 3


def test_12_also_for_tokens(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "token_access", *ANY_TAG))
    mine = device(world, "a=1")
    made = analysis.api.post("/device/token", {"device": mine, "name": "t", "permission": "full"}).result["token"]
    sent = {"device": world.device, "name": "t", "permission": "full"}
    assert analysis.api.post("/device/token", sent).status == 401
    assert analysis.api.post("/device/token", {**sent, "device": UNKNOWN_ID}).status == 401
    tokens = (world.token, world.profile_token, "x", World().token, "00000000-0000-4000-8000-000000000000")
    assert [analysis.api.delete(f"/device/token/{token}").status for token in tokens] == [401] * 5
    assert {row["token"] for row in analysis.api.get(f"/device/token/{mine}").result} >= {made}
    assert analysis.api.get(f"/device/token/{world.device}").status == 401
    assert analysis.api.delete(f"/device/token/{made}").status == 200
    assert Api(world.token).get("/info").status == 200 and Api(made).get("/info").status == 401


def test_rows_name_grants_of_the_catalogue():
    known = {f"{grant.resource}/{grant.action}" for grant in catalogue.ANALYSIS}
    assert {row.grant for row in routes.ALL if row.grant} <= known
    lists = {row.path for row in routes.ALL if row.grant and row.method == "GET" and "{" not in row.path}
    assert lists - {"/am/settings", "/account"} <= LISTS


def test_an_analysis_without_policies_may_do_nothing(world):
    analysis = Analysis(world)
    for row in routes.ALL:
        if ANALYSIS not in row.who:
            continue
        path = re.sub(r"{\w+}", UNKNOWN_ID, row.path)
        answer = analysis.api(row.method, path, json_body={} if row.body else None)
        if row.path == "/info":
            assert answer.result["name"] == "Analysis" and "token" not in answer.result
        elif row.method == "GET" and row.path in LISTS:
            assert answer.result == []
        else:
            assert answer.status in (400, 401), row


def test_an_analysis_sends_and_reads_data(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "send_data,get_data,edit_data,delete_data", "device", "id", world.device))
    path = f"/device/{world.device}/data"
    assert analysis.api.post(path, point("a", 1)).result == "1 Data Added"  # whatever DECANT_PROFILE_MAY_SEND says
    (stored,) = analysis.api.get(path).result
    assert analysis.api.put(path, {"id": stored["id"], "value": 2}).result == "1 item(s) updated"
    assert analysis.api.delete(path).result == "1 Data Removed"
    assert analysis.api.post(f"/device/{world.device}/empty").status == 200


def test_lists_are_filtered_before_order_and_page(world):
    analysis = Analysis(world)
    seen = [device(world, "a=1", name=f"Seen {number}") for number in range(4)]
    for number in range(4):
        device(world, name=f"Aaa hidden {number}")
    policy(world, rule("allow", "access", *ANY_TAG))
    pages = [analysis.api.get("/device", query={"amount": 2, "page": page}).result for page in (1, 2, 3)]
    assert [[row["id"] for row in page] for page in pages] == [seen[:2], seen[2:], []]
    assert analysis.api.get("/device", query={"filter[name]": "*hidden*"}).result == []


def test_a_filter_of_many_objects_gives_way_to_others(clock, sqlite):
    world = World()
    owner = names.profile(world.profile)
    for number in range(200):
        sqlite.put(Entity(owner, names.device(f"{number:024x}"), world.doc | {"id": f"{number:024x}"}))

    def may_see(_):
        clock.advance(0.001)
        return True

    assert len(entities.list_all(reach.DEVICE, owner=owner, may_see=may_see)) == 201
    deadline.set_share(0.05)
    try:
        with pytest.raises(deadline.TooLong), deadline.sharing():
            entities.list_all(reach.DEVICE, owner=owner, may_see=may_see)
    finally:
        deadline.set_share(math.inf)


def test_profile_tokens_bypass_policies(world):
    policy(world, rule("deny", "access,edit,get_data", "device"))
    assert world.admin.get(f"/device/{world.device}").status == 200
    assert world.admin.get(f"/device/{world.device}/data").status == 200


def test_an_inactive_policy_counts_no_more(world):
    analysis = Analysis(world)
    found = policy(world, rule("allow", "access", "device"))
    assert analysis.api.get(f"/device/{world.device}").status == 200
    world.admin.put(f"/am/{found}", {"active": False})
    assert analysis.api.get(f"/device/{world.device}").status == 401
    world.admin.put(f"/am/{found}", {"active": True})
    world.admin.delete(f"/am/{found}")
    assert analysis.api.get(f"/device/{world.device}").status == 401


def test_a_policy_of_another_profile_counts_nothing(world):
    analysis = Analysis(world)
    policy(World(), rule("allow", "access", "device"))
    assert analysis.api.get(f"/device/{world.device}").status == 401


def test_an_inactive_analysis_is_refused_like_an_unknown_token(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "access", "device"))
    refused = Api("a-00000000-0000-4000-8000-000000000000").get("/device")
    assert analysis.api.get("/device").status == 200
    world.admin.put(f"/analysis/{analysis.id}", {"active": False})
    for path in ("/device", "/info", f"/device/{world.device}"):
        answer = analysis.api.get(path)
        assert (answer.status, answer.text) == (401, refused.text)
    world.admin.put(f"/analysis/{analysis.id}", {"active": True})
    assert analysis.api.get("/device").status == 200


def test_a_change_elsewhere_counts_within_a_minute(clock, world):
    analysis = Analysis(world)
    found = policy(world, rule("allow", "access", "device"))
    assert analysis.api.get(f"/device/{world.device}").status == 200
    kept = [dict(one._values) for one in cache._all], list(cache._all)
    world.admin.delete(f"/am/{found}")
    for values, one in zip(*kept, strict=True):  # another process still has what it read
        one._values = values
    clock.advance(59)
    assert analysis.api.get(f"/device/{world.device}").status == 200
    clock.advance(2)
    assert analysis.api.get(f"/device/{world.device}").status == 401


def test_policies_cost_one_query_a_minute(dynamo):
    world = World()
    analysis = Analysis(world)
    policy(world, rule("allow", "token_access", "device"))
    world.send(point())
    cache.clear_all()
    with counting() as calls:
        for _ in range(5):
            assert analysis.api.get(f"/device/token/{world.device}").status == 200
    # The token, its last use, the limits, the analysis, the device; the policies. The owner and the device's tokens are
    # read each time.
    assert calls == {"GetItem": 5 + 5, "PutItem": 1, "Query": 1 + 5}


def test_a_device_token_still_reaches_only_its_device(world):
    assert {row.path for row in routes.ALL if DEVICE in row.who} == {
        "/data", "/device/params", "/device/params/{param_id}", "/info",
    }  # fmt: skip


def test_an_analysis_cannot_choose_the_tags_by_which_policies_name_it(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "create", "analysis"))
    assert analysis.api.put(f"/analysis/{analysis.id}", {"name": "Renamed"}).status == 200
    answer = analysis.api.put(f"/analysis/{analysis.id}", {"tags": [{"key": "role", "value": "admin"}]})
    assert answer.status == 401
    assert world.admin.get(f"/analysis/{analysis.id}").result["tags"] == []


def test_an_analysis_restores_no_backup_of_a_device_that_it_may_not_read(world):
    analysis = Analysis(world)
    policy(world, rule("allow", "import_data", "device", "id", world.device))
    path = f"/device/{world.device}/data/restore"
    for address in ("device/5f0c9b1a2d3e4f5061728394/1.csv", "all", f"/device/{world.device}.csv"):
        answer = analysis.api.post(path, {"file_address": address})
        assert (answer.status, answer.message) == (
            400, f"An analysis can restore only files below device/{world.device}/",
        )  # fmt: skip
    own = {"file_address": f"/device/{world.device}/1.csv"}
    assert analysis.api.post(path, own).status == 404
    assert world.admin.post(path, {"file_address": "all"}).status == 404
