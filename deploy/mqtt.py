"""The parts in IoT Core: topic rules, the authorizer of MQTT clients, and the endpoint that clients connect to.

IoT Core has one broker an account and region, and clients choose shared topics and client ids, so the stages of one
account and region cannot all have MQTT: it belongs to one of them.
"""

import datetime
import json
import re

from botocore.exceptions import ClientError

from deploy import spec
from deploy.names import APP
from deploy.parts import Cloud, NotYetError, Part, RefusedError, State, absent_is_none

_MANAGED_DAYS = 7
"""How long IoT Core keeps an endpoint that it manages itself after it was disabled."""


def owner(cloud: Cloud) -> str | None:
    """Return the stage to which MQTT belongs in this account and region, or None. Costs a call.

    It is the stage whose rule for the shared topic is the oldest: so two stages that were deployed at once, or by a
    version that did not ask, agree.
    """
    pages = cloud.client("iot").get_paginator("list_topic_rules").paginate(topic=spec.SHARED_TOPIC)
    found = []
    for page in pages:
        for rule in page["rules"]:
            of_stage = re.fullmatch(rf"{APP}_([a-z0-9]+)_shared", rule["ruleName"])
            if of_stage:
                found.append((rule["createdAt"], of_stage[1]))
    return min(found)[1] if found else None


PORT = 8883


def host(cloud: Cloud) -> str | None:
    """Return where MQTT clients connect to the stage, or None if it has no endpoint. Costs a call, or two."""
    client, name = cloud.client("iot"), cloud.names.mqtt
    endpoint = absent_is_none(lambda: dict(client.describe_domain_configuration(domainConfigurationName=name)))
    if endpoint is None:
        return None
    return str(endpoint.get("domainName") or client.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"])


def is_at_rest(actual: State) -> bool:
    """Return whether an authorizer or endpoint was turned off, and only waits to be removed."""
    return actual.get("domainConfigurationStatus") == "DISABLED" or actual.get("status") == "INACTIVE"


def is_ours(cloud: Cloud) -> bool:
    """Return whether the stage has MQTT, or may have it as no other stage does. Costs a call."""
    return owner(cloud) in (None, cloud.stage)


def topic_rule(cloud: Cloud, name: str, sql: str) -> Part:
    """A topic rule. It hands messages to the ingest function; if that fails, it sends them to the queue of failures.

    Args:
        cloud: the account and stage.
        name: of the rule, without hyphens.
        sql: selects the messages and what the function gets of them.
    """
    client, function = cloud.client("iot"), cloud.function_arn("iot-ingest")
    queue_url = cloud.queue_url(cloud.names.failures)
    errors = {"roleArn": cloud.role_arn(cloud.names.rule_errors), "queueUrl": queue_url, "useBase64": False}
    wanted = {"sql": sql, "functionArn": function, "errors": queue_url, "ruleDisabled": False}
    payload = {
        "sql": sql,
        "awsIotSqlVersion": spec.SQL_VERSION,
        "ruleDisabled": False,
        "actions": [{"lambda": {"functionArn": function}}],
        "errorAction": {"sqs": errors},
    }

    def look() -> State:
        rule = client.get_topic_rule(ruleName=name)["rule"]
        function_arns = [action["lambda"]["functionArn"] for action in rule["actions"] if "lambda" in action]
        return {
            "sql": rule["sql"],
            "functionArn": function_arns[0] if function_arns else None,
            "errors": rule.get("errorAction", {}).get("sqs", {}).get("queueUrl"),
            "ruleDisabled": rule.get("ruleDisabled", False),
        }

    def make() -> None:
        client.create_topic_rule(ruleName=name, topicRulePayload=payload)

    def mend(_: State) -> None:
        client.replace_topic_rule(ruleName=name, topicRulePayload=payload)

    def drop() -> None:
        client.delete_topic_rule(ruleName=name)

    return Part("topic rule", name, wanted, lambda: absent_is_none(look), make, mend, drop)


def rule_errors_role(cloud: Cloud) -> Part:
    """The role with which IoT Core sends a message that it could not hand over to the queue of failures."""
    client, name = cloud.client("iam"), cloud.names.rule_errors
    trust, permissions = spec.rule_errors_role(cloud.arn("sqs", cloud.names.failures))
    wanted = {"trust": trust, "permissions": permissions}

    def look() -> State:
        trust_policy = client.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        inline_policy = absent_is_none(lambda: dict(client.get_role_policy(RoleName=name, PolicyName=name)))
        return {"trust": trust_policy, "permissions": inline_policy["PolicyDocument"] if inline_policy else None}

    def mend(_: State) -> None:
        client.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
        client.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=json.dumps(permissions))

    def make() -> None:
        client.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        mend({})

    def drop() -> None:
        if absent_is_none(lambda: dict(client.get_role_policy(RoleName=name, PolicyName=name))):
            client.delete_role_policy(RoleName=name, PolicyName=name)
        client.delete_role(RoleName=name)

    return Part("role", name, wanted, lambda: absent_is_none(look), make, mend, drop)


def iot_authorizer(cloud: Cloud) -> Part:
    """The custom authorizer of MQTT clients.

    ``mend`` raises RefusedError if the authorizer requires signatures: AWS cannot change that.
    """
    client, name = cloud.client("iot"), cloud.names.mqtt
    wanted: State = spec.mqtt_authorizer(cloud.function_arn("iot-authorizer"))

    def look() -> State:
        description: State = client.describe_authorizer(authorizerName=name)["authorizerDescription"]
        return description

    def make() -> None:
        client.create_authorizer(authorizerName=name, **wanted)

    def mend(actual: State) -> None:
        if actual.get("signingDisabled") is not True:
            raise RefusedError(
                f"The authorizer {name} requires signatures, and AWS cannot change that. Remove it first"
            )
        arn = wanted["authorizerFunctionArn"]
        client.update_authorizer(authorizerName=name, authorizerFunctionArn=arn, status="ACTIVE")

    def drop() -> None:
        client.update_authorizer(authorizerName=name, status="INACTIVE")
        try:
            client.delete_authorizer(authorizerName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "DeleteConflictException":
                raise
            raise NotYetError("inactive; it can be removed after the endpoint that names it") from error

    return Part("authorizer", name, wanted, lambda: absent_is_none(look), make, mend, drop)


def mqtt_endpoint(cloud: Cloud) -> Part:
    """The endpoint on port 8883 for MQTT clients that send a user name and a password. It asks the authorizer."""
    client, name = cloud.client("iot"), cloud.names.mqtt
    wanted: State = spec.mqtt_endpoint(cloud.stage)
    settings = {key: value for key, value in wanted.items() if key != "domainConfigurationStatus"}

    def look() -> State:
        description: State = client.describe_domain_configuration(domainConfigurationName=name)
        return description

    def make() -> None:
        client.create_domain_configuration(domainConfigurationName=name, serviceType="DATA", **settings)

    def mend(_: State) -> None:
        client.update_domain_configuration(domainConfigurationName=name, **wanted)

    def drop() -> None:
        if look()["domainConfigurationStatus"] != "DISABLED":  # to disable it again would begin the seven days anew
            client.update_domain_configuration(domainConfigurationName=name, domainConfigurationStatus="DISABLED")
        try:
            client.delete_domain_configuration(domainConfigurationName=name)
        except ClientError as error:
            disabled = look()["lastStatusChangeDate"].astimezone(datetime.UTC)
            removable = disabled + datetime.timedelta(days=_MANAGED_DAYS)
            is_early = removable > datetime.datetime.now(datetime.UTC)
            if error.response["Error"]["Code"] != "InvalidRequestException" or not is_early:
                raise
            raise NotYetError(
                f"disabled; IoT Core lets it be removed from {removable:%Y-%m-%d %H:%M} UTC on. "
                "Run `down` again then; `up` enables it again"
            ) from error

    return Part("MQTT endpoint", name, wanted, lambda: absent_is_none(look), make, mend, drop)
