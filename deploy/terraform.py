"""Adds to the Terraform file of ``chalice package --pkg-format terraform`` what ``up`` makes beside it.

That file has three faults, which are corrected here: it requires old versions of Terraform and of the AWS provider, it
gives the schedule the same name in every stage, and its policies name the partition ``aws``. As with CloudFormation, it
holds neither secret nor profile nor API keys.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from chalicelib.http.route import Route
from deploy import buckets, parameters, spec, throttles
from deploy.names import APP, Names

Resources = dict[str, dict[str, Any]]
RESOURCE_NAMES = {key: function.name or "api_handler" for key, function in spec.FUNCTIONS.items()}
"""The name of each function in Chalice's file, by key of ``spec.FUNCTIONS``."""
VERSIONS = {
    "required_version": ">= 1.5",
    "required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5.98, < 7.0"}},
}
"""5.98 is the first version of the provider with the protocol of an MQTT endpoint."""
_QUEUE_ARGUMENTS = {
    "FifoQueue": "fifo_queue",
    "MessageRetentionPeriod": "message_retention_seconds",
    "RedrivePolicy": "redrive_policy",
    "SqsManagedSseEnabled": "sqs_managed_sse_enabled",
    "VisibilityTimeout": "visibility_timeout_seconds",
}
"""Terraform's words for the attributes of a queue."""
_PARTITION = "${data.aws_partition.chalice.partition}"
_ACCOUNT = "${data.aws_caller_identity.chalice.account_id}"
_REGION = "${data.aws_region.chalice.name}"


def complete(document: dict[str, Any], stage: str, rows: Sequence[Route], *, has_mqtt: bool = True) -> dict[str, Any]:
    """Add to Chalice's document everything that ``up`` makes beside it. Changes the document and returns it.

    Args:
        document: as Chalice wrote it.
        stage: its name.
        rows: the route table.
        has_mqtt: whether to make the parts of MQTT, which one stage of an account and region may have.
    """
    document["terraform"] = VERSIONS
    document["variable"] = _variables(stage, has_mqtt=has_mqtt)
    document["data"].pop("null_data_source", None)
    resources: Resources = document["resource"]
    for resources_by_kind in (
        _tables(stage),
        _bucket(stage),
        _role_policies(stage),
        _queues(stage),
        _functions(stage),
        _iot(stage) if has_mqtt else {},
        _alarms(stage),
        _gateway(stage, rows),
    ):
        for kind, added in resources_by_kind.items():
            _merge(resources.setdefault(kind, {}), added)
    for function in resources["aws_lambda_function"].values():
        function["tags"] |= spec.TEMPLATE_TAG
    for name, rule in resources["aws_cloudwatch_event_rule"].items():
        rule["name"] = f"{APP}-{stage}-{name}"
    api = resources["aws_api_gateway_deployment"]["rest_api"]
    del api["stage_name"]
    api["triggers"] = {"document": api.pop("stage_description")}
    document["output"]["EndpointURL"]["value"] = "${aws_api_gateway_stage.rest_api.invoke_url}/"
    return document


def _merge(existing: dict[str, Any], added: dict[str, Any]) -> None:
    for name, properties in added.items():
        existing.setdefault(name, {}).update(properties)


def _id(text: str) -> str:
    """Return a name that Terraform accepts: what follows the last slash, with underscores for dots."""
    return text.rpartition("/")[2].replace(".", "_")


def _variables(stage: str, *, has_mqtt: bool) -> dict[str, dict[str, Any]]:
    return {
        parameter.name: {
            "type": "number" if isinstance(parameter.default, int) else "string",
            "default": parameter.default,
            "description": parameter.description,
        }
        for parameter in parameters.parameters(stage, has_mqtt=has_mqtt)
    }


def _function(key: str, attribute: str = "arn") -> str:
    return f"${{aws_lambda_function.{RESOURCE_NAMES[key]}.{attribute}}}"


def _tables(stage: str) -> Resources:
    tables = {}
    for name, shape in spec.tables(Names(stage)).items():
        hash_key, range_key = (key["AttributeName"] for key in shape["KeySchema"])
        tables[_id(name)] = {
            "name": name,
            "billing_mode": shape["BillingMode"],
            "hash_key": hash_key,
            "range_key": range_key,
            "attribute": [
                {"name": attribute["AttributeName"], "type": attribute["AttributeType"]}
                for attribute in shape["AttributeDefinitions"]
            ],
            "point_in_time_recovery": {"enabled": True},
            "ttl": {"enabled": True, "attribute_name": spec.EXPIRY_ATTRIBUTE},
            "deletion_protection_enabled": shape["DeletionProtectionEnabled"],
            "lifecycle": {"prevent_destroy": True},
        }
        if "StreamSpecification" in shape:
            tables[_id(name)] |= {
                "stream_enabled": True,
                "stream_view_type": shape["StreamSpecification"]["StreamViewType"],
            }
    return {"aws_dynamodb_table": tables}


def _role_policies(stage: str) -> Resources:
    """Return the policies of the functions' roles. Those in Chalice's file name the partition ``aws``."""
    policies = {f"{RESOURCE_NAMES[key]}_role": {"policy": _policy(key, stage)} for key in spec.FUNCTIONS}
    return {"aws_iam_role_policy": policies}


def _policy(key: str, stage: str) -> str:
    """Return a policy as text. Terraform must leave IAM's own variables alone."""
    return json.dumps(spec.policy(key, Names(stage), partition=_PARTITION)).replace("${aws:", "$${aws:")


def _bucket(stage: str) -> Resources:
    """Return the bucket of files, and what belongs to it."""
    (rule,), (cors,), name = buckets.LIFECYCLE, buckets.CORS, _id(Names(stage).files)
    owner = {"bucket": f"${{aws_s3_bucket.{name}.id}}"}
    closed = {_id(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)).lower(): value for key, value in buckets.CLOSED.items()}
    lifecycle = {
        "id": rule["ID"],
        "status": rule["Status"],
        "filter": {"prefix": ""},
        "abort_incomplete_multipart_upload": {"days_after_initiation": spec.LEFT_PARTS_DAYS},
    }
    cors_rule = {
        "allowed_methods": cors["AllowedMethods"],
        "allowed_origins": cors["AllowedOrigins"],
        "allowed_headers": cors["AllowedHeaders"],
        "max_age_seconds": cors["MaxAgeSeconds"],
    }
    bucket = {"bucket": Names(stage).bucket(_ACCOUNT, _REGION), "lifecycle": {"prevent_destroy": True}}
    return {
        "aws_s3_bucket": {name: bucket},
        "aws_s3_bucket_public_access_block": {name: owner | closed},
        "aws_s3_bucket_lifecycle_configuration": {name: owner | {"rule": [lifecycle]}},
        "aws_s3_bucket_cors_configuration": {name: owner | {"cors_rule": [cors_rule]}},
    }


def _queues(stage: str) -> Resources:
    queues = {}
    for name, attributes in spec.queues(Names(stage), _queue_arn).items():
        queues[_id(name)] = {
            "name": name,
            **{_QUEUE_ARGUMENTS[key]: _typed(value) for key, value in attributes.items()},
        }
    return {"aws_sqs_queue": queues}


def _queue_arn(name: str) -> str:
    return f"${{aws_sqs_queue.{_id(name)}.arn}}"


def _typed(attribute: Any) -> Any:
    """Return an attribute of a queue as Terraform wants it: a document as its text, but numbers and truth values."""
    return json.loads(attribute) if isinstance(attribute, str) else json.dumps(attribute)


def _functions(stage: str) -> Resources:
    names = Names(stage)
    groups, functions = {}, {}
    for key, function in spec.FUNCTIONS.items():
        groups[RESOURCE_NAMES[key]] = {
            "name": f"/aws/lambda/{function.full_name(stage)}",
            "retention_in_days": spec.LOG_RETENTION_DAYS,
        }
        functions[RESOURCE_NAMES[key]] = {
            "logging_config": {
                "log_format": spec.LOGGING["LogFormat"],
                "application_log_level": spec.LOGGING["ApplicationLogLevel"],
                "system_log_level": spec.LOGGING["SystemLogLevel"],
            },
            # AWS looks into the policy when a stream or a queue is tied to the function.
            "depends_on": [
                f"aws_cloudwatch_log_group.{RESOURCE_NAMES[key]}",
                f"aws_iam_role_policy.{RESOURCE_NAMES[key]}_role",
            ],
        }
    for key, name in parameters.CONCURRENCY.items():
        functions[RESOURCE_NAMES[key]]["reserved_concurrent_executions"] = f"${{var.{name} > 0 ? var.{name} : -1}}"
    retries = {
        RESOURCE_NAMES[key]: {
            "function_name": _function(key, "function_name"),
            "maximum_event_age_in_seconds": spec.RETRY_FOR_S,
            "maximum_retry_attempts": spec.RETRIES,
            "destination_config": {"on_failure": {"destination": _queue_arn(names.failures)}},
        }
        for key in spec.ASYNCHRONOUS
    }
    mapping = {
        "function_name": _function("counters"),
        "event_source_arn": f"${{aws_dynamodb_table.{_id(names.segments)}.stream_arn}}",
        "starting_position": "TRIM_HORIZON",
        "batch_size": spec.STREAM_MAPPING["BatchSize"],
        "maximum_batching_window_in_seconds": spec.STREAM_MAPPING["MaximumBatchingWindowInSeconds"],
        "bisect_batch_on_function_error": spec.STREAM_MAPPING["BisectBatchOnFunctionError"],
    }
    keys_mapping = {
        "function_name": _function("keys"),
        "event_source_arn": _queue_arn(names.keys),
        "batch_size": spec.KEYS_MAPPING["BatchSize"],
        "function_response_types": spec.KEYS_MAPPING["FunctionResponseTypes"],
    }
    sealer_mapping = {
        "function_name": _function("sealer"),
        "event_source_arn": _queue_arn(names.sealer),
        "batch_size": spec.SEALER_MAPPING["BatchSize"],
        "scaling_config": {"maximum_concurrency": spec.SEALER_CONCURRENCY},
    }
    files_mapping = {
        "function_name": _function("files"),
        "event_source_arn": _queue_arn(names.files),
        "batch_size": spec.FILES_MAPPING["BatchSize"],
        "scaling_config": {"maximum_concurrency": spec.FILES_CONCURRENCY},
    }
    return {
        "aws_cloudwatch_log_group": groups,
        "aws_lambda_function": functions,
        "aws_lambda_function_event_invoke_config": retries,
        "aws_lambda_event_source_mapping": {
            "counters": mapping,
            "keys": keys_mapping,
            "sealer": sealer_mapping,
            "files": files_mapping,
        },
    }


def _permission(key: str, source: str) -> dict[str, str]:
    return {
        "function_name": _function(key, "function_name"),
        "action": "lambda:InvokeFunction",
        "principal": spec.IOT_PRINCIPAL,
        "source_account": _ACCOUNT,
        "source_arn": source,
    }


def _iot(stage: str) -> Resources:
    names = Names(stage)
    role, queue = _id(names.rule_errors), _id(names.failures)
    trust, permissions = spec.rule_errors_role(_queue_arn(names.failures))
    rules, permissions_by_rule = {}, {}
    for name, sql in spec.topic_rules(stage).items():
        rules[name] = {
            "name": name,
            "enabled": True,
            "sql": sql,
            "sql_version": spec.SQL_VERSION,
            "lambda": {"function_arn": _function("iot-ingest")},
            "error_action": {
                "sqs": {
                    "queue_url": f"${{aws_sqs_queue.{queue}.url}}",
                    "role_arn": f"${{aws_iam_role.{role}.arn}}",
                    "use_base64": False,
                }
            },
        }
        permissions_by_rule[name] = _permission("iot-ingest", f"${{aws_iot_topic_rule.{name}.arn}}")
    inline_policy = {
        "name": names.rule_errors,
        "role": f"${{aws_iam_role.{role}.id}}",
        "policy": json.dumps(permissions),
    }
    return {
        "aws_iam_role": {role: {"name": names.rule_errors, "assume_role_policy": json.dumps(trust)}},
        "aws_iam_role_policy": {role: inline_policy},
        "aws_iot_topic_rule": rules,
        "aws_lambda_permission": {
            **permissions_by_rule,
            "mqtt": _permission("iot-authorizer", "${aws_iot_authorizer.mqtt.arn}"),
        },
        **_mqtt(stage),
    }


def _mqtt(stage: str) -> Resources:
    """Return the authorizer of MQTT clients and their endpoint."""
    name = f"${{var.{parameters.MQTT_NAME}}}"
    authorizer, endpoint = spec.mqtt_authorizer(_function("iot-authorizer")), spec.mqtt_endpoint(stage)
    return {
        "aws_iot_authorizer": {
            "mqtt": {
                "name": name,
                "authorizer_function_arn": authorizer["authorizerFunctionArn"],
                "signing_disabled": authorizer["signingDisabled"],
                "status": authorizer["status"],
            }
        },
        "aws_iot_domain_configuration": {
            "mqtt": {
                "name": name,
                "service_type": "DATA",
                "authentication_type": endpoint["authenticationType"],
                "application_protocol": endpoint["applicationProtocol"],
                "status": endpoint["domainConfigurationStatus"],
                "authorizer_config": {
                    "default_authorizer_name": "${aws_iot_authorizer.mqtt.name}",
                    "allow_authorizer_override": endpoint["authorizerConfig"]["allowAuthorizerOverride"],
                },
            }
        },
    }


def _alarms(stage: str) -> Resources:
    arguments = {
        "Namespace": "namespace",
        "MetricName": "metric_name",
        "Statistic": "statistic",
        "Period": "period",
        "EvaluationPeriods": "evaluation_periods",
        "Threshold": "threshold",
        "ComparisonOperator": "comparison_operator",
        "TreatMissingData": "treat_missing_data",
    }
    topic = f"var.{parameters.ALARM_TOPIC}"
    notified = f'${{{topic} == "" ? [] : [{topic}]}}'
    alarms = {}
    for name, alarm in spec.alarms(stage).items():
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}
        alarms[_id(name)] = {"alarm_name": name, "dimensions": dimensions, "alarm_actions": notified} | {
            argument: alarm[member] for member, argument in arguments.items()
        }
    return {"aws_cloudwatch_metric_alarm": alarms}


def _gateway(stage: str, rows: Sequence[Route]) -> Resources:
    api, stages = "${aws_api_gateway_rest_api.rest_api.id}", "${aws_api_gateway_stage.rest_api.stage_name}"
    usage_plans = {}
    for plan in throttles.usage_plans(rows).values():
        limited = [{"path": path, **_throttle(limit)} for path, limit in plan.by_route.items()]
        usage_plans[plan.name] = {
            "name": Names(stage).usage_plan(plan.name),
            "api_stages": {"api_id": api, "stage": stages, **({"throttle": limited} if limited else {})},
        }
        if plan.quota:
            usage_plans[plan.name]["quota_settings"] = plan.quota
        if plan.of_key:
            usage_plans[plan.name]["throttle_settings"] = _throttle(plan.of_key)
    settings = {
        "all" if path == "*/*" else re.sub(r"\W+", "_", path.removeprefix("~1")): {
            "rest_api_id": api,
            "stage_name": stages,
            "method_path": path,
            "settings": {"throttling_rate_limit": rate, "throttling_burst_limit": burst},
        }
        for path, (rate, burst) in throttles.stage_limits(rows).items()
    }
    return {
        "aws_api_gateway_stage": {
            "rest_api": {
                "rest_api_id": api,
                "stage_name": spec.API_STAGE,
                "deployment_id": "${aws_api_gateway_deployment.rest_api.id}",
            }
        },
        "aws_api_gateway_usage_plan": usage_plans,
        "aws_api_gateway_method_settings": settings,
    }


def _throttle(limit: dict[str, float]) -> dict[str, float]:
    return {"burst_limit": limit["burstLimit"], "rate_limit": limit["rateLimit"]}
