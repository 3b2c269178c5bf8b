"""Brings a stage back to an earlier second, in new tables: what comes back, what does not, and the way back."""

import datetime
import json
import os
import re
import sys

import pytest

from deploy import restore, spec
from deploy.__main__ import main
from tests.deploy.conftest import ROOT
from tests.deploy.test_deploy import inventory

OPEN = """
import json, sys
import botocore.session
from deploy.inventory import use_deployed_store
from deploy.parts import Cloud

use_deployed_store(Cloud(botocore.session.Session(), "dev"))
from tests.kit.api import Api

token = sys.argv[1]
api = Api(token=token)


def make(name):
    made = api.post("/device", {"name": name, "type": "mutable"}).result
    return {"id": made["device_id"], "token": made["token"]}
"""
BEFORE = """
kept, deleted = make("kept"), make("deleted")
extra = api.post("/device/token", {"device": kept["id"], "name": "extra", "permission": "full"}).result["token"]
Api(token=kept["token"]).post("/data", [{"variable": "a", "value": 1}])
print(json.dumps({"kept": kept, "deleted": deleted, "extra": extra}))
"""
AFTER = """
made = json.loads(sys.argv[2])
Api(token=made["kept"]["token"]).post("/data", [{"variable": "a", "value": 2}])
api.delete("/device/token/" + made["extra"]).result
api.delete("/device/" + made["deleted"]["id"]).result
print(json.dumps({"later": make("later")}))
"""
LOOK = """
made = json.loads(sys.argv[2])
api_of = {name: Api(token=text) for name, text in made.items()}
print(json.dumps({
    "names": sorted(row["name"] for row in api.get("/device").result),
    "tokens": {name: api.get("/info").status for name, api in api_of.items()},
    "values": sorted(point["value"] for point in api_of["kept"].get("/data").result),
}))
"""


@pytest.fixture
def told(deployed):
    """A stage with devices, a second to restore to, and what was done after it."""
    (token,) = re.findall(r"^Profile token +(p-\S+) ", deployed.printed, re.MULTILINE)
    account = deployed
    made = run(account, BEFORE, token)
    at = datetime.datetime.fromtimestamp(account.strict("snapshot")["taken_s"], datetime.UTC)
    made |= run(account, AFTER, token, json.dumps(made))
    texts = {name: made[name]["token"] for name in ("kept", "deleted", "later")} | {"extra": made["extra"]}
    account.look = lambda: run(account, LOOK, token, json.dumps(texts))
    account.at = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    account.mark = restore.mark_of(at)
    return account


def run(account, script, *arguments):
    """Run a script on the tables that the stage uses; return the JSON that it prints."""
    environment = account.environment | {"PYTHONPATH": os.pathsep.join((str(account.folder), str(ROOT)))}
    done = account.commands.run([sys.executable, "-c", OPEN + script, *arguments], account.folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


NOW = {
    "names": ["kept", "later"],
    "tokens": {"kept": 200, "deleted": 401, "later": 200, "extra": 401},
    "values": [1, 2],
}
RESTORED = {"names": ["kept"], "tokens": {"kept": 200, "deleted": 401, "later": 401, "extra": 401}, "values": [1]}


def test_stage_goes_back_to_a_second_and_returns(told):
    assert told.look() == NOW
    tables = set(inventory(told)["tables"])
    printed = told.run("restore", "--to", told.at)
    assert "deleted     1 devices and 2 tokens that were deleted since" in printed and "1 came after" in printed, (
        printed
    )
    assert told.look() == RESTORED
    new = {f"decant-dev-{part}-{told.mark}" for part in ("segments", "entities")}
    assert set(inventory(told)["tables"]) == tables | new
    client = told.client("dynamodb")
    for name in new:
        backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        assert client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"] == "expires_at"
    mappings = told.client("lambda").list_event_source_mappings(FunctionName="decant-dev-counters")
    (mapping,) = mappings["EventSourceMappings"]
    assert f"-segments-{told.mark}/stream/" in mapping["EventSourceArn"]
    for function in told.client("lambda").list_functions()["Functions"]:
        assert function["Environment"]["Variables"]["DECANT_ENTITIES_TABLE"] == f"decant-dev-entities-{told.mark}"
    role = told.client("iam").get_role_policy(RoleName="decant-dev-authorizer", PolicyName="decant-dev-authorizer")
    assert f"decant-dev-entities-{told.mark}" in json.dumps(role["PolicyDocument"])
    assert "0 faults" in told.run("check") and told.run("diff").startswith("Nothing differs")
    assert not re.search(r"^(created|repaired)", told.run("up"), re.MULTILINE)
    assert "uses decant-dev-segments-" in told.run("restore", "--to", told.at)
    told.run("restore", "--back")
    checked = told.run("check")
    assert told.look() == NOW and "0 faults" in checked
    assert all(re.search(rf"^note +table +{name} +not in use", checked, re.MULTILINE) for name in new)
    assert "There are no older tables" in told.attempt("restore", "--back").stderr
    assert "holds what came in while the stage used it" in told.refusal("restore", "--to", told.at)
    told.run("restore", "--drop-old")
    assert set(inventory(told)["tables"]) == tables and told.look() == NOW
    assert "There are no other tables" in told.run("restore", "--drop-old")


def test_deleted_devices_and_tokens_come_back_if_asked_for(told):
    told.client("dynamodb").tag_resource(
        ResourceArn="arn:aws:dynamodb:eu-central-1:123456789012:table/decant-dev-segments",
        Tags=[{"Key": "team", "Value": "ops"}],
    )
    told.run("restore", "--to", told.at, "--keep-deleted")
    tokens = {"kept": 200, "deleted": 200, "later": 401, "extra": 200}
    assert told.look() == {"names": ["deleted", "kept"], "tokens": tokens, "values": [1]}
    arn = f"arn:aws:dynamodb:eu-central-1:123456789012:table/decant-dev-segments-{told.mark}"
    tags = told.client("dynamodb").list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert {"Key": "team", "Value": "ops"} in tags
    told.run("down", "--data")
    left = inventory(told)
    assert left["tables"] == left["parameters"] == []


def test_restore_that_was_interrupted_goes_on(told):
    told.strict("fault", PutParameter=["AccessDeniedException", 1, "no"])
    told.run("restore", "--to", told.at, code=1)
    assert told.look() == NOW, "the stage goes on as it was"
    told.run("restore", "--to", told.at)
    restored = [call for call in told.strict("calls")["calls"] if call[1] == "RestoreTableToPointInTime"]
    assert len(restored) == 2 and told.look() == RESTORED


@pytest.mark.parametrize("arguments", [("--to",), ("--back",)])
def test_switch_that_was_interrupted_is_completed_and_nothing_in_use_is_removed(told, arguments):
    if arguments == ("--to",):
        arguments, wanted = ("--to", told.at), RESTORED
    else:
        told.run("restore", "--to", told.at)
        wanted = NOW
    told.strict("fault", UpdateFunctionCode=["AccessDeniedException", 1, "no"])
    told.run("restore", *arguments, code=1)
    assert "The functions still use other tables" in told.refusal("restore", "--drop-old")
    assert "already: `up` completes what is missing" in told.run("restore", *arguments)
    assert told.look() == wanted and "0 faults" in told.run("check")


def test_tables_that_deleted_rows_were_removed_from_are_not_taken_for_those_that_keep_them(told):
    told.strict("fault", PutParameter=["AccessDeniedException", 1, "no"])
    told.run("restore", "--to", told.at, code=1)
    assert "An earlier run has deleted devices" in told.refusal("restore", "--to", told.at, "--keep-deleted")


def test_lost_or_wrong_parameter_makes_no_empty_stage(told):
    told.run("restore", "--to", told.at)
    client, name = told.client("ssm"), "/decant/dev/tables"
    client.put_parameter(Name=name, Type="String", Value="rubbish", Overwrite=True)
    assert f"The parameter {name} holds 'rubbish', not a mark" in told.refusal("up")
    client.delete_parameter(Name=name)
    for table in ("decant-dev-segments", "decant-dev-entities"):
        told.client("dynamodb").delete_table(TableName=table)
    assert "table decant-dev-entities is missing, but there are decant-dev-" in told.refusal("up")
    assert "is not deployed" in told.refusal("restore", "--drop-old")
    client.put_parameter(Name=name, Type="String", Value=told.mark)
    assert told.run("up") and told.look() == RESTORED


def test_counters_are_right_before_the_stage_uses_the_tables(told):
    assert re.search(
        r"^counted +1 mutable devices again, 1 of them differed", told.run("restore", "--to", told.at), re.M
    )


def test_time_that_cannot_be_restored_is_refused_before_anything_is_made(told):
    for time in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00+02:00"):
        done = told.attempt("restore", "--to", time)
        assert done.returncode == 1
        assert re.search(r"Stopped: decant-dev-segments can be restored from 20\S+Z to 20\S+Z\.", done.stderr)
    told.client("dynamodb").update_continuous_backups(
        TableName="decant-dev-entities", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    assert "decant-dev-entities can be restored at no time" in told.attempt("restore", "--to", told.at).stderr
    assert len(inventory(told)["tables"]) == 2 and told.look() == NOW


@pytest.mark.parametrize("text", ["yesterday", "2026-11-26", "2026-11-26T07:00:00", ""])
def test_time_without_zone_is_refused(text, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["restore", "--to", text])
    assert exit_.value.code == 2 and "must be a time with its zone" in capsys.readouterr().err


def test_table_that_was_not_restored_from_ours_is_not_taken(told):
    told.client("dynamodb").create_table(
        TableName=f"decant-dev-segments-{told.mark}", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "device", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "device", "AttributeType": "S"}],
    )  # fmt: skip
    assert "was not restored from decant-dev-segments" in told.attempt("restore", "--to", told.at).stderr
    assert told.look() == NOW


def test_stage_of_a_template_is_not_restored(told):
    told.client("lambda").tag_resource(
        Resource="arn:aws:lambda:eu-central-1:123456789012:function:decant-dev", Tags=spec.TEMPLATE_TAG
    )
    for arguments in (("--to", told.at), ("--back",), ("--drop-old",)):
        assert "A template made stage dev" in told.refusal("restore", *arguments)
    assert len(inventory(told)["tables"]) == 2
