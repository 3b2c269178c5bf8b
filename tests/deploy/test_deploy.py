"""The deployer's commands with the real ``chalice`` on a moto server: up, up again, drift, kill, upgrade, down."""

import json
import os
import re
import shutil
import signal
import subprocess

import botocore.session
import pytest

from chalicelib.codec import tokens
from chalicelib.services.usage import plans
from chalicelib.store import names
from deploy import chalice, document, spec
from deploy.names import Names
from deploy.parts import Cloud
from tests.deploy.conftest import REGION, copy

DONE = re.compile(r"^(created|repaired|removed|kept|wrote|recovered) +(.+)$", re.MULTILINE)
NAMES = Names("dev")


PROFILE = "0123456789abcdef01234567"


def put_profile(account, plan, profile=PROFILE):
    """Write a profile as an earlier version would, or remove it if ``plan`` is None."""
    put_rows(
        account,
        [
            ("profiles", f"profile#{profile}", "{}"),
            (f"profile#{profile}", "profile", json.dumps({"id": profile, "plan": plan})),
        ],
        plan,
    )


def change_plan(account, plan):
    """Change the plan of a profile as the service would."""
    doc = {**limits_of(account), "plan": plan}
    put_rows(account, [(f"profile#{PROFILE}", "limits", json.dumps(doc))], plan)


def limits_of(account):
    key = {"owner": {"S": f"profile#{PROFILE}"}, "name": {"S": "limits"}}
    return json.loads(account.client("dynamodb").get_item(TableName=NAMES.entities, Key=key)["Item"]["doc"]["S"])


def put_rows(account, rows, plan):
    client = account.client("dynamodb")
    for owner, name, doc in rows:
        key = {"owner": {"S": owner}, "name": {"S": name}}
        if plan is None:
            client.delete_item(TableName=NAMES.entities, Key=key)
        else:
            client.put_item(TableName=NAMES.entities, Item=key | {"doc": {"S": doc}, "version": {"N": "1"}})


def keys_by_plan(account):
    client = account.client("apigateway")
    return {
        plan["name"]: sorted(key["name"] for key in client.get_usage_plan_keys(usagePlanId=plan["id"])["items"])
        for plan in client.get_usage_plans()["items"]
    }


def inventory(account):
    """Return the names of everything in the account."""
    functions = account.client("lambda").list_functions()["Functions"]
    queues = account.client("sqs").list_queues().get("QueueUrls", [])
    return {
        "functions": [one["FunctionName"] for one in functions],
        "mappings": account.client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "roles": [one["RoleName"] for one in account.client("iam").list_roles()["Roles"]],
        "rules": [one["ruleName"] for one in account.client("iot").list_topic_rules()["rules"]],
        "endpoints": account.client("iot").list_domain_configurations()["domainConfigurations"],
        "schedules": [one["Name"] for one in account.client("events").list_rules()["Rules"]],
        "queues": [url.rpartition("/")[2] for url in queues],
        "logs": [one["logGroupName"] for one in account.client("logs").describe_log_groups()["logGroups"]],
        "alarms": [one["AlarmName"] for one in account.client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "apis": account.client("apigateway").get_rest_apis()["items"],
        "plans": account.client("apigateway").get_usage_plans()["items"],
        "keys": account.client("apigateway").get_api_keys()["items"],
        "tables": account.client("dynamodb").list_tables()["TableNames"],
        "buckets": [one["Name"] for one in account.client("s3").list_buckets()["Buckets"]],
        "parameters": [one["Name"] for one in account.client("ssm").describe_parameters()["Parameters"]],
    }


def test_up_says_what_it_makes_and_a_second_up_changes_nothing(deployed):
    first = deployed.printed
    (url,) = re.findall(r"^Base URL +(https://\S+/api)$", first, re.MULTILINE)
    (token,) = re.findall(r"^Profile token +(p-\S+) ", first, re.MULTILINE)
    ((email, password),) = re.findall(
        r"^Account +(\S+)\nPassword +(\S+)   \(shown only this once\)$", first, re.MULTILINE
    )
    assert email == "admin@localhost"
    assert tokens.bare(token) and "mosquitto_pub -h" in first and ":8883" in first
    assert first.startswith("Account 123456789012, region eu-central-1, stage dev\n")
    changed = set(re.findall(r"^(?:repaired|unchanged) +(.+) decant", first, re.MULTILINE))
    assert changed == {"logging", "table"}, "the table of the lock is made first and completed later"
    before = inventory(deployed)
    assert len(before["functions"]) == len(spec.FUNCTIONS) and len(before["rules"]) == 3 and len(before["plans"]) == 6
    second = deployed.run("up")
    assert {what for what, _ in DONE.findall(second)} == set() and f"Base URL        {url}" in second
    assert token not in second and "Profile token" not in second and "Password" not in second
    after = inventory(deployed)
    for one in (before, after):
        for stage in one["apis"]:
            stage.pop("ResponseMetadata", None)
    assert {name: len(found) for name, found in after.items()} == {name: len(found) for name, found in before.items()}
    assert "0 faults" in deployed.run("check") and deployed.run("diff").startswith("Nothing differs")
    seen = first + second + json.dumps(before, default=str) + (deployed.folder / ".chalice/config.json").read_text()
    secret = deployed.client("ssm").get_parameter(Name="/decant/dev/secret", WithDecryption=True)["Parameter"]["Value"]
    assert len(secret) == 64 and secret not in seen
    for function in deployed.client("lambda").list_functions()["Functions"]:
        assert not {secret, token, password} & set(function["Environment"]["Variables"].values())


def test_lost_token_is_made_anew_and_another_stage_is_not_mistaken_for_this_one(deployed):
    first = deployed.printed
    printed, made = first.index("Profile token"), first.index("API keys")
    assert printed < made, "a step that fails later must not lose the token"
    (token,) = re.findall(r"^Profile token +(p-\S+) ", deployed.run("token"), re.MULTILINE)
    assert token not in first
    key = {"owner": {"S": names.token(tokens.fingerprint(tokens.bare(token)))}, "name": {"S": names.TOKEN}}
    stored = deployed.client("dynamodb").get_item(TableName=NAMES.entities, Key=key)["Item"]
    assert json.loads(stored["doc"]["S"])["permission"] == "full"
    put_profile(deployed, "free")
    deployed.run("token", code=1)  # which of the two?
    assert "Profile token" in deployed.run("token", "--profile-id", "0123456789abcdef01234567")
    assert "has the plan scale" in deployed.run("plan", "0123456789abcdef01234567", "scale")
    assert "decant-dev-0123456789abcdef01234567-scale" in keys_by_plan(deployed)["decant-dev-scale"]
    assert "There is no plan huge" in deployed.refusal("plan", "0123456789abcdef01234567", "huge")
    for stage, is_found in (("dev", True), ("de", False), ("d", False)):
        clients = {name: deployed.client(name) for name in ("apigateway", "sts", "ssm")}
        session = botocore.session.Session()
        session.set_config_variable("region", REGION)
        cloud = Cloud(session, stage, clients)
        assert (chalice._find_api(cloud) is not None) is is_found, stage


def test_what_up_made_is_what_the_spec_says(deployed):
    (api,) = deployed.client("apigateway").get_rest_apis()["items"]
    settings = deployed.client("apigateway").get_stage(restApiId=api["id"], stageName=spec.API_STAGE)["methodSettings"]
    limits = settings["~1account~1login/POST"]
    assert (limits["throttlingRateLimit"], limits["throttlingBurstLimit"]) == (20, 20)
    assert settings["*/*"]["throttlingRateLimit"] == 2_000
    table = deployed.client("dynamodb").describe_table(TableName=NAMES.segments)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert "SSEDescription" not in table, "DynamoDB's own key costs nothing"
    assert table["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    for key, function in spec.FUNCTIONS.items():
        found = deployed.client("lambda").get_function(FunctionName=function.full_name("dev"))
        shape = found["Configuration"]
        assert (shape["MemorySize"], shape["Timeout"], shape["Runtime"]) == (
            function.memory_mb,
            function.timeout_s,
            "python3.12",
        )
        assert shape["LoggingConfig"] == spec.LOGGING
        assert shape["Environment"]["Variables"] == spec.environment(Names("dev"))
        role = shape["Role"].rpartition("/")[2]
        (name,) = deployed.client("iam").list_role_policies(RoleName=role)["PolicyNames"]
        assert deployed.client("iam").get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] == spec.policy(
            key, Names("dev")
        )
        reserved = deployed.client("lambda").get_function_concurrency(FunctionName=shape["FunctionName"])
        assert reserved.get("ReservedConcurrentExecutions") == function.concurrency
    for key in ("iot-ingest", "iot-authorizer"):
        policy = deployed.client("lambda").get_policy(FunctionName=spec.FUNCTIONS[key].full_name("dev"))["Policy"]
        for statement in json.loads(policy)["Statement"]:
            assert statement["Principal"]["Service"] == "iot.amazonaws.com"
            assert "123456789012" in statement["Condition"]["ArnLike"]["AWS:SourceArn"]
            assert list(statement["Condition"]["StringEquals"].values()) == ["123456789012"]
    rule = deployed.client("iot").get_topic_rule(ruleName="decant_dev_own")["rule"]
    assert rule["sql"].endswith("FROM 'device/+/#' WHERE clientid() <> 'n/a'") and "encode(*, 'base64')" in rule["sql"]
    assert rule["errorAction"]["sqs"]["queueUrl"].endswith(NAMES.failures)
    client = deployed.client("lambda")
    (mapping,) = client.list_event_source_mappings(FunctionName="decant-dev-keys")["EventSourceMappings"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], "else one failure repeats the whole batch"
    (mapping,) = client.list_event_source_mappings(FunctionName="decant-dev-sealer")["EventSourceMappings"]
    assert mapping["BatchSize"] == 1 and mapping["ScalingConfig"] == {"MaximumConcurrency": 10}
    (mapping,) = client.list_event_source_mappings(FunctionName="decant-dev-counters")["EventSourceMappings"]
    assert mapping["EventSourceArn"] == table["LatestStreamArn"]
    assert {name: mapping.get(name) for name in spec.STREAM_MAPPING} == spec.STREAM_MAPPING == {
        "BatchSize": 10_000, "MaximumBatchingWindowInSeconds": 60, "BisectBatchOnFunctionError": False,
    }  # fmt: skip
    assert deployed.client("lambda").get_function_configuration(FunctionName="decant-dev-counters")["Timeout"] == 300
    (free,) = [
        one for one in deployed.client("apigateway").get_usage_plans()["items"] if one["name"] == "decant-dev-free"
    ]
    (stage,) = free["apiStages"]
    assert stage["throttle"]["/data/POST"] == {"burstLimit": 250, "rateLimit": 4.1667}
    assert free["quota"]["limit"] == plans.load()["free"].requests_per_month


def test_chalice_deploy_alone_loses_nothing(deployed):
    deployed.chalice("deploy", "--stage", "dev")
    first, *_, last = deployed.documents
    assert len(deployed.documents) == 2
    for found in (first, last):
        assert found["x-amazon-apigateway-api-key-source"] == "AUTHORIZER"
        assert found["x-amazon-apigateway-minimum-compression-size"] == 1_024
        assert found["x-amazon-apigateway-gateway-responses"] == document.gateway_responses()
        authorizer = found["securityDefinitions"]["authorizer"]["x-amazon-apigateway-authorizer"]
        assert authorizer["type"] == "request" and authorizer["authorizerResultTtlInSeconds"] == 0
    (api,) = deployed.client("apigateway").get_rest_apis()["items"]
    assert api["minimumCompressionSize"] == 1_024
    assert "0 faults" in deployed.run("check")


DRIFTS = {
    "alarm": lambda a: a.client("cloudwatch").delete_alarms(AlarmNames=["decant-dev-errors"]),
    "topic rule": lambda a: a.client("iot").disable_topic_rule(ruleName="decant_dev_shared"),
    "queue": lambda a: a.client("sqs").set_queue_attributes(
        QueueUrl=a.client("sqs").get_queue_url(QueueName=NAMES.failures)["QueueUrl"],
        Attributes={"MessageRetentionPeriod": "60"},
    ),
    "bucket": lambda a: a.client("s3").delete_bucket_cors(Bucket=NAMES.bucket("123456789012", "eu-central-1")),
    "log group": lambda a: a.client("logs").put_retention_policy(
        logGroupName="/aws/lambda/decant-dev", retentionInDays=1
    ),
    "table": lambda a: a.client("dynamodb").update_time_to_live(
        TableName=NAMES.segments, TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires_at"}
    ),
    "permission": lambda a: a.client("lambda").remove_permission(
        FunctionName="decant-dev-iot-authorizer", StatementId="authorizer"
    ),
    "role": lambda a: a.client("iam").delete_role_policy(RoleName=NAMES.rule_errors, PolicyName=NAMES.rule_errors),
    "stream mapping": lambda a: a.client("lambda").update_event_source_mapping(
        UUID=a.client("lambda").list_event_source_mappings(FunctionName="decant-dev-counters")["EventSourceMappings"][
            0
        ]["UUID"],
        BatchSize=1,
    ),
    "authorizer": lambda a: a.client("iot").update_authorizer(authorizerName=NAMES.mqtt, status="INACTIVE"),
    "MQTT endpoint": lambda a: a.client("iot").update_domain_configuration(
        domainConfigurationName=NAMES.mqtt, domainConfigurationStatus="DISABLED"
    ),
    "retries": lambda a: a.client("lambda").delete_function_event_invoke_config(FunctionName="decant-dev-iot-ingest"),
    "queue mapping": lambda a: a.client("lambda").update_event_source_mapping(
        UUID=a.client("lambda").list_event_source_mappings(FunctionName="decant-dev-keys")["EventSourceMappings"][0][
            "UUID"
        ],
        BatchSize=1,
    ),
    "throttling": lambda a: a.client("apigateway").update_stage(
        restApiId=a.client("apigateway").get_rest_apis()["items"][0]["id"],
        stageName="api",
        patchOperations=[{"op": "replace", "path": "/~1status/GET/throttling/rateLimit", "value": "5000"}],
    ),
    "API keys": lambda a: a.client("apigateway").delete_api_key(
        apiKey=a.client("apigateway").get_api_keys()["items"][-1]["id"]
    ),
}


def test_drift_is_named_by_check_and_diff_and_mended_by_up(deployed):
    deployed.strict("sleep", seconds=3_600)  # DynamoDB lets expiry be changed once an hour
    for drift in DRIFTS.values():
        drift(deployed)
    deployed.strict("sleep", seconds=3_600)
    checked, would = deployed.run("check", code=1), deployed.run("diff")
    assert f"{len(DRIFTS)} faults" in checked
    mended = deployed.run("up")
    for kind in DRIFTS:
        assert re.search(rf"^fault +{kind}", checked, re.MULTILINE), kind
        assert re.search(rf"^(create|repair) {kind}", would, re.MULTILINE), kind
        assert re.search(rf"^(created|repaired) +{kind}", mended, re.MULTILINE), kind
    assert "0 faults" in deployed.run("check")


def test_key_is_made_replaced_without_a_gap_and_removed_with_the_profile(account):
    """The key of the old plan and that of an earlier version stay until the function removes them."""
    account.run("up")
    put_profile(account, "free")
    client = account.client("apigateway")
    (free,) = [one for one in client.get_usage_plans()["items"] if one["name"] == "decant-dev-free"]
    older = client.create_api_key(name=f"decant-dev-{PROFILE}", value="0" * 40, enabled=True)["id"]
    client.create_usage_plan_key(usagePlanId=free["id"], keyId=older, keyType="API_KEY")
    upgraded = account.run("up")
    order = ("repaired    API keys", "Updating lambda function: decant-dev-authorizer")
    assert upgraded.index(order[0]) < upgraded.index(order[1]), "the new authorizer names only keys that exist"
    both = sorted([f"decant-dev-{PROFILE}", f"decant-dev-{PROFILE}-free"])
    assert keys_by_plan(account)["decant-dev-free"] == both and limits_of(account)["key_ready"] == "free"
    change_plan(account, "scale")
    assert f"{PROFILE}: None → scale" in account.run("check", code=1)
    account.run("up")
    found = keys_by_plan(account)
    assert found["decant-dev-free"] == both and found["decant-dev-scale"] == [f"decant-dev-{PROFILE}-scale"]
    assert limits_of(account)["key_ready"] == "scale" and "0 faults" in account.run("check")
    put_profile(account, None)
    account.run("up")
    left = {one["name"] for one in client.get_api_keys()["items"]}
    assert len(left) == 3 and left > {"decant-dev-waiting", "decant-dev-loud"} and PROFILE not in str(left)


def older(account):
    """Turn the project's copy into an older version: no housekeeping, no files, fewer alarms, other figures."""
    account.edit(
        "deploy/spec.py",
        ('    "housekeeping": Function("housekeeping", 512, 300, None),\n', ""),
        ('    "files": Function("files", 1024, 300, None),\n', ""),
        ("FUNCTIONS['files'].full_name(names.stage)", "''"),
        ('FUNCTIONS["files"].full_name(names.stage)', "''"),
        ('key in ("http", "iot-authorizer")', 'key in ("http",)'),
        ("LOG_RETENTION_DAYS = 30", "LOG_RETENTION_DAYS = 7"),
        ("COUNTING_S = 60", "COUNTING_S = 5"),
    )
    account.edit("deploy/spec.py", ('("iot-ingest", "housekeeping", "files")', '("iot-ingest",)'))
    account.edit("deploy/inventory.py", ("        buckets.bucket(cloud),\n", ""))
    account.edit(
        "deploy/document.py",
        (
            "counters, files, housekeeping, iot_authorizer, iot_ingest, keys, sealer):",
            "counters, iot_authorizer, iot_ingest, keys, sealer):",
        ),
    )
    account.edit("chalicelib/services/usage/plans.json", ('"POST /data": 250', '"POST /data": 100'))


def test_up_over_an_older_deployment_converges_and_keeps_keys_and_tokens(account, project):
    older(account)
    first = account.run("up")
    assert "housekeeping" not in first and "decant-dev-files" not in first
    put_profile(account, "free")
    account.run("up")
    before = keys_by_plan(account)
    copy(project, account.folder)
    upgraded = account.run("up")
    assert "created     log group /aws/lambda/decant-dev-housekeeping" in upgraded
    assert "created     bucket decant-dev-files-" in upgraded and "decant-dev-files" in handlers(account)
    assert "repaired    usage plan decant-dev-free" in upgraded and "repaired    stream mapping" in upgraded
    assert keys_by_plan(account) == before and "Profile token" not in upgraded
    assert "0 faults" in account.run("check")


def test_device_that_could_not_be_counted_goes_from_the_queue_to_recount(deployed):
    sqs = deployed.client("sqs")
    url = sqs.get_queue_url(QueueName=NAMES.failures)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"reason": "r", "uncounted": "a" * 24}))
    retried = deployed.run("retry")
    assert "decant-dev-failures: 0 delivered again, 0 kept in the queue" in retried
    assert "1 devices must be counted again: run `python -m deploy recount --stage dev`" in retried
    assert f"gone        {'a' * 24}" in deployed.run("recount")
    assert deployed.run("recount") == deployed.run("recount", "--all").replace("--all", "")


def handlers(account):
    """Return the handler of each deployed function."""
    functions = account.client("lambda").list_functions()["Functions"]
    return {function["FunctionName"]: function["Handler"] for function in functions}


def test_up_moves_the_handlers_of_functions_whose_modules_moved(account):
    """Release 0.1.0 had its functions in other modules, and Chalice itself never changes a handler."""
    account.run("up")
    wanted = handlers(account)
    assert wanted["decant-dev-iot-ingest"] == "chalicelib.functions.iot_ingest.store"
    old = {
        "authorizer": "authorizer.authorize", "iot-authorizer": "iot.authorize", "iot-ingest": "iot.ingest",
        "counters": "stream.count", "housekeeping": "housekeeping.keep_house",
    }  # fmt: skip
    for name, handler in old.items():
        account.client("lambda").update_function_configuration(
            FunctionName=f"decant-dev-{name}", Handler=f"chalicelib.{handler}"
        )
    account.run("up")
    assert handlers(account) == wanted


def architectures(account):
    """Return the processors of the deployed functions."""
    functions = account.client("lambda").list_functions()["Functions"]
    return {architecture for function in functions for architecture in function["Architectures"]}


def test_architecture_is_changed_by_the_configuration_and_kept_by_another_clone(deployed, project):
    assert architectures(deployed) == {"x86_64"}
    deployed.edit(".chalice/config.json", ('"dev": {', '"dev": {"lambda_architecture": "arm64",'))
    deployed.run("up")
    assert architectures(deployed) == {"arm64"}
    copy(project, deployed.folder)
    config = deployed.folder / ".chalice/config.json"
    assert "lambda_architecture" not in config.read_text()
    deployed.run("up")
    assert architectures(deployed) == {"arm64"}
    written = json.loads(config.read_text())["stages"]["dev"]
    assert written == spec.stage_config(Names("dev")) | {"lambda_architecture": "arm64"}
    deployed.edit(".chalice/config.json", ('"arm64"', '"x86_64"'))
    deployed.run("up")
    assert architectures(deployed) == {"x86_64"}


@pytest.mark.parametrize(
    "line",
    [
        "Creating lambda function: decant-dev-c",
        "created     usage plan",
        "created     API keys",
    ],
)
def test_up_that_was_killed_is_completed_by_the_next(account, line):
    process = subprocess.Popen(
        account.command("up"),
        cwd=account.folder,
        env=account.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for text in process.stdout:
        if line in text:
            os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -9
    account.run("up")
    assert "0 faults" in account.run("check")
    found = inventory(account)
    assert len(found["apis"]) == 1 and len(found["functions"]) == len(spec.FUNCTIONS) and len(found["mappings"]) == 3


def test_another_clone_finds_the_deployment_and_down_leaves_only_data(deployed):
    record = deployed.folder / ".chalice/deployed/dev.json"
    before = sorted(json.loads(record.read_text())["resources"], key=lambda one: one["name"])
    record.unlink()
    assert "0 faults" in deployed.run("check")
    assert sorted(json.loads(record.read_text())["resources"], key=lambda one: one["name"]) == before
    record.unlink()
    assert "later       MQTT endpoint" in deployed.run("down")
    deployed.strict("sleep", seconds=7 * 86_400)
    assert "removed     MQTT endpoint" in deployed.run("down")
    left = inventory(deployed)
    assert sorted(left.pop("tables")) == [NAMES.entities, NAMES.segments] and left.pop("parameters") == [
        "/decant/dev/secret"
    ]
    (bucket,) = left.pop("buckets")
    assert bucket == NAMES.bucket("123456789012", "eu-central-1")
    assert {name: found for name, found in left.items() if found} == {}
    assert deployed.run("down") != ""
    again = deployed.run("up")
    assert "Profile token" not in again and "unchanged   table" in again and "0 faults" in deployed.run("check")
    deployed.client("s3").put_object(Bucket=bucket, Key="a profile/a file.csv", Body=b"a")
    deployed.run("down", "--data")
    deployed.strict("sleep", seconds=7 * 86_400)
    deployed.run("down", "--data")
    assert {name: found for name, found in inventory(deployed).items() if found} == {}


@pytest.mark.parametrize(("concurrency", "may_reserve"), [(149, False), (150, True)])
def test_concurrency_is_reserved_only_if_enough_of_the_account_is_unreserved(open_account, concurrency, may_reserve):
    account = open_account(concurrency=concurrency)
    for _ in range(2):  # what the stage itself has reserved does not count
        assert ("warning" in account.run("up")) is not may_reserve
        reserved = account.client("lambda").get_function_concurrency(FunctionName="decant-dev-iot-authorizer")
        assert ("ReservedConcurrentExecutions" in reserved) is may_reserve
    assert bool(re.search(r"^warn +concurrency", account.run("check"), re.MULTILINE)) is not may_reserve


def test_two_stages_in_one_account_do_not_meet(deployed, project):
    second = deployed.run("up", "--stage", "prod")
    assert "MQTT            none: it belongs to stage dev of this account and region" in second
    for stage in ("dev", "prod"):
        assert "0 faults" in deployed.run("check", "--stage", stage) and deployed.run(
            "diff", "--stage", stage
        ).startswith("Nothing differs")
    assert "belongs to stage dev" in deployed.run("check", "--stage", "prod")
    assert {name.split("_")[1] for name in inventory(deployed)["rules"]} == {"dev"}
    for stage, has_mqtt in (("dev", "true"), ("prod", "false")):
        shape = deployed.client("lambda").get_function_configuration(FunctionName=f"decant-{stage}")
        assert shape["Environment"]["Variables"]["DECANT_MQTT"] == has_mqtt
    names = [api["name"] for api in deployed.client("apigateway").get_rest_apis()["items"]]
    assert sorted(names) == ["decant-dev", "decant-prod"], "CloudWatch tells APIs apart by name"
    table = deployed.client("dynamodb").describe_table(TableName="decant-prod-segments")["Table"]
    assert table["DeletionProtectionEnabled"] is True
    shutil.rmtree(deployed.folder / ".chalice")
    copy(project, deployed.folder)  # a fresh clone has neither the record nor the configuration of stage prod
    deployed.run("down", "--stage", "prod", "--data")
    left = inventory(deployed)
    assert not [name for name in left["functions"] + left["roles"] + left["tables"] if "prod" in name]
    assert "0 faults" in deployed.run("check", "--stage", "dev")
    deployed.run("down", "--stage", "dev")
    assert "prod" in deployed.run("up", "--stage", "prod").partition("mosquitto_pub")[0], "MQTT is free again"
    assert {name.split("_")[1] for name in inventory(deployed)["rules"]} == {"prod"}


def test_stage_that_loses_mqtt_removes_what_an_earlier_version_made(deployed):
    payload = deployed.client("iot").get_topic_rule(ruleName="decant_dev_shared")["rule"]
    kept = {key: payload[key] for key in ("sql", "actions", "errorAction", "awsIotSqlVersion")}
    deployed.client("iot").delete_topic_rule(ruleName="decant_dev_shared")
    deployed.client("iot").create_topic_rule(ruleName="decant_older_shared", topicRulePayload=kept)
    deployed.client("iot").create_topic_rule(ruleName="decant_dev_shared", topicRulePayload=kept)
    assert "removed     topic rule decant_dev_shared" in deployed.run("up", "--stage", "dev")
    assert inventory(deployed)["rules"] == ["decant_older_shared"]
