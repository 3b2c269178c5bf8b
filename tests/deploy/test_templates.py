"""The templates describe what ``up`` makes, and pass the checks of CloudFormation and Terraform."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest

from deploy import spec
from deploy.inventory import removable_parts
from deploy.names import Names
from deploy.parts import Cloud
from tests.deploy.conftest import CREDENTIALS, copy

NAMED = {
    "table": ("AWS::DynamoDB::Table", "TableName", "aws_dynamodb_table", "name"),
    "queue": ("AWS::SQS::Queue", "QueueName", "aws_sqs_queue", "name"),
    "log group": ("AWS::Logs::LogGroup", "LogGroupName", "aws_cloudwatch_log_group", "name"),
    "usage plan": ("AWS::ApiGateway::UsagePlan", "UsagePlanName", "aws_api_gateway_usage_plan", "name"),
    "topic rule": ("AWS::IoT::TopicRule", "RuleName", "aws_iot_topic_rule", "name"),
    "authorizer": ("AWS::IoT::Authorizer", "AuthorizerName", "aws_iot_authorizer", "name"),
    "MQTT endpoint": (
        "AWS::IoT::DomainConfiguration", "DomainConfigurationName", "aws_iot_domain_configuration", "name"
    ),
    "alarm": ("AWS::CloudWatch::Alarm", "AlarmName", "aws_cloudwatch_metric_alarm", "alarm_name"),
    "logging": ("AWS::Serverless::Function", "FunctionName", "aws_lambda_function", "function_name"),
}  # fmt: skip
"""The parts that have their own name in the templates."""
COUNTED = {
    "retries": ("AWS::Lambda::EventInvokeConfig", "aws_lambda_function_event_invoke_config"),
    "stream mapping": ("AWS::Lambda::EventSourceMapping", "aws_lambda_event_source_mapping"),
}
OF_CHALICE = 2
"""Permissions that Chalice grants: to call the handler and the authorizer of the API."""


@pytest.fixture
def parts(dynamodb):
    """Everything that ``up`` makes in stage dev: its parts by kind."""
    session = botocore.session.Session()
    session.set_config_variable("region", "us-east-1")
    found = {}
    for part in removable_parts(Cloud(session, "dev")):
        found.setdefault(part.kind, []).append(part)
    return found


@pytest.fixture(scope="module")
def cloudformation(packaged):
    return json.loads((packaged / "out/sam.json").read_text())["Resources"]


@pytest.fixture(scope="module")
def terraform(packaged):
    return json.loads((packaged / "out/terraform/chalice.tf.json").read_text())


def of_type(resources, kind):
    return [one["Properties"] for one in resources.values() if one["Type"] == kind]


def test_templates_name_exactly_what_up_makes(parts, cloudformation, terraform):
    for kind, (type_cf, name_cf, type_tf, name_tf) in NAMED.items():
        wanted = sorted(part.name for part in parts[kind])
        assert sorted(one[name_cf] for one in of_type(cloudformation, type_cf)) == wanted, kind
        assert sorted(one[name_tf] for one in terraform["resource"][type_tf].values()) == wanted, kind
    for kind, (type_cf, type_tf) in COUNTED.items():
        assert len(of_type(cloudformation, type_cf)) == len(parts[kind]) == len(terraform["resource"][type_tf])
    sourced = [
        one for one in of_type(cloudformation, "AWS::Lambda::Permission") if one["Principal"] == spec.IOT_PRINCIPAL
    ]
    assert len(sourced) == len(parts["permission"]) and all("SourceAccount" in one for one in sourced)
    sourced = [
        one for one in terraform["resource"]["aws_lambda_permission"].values() if one["principal"] == spec.IOT_PRINCIPAL
    ]
    assert len(sourced) == len(parts["permission"]) and all("source_account" in one for one in sourced)
    (role,) = parts["role"]
    assert [one for one in of_type(cloudformation, "AWS::IAM::Role") if one.get("RoleName") == role.name]
    assert [one for one in terraform["resource"]["aws_iam_role"].values() if one["name"] == role.name]
    left = set(parts) - set(NAMED) - set(COUNTED) - {"permission", "role", "throttling", "secret", "API", "API keys"}
    assert left == set(), "a part that no template was asked for"


def test_templates_hold_the_same_figures(parts, cloudformation, terraform):
    for part in parts["alarm"]:
        (found,) = [one for one in of_type(cloudformation, "AWS::CloudWatch::Alarm") if one["AlarmName"] == part.name]
        assert {name: value for name, value in found.items() if name != "AlarmName"} == part.wanted
        (there,) = [
            one
            for one in terraform["resource"]["aws_cloudwatch_metric_alarm"].values()
            if one["alarm_name"] == part.name
        ]
        assert there["threshold"] == part.wanted["Threshold"] and there["period"] == part.wanted["Period"]
    for part in parts["usage plan"]:
        throttle = part.wanted["apiStages"][0].get("throttle", {})
        (found,) = [
            one for one in of_type(cloudformation, "AWS::ApiGateway::UsagePlan") if one["UsagePlanName"] == part.name
        ]
        throttles = found["ApiStages"][0].get("Throttle", {})
        assert {path: (one["BurstLimit"], one["RateLimit"]) for path, one in throttles.items()} == {
            path: (one["burstLimit"], one["rateLimit"]) for path, one in throttle.items()
        }
        there = terraform["resource"]["aws_api_gateway_usage_plan"][part.name.rpartition("-")[2]]
        limits = {one["path"]: one["burst_limit"] for one in there["api_stages"].get("throttle", [])}
        assert limits == {path: one["burstLimit"] for path, one in throttle.items()}
        assert found.get("Quota", {}).get("Limit") == (part.wanted["quota"] or {}).get("limit")
    for key, function in spec.FUNCTIONS.items():
        full = function.full_name("dev")
        (found,) = [one for one in of_type(cloudformation, "AWS::Serverless::Function") if one["FunctionName"] == full]
        assert (found["MemorySize"], found["Timeout"]) == (function.memory_mb, function.timeout_s), key
        assert found.get("ReservedConcurrentExecutions") == function.concurrency
        assert found["LoggingConfig"] == spec.LOGGING and found["Environment"]["Variables"] == spec.environment(
            Names("dev")
        )
        (there,) = [
            one for one in terraform["resource"]["aws_lambda_function"].values() if one["function_name"] == full
        ]
        assert (there["memory_size"], there["timeout"]) == (function.memory_mb, function.timeout_s)
        assert there["logging_config"]["system_log_level"] == "WARN"
    settings = cloudformation["RestAPI"]["Properties"]["MethodSettings"][0]
    assert settings["ThrottlingRateLimit"] == spec.REQUESTS_PER_SECOND
    everything = terraform["resource"]["aws_api_gateway_method_settings"]["all"]["settings"]
    assert everything["throttling_rate_limit"] == spec.REQUESTS_PER_SECOND
    policies = {
        json.dumps(one["Policies"][0]["PolicyDocument"], sort_keys=True)
        for one in of_type(cloudformation, "AWS::IAM::Role")
    }
    assert {json.dumps(spec.policy(key, Names("dev")), sort_keys=True) for key in spec.FUNCTIONS} <= policies


def test_package_of_a_stage_that_is_not_committed_writes_its_configuration_first(packaged, tmp_path):
    copy(packaged, tmp_path)
    for path in (tmp_path / ".chalice").glob("policy-*-prod.json"):
        path.unlink()
    config = json.loads((tmp_path / ".chalice/config.json").read_text())
    config["stages"].pop("prod", None)
    (tmp_path / ".chalice/config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "deploy.package", "out", "--stage", "prod"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | CREDENTIALS, check=True, capture_output=True)
    resources = json.loads((tmp_path / "out/sam.json").read_text())["Resources"]
    assert {one["FunctionName"] for one in of_type(resources, "AWS::Serverless::Function")} == {
        function.full_name("prod") for function in spec.FUNCTIONS.values()
    }
    roles = [one["Policies"][0]["PolicyDocument"] for one in of_type(resources, "AWS::IAM::Role") if "Policies" in one]
    assert all(spec.policy(key, Names("prod")) in roles for key in spec.FUNCTIONS)
    assert all(one["DeletionProtectionEnabled"] for one in of_type(resources, "AWS::DynamoDB::Table"))
    terraform = (tmp_path / "out/terraform/chalice.tf.json").read_text()
    assert "decant-prod-segments" in terraform and "decant-dev" not in terraform


def test_tables_are_kept_and_protected(cloudformation, terraform):
    for found in (one for one in cloudformation.values() if one["Type"] == "AWS::DynamoDB::Table"):
        assert found["DeletionPolicy"] == found["UpdateReplacePolicy"] == "Retain"
        assert found["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert found["Properties"]["TimeToLiveSpecification"]["AttributeName"] == "expires_at"
        assert "SSESpecification" not in found["Properties"], "a key of KMS costs money"
    for found in terraform["resource"]["aws_dynamodb_table"].values():
        assert found["lifecycle"] == {"prevent_destroy": True} and found["point_in_time_recovery"] == {"enabled": True}


def test_cloudformation_template_passes_the_linter_without_suppressions(packaged):
    text = (packaged / "out/sam.json").read_text()
    assert "cfn-lint" not in text
    command = [str(Path(sys.executable).with_name("cfn-lint")), "sam.json"]
    done = subprocess.run(command, cwd=packaged / "out", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_terraform_references_lead_somewhere(terraform):
    text = json.dumps({name: terraform[name] for name in ("resource", "output", "locals")})
    known = {f"{kind}.{name}" for kind, found in terraform["resource"].items() for name in found}
    known |= {f"data.{kind}.{name}" for kind, found in terraform["data"].items() for name in found}
    used = set(re.findall(r"(?:data\.)?aws_\w+\.[\w-]+", " ".join(re.findall(r"\$\{([^}]+)\}", text))))
    assert used and used <= known, used - known


def test_terraform_file_validates(packaged, tmp_path):
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform is not installed")
    shutil.copytree(packaged / "out/terraform", tmp_path, dirs_exist_ok=True)
    made = subprocess.run(
        [terraform, "init", "-backend=false"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("terraform finds no AWS provider here: TF_CLI_ARGS_init=-plugin-dir=… names a folder that has one")
    done = subprocess.run([terraform, "validate", "-json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["valid"] is True and found["diagnostics"] == []
