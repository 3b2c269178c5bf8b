"""Adds to the CloudFormation template of ``chalice package`` what ``up`` makes beside it.

A template cannot make three things: the secret, since CloudFormation writes no SecureString, the first profile, and the
API keys, since they come and go with the profiles. ``init`` makes them.

A stack that is deleted leaves the tables, because of the data. It also leaves the MQTT endpoint, which AWS deletes only
after it was disabled for seven days, and the authorizer, which AWS does not delete while an endpoint names it. So the
name of both is a parameter.
"""

import re
from collections.abc import Sequence
from typing import Any

from chalicelib.http.route import Route
from deploy import buckets, parameters, spec, throttles
from deploy.names import APP, Names

Resource = dict[str, Any]
LOGICAL_NAMES = {
    key: re.sub(r"\W", "", (function.name or "API-handler").title()) for key, function in spec.FUNCTIONS.items()
}
LOGICAL_NAMES["http"] = "APIHandler"
"""The name of each function in Chalice's template, by key of ``spec.FUNCTIONS``."""
_ROLES = {key: f"{name}Role" for key, name in LOGICAL_NAMES.items()} | {"http": "ApiHandlerRole"}
_RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


def extras(stage: str, rows: Sequence[Route], *, has_mqtt: bool = True) -> dict[str, Any]:
    """Return what to merge into Chalice's template.

    Args:
        stage: its name.
        rows: the route table.
        has_mqtt: whether to make the parts of MQTT, which one stage of an account and region may have.
    """
    resources: dict[str, Resource] = {}
    for resources_of in (_tables, _bucket, _queues, _roles, _functions, *([_iot] if has_mqtt else []), _alarms):
        resources |= resources_of(stage)
    resources |= _gateway(stage, rows)
    return {"Parameters": _parameters(stage, has_mqtt=has_mqtt), "Conditions": _conditions(), "Resources": resources}


def _parameters(stage: str, *, has_mqtt: bool) -> dict[str, Resource]:
    return {
        _logical_name(parameter.name): {
            "Default": parameter.default,
            "Description": parameter.description,
            **({"Type": "Number", "MinValue": 0} if isinstance(parameter.default, int) else {"Type": "String"}),
        }
        for parameter in parameters.parameters(stage, has_mqtt=has_mqtt)
    }


def _parameter(name: str) -> dict[str, str]:
    return {"Ref": _logical_name(name)}


def _conditions() -> dict[str, Any]:
    unset = {parameters.ALARM_TOPIC: ""} | dict.fromkeys(parameters.CONCURRENCY.values(), "0")
    return {
        f"Has{_logical_name(name)}": {"Fn::Not": [{"Fn::Equals": [_parameter(name), value]}]}
        for name, value in unset.items()
    }


def _if_set(name: str, value: Any) -> dict[str, Any]:
    """Return a value that is left out if the deployer has not set a parameter."""
    return {"Fn::If": [f"Has{_logical_name(name)}", value, {"Ref": "AWS::NoValue"}]}


def _logical_name(text: str) -> str:
    """Return the logical name of a resource: letters and digits only."""
    return "".join(part.title() for part in re.split(r"\W|_", text.removeprefix(f"{APP}-")))


def _function(key: str, attribute: str | None = None) -> dict[str, Any]:
    return {"Fn::GetAtt": [LOGICAL_NAMES[key], attribute]} if attribute else {"Ref": LOGICAL_NAMES[key]}


def _capitalized(shape: Any) -> Any:
    """Return the arguments of an AWS call as CloudFormation spells them, with a capital at the start of each name."""
    if isinstance(shape, dict):
        return {name[:1].upper() + name[1:]: _capitalized(value) for name, value in shape.items()}
    return [_capitalized(item) for item in shape] if isinstance(shape, list) else shape


def _tables(stage: str) -> dict[str, Resource]:
    tables = {}
    for name, shape in spec.tables(Names(stage)).items():
        properties = shape | {
            "TableName": name,
            "TimeToLiveSpecification": {"Enabled": True, "AttributeName": spec.EXPIRY_ATTRIBUTE},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        }
        if "StreamSpecification" in shape:
            properties["StreamSpecification"] = {"StreamViewType": shape["StreamSpecification"]["StreamViewType"]}
        tables[_logical_name(name)] = {"Type": "AWS::DynamoDB::Table", **_RETAINED, "Properties": properties}
    return tables


def _queues(stage: str) -> dict[str, Resource]:
    return {
        _logical_name(name): {
            "Type": "AWS::SQS::Queue",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"QueueName": name, **{key: _typed(value) for key, value in attributes.items()}},
        }
        for name, attributes in spec.queues(Names(stage), _queue_arn).items()
    }


def _queue_arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [_logical_name(name), "Arn"]}


def _typed(attribute: Any) -> Any:
    """Return an attribute of a queue as CloudFormation wants it: SQS itself takes numbers and truth values as texts."""
    if not isinstance(attribute, str):
        return attribute
    return attribute == "true" if attribute in ("true", "false") else int(attribute)


def _roles(stage: str) -> dict[str, Resource]:
    """Return the policies of the functions' roles. Those in Chalice's template name the partition ``aws``."""
    roles = {}
    for key, role in _ROLES.items():
        document = spec.policy(key, Names(stage), partition="${AWS::Partition}")
        for statement in document["Statement"]:
            statement["Resource"] = {"Fn::Sub": statement["Resource"]}
        policies = [{"PolicyName": f"{role}Policy", "PolicyDocument": document}]
        roles[role] = {"Properties": {"Policies": policies}}
    return roles


def _functions(stage: str) -> dict[str, Resource]:
    names = Names(stage)
    resources: dict[str, Resource] = {}
    for key, function in spec.FUNCTIONS.items():
        full_name = function.full_name(stage)
        group = f"{LOGICAL_NAMES[key]}Log"
        resources[LOGICAL_NAMES[key]] = {
            "DependsOn": [group],
            "Properties": {"FunctionName": full_name, "LoggingConfig": spec.LOGGING, "Tags": spec.TEMPLATE_TAG},
        }
        resources[group] = {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"LogGroupName": f"/aws/lambda/{full_name}", "RetentionInDays": spec.LOG_RETENTION_DAYS},
        }
    for key, name in parameters.CONCURRENCY.items():
        resources[LOGICAL_NAMES[key]]["Properties"]["ReservedConcurrentExecutions"] = _if_set(name, _parameter(name))
    for key in spec.ASYNCHRONOUS:
        resources[f"{LOGICAL_NAMES[key]}Retries"] = {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": _function(key),
                "Qualifier": "$LATEST",
                "MaximumEventAgeInSeconds": spec.RETRY_FOR_S,
                "MaximumRetryAttempts": spec.RETRIES,
                "DestinationConfig": {"OnFailure": {"Destination": _queue_arn(names.failures)}},
            },
        }
    resources["CountersMapping"] = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": _function("counters"),
            "EventSourceArn": {"Fn::GetAtt": [_logical_name(names.segments), "StreamArn"]},
            "StartingPosition": "TRIM_HORIZON",
            **spec.STREAM_MAPPING,
        },
    }
    resources["KeysMapping"] = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": _function("keys"),
            "EventSourceArn": _queue_arn(names.keys),
            **spec.KEYS_MAPPING,
        },
    }
    resources["SealerMapping"] = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": _function("sealer"),
            "EventSourceArn": _queue_arn(names.sealer),
            **spec.SEALER_MAPPING,
        },
    }
    resources["FilesMapping"] = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": _function("files"),
            "EventSourceArn": _queue_arn(names.files),
            **spec.FILES_MAPPING,
        },
    }
    return resources


def _bucket(stage: str) -> dict[str, Resource]:
    """Return the bucket of files. It stays if the stack is deleted, as the tables do."""
    (rule,), (cors,) = buckets.LIFECYCLE, buckets.CORS
    lifecycle = {
        "Id": rule["ID"],
        "Status": rule["Status"],
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": spec.LEFT_PARTS_DAYS},
    }
    shared = {"AllowedMethods": cors["AllowedMethods"], "AllowedOrigins": cors["AllowedOrigins"]}
    properties = {
        "BucketName": {"Fn::Sub": Names(stage).bucket("${AWS::AccountId}", "${AWS::Region}")},
        "PublicAccessBlockConfiguration": buckets.CLOSED,
        "LifecycleConfiguration": {"Rules": [lifecycle]},
        "CorsConfiguration": {
            "CorsRules": [{**shared, "AllowedHeaders": cors["AllowedHeaders"], "MaxAge": cors["MaxAgeSeconds"]}]
        },
    }
    return {"FilesBucket": {"Type": "AWS::S3::Bucket", **_RETAINED, "Properties": properties}}


def _permission(key: str, source: Any) -> Resource:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": _function(key),
            "Action": "lambda:InvokeFunction",
            "Principal": spec.IOT_PRINCIPAL,
            "SourceAccount": {"Ref": "AWS::AccountId"},
            "SourceArn": source,
        },
    }


def _iot(stage: str) -> dict[str, Resource]:
    names = Names(stage)
    queue = _logical_name(names.failures)
    role = _logical_name(names.rule_errors)
    trust, permissions = spec.rule_errors_role({"Fn::GetAtt": [queue, "Arn"]})
    resources: dict[str, Resource] = {
        role: {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": names.rule_errors,
                "AssumeRolePolicyDocument": trust,
                "Policies": [{"PolicyName": names.rule_errors, "PolicyDocument": permissions}],
            },
        },
    }
    return resources | _mqtt(stage) | _topic_rules(stage)


def _mqtt(stage: str) -> dict[str, Resource]:
    """Return the authorizer of MQTT clients, its permission, and the clients' endpoint.

    The permission goes with the function, whose policy holds it. Then the authorizer that stays refuses every client.
    """
    name = _parameter(parameters.MQTT_NAME)
    authorizer, endpoint = spec.mqtt_authorizer(_function("iot-authorizer", "Arn")), spec.mqtt_endpoint(stage)
    endpoint["authorizerConfig"]["defaultAuthorizerName"] = {"Ref": "MqttAuthorizer"}
    return {
        "MqttAuthorizer": {
            "Type": "AWS::IoT::Authorizer",
            **_RETAINED,
            "Properties": {"AuthorizerName": name, **_capitalized(authorizer)},
        },
        "MqttAuthorizerPermission": _permission("iot-authorizer", {"Fn::GetAtt": ["MqttAuthorizer", "Arn"]}),
        "MqttEndpoint": {
            "Type": "AWS::IoT::DomainConfiguration",
            **_RETAINED,
            "Properties": {"DomainConfigurationName": name, "ServiceType": "DATA", **_capitalized(endpoint)},
        },
    }


def _topic_rules(stage: str) -> dict[str, Resource]:
    names = Names(stage)
    queue, role = _logical_name(names.failures), _logical_name(names.rule_errors)
    resources: dict[str, Resource] = {}
    errors = {"RoleArn": {"Fn::GetAtt": [role, "Arn"]}, "QueueUrl": {"Ref": queue}, "UseBase64": False}
    for name, sql in spec.topic_rules(stage).items():
        logical = _logical_name(name)
        resources[logical] = {
            "Type": "AWS::IoT::TopicRule",
            "Properties": {
                "RuleName": name,
                "TopicRulePayload": {
                    "Sql": sql,
                    "AwsIotSqlVersion": spec.SQL_VERSION,
                    "RuleDisabled": False,
                    "Actions": [{"Lambda": {"FunctionArn": _function("iot-ingest", "Arn")}}],
                    "ErrorAction": {"Sqs": errors},
                },
            },
        }
        resources[f"{logical}Permission"] = _permission("iot-ingest", {"Fn::GetAtt": [logical, "Arn"]})
    return resources


def _alarms(stage: str) -> dict[str, Resource]:
    topic = parameters.ALARM_TOPIC
    notified = {"AlarmActions": _if_set(topic, [_parameter(topic)])}
    return {
        f"{_logical_name(name)}Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {"AlarmName": name, **alarm, **notified},
        }
        for name, alarm in spec.alarms(stage).items()
    }


def _gateway(stage: str, rows: Sequence[Route]) -> dict[str, Resource]:
    settings = [_method_settings(name, *limits) for name, limits in throttles.stage_limits(rows).items()]
    resources: dict[str, Resource] = {"RestAPI": {"Properties": {"MethodSettings": settings}}}
    for plan in throttles.usage_plans(rows).values():
        api: dict[str, Any] = {"ApiId": {"Ref": "RestAPI"}, "Stage": {"Ref": f"RestAPI{spec.API_STAGE}Stage"}}
        if plan.by_route:
            api["Throttle"] = {name: _capitalized(throttle) for name, throttle in plan.by_route.items()}
        properties: dict[str, Any] = {"UsagePlanName": Names(stage).usage_plan(plan.name), "ApiStages": [api]}
        limits = {"Quota": plan.quota, "Throttle": plan.of_key}
        properties |= {name: _capitalized(limit) for name, limit in limits.items() if limit}
        resources[f"{plan.name.title()}Plan"] = {"Type": "AWS::ApiGateway::UsagePlan", "Properties": properties}
    return resources


def _method_settings(name: str, rate: int, burst: int) -> dict[str, Any]:
    path, _, method = name.rpartition("/")
    return {
        "ResourcePath": "/" if path == "~1" else f"/{path}",  # the root is not escaped
        "HttpMethod": method,
        "ThrottlingRateLimit": rate,
        "ThrottlingBurstLimit": burst,
    }
