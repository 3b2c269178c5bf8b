"""The parts in IoT Core: topic rules, the authorizer of MQTT clients, and the endpoint that clients connect to."""

import json

from deploy import spec
from deploy.parts import Cloud, Part, State, absent_is_none


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
    trust, permissions = spec.rule_errors_role(cloud.queue_arn(cloud.names.failures))
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

    ``mend`` raises RuntimeError if the authorizer requires signatures: AWS cannot change that.
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
            raise RuntimeError(
                f"The authorizer {name} requires signatures, and AWS cannot change that. Remove it first"
            )
        arn = wanted["authorizerFunctionArn"]
        client.update_authorizer(authorizerName=name, authorizerFunctionArn=arn, status="ACTIVE")

    def drop() -> None:
        client.update_authorizer(authorizerName=name, status="INACTIVE")
        client.delete_authorizer(authorizerName=name)

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
        client.update_domain_configuration(domainConfigurationName=name, domainConfigurationStatus="DISABLED")
        client.delete_domain_configuration(domainConfigurationName=name)

    return Part("MQTT endpoint", name, wanted, lambda: absent_is_none(look), make, mend, drop)
