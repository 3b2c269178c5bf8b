"""The parts that keep something: tables, the secret, queues and log groups. Also the alarms."""

import json
import secrets
from typing import Any

from botocore.exceptions import ClientError

from deploy import spec
from deploy.parts import Cloud, NotYetError, Part, RefusedError, State, absent_is_none

_DYNAMODBS = "DynamoDB's own"
"""The key that encrypts a table, unless one of KMS does, which costs money."""
_ONCE_AN_HOUR = "DynamoDB lets expiry be changed once an hour. Run `up` again then"


def table(cloud: Cloud, name: str) -> Part:
    """A table with point-in-time recovery and expiry.

    Args:
        cloud: the account and stage.
        name: a key of ``spec.tables``.
    """
    client, shape = cloud.client("dynamodb"), spec.tables(cloud.names)[name]
    wanted: State = {
        "deletion_protection": shape["DeletionProtectionEnabled"],
        "key": _DYNAMODBS,
        "expiry": spec.EXPIRY_ATTRIBUTE,
        "recovery": True,
        "stream": shape.get("StreamSpecification", {}).get("StreamViewType"),
    }

    def look() -> State | None:
        return absent_is_none(lambda: _look_at_table(client, name)) or None

    def mend(actual: State) -> None:
        _mend_table(client, name, shape, wanted, actual)

    def make() -> None:
        create_table(cloud, name)
        mend(wanted | {"recovery": False, "expiry": None})

    def drop() -> None:
        drop_table(client, name)

    return Part("table", name, wanted, look, make, mend, drop, holds_data=True)


def create_table(cloud: Cloud, name: str) -> bool:
    """Make a table, and wait until it can be used. Return False if it exists, or somebody else is making it."""
    client = cloud.client("dynamodb")
    description = describe(client, name)
    if description and description["TableStatus"] == "DELETING":  # `down --data` has just removed it
        client.get_waiter("table_not_exists").wait(TableName=name)
    try:
        client.create_table(TableName=name, **spec.tables(cloud.names)[name])
        is_new = True
    except client.exceptions.ResourceInUseException:
        is_new = False
    client.get_waiter("table_exists").wait(TableName=name)
    return is_new


def describe(client: Any, name: str) -> State | None:
    """Return what DynamoDB says of a table, or None if there is none. Costs a call."""
    return absent_is_none(lambda: dict(client.describe_table(TableName=name)["Table"]))


def drop_table(client: Any, name: str) -> None:
    """Remove a table, even if it is protected from that. One that is gone or going is left alone."""
    description = describe(client, name)
    if description is None or description["TableStatus"] == "DELETING":
        return
    if description.get("DeletionProtectionEnabled"):
        client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)


def _look_at_table(client: Any, name: str) -> State:
    description = client.describe_table(TableName=name)["Table"]
    if description["TableStatus"] == "DELETING":
        return {}
    expiry = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    is_expiring = expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    return {
        "deletion_protection": description.get("DeletionProtectionEnabled", False),
        "key": description.get("SSEDescription", {}).get("KMSMasterKeyArn", _DYNAMODBS),
        "expiry": expiry.get("AttributeName") if is_expiring else None,
        "recovery": recovery == "ENABLED",
        "stream": description.get("StreamSpecification", {}).get("StreamViewType"),
    }


def _mend_table(client: Any, name: str, shape: State, wanted: State, actual: State) -> None:
    client.get_waiter("table_exists").wait(TableName=name)
    changes = {
        "deletion_protection": {"DeletionProtectionEnabled": wanted["deletion_protection"]},
        "key": {"SSESpecification": {"Enabled": False}},
        "stream": {"StreamSpecification": shape.get("StreamSpecification", {"StreamEnabled": False})},
    }
    for part, change in changes.items():
        if actual.get(part) != wanted[part]:
            client.update_table(TableName=name, **change)
            client.get_waiter("table_exists").wait(TableName=name)
    if not actual.get("recovery"):
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    if actual.get("expiry") != wanted["expiry"]:
        _turn_expiry_on(client, name, actual.get("expiry"))


def _turn_expiry_on(client: Any, name: str, other: str | None) -> None:
    """Let items expire by our attribute. If they do by another one, that must be turned off an hour before."""
    specification = {"Enabled": other is None, "AttributeName": other or spec.EXPIRY_ATTRIBUTE}
    try:
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    except ClientError as error:
        if "modified multiple times" not in error.response["Error"].get("Message", ""):
            raise
        raise NotYetError(_ONCE_AN_HOUR) from error
    if other is not None:
        raise NotYetError(_ONCE_AN_HOUR)


def tables_of_stage(cloud: Cloud) -> list[str]:
    """Return the names of all tables of the stage, also of those that it does not use."""
    pages = cloud.client("dynamodb").get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"] if cloud.names.of_table(name)]


def other_tables(cloud: Cloud) -> list[str]:
    """Return the names of the stage's tables that it does not use: a restore left them."""
    return [name for name in tables_of_stage(cloud) if name not in (cloud.names.segments, cloud.names.entities)]


def secret(cloud: Cloud) -> Part:
    """The secret from which tokens are derived. ``up`` makes it once, and never prints or changes it."""
    client, name = cloud.client("ssm"), cloud.names.secret_parameter

    def look() -> State:
        return {"type": client.get_parameter(Name=name, WithDecryption=False)["Parameter"]["Type"]}

    def make() -> None:
        client.put_parameter(Name=name, Type="SecureString", Value=secrets.token_hex(32), Overwrite=False)

    def mend(actual: State) -> None:
        raise RefusedError(
            f"{name} is a {actual['type']}, not a SecureString. Remove it; tokens that were made with it are lost"
        )

    def drop() -> None:
        client.delete_parameter(Name=name)

    wanted = {"type": "SecureString"}
    return Part("secret", name, wanted, lambda: absent_is_none(look), make, mend, drop, holds_data=True)


def queue(cloud: Cloud, name: str, wanted: State) -> Part:
    """A queue that keeps messages for two weeks, encrypted.

    Args:
        cloud: the account and stage.
        name: of the queue.
        wanted: its attributes, a document instead of the text that SQS has for it.
    """
    client = cloud.client("sqs")
    sent = {key: value if isinstance(value, str) else json.dumps(value) for key, value in wanted.items()}

    def look() -> State:
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
        attributes: State = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        found = {key: attributes.get(key) for key in wanted}
        return {"url": url} | {
            key: json.loads(text) if text and text[0] == "{" else text for key, text in found.items()
        }

    def make() -> None:
        client.create_queue(QueueName=name, Attributes=sent)

    def mend(actual: State) -> None:
        # SQS refuses to be told the kind of queue, which never changes.
        changes = {key: text for key, text in sent.items() if key != "FifoQueue"}
        client.set_queue_attributes(QueueUrl=actual["url"], Attributes=changes)

    def drop() -> None:
        client.delete_queue(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"])

    return Part("queue", name, wanted, lambda: absent_is_none(look), make, mend, drop)


def log_group(cloud: Cloud, key: str) -> Part:
    """The log group of a function. If Lambda made it, it would keep the log for ever."""
    client, name = cloud.client("logs"), f"/aws/lambda/{spec.FUNCTIONS[key].full_name(cloud.stage)}"
    wanted = {"retention_days": spec.LOG_RETENTION_DAYS}

    def look() -> State | None:
        groups = client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        matching = [group for group in groups if group["logGroupName"] == name]
        return {"retention_days": matching[0].get("retentionInDays")} if matching else None

    def mend(_: State) -> None:
        client.put_retention_policy(logGroupName=name, retentionInDays=spec.LOG_RETENTION_DAYS)

    def make() -> None:
        client.create_log_group(logGroupName=name)
        mend({})

    return Part("log group", name, wanted, look, make, mend, lambda: client.delete_log_group(logGroupName=name))


def alarm(cloud: Cloud, name: str, wanted: State) -> Part:
    """An alarm. The deployer chooses whom it notifies: ``mend`` keeps its actions."""
    client = cloud.client("cloudwatch")

    def look() -> State | None:
        alarms = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return alarms[0] if alarms else None

    def mend(actual: State) -> None:
        kept = {key: actual[key] for key in _DEPLOYERS if key in actual}
        client.put_metric_alarm(AlarmName=name, **kept, **wanted)

    def drop() -> None:
        client.delete_alarms(AlarmNames=[name])

    return Part("alarm", name, wanted, look, lambda: mend({}), mend, drop)


_DEPLOYERS = ("ActionsEnabled", "AlarmActions", "OKActions", "InsufficientDataActions", "AlarmDescription")
"""What of an alarm belongs to the deployer. PutMetricAlarm replaces all of an alarm."""
