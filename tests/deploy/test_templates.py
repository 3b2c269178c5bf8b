"""The templates describe what ``up`` makes, and pass the checks of CloudFormation and Terraform."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import botocore.session
import pytest

from chalicelib import sandbox
from deploy import parameters, spec
from deploy import terraform as terraform_file
from deploy.inventory import removable_parts
from deploy.names import Names
from deploy.parts import Cloud
from tests.deploy import terraform_provider
from tests.deploy.conftest import CREDENTIALS, ROOT, copy

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
    ("bucket",): ("AWS::S3::Bucket", "aws_s3_bucket"),
    ("retries",): ("AWS::Lambda::EventInvokeConfig", "aws_lambda_function_event_invoke_config"),
    ("stream mapping", "queue mapping"): ("AWS::Lambda::EventSourceMapping", "aws_lambda_event_source_mapping"),
}
OF_CHALICE = 2
"""Permissions that Chalice grants: to call the handler and the authorizer of the API."""


@pytest.fixture
def parts(dynamodb):
    """Everything that ``up`` makes in stage dev: its parts by kind."""
    session = botocore.session.Session()
    session.set_config_variable("region", "us-east-1")
    found = {}
    for part in itertools.chain.from_iterable(group() for group in removable_parts(Cloud(session, "dev"))):
        found.setdefault(part.kind, []).append(part)
    return found


@pytest.fixture(scope="module")
def template(packaged):
    return json.loads((packaged / "out/sam.json").read_text())


@pytest.fixture(scope="module")
def cloudformation(template):
    """The resources, each parameter replaced by its default."""
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    return resolved(template["Resources"], defaults)


def resolved(value, parameters):
    """Return a part of a template with parameters replaced, and with what depends on them decided."""
    if isinstance(value, list):
        return [resolved(item, parameters) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("Ref") in parameters:
        return parameters[value["Ref"]]
    if "Fn::If" in value:
        condition, if_true, if_false = value["Fn::If"]
        return resolved(if_true if parameters[condition.removeprefix("Has")] else if_false, parameters)
    parts = {name: resolved(part, parameters) for name, part in value.items()}
    return {name: part for name, part in parts.items() if part != {"Ref": "AWS::NoValue"}}


@pytest.fixture(scope="module")
def terraform(packaged):
    return json.loads((packaged / "out/terraform/chalice.tf.json").read_text())


def of_type(resources, kind):
    return [one["Properties"] for one in resources.values() if one["Type"] == kind]


def test_templates_name_exactly_what_up_makes(parts, cloudformation, terraform):
    for kind, (type_cf, name_cf, type_tf, name_tf) in NAMED.items():
        wanted = sorted(part.name for part in parts[kind])
        assert sorted(one[name_cf] for one in of_type(cloudformation, type_cf)) == wanted, kind
        names = sorted(one[name_tf] for one in terraform["resource"][type_tf].values())
        assert [name.replace("${var.mqtt_name}", Names("dev").mqtt) for name in names] == wanted, kind
    for kinds, (type_cf, type_tf) in COUNTED.items():
        wanted = [part.name for kind in kinds for part in parts[kind]]
        assert len(of_type(cloudformation, type_cf)) == len(wanted) == len(terraform["resource"][type_tf])
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
    left = (
        set(parts)
        - set(NAMED)
        - set(itertools.chain(*COUNTED))
        - {"permission", "role", "throttling", "secret", "API", "API keys"}
    )
    assert left == set(), "a part that no template was asked for"


def test_queues_keep_the_order_and_set_aside_what_fails_in_both_templates(cloudformation, terraform):
    queues = {one["QueueName"]: one for one in of_type(cloudformation, "AWS::SQS::Queue")}
    keys = queues["decant-dev-keys.fifo"]
    assert keys["FifoQueue"] is queues["decant-dev-keys-failed.fifo"]["FifoQueue"] is True
    assert keys["VisibilityTimeout"] == spec.FUNCTIONS["keys"].timeout_s, "AWS refuses less than the function's time"
    target = {"Fn::GetAtt": ["DevKeysFailedFifo", "Arn"]}
    assert keys["RedrivePolicy"] == {"deadLetterTargetArn": target, "maxReceiveCount": 5}
    sealer = queues["decant-dev-sealer"]
    assert sealer["VisibilityTimeout"] >= 6 * spec.FUNCTIONS["sealer"].timeout_s, "as AWS advises"
    assert sealer["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DevFailures", "Arn"]}
    mappings = of_type(cloudformation, "AWS::Lambda::EventSourceMapping")
    assert {"MaximumConcurrency": spec.SEALER_CONCURRENCY} in [one.get("ScalingConfig") for one in mappings]
    there = terraform["resource"]["aws_lambda_event_source_mapping"]["sealer"]
    assert there["scaling_config"] == {"maximum_concurrency": spec.SEALER_CONCURRENCY}
    there = terraform["resource"]["aws_sqs_queue"]["decant-dev-keys_fifo"]
    assert there["fifo_queue"] is True and json.loads(there["redrive_policy"])["maxReceiveCount"] == 5


def test_templates_hold_the_same_figures(parts, cloudformation, terraform):
    for part in parts["alarm"]:
        (found,) = [one for one in of_type(cloudformation, "AWS::CloudWatch::Alarm") if one["AlarmName"] == part.name]
        assert {name: found.get(name) for name in part.wanted} == part.wanted
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
        of_key = part.wanted["throttle"] or {}
        assert found.get("Throttle", {}).get("RateLimit") == of_key.get("rateLimit")
        assert there.get("throttle_settings", {}).get("rate_limit") == of_key.get("rateLimit")
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
    (throttling,) = parts["throttling"]
    settings = cloudformation["RestAPI"]["Properties"]["MethodSettings"]
    assert {
        f"{one['ResourcePath'][1:] or '~1'}/{one['HttpMethod']}": (
            one["ThrottlingRateLimit"],
            one["ThrottlingBurstLimit"],
        )
        for one in settings
    } == throttling.wanted
    assert {
        one["method_path"]: tuple(one["settings"][f"throttling_{limit}_limit"] for limit in ("rate", "burst"))
        for one in terraform["resource"]["aws_api_gateway_method_settings"].values()
    } == throttling.wanted
    assert throttling.wanted["*/*"] == (2_000, 4_000) and throttling.wanted["~1status/GET"] == (20, 20)
    assert throttling.wanted["~1/GET"] == (20, 20) and throttling.wanted["~1console~1{name}/GET"] == (200, 200)


def policies_of(cloudformation):
    """Return the policies of the roles in a template, as they are in the partition ``aws``."""
    roles = [one for one in of_type(cloudformation, "AWS::IAM::Role") if "RoleName" not in one]
    text = json.dumps([role["Policies"][0]["PolicyDocument"] for role in roles])
    return json.loads(re.sub(r'\{"Fn::Sub": "arn:\$\{AWS::Partition\}([^"]+)"\}', r'"arn:aws\1"', text))


def test_policies_are_those_of_the_spec_in_every_partition(packaged, cloudformation, terraform):
    wanted = [json.dumps(spec.policy(key, Names("dev")), sort_keys=True) for key in spec.FUNCTIONS]
    assert sorted(json.dumps(one, sort_keys=True) for one in policies_of(cloudformation)) == sorted(wanted)
    for key, name in terraform_file.RESOURCE_NAMES.items():
        text = terraform["resource"]["aws_iam_role_policy"][f"{name}_role"]["policy"]
        found = json.loads(text.replace("${data.aws_partition.chalice.partition}", "aws-cn").replace("$${", "${"))
        assert found == spec.policy(key, Names("dev"), partition="aws-cn") and '"arn:aws:' not in json.dumps(found)
    for file in ("sam.json", "terraform/chalice.tf.json"):
        assert "arn:aws" not in (packaged / "out" / file).read_text(), file


def test_parameters_are_the_same_in_both_templates(template, terraform):
    wanted = parameters.parameters("dev", has_mqtt=True)
    values = {one.name: one.default for one in wanted}
    assert values == {"mqtt_name": "decant-dev-mqtt", "alarm_topic_arn": "", "iot_authorizer_concurrency": 50}
    assert {name: one["default"] for name, one in terraform["variable"].items()} == values
    assert [one["Default"] for one in template["Parameters"].values()] == list(values.values())


def test_page_lists_the_parameters(template, terraform):
    page = (ROOT / "docs/deploy.md").read_text()
    listed = re.findall(r"^\| `([A-Z]\w+)` \| `(\w+)` \|", page, re.MULTILINE)
    assert listed == list(zip(template["Parameters"], terraform["variable"], strict=True))


def test_parameters_change_what_they_name(template):
    topic = "arn:aws:sns:eu-central-1:123456789012:operators"
    given = {"MqttName": "other", "AlarmTopicArn": topic, "IotAuthorizerConcurrency": 0}
    resources = resolved(template["Resources"], given)
    assert "ReservedConcurrentExecutions" not in resources["IotAuthorizer"]["Properties"]
    assert all(one["AlarmActions"] == [topic] for one in of_type(resources, "AWS::CloudWatch::Alarm"))
    (authorizer,), (endpoint,) = (
        of_type(resources, f"AWS::IoT::{kind}") for kind in ("Authorizer", "DomainConfiguration")
    )
    assert authorizer["AuthorizerName"] == endpoint["DomainConfigurationName"] == "other"
    assert endpoint["AuthorizerConfig"]["DefaultAuthorizerName"] == {"Ref": "MqttAuthorizer"}
    resources = resolved(template["Resources"], given | {"AlarmTopicArn": ""})
    assert not any("AlarmActions" in one for one in of_type(resources, "AWS::CloudWatch::Alarm"))


def test_variables_change_what_they_name(terraform):
    made = terraform["resource"]
    reserved = made["aws_lambda_function"]["iot-authorizer"]["reserved_concurrent_executions"]
    assert reserved == "${var.iot_authorizer_concurrency > 0 ? var.iot_authorizer_concurrency : -1}"
    actions = {alarm["alarm_actions"] for alarm in made["aws_cloudwatch_metric_alarm"].values()}
    assert actions == {'${var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]}'}
    for kind in ("aws_iot_authorizer", "aws_iot_domain_configuration"):
        assert made[kind]["mqtt"]["name"] == "${var.mqtt_name}"


def test_what_aws_cannot_delete_at_once_stays_when_the_stack_is_deleted(cloudformation):
    kept = {name for name, one in cloudformation.items() if one.get("DeletionPolicy") == "Retain"}
    assert kept == {"DevSegments", "DevEntities", "FilesBucket", "MqttEndpoint", "MqttAuthorizer"}
    assert all(cloudformation[name]["UpdateReplacePolicy"] == "Retain" for name in kept)


def test_functions_say_that_a_template_made_them(cloudformation, terraform):
    tags = [one["Tags"] for one in of_type(cloudformation, "AWS::Serverless::Function")]
    tags += [one["tags"] for one in terraform["resource"]["aws_lambda_function"].values()]
    assert all("aws-chalice" in one and one["decant-made-by"] == "template" for one in tags)


def arguments(value, path=""):
    """Yield the path of each argument of a resource."""
    for name, part in value.items():
        argument = f"{path}{name}"
        if argument not in terraform_provider.OF_TERRAFORM:
            yield argument
            if argument not in terraform_provider.MAPS:
                for block in part if isinstance(part, list) else [part]:
                    yield from arguments(block, f"{argument}.") if isinstance(block, dict) else ()


def test_required_provider_has_every_argument(terraform):
    introduced = {
        (kind, argument): tuple(map(int, version.split(".")))
        for (kind, version), listed in terraform_provider.ARGUMENTS.items()
        for argument in listed.split()
    }
    used = {
        (kind, argument)
        for kind, found in terraform["resource"].items()
        for resource in found.values()
        for argument in arguments(resource)
    }
    assert used == set(introduced), "an argument whose version is not known, or that is not used any more"
    required = terraform["terraform"]["required_providers"]["aws"]["version"]
    minimum = re.fullmatch(r">= (\d+)\.(\d+), < 7\.0", required)
    assert tuple(map(int, minimum.groups())) >= max(introduced.values())


def test_package_of_a_stage_without_mqtt_that_is_not_committed_writes_its_configuration_first(packaged, tmp_path):
    copy(packaged, tmp_path)
    for path in (tmp_path / ".chalice").glob("policy-*-prod.json"):
        path.unlink()
    config = json.loads((tmp_path / ".chalice/config.json").read_text())
    config["stages"].pop("prod", None)
    (tmp_path / ".chalice/config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "deploy.package", "out", "--stage", "prod", "--no-mqtt"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | CREDENTIALS, check=True, capture_output=True)
    resources = json.loads((tmp_path / "out/sam.json").read_text())["Resources"]
    assert {one["FunctionName"] for one in of_type(resources, "AWS::Serverless::Function")} == {
        function.full_name("prod") for function in spec.FUNCTIONS.values()
    }
    assert all(spec.policy(key, Names("prod")) in policies_of(resources) for key in spec.FUNCTIONS)
    assert all(one["DeletionProtectionEnabled"] for one in of_type(resources, "AWS::DynamoDB::Table"))
    terraform = (tmp_path / "out/terraform/chalice.tf.json").read_text()
    assert "decant-prod-segments" in terraform and "decant-dev" not in terraform
    assert not [one["Type"] for one in resources.values() if one["Type"].startswith("AWS::IoT::")]
    assert "aws_iot_" not in terraform and "mqtt_name" not in terraform
    functions = of_type(resources, "AWS::Serverless::Function")
    assert {one["Environment"]["Variables"]["DECANT_MQTT"] for one in functions} == {"false"}


def test_package_for_arm64_holds_its_wheels_and_both_templates_name_it(packaged, tmp_path):
    copy(packaged, tmp_path)
    config = json.loads((tmp_path / ".chalice/config.json").read_text())
    config["stages"]["dev"]["lambda_architecture"] = "arm64"
    (tmp_path / ".chalice/config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "deploy.package", "out"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | CREDENTIALS, check=True, capture_output=True)
    package = zipfile.ZipFile(tmp_path / "out/deployment.zip")
    binaries = [name for name in package.namelist() if name.endswith(".so")]
    assert {re.split(r"[/.]", name)[0] for name in binaries} == {
        "pydantic_core", "orjson", "_argon2_cffi_bindings", "_cffi_backend", "wasmtime",
    }  # fmt: skip
    assert f"chalicelib/sandbox/guest.{sandbox.target('arm64')}.cwasm" in package.namelist()
    assert {package.read(name)[18] for name in binaries} == {0xB7}, "the number of AArch64 in the head of an ELF file"
    resources = json.loads((tmp_path / "out/sam.json").read_text())["Resources"]
    made = json.loads((tmp_path / "out/terraform/chalice.tf.json").read_text())["resource"]["aws_lambda_function"]
    functions = of_type(resources, "AWS::Serverless::Function")
    assert [one["Architectures"] for one in functions] == [["arm64"]] * len(spec.FUNCTIONS)
    assert [one["architectures"] for one in made.values()] == [["arm64"]] * len(spec.FUNCTIONS)


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


def test_terraform_makes_a_function_after_its_policy_and_its_log_group(terraform):
    made = terraform["resource"]
    known = {f"{kind}.{name}" for kind, found in made.items() for name in found}
    for name, function in made["aws_lambda_function"].items():
        assert function["depends_on"] == [f"aws_cloudwatch_log_group.{name}", f"aws_iam_role_policy.{name}_role"]
        assert set(function["depends_on"]) <= known


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
