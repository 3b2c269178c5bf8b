"""Describes what a stage consists of: its functions, tables, permissions, limits and alarms, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.http.answers import COMPRESSED_FROM_BYTES
from chalicelib.schemas.messages import STORED_TOPICS
from deploy.names import APP, Names

API_STAGE = "api"
"""The name of API Gateway's stage. It is the same for all: each stage of the deployment has its own API."""
LOG_RETENTION_DAYS = 30
COUNTING_S = 60
"""How long Lambda gathers changes before it calls the counters function. The counters are late by as much, and each
batch costs one write a device. 240 would save most of these writes for devices that send once a minute."""
STREAM_MAPPING = {
    "BatchSize": 10_000,
    "MaximumBatchingWindowInSeconds": COUNTING_S,
    "BisectBatchOnFunctionError": False,
}
"""The function sets aside what can never be counted. What else fails would fail in halves of the batch, too."""
QUEUE_ATTRIBUTES = {"MessageRetentionPeriod": "1209600", "SqsManagedSseEnabled": "true"}
"""A queue keeps its messages for two weeks (1,209,600 s), encrypted."""
KEYS_MAPPING = {"BatchSize": 10, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
"""How Lambda feeds the queue of API keys to its function. It takes at most ten from a queue in order."""
SEALER_CONCURRENCY = 10
"""How many devices are sealed at a time. Together they delete 2,000 segments a second."""
SEALER_MAPPING = {"BatchSize": 1, "ScalingConfig": {"MaximumConcurrency": SEALER_CONCURRENCY}}
"""How Lambda feeds the queue of devices to the sealer."""
SEALED_AGAIN_S = 1_800
"""After how long the sealer tries a device again that failed. AWS advises six times the function's time."""
LEFT_PARTS_DAYS = 2
"""After how many days S3 removes the parts of a file that was never completed."""
BACKLOG_S = 86_400
"""How old a device's request in the sealer's queue may become before an alarm rings."""
RECEIVED_AT_MOST = 5
"""How often a message is delivered to a function before it is given up."""
EXPIRY_ATTRIBUTE = "expires_at"
"""The attribute with the time after which DynamoDB removes an item."""
ASYNCHRONOUS = ("iot-ingest", "housekeeping", "files")
"""Functions whose callers do not wait for an answer."""
SQL_VERSION = "2016-03-23"
IOT_PRINCIPAL = "iot.amazonaws.com"
LOGGING = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}
"""WARN leaves out the three lines that Lambda writes for each call. They would cost more than the function does."""
TEMPLATE_TAG = {"decant-made-by": "template"}
"""The tag of functions that a template made."""
RETRIES, RETRY_FOR_S = 2, 21_600
"""How often and for how long Lambda retries a call that nobody waits for."""


@dataclass(frozen=True)
class Function:
    """A Lambda function that Chalice deploys."""

    name: str
    """Its name in Chalice's configuration. Empty for the HTTP handler."""
    memory_mb: int
    timeout_s: int
    concurrency: int | None
    """Reserved concurrency, or None. Set only if it protects something."""

    def full_name(self, stage: str) -> str:
        """Return its name in AWS."""
        return f"{APP}-{stage}-{self.name}" if self.name else f"{APP}-{stage}"


FUNCTIONS = {
    "http": Function("", 1024, 28, None),
    # API Gateway waits for its authorizer for 10 s, IoT Core for 5 s.
    "authorizer": Function("authorizer", 512, 9, None),
    "iot-ingest": Function("iot-ingest", 512, 28, None),
    # Anybody can call it. A flood of calls must not use up the concurrency of the other functions.
    "iot-authorizer": Function("iot-authorizer", 512, 5, 50),
    "counters": Function("counters", 512, 300, None),
    "housekeeping": Function("housekeeping", 512, 300, None),
    "keys": Function("keys", 512, 300, None),
    "sealer": Function("sealer", 512, 300, None),
    "files": Function("files", 1024, 300, None),
}


RESERVED = sum(function.concurrency or 0 for function in FUNCTIONS.values())
UNRESERVED_MINIMUM = 100
"""The concurrency that Lambda does not let an account reserve."""


def tables(names: Names) -> dict[str, dict[str, Any]]:
    """Return the arguments of CreateTable by table name. Stage ``prod`` is protected from deletion.

    They name no key for the encryption, so DynamoDB uses its own, which costs nothing.
    """
    common: dict[str, Any] = {"BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": names.stage == "prod"}
    return {
        names.segments: {
            **_key_schema("device", "key"),
            **common,
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
        names.entities: {**_key_schema("owner", "name"), **common},
    }


def _key_schema(first: str, second: str) -> dict[str, Any]:
    return {
        "KeySchema": [
            {"AttributeName": first, "KeyType": "HASH"},
            {"AttributeName": second, "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in (first, second)],
    }


STREAM_ACTIONS = tuple(
    f"dynamodb:{operation}" for operation in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
)
"""What Lambda itself does with the role of a function to feed a stream to it."""
QUEUE_ACTIONS = tuple(f"sqs:{operation}" for operation in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage"))
"""What Lambda itself does with the role of a function to feed a queue to it."""
KEY_ACTIONS = (
    ("apigateway:GET", "/apikeys"),
    ("apigateway:POST", "/apikeys"),
    ("apigateway:DELETE", "/apikeys/*"),
    ("apigateway:GET", "/usageplans"),
    ("apigateway:GET", "/usageplans/*/keys"),
    ("apigateway:POST", "/usageplans/*/keys"),
)
"""What the function of the API keys does. AWS names keys and usage plans by ids of its own, not by a stage's names."""
LAMBDA_SENDS = "sqs:SendMessage"
"""What Lambda itself does with the role of a function if a call has failed for good."""


_OWN_ACCOUNT = {"StringEquals": {"s3:ResourceAccount": "${aws:PrincipalAccount}"}}
"""A bucket of another account may have a name that begins like ours."""


def policy(function: str, names: Names, partition: str = "aws") -> dict[str, Any]:
    """Return the IAM policy of a function. It allows the calls that the function makes, nothing else.

    Args:
        function: a key of ``FUNCTIONS``.
        names: of the stage's parts.
        partition: the second word of every ARN: aws, aws-cn or aws-us-gov, or what a template replaces by one of them.
    """

    def arn(service: str, resource: str) -> str:
        return f"arn:{partition}:{service}:*:*:{resource}"

    segments, entities = (arn("dynamodb", f"table/{name}") for name in (names.segments, names.entities))
    secret = ("ssm:GetParameter", arn("ssm", f"parameter{names.secret_parameter}"))
    dead_letters, set_aside = (
        (["sqs:GetQueueUrl", "sqs:SendMessage"], arn("sqs", name)) for name in (names.dead_letters, names.failures)
    )
    failures = (LAMBDA_SENDS, arn("sqs", names.failures))
    alerts = ("sns:Publish", arn("sns", names.alerts))
    ask_for_keys, ask_sealer = (
        (["sqs:GetQueueUrl", "sqs:SendMessage"], arn("sqs", name)) for name in (names.keys, names.sealer)
    )
    ask_files = ("lambda:InvokeFunction", arn("lambda", f"function:{FUNCTIONS['files'].full_name(names.stage)}"))
    # The bucket's name ends with account and region. Without ListBucket, S3 does not say that a file is gone.
    bucket = f"arn:{partition}:s3:::{names.files}-*"
    list_bucket = ("s3:ListBucket", bucket)

    def of_files(*operations: str) -> tuple[str | list[str], str]:
        return [f"s3:{operation}" for operation in operations], f"{bucket}/*"

    # Client ids belong to the account, not to a stage. The bindings say which of them belong to a device.
    end_session = ("iot:DeleteConnection", arn("iot", "client/*"))
    # The verified sender belongs to the account, too: an address or its domain, which a deployer sets.
    send_mail = ("ses:SendEmail", arn("ses", "identity/*"))
    by_function: dict[str, list[tuple[str | list[str], str]]] = {
        "http": [
            (_dynamodb_actions("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query"), segments),
            (_dynamodb_actions("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"), entities),
            secret,
            (["iot:Publish", "iot:RetainPublish"], arn("iot", "topic/device/*")),
            end_session,
            send_mail,
            ask_for_keys,
            ask_files,
            list_bucket,
            of_files("AbortMultipartUpload", "DeleteObject", "GetObject", "PutObject"),
        ],
        "authorizer": [(_dynamodb_actions("GetItem"), entities), secret],
        "iot-ingest": [
            (_dynamodb_actions("GetItem", "PutItem", "Query"), segments),
            (_dynamodb_actions("GetItem", "PutItem", "Query", "UpdateItem"), entities),
            dead_letters,
            failures,
        ],
        "iot-authorizer": [(_dynamodb_actions("GetItem", "PutItem"), entities)],
        "counters": [
            (_dynamodb_actions("GetItem", "PutItem", "UpdateItem"), entities),
            (list(STREAM_ACTIONS), f"{segments}/stream/*"),
            set_aside,
            alerts,
            ask_sealer,
        ],
        "housekeeping": [
            (_dynamodb_actions("BatchWriteItem", "Query", "UpdateItem"), segments),
            (_dynamodb_actions("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"), entities),
            end_session,
            failures,
            alerts,
            ask_for_keys,
            ask_sealer,
            ask_files,
            list_bucket,
            of_files("AbortMultipartUpload", "DeleteObject"),
        ],
        "keys": [
            (_dynamodb_actions("BatchWriteItem", "GetItem", "PutItem", "Query"), entities),
            secret,
            *((action, f"arn:{partition}:apigateway:*::{path}") for action, path in KEY_ACTIONS),
            ask_for_keys,
            (list(QUEUE_ACTIONS), arn("sqs", names.keys)),
            set_aside,
        ],
        "sealer": [
            (_dynamodb_actions("DeleteItem", "PutItem", "Query"), segments),
            (_dynamodb_actions("ConditionCheckItem", "GetItem", "PutItem", "UpdateItem"), entities),
            ask_sealer,
            (list(QUEUE_ACTIONS), arn("sqs", names.sealer)),
        ],
        "files": [
            (_dynamodb_actions("GetItem", "PutItem", "Query"), segments),
            (_dynamodb_actions("BatchWriteItem", "GetItem", "PutItem", "Query", "UpdateItem"), entities),
            ask_files,
            failures,
            list_bucket,
            of_files("AbortMultipartUpload", "GetObject", "PutObject"),
        ],
    }
    log_group = arn("logs", f"log-group:/aws/lambda/{FUNCTIONS[function].full_name(names.stage)}:*")
    grants = [*by_function[function], (["logs:CreateLogStream", "logs:PutLogEvents"], log_group)]
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        | ({"Condition": _OWN_ACCOUNT} if ":s3:::" in resource else {})
        for action, resource in grants
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _dynamodb_actions(*operations: str) -> list[str]:
    return [f"dynamodb:{operation}" for operation in operations]


def queues(names: Names, arn_of: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Return the attributes of each queue by name, in the order in which they must be made.

    Args:
        names: of the stage's parts.
        arn_of: returns the ARN of a queue by name, or what a template has in its place.
    """
    fifo = {**QUEUE_ATTRIBUTES, "FifoQueue": "true"}

    def feeds(timeout_s: int, failed: str) -> dict[str, Any]:
        redrive = {"deadLetterTargetArn": arn_of(failed), "maxReceiveCount": RECEIVED_AT_MOST}
        return {"VisibilityTimeout": str(timeout_s), "RedrivePolicy": redrive}

    return {
        names.dead_letters: QUEUE_ATTRIBUTES,
        names.failures: QUEUE_ATTRIBUTES,
        names.keys_failed: fifo,
        names.keys: {**fifo, **feeds(FUNCTIONS["keys"].timeout_s, names.keys_failed)},
        names.sealer: {**QUEUE_ATTRIBUTES, **feeds(SEALED_AGAIN_S, names.failures)},
    }


def environment(names: Names, *, has_mqtt: bool = True) -> dict[str, str]:
    """Return the environment variables of the functions of a stage: names, never a secret."""
    return {
        "DECANT_SEGMENTS_TABLE": names.segments,
        "DECANT_ENTITIES_TABLE": names.entities,
        "DECANT_SECRET_PARAMETER": names.secret_parameter,
        "DECANT_DEAD_LETTERS_QUEUE": names.dead_letters,
        "DECANT_FAILURES_QUEUE": names.failures,
        "DECANT_KEYS_QUEUE": names.keys,
        "DECANT_KEYS_PREFIX": names.prefix,
        "DECANT_SEALER_QUEUE": names.sealer,
        "DECANT_FILES_FUNCTION": FUNCTIONS["files"].full_name(names.stage),
        "DECANT_FILES_BUCKET": names.files,
        "DECANT_BASIC_INGEST_RULE": _rule(names.stage, "shared"),
        "DECANT_MQTT": str(has_mqtt).lower(),
    }


def stage_config(names: Names, *, may_reserve: bool = True, has_mqtt: bool = True) -> dict[str, Any]:
    """Return the part of .chalice/config.json that describes a stage.

    Args:
        names: of the stage's parts.
        may_reserve: whether the account has enough concurrency to reserve any. A new account has not.
        has_mqtt: whether MQTT belongs to the stage.
    """
    stage, functions = names.stage, {}
    for key, function in FUNCTIONS.items():
        if function.name:
            functions[function.name] = {
                "iam_policy_file": f"policy-{key}-{stage}.json",
                "lambda_memory_size": function.memory_mb,
                "lambda_timeout": function.timeout_s,
                **({"reserved_concurrency": function.concurrency} if function.concurrency and may_reserve else {}),
            }
    return {
        "api_gateway_stage": API_STAGE,
        "api_gateway_endpoint_type": "REGIONAL",
        "minimum_compression_size": COMPRESSED_FROM_BYTES,  # else Chalice turns off what the API document sets
        "iam_policy_file": f"policy-http-{stage}.json",
        "lambda_memory_size": FUNCTIONS["http"].memory_mb,
        "lambda_timeout": FUNCTIONS["http"].timeout_s,
        "environment_variables": environment(names, has_mqtt=has_mqtt),
        "lambda_functions": functions,
    }


SHARED_TOPIC, SHARED_ALIAS = STORED_TOPICS
RULE_SQL = (
    "SELECT encode(*, 'base64') AS payload, topic() AS topic, clientid() AS clientid, principal() AS principal, "
    "timestamp() AS timestamp, newuuid() AS uuid FROM '{topic}' WHERE clientid() <> 'n/a'"
)
"""What the ingest function gets of a message. A message that the API published has no client: its id is ``n/a``."""


def topic_rules(stage: str) -> dict[str, str]:
    """Return the SQL of each topic rule by name. AWS allows no hyphens in these names."""
    topics = {"shared": SHARED_TOPIC, "shared_alias": SHARED_ALIAS, "own": "device/+/#"}
    return {_rule(stage, name): RULE_SQL.format(topic=topic) for name, topic in topics.items()}


def _rule(stage: str, name: str) -> str:
    return f"{APP}_{stage}_{name}"


def mqtt_authorizer(function_arn: Any) -> dict[str, Any]:
    """Return the authorizer of MQTT clients. It requires no signature, because a user name and password carry none."""
    return {"authorizerFunctionArn": function_arn, "status": "ACTIVE", "signingDisabled": True}


def mqtt_endpoint(stage: str) -> dict[str, Any]:
    """Return the endpoint on port 8883 for MQTT clients that send a user name and a password."""
    return {
        "authenticationType": "CUSTOM_AUTH",
        "applicationProtocol": "SECURE_MQTT",
        "authorizerConfig": {"defaultAuthorizerName": Names(stage).mqtt, "allowAuthorizerOverride": False},
        "domainConfigurationStatus": "ENABLED",
    }


def rule_errors_role(queue_arn: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the trust policy and the permissions of the role with which IoT Core writes to the queue of failures.

    IoT Core uses it for messages that a rule could not hand over.
    """
    trusted = {"Effect": "Allow", "Principal": {"Service": IOT_PRINCIPAL}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}
    trust, permissions = ({"Version": "2012-10-17", "Statement": [statement]} for statement in (trusted, allowed))
    return trust, permissions


def alarms(stage: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of PutMetricAlarm by alarm name. They are thirteen: ten alarms of an account cost nothing.

    The housekeeping has no alarm of its own, and the ingest function has none for throttles: such calls go to the
    queue of failures, which has an alarm. Requests of the keys function go to a queue with an alarm, too, and those of
    the sealer to the queue of failures.
    """
    names = Names(stage)
    full_names = {key: function.full_name(stage) for key, function in FUNCTIONS.items()}
    alarm_by_name: dict[str, dict[str, Any]] = {}
    for key in ("http", "authorizer", "iot-ingest", "iot-authorizer", "counters"):
        alarm_by_name[f"{full_names[key]}-errors"] = _alarm("AWS/Lambda", "Errors", "FunctionName", full_names[key], 0)
    for key in ("http", "iot-authorizer"):
        alarm_by_name[f"{full_names[key]}-throttles"] = _alarm(
            "AWS/Lambda", "Throttles", "FunctionName", full_names[key], 0
        )
    alarm_by_name[f"{names.api}-5xx"] = _alarm("AWS/ApiGateway", "5XXError", "ApiName", names.api, 0)
    for name in (names.dead_letters, names.failures, names.keys_failed):
        alarm_by_name[f"{name}-depth"] = _alarm(
            "AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, 0, "Maximum"
        )
    alarm_by_name[f"{names.sealer}-age"] = _alarm(
        "AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", names.sealer, BACKLOG_S, "Maximum"
    )
    age_ms = (COUNTING_S + 300) * 1000
    alarm_by_name[f"{full_names['counters']}-age"] = _alarm(
        "AWS/Lambda", "IteratorAge", "FunctionName", full_names["counters"], age_ms, "Maximum"
    )
    return alarm_by_name


def _alarm(
    namespace: str, metric: str, dimension: str, value: str, threshold: float, statistic: str = "Sum"
) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": dimension, "Value": value}],
        "Statistic": statistic,
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": float(threshold),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
