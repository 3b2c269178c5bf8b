"""/analysis: analyses and their tokens."""

import pytest

from chalicelib.services.access import tokens
from chalicelib.store import names
from tests.kit.api import Api
from tests.kit.governed import Analysis, policy, rule, tagged
from tests.kit.world import World


def test_creation_gives_id_and_token(clock, world):
    variables = [{"key": "k", "value": 1}]
    sent = {"name": "N", "runtime": "python-rt2025", "variables": variables, "tags": tagged("a=1"), "profile": "x"}
    made = world.admin.post("/analysis", sent).result
    assert made.keys() == {"id", "token"} and made["token"].startswith("a-")
    assert world.admin.get(f"/analysis/{made['id']}").result == {
        "id": made["id"], "profile": world.profile, "name": "N", "description": None, "active": True, "interval": None,
        "run_on": "external", "runtime": "python-rt2025", "file_name": None, "variables": variables,
        "tags": tagged("a=1"), "token": made["token"], "last_run": None, "locked_at": None, "console": [],
        "created_at": "2026-09-21T14:13:20.000Z", "updated_at": "2026-09-21T14:13:20.000Z",
    }  # fmt: skip
    assert world.admin.get(f"/analysis/{made['id']}/token").result == {"analysis_token": made["token"]}
    shown = Api(made["token"]).get("/info").result
    assert (shown["name"], shown["active"], shown["run_on"]) == ("N", True, "external") and "token" not in shown


def test_the_token_is_stored_nowhere_in_clear(sqlite):
    analysis = Analysis(World())
    assert analysis.token[2:] not in "\n".join(sqlite._db.iterdump())


def test_list_edit_and_delete(world):
    first, second = Analysis(world, name="B"), Analysis(world, name="A", active=False)
    assert world.admin.get("/analysis/").result == [{"id": second.id, "name": "A"}, {"id": first.id, "name": "B"}]
    assert [row["id"] for row in world.admin.get("/analysis?filter[active]=false&fields=run_on").result] == [second.id]
    assert world.admin.put(f"/analysis/{first.id}", {"name": "C", "id": "x", "token": "x"}).result == (
        "Successfully Updated"
    )
    shown = world.admin.get(f"/analysis/{first.id}").result
    assert (shown["name"], shown["id"], shown["token"]) == ("C", first.id, first.token)
    assert first.api.get("/info").status == 200
    assert world.admin.delete(f"/analysis/{first.id}").result == "Successfully Removed"
    assert first.api.get("/info").status == 401
    for answer in (world.admin.get(f"/analysis/{first.id}"), world.admin.delete(f"/analysis/{first.id}")):
        assert (answer.status, answer.message) == (404, "Analysis not found")


@pytest.mark.parametrize(
    "sent", [{}, {"name": ""}, {"run_on": "mars"}, {"variables": [{"key": "a"}]}, {"tags": "a"}, {"active": "yes"}]
)
def test_wrong_bodies(world, sent):
    (field,) = sent or ["name"]
    assert [*world.admin.post("/analysis", {"name": "N", **sent} if sent else {}).body["field_errors"]] == [field]


def test_an_analysis_whose_token_ended_gets_another_one(world):
    analysis = Analysis(world)
    tokens.delete_all(owner=names.analysis(analysis.id))
    assert analysis.api.get("/info").status == 401
    assert world.admin.get(f"/analysis/{analysis.id}").result["token"] is None
    made = world.admin.get(f"/analysis/{analysis.id}/token").result["analysis_token"]
    assert made != analysis.token and Api(made).get("/info").result["id"] == analysis.id
    assert world.admin.get(f"/analysis/{analysis.id}/token").result["analysis_token"] == made


@pytest.mark.parametrize(("method", "path"), [("POST", "run"), ("POST", "upload"), ("GET", "download")])
def test_decant_runs_no_analyses(world, method, path):
    answer = world.admin(method, f"/analysis/{Analysis(world).id}/{path}", json_body={} if method == "POST" else None)
    assert (answer.status, answer.message) == (400, "Decant runs no analyses")


def test_texts_of_tokens_are_shown_only_to_those_who_have_as_much(world):
    mine, other = Analysis(world), Analysis(world)
    policy(world, rule("allow", "access", "analysis"), targets=[["analysis", "id", mine.id]])
    assert mine.api.get(f"/analysis/{mine.id}").result["token"] == mine.token
    assert mine.api.get(f"/analysis/{other.id}").result["token"] is None
    for permission in ("read", "write"):
        sent = {"name": "t", "permission": permission}
        token = tokens.create(kind="profile", profile=world.profile, sent=sent)["token"]
        if permission == "read":
            assert Api(token).get(f"/analysis/{mine.id}").result["token"] is None
        assert Api(token).get(f"/analysis/{mine.id}/token").status == 401
        assert Api(token).post("/analysis", {"name": "N"}).status == 401
