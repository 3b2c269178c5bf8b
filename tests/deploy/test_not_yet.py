"""What AWS answers with "not yet", with a limit or with a failure: the commands wait, report or go on, and lose nothing."""

import json
import re
import signal as signals
import subprocess
import threading

import pytest
from botocore.exceptions import ClientError

from deploy import lock, waiting
from tests.deploy.test_deploy import NAMES, inventory, keys_by_plan

WEEK_S = 7 * 86_400


def calls(account, operation):
    return [call for call in account.strict("calls")["calls"] if call[1] == operation]


FAULTS = {
    "UpdateContinuousBackups": "ContinuousBackupsUnavailableException",
    "UpdateTimeToLive": "ResourceInUseException",
    "CreateEventSourceMapping": ("InvalidParameterValueException", "The function's role cannot be assumed"),
    "UpdateEventSourceMapping": "ResourceConflictException",
    "CreateTopicRule": ("InvalidRequestException", "iot.amazonaws.com is unable to assume role"),
    "CreateQueue": "AWS.SimpleQueueService.QueueDeletedRecently",
    "PutRetentionPolicy": "OperationAbortedException",
    "PutRolePolicy": "NoSuchEntity",
    "UpdateAssumeRolePolicy": "ConcurrentModification",
    "UpdateFunctionConfiguration": "ResourceConflictException",
    "PutFunctionEventInvokeConfig": "ResourceConflictException",
    "CreateUsagePlan": "TooManyRequestsException",
    "CreateApiKey": "TooManyRequestsException",
    "CreateDeployment": "TooManyRequestsException",
}
"""What AWS documents as passing, by call: the code, and the text where only the text tells."""


def fault(operation, times):
    known = FAULTS[operation]
    code, text = (known, "wait") if isinstance(known, str) else known
    return [code, times, text]


def test_up_waits_for_what_is_not_ready_and_says_so(account):
    account.strict("fault", **{operation: fault(operation, 3) for operation in FAULTS})
    printed = account.run("up")
    for operation in FAULTS:
        if operation != "UpdateEventSourceMapping":  # a first up does not call it
            waits = re.findall(rf"^waiting +{operation}, up to \d+ s: ", printed, re.MULTILINE)
            assert waits, operation
    assert "0 faults" in account.run("check")


def test_wait_ends_and_the_error_is_told(account):
    account.strict("fault", CreateTopicRule=fault("CreateTopicRule", 1_000))
    account.run("up", code=1)
    assert 120 <= account.strict("calls")["now_s"] <= 200
    account.strict("fault", CreateTopicRule=fault("CreateTopicRule", 0))
    account.run("up")
    assert "0 faults" in account.run("check")


def test_error_that_does_not_pass_is_not_waited_for(account):
    account.strict("fault", CreateTopicRule=["InvalidRequestException", 1, "The SQL is wrong"])
    before = len(calls(account, "CreateTopicRule"))
    account.run("up", code=1)
    assert len(calls(account, "CreateTopicRule")) == before + 1


@pytest.mark.parametrize(
    ("service", "operation", "code", "text", "is_passing"),
    [
        ("dynamodb", "DeleteTable", "ResourceInUseException", "", True),
        ("dynamodb", "CreateTable", "ResourceInUseException", "", False),
        ("dynamodb", "UpdateTimeToLive", "ValidationException", "", False),
        ("iam", "GetRolePolicy", "NoSuchEntity", "", False),
        ("iam", "DeleteRole", "ConcurrentModification", "", True),
        ("api-gateway", "UpdateUsagePlan", "TooManyRequestsException", "", True),
        ("lambda", "GetFunction", "TooManyRequestsException", "", False),
        ("lambda", "DeleteEventSourceMapping", "ResourceInUseException", "", True),
        ("lambda", "AddPermission", "ResourceConflictException", "The statement id already exists", False),
        ("iot", "ReplaceTopicRule", "ConflictingResourceUpdateException", "", True),
    ],
)
def test_only_documented_answers_pass(service, operation, code, text, is_passing):
    found = waiting._find(service, operation, {"Code": code, "Message": text})
    assert (found is not None) is is_passing


def test_change_of_a_plan_costs_one_update_of_a_usage_plan(deployed):
    before, ids = len(calls(deployed, "UpdateUsagePlan")), {one["id"] for one in inventory(deployed)["plans"]}
    deployed.edit("chalicelib/services/usage/plans.json", ('"POST /data": 250', '"POST /data": 100'))
    assert "repaired    usage plan decant-dev-free" in deployed.run("up")
    assert len(calls(deployed, "UpdateUsagePlan")) == before + 1
    found = inventory(deployed)
    assert len(found["plans"]) == 6 and {one["id"] for one in found["plans"]} == ids
    (free,) = [one for one in found["plans"] if one["name"] == "decant-dev-free"]
    assert free["apiStages"][0]["throttle"]["/data/POST"] == {"burstLimit": 100, "rateLimit": 1.6667}
    refused_patch_makes_a_new_plan(deployed, ids)


def refused_patch_makes_a_new_plan(account, ids):
    account.edit("chalicelib/services/usage/plans.json", ('"requests_per_month": null', '"requests_per_month": 5'))
    account.strict("fault", UpdateUsagePlan=["BadRequestException", 1])
    keys = keys_by_plan(account)
    assert "repaired    usage plan decant-dev-unlimited" in account.run("up")
    found = inventory(account)["plans"]
    assert len(found) == 6 and len({one["id"] for one in found} - ids) == 1 and keys_by_plan(account) == keys
    (unlimited,) = [one for one in found if one["name"] == "decant-dev-unlimited"]
    assert unlimited["quota"]["limit"] == 5


def test_plan_that_was_being_replaced_is_finished(deployed):
    client = deployed.client("apigateway")
    (plan,) = [one for one in client.get_usage_plans()["items"] if one["name"] == "decant-dev-unlimited"]
    (key,) = client.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    old = client.create_usage_plan(name="decant-dev-unlimited-old")
    client.delete_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"])
    client.create_usage_plan_key(usagePlanId=old["id"], keyId=key["id"], keyType="API_KEY")
    deployed.run("up")
    (left,) = [one for one in client.get_usage_plans()["items"] if "unlimited" in one["name"]]
    assert left["id"] == plan["id"] and client.get_usage_plan_keys(usagePlanId=left["id"])["items"]


def test_alarms_keep_whom_they_notify(deployed):
    client, topic = deployed.client("cloudwatch"), "arn:aws:sns:eu-central-1:123456789012:ops"
    (alarm,) = client.describe_alarms(AlarmNames=["decant-dev-errors"])["MetricAlarms"]
    shape = ("Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods", "ComparisonOperator")
    client.put_metric_alarm(
        AlarmName="decant-dev-errors", AlarmActions=[topic], OKActions=[topic], AlarmDescription="Ours", Threshold=5,
        **{name: alarm[name] for name in shape},
    )  # fmt: skip
    assert "repaired    alarm decant-dev-errors" in deployed.run("up")
    (alarm,) = client.describe_alarms(AlarmNames=["decant-dev-errors"])["MetricAlarms"]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [topic] and alarm["AlarmDescription"] == "Ours"
    assert alarm["Threshold"] == 0


def test_mapping_of_another_table_is_removed_and_one_that_goes_is_waited_for(deployed):
    client = deployed.client("lambda")
    of_counters = {"FunctionName": "decant-dev-counters"}
    (mapping,) = client.list_event_source_mappings(**of_counters)["EventSourceMappings"]
    client.delete_event_source_mapping(UUID=mapping["UUID"])
    stream = deployed.client("dynamodb").create_table(
        TableName="other", KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )["TableDescription"]["LatestStreamArn"]  # fmt: skip
    client.create_event_source_mapping(
        FunctionName="decant-dev-counters", EventSourceArn=stream, StartingPosition="TRIM_HORIZON"
    )
    assert "waiting     CreateEventSourceMapping" in deployed.run("up")
    (left,) = client.list_event_source_mappings(**of_counters)["EventSourceMappings"]
    assert left["EventSourceArn"] == mapping["EventSourceArn"]


def test_keys_of_others_are_left_alone(deployed):
    client = deployed.client("apigateway")
    others = ["decant-dev-foo", f"decant-dev-x-{'0' * 24}", f"my-decant-dev-{'0' * 24}", "decant-dev-"]
    for name in others:
        client.create_api_key(name=name)
    ours = [key for key in client.get_api_keys()["items"] if key["name"] not in others][-1]
    client.delete_api_key(apiKey=ours["id"])
    assert "API keys" in deployed.run("check", code=1)
    deployed.run("up")
    deployed.run("down")
    assert sorted(key["name"] for key in client.get_api_keys()["items"]) == sorted(others)


def test_endpoint_that_can_never_be_removed_is_a_failure(deployed):
    deployed.run("down")
    deployed.client("iot").update_domain_configuration(
        domainConfigurationName=NAMES.mqtt, domainConfigurationStatus="DISABLED"
    )
    text = "The configuration is in use"
    deployed.strict("fault", DeleteDomainConfiguration=["AccessDeniedException", 1, text])
    assert re.search(rf"^failed +MQTT endpoint .+{text}", deployed.run("down", code=1), re.MULTILINE)


def test_down_goes_on_if_a_group_of_parts_cannot_be_looked_at(deployed):
    deployed.strict("fault", GetQueueUrl=["AccessDeniedException", 1, "no"])
    printed = deployed.run("down", code=1)
    assert "failed      a group of parts" in printed and inventory(deployed)["functions"] == []
    deployed.run("down")


def test_mqtt_that_up_would_remove_is_told_before(deployed):
    rule = deployed.client("iot").get_topic_rule(ruleName="decant_dev_shared")["rule"]
    kept = {key: rule[key] for key in ("sql", "actions", "errorAction", "awsIotSqlVersion")}
    deployed.client("iot").delete_topic_rule(ruleName="decant_dev_shared")
    deployed.client("iot").create_topic_rule(ruleName="decant_older_shared", topicRulePayload=kept)
    told = deployed.run("diff")
    assert "remove MQTT endpoint decant-dev-mqtt: it belongs to stage older" in told and "topic rule" in told
    assert "`up` removes it, as MQTT belongs to another stage" in deployed.run("check", code=1)
    deployed.run("up")
    assert "0 faults" in deployed.run("check") and deployed.run("diff").startswith("Nothing differs")


def test_record_of_an_earlier_deployment_makes_no_second_api(deployed):
    record = deployed.folder / ".chalice/deployed/dev.json"
    old = record.read_text()
    deployed.run("down")
    deployed.run("up")
    record.write_text(old)  # as in a clone that did not see both
    deployed.run("up")
    assert len(inventory(deployed)["apis"]) == 1 and "0 faults" in deployed.run("check")


def test_expiry_by_another_attribute_is_turned_off_and_ours_on(deployed):
    deployed.strict("sleep", seconds=3_600)
    client = deployed.client("dynamodb")
    for specification in ({"Enabled": False, "AttributeName": "expires_at"}, {"Enabled": True, "AttributeName": "x"}):
        client.update_time_to_live(TableName=NAMES.segments, TimeToLiveSpecification=specification)
        deployed.strict("sleep", seconds=3_600)
    assert "later       table decant-dev-segments" in deployed.run("up")
    deployed.strict("sleep", seconds=3_600)
    deployed.run("up")
    assert "0 faults" in deployed.run("check")


def test_expiry_that_dynamodb_does_not_let_be_changed_is_reported(deployed):
    deployed.strict("sleep", seconds=3_600)
    deployed.client("dynamodb").update_time_to_live(
        TableName=NAMES.segments, TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires_at"}
    )
    printed = deployed.run("up")
    assert "later       table decant-dev-segments: DynamoDB lets expiry be changed once an hour" in printed
    assert "Base URL" in printed
    deployed.run("check", code=1)
    deployed.strict("sleep", seconds=3_600)
    deployed.run("up")
    assert "0 faults" in deployed.run("check")


def status(account):
    endpoint = account.client("iot").describe_domain_configuration(domainConfigurationName=NAMES.mqtt)
    authorizer = account.client("iot").describe_authorizer(authorizerName=NAMES.mqtt)["authorizerDescription"]
    return endpoint["domainConfigurationStatus"], authorizer["status"], endpoint["domainName"]


def test_endpoint_rests_for_seven_days_and_up_enables_it_again(deployed):
    *_, host = status(deployed)
    first = deployed.run("down")
    assert re.search(r"^later +MQTT endpoint decant-dev-mqtt: disabled; .+ from 20\d\d-", first, re.MULTILINE)
    assert re.search(r"^later +authorizer decant-dev-mqtt: inactive", first, re.MULTILINE)
    assert status(deployed) == ("DISABLED", "INACTIVE", host) and inventory(deployed)["functions"] == []
    deployed.strict("sleep", seconds=WEEK_S / 2)
    updates = len(calls(deployed, "UpdateDomainConfiguration"))
    deployed.run("down")
    assert len(calls(deployed, "UpdateDomainConfiguration")) == updates, "to disable again begins the week anew"
    assert host in deployed.run("up") and status(deployed) == ("ENABLED", "ACTIVE", host)
    assert "0 faults" in deployed.run("check")
    deployed.run("down")
    deployed.strict("sleep", seconds=WEEK_S)
    last = deployed.run("down", "--data")
    assert "removed     MQTT endpoint" in last and "removed     authorizer" in last
    assert {name: found for name, found in inventory(deployed).items() if found} == {}


def test_down_goes_on_after_a_part_that_fails(deployed):
    deployed.strict(
        "fault", DeleteAlarms=["InternalServiceFault", 1, "no"], DeleteRule=["AccessDeniedException", 1, "no"]
    )
    failed = deployed.run("down", "--data", code=1)
    assert re.search(r"^failed +alarm decant-dev-\S+: .*InternalServiceFault", failed, re.MULTILINE)
    assert "2 parts could not be removed" in failed
    left = inventory(deployed)
    assert len(left["alarms"]) == 1 and left["tables"] == left["parameters"] == []
    deployed.strict("sleep", seconds=WEEK_S)
    deployed.run("down", "--data")
    assert {name: found for name, found in inventory(deployed).items() if found} == {}


def test_queue_names_rest_for_a_minute(deployed):
    deployed.run("down", "--data")
    assert "waiting     CreateQueue, up to 120 s" in deployed.run("up")


def begun(account, *arguments):
    """Start a command; return it when it holds the lock."""
    # A shell's background job ignores SIGINT, and so would the command.
    before = signals.signal(signals.SIGINT, signals.default_int_handler)
    try:
        process = subprocess.Popen(
            account.command(*arguments), cwd=account.folder, env=account.environment, stdout=subprocess.PIPE, text=True
        )
    finally:
        signals.signal(signals.SIGINT, before)
    for line in process.stdout:
        if "table decant-dev-segments" in line:
            break
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    return process, drain


def lock_item(account):
    key = {"owner": {"S": "deploy"}, "name": {"S": "lock"}}
    return account.client("dynamodb").get_item(TableName=NAMES.entities, Key=key).get("Item")


def test_only_one_deployer_at_a_time(deployed):
    process, drain = begun(deployed, "up")
    refused = [deployed.attempt(command) for command in ("up", "down")]
    assert process.wait() == 0
    drain.join()
    process.stdout.close()
    for done in refused:
        assert done.returncode == 1
        assert re.search(r"Stopped: \S+@\S+ has been running `up` on this stage since [\d:]+ UTC", done.stderr), (
            done.stderr
        )
    assert lock_item(deployed) is None


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_deployer_that_was_ended_leaves_the_stage_free(deployed, signal):
    process, drain = begun(deployed, "up")
    process.send_signal(getattr(signals, signal))
    assert process.wait() != 0
    drain.join()
    process.stdout.close()
    assert (lock_item(deployed) is not None) is (signal == "SIGKILL")
    deployed.run("up")


def test_interruption_is_one_line(account):
    process, drain = begun(account, "up")
    process.send_signal(signals.SIGINT)
    assert process.wait() == 130
    drain.join()
    process.stdout.close()


def test_lock_of_another_machine_holds_until_it_ends(deployed):
    holder = {"who": "eve@elsewhere", "command": "restore", "since_s": 1_700_000_000, "pid": 1, "machine": "other"}
    item = {
        "owner": {"S": "deploy"}, "name": {"S": "lock"}, "doc": {"S": json.dumps(holder)}, "version": {"N": "1"},
        "expires_at": {"N": "9999999999"},
    }  # fmt: skip
    deployed.client("dynamodb").put_item(TableName=NAMES.entities, Item=item)
    assert "eve@elsewhere has been running `restore` on this stage since 22:13:20 UTC" in deployed.attempt("up").stderr
    deployed.client("dynamodb").put_item(TableName=NAMES.entities, Item=item | {"expires_at": {"N": "1"}})
    deployed.run("up")


class Ticks:
    """An event that is set after some waits."""

    def __init__(self, count):
        self.left = count

    def wait(self, _):
        self.left -= 1
        return self.left < 0


def test_lock_is_renewed_until_it_is_lost(monkeypatch):
    ended, puts = [], []
    monkeypatch.setattr(lock.os, "kill", lambda pid, number: ended.append((pid, number)))

    class Client:
        def put_item(self, **sent):
            puts.append(sent)
            if len(puts) > 3:
                raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")

    held = lock._Lock(Client(), "t", "up")
    held.keep(Ticks(3))
    assert len(puts) == 3 and not ended
    assert all(sent["ConditionExpression"] == "#doc = :doc" and sent["Item"]["doc"] == held._mine for sent in puts)
    held.keep(Ticks(9))
    assert len(puts) == 4 and ended == [(lock.os.getpid(), signals.SIGTERM)], "another deployer has taken it over"


def test_plain_chalice_deploy_and_delete_are_up_and_down(account):
    printed = account.chalice("deploy", "--stage", "dev")
    assert printed.startswith("This is `python -m deploy up --stage dev`.") and "Profile token" in printed
    assert "0 faults" in account.run("check")
    again = account.chalice("deploy", "--stage", "dev")
    assert not re.search(r"^(created|repaired)", again, re.MULTILINE)
    account.chalice("delete", "--stage", "dev")
    left = inventory(account)
    assert left["functions"] == left["apis"] == left["rules"] == left["alarms"] == [] and len(left["tables"]) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--api-gateway-stage", "v1"], "--api-gateway-stage"),
        (["--autogen-policy"], "--autogen-policy"),
        (["--no-autogen-policy", "--connection-timeout", "5"], "--autogen-policy, --connection-timeout"),
    ],
)
def test_options_that_the_deployer_sets_are_refused_before_anything_changes(account, arguments, named):
    done = account.attempt_chalice("deploy", *arguments)
    assert done.returncode == 1 and done.stderr == f"Leave out {named}: `python -m deploy up` sets it\n"
    assert {name: found for name, found in inventory(account).items() if found} == {}


def test_profile_of_the_credentials_is_handed_on(account, tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[ops]\naws_access_key_id = test\naws_secret_access_key = test\n")
    without = {name: text for name, text in account.environment.items() if not name.endswith(("KEY_ID", "ACCESS_KEY"))}
    others = {"AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "wrong"}
    environment = without | {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_EC2_METADATA_DISABLED": "true"}
    refused = account.attempt_chalice("deploy", environment=environment)
    assert refused.returncode == 1 and "Stopped: No AWS credentials. Name a profile with --profile" in refused.stderr
    unknown = account.attempt_chalice("deploy", "--profile", "nobody", environment=environment)
    assert "Stopped: There is no AWS profile nobody, only ops." in unknown.stderr
    done = account.attempt_chalice("deploy", "--profile", "ops", environment=environment | others)
    assert done.returncode == 0 and "Profile token" in done.stdout, done.stdout + done.stderr
    assert account.strict("calls")["signers"] == ["test"], "the option outranks the keys of the environment"


def test_region_is_taken_from_either_variable_and_missed_before_anything_is_called(account):
    without = {name: text for name, text in account.environment.items() if name != "AWS_DEFAULT_REGION"}
    done = account.attempt("check", environment=without)
    assert done.returncode == 1 and "Stopped: No region. Set AWS_DEFAULT_REGION" in done.stderr
    done = account.attempt("check", environment=without | {"AWS_REGION": "eu-central-1"})
    assert "not deployed: run" in done.stdout


def test_commands_on_a_stage_that_is_not_deployed_say_so(account):
    for arguments in (("token",), ("retry",), ("recount",), ("restore", "--back"), ("restore", "--drop-old")):
        text = account.refusal(*arguments)
        assert "Stopped: Stage dev is not deployed in account 123456789012, region eu-central-1. Run" in text, arguments
