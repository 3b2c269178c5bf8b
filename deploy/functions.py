"""The parts around the functions that Chalice deployed: permissions, the stream, retries and logging."""

import json
import time

from deploy import spec, storage
from deploy.parts import Cloud, Part, RefusedError, State, absent_is_none


def architecture(cloud: Cloud) -> str | None:
    """Return the processor of the stage's functions in AWS, x86_64 or arm64, or None if there are none. One call."""
    configuration = _handler(cloud)
    return str(configuration["Architectures"][0]) if configuration else None


def entities_table(cloud: Cloud) -> str | None:
    """Return the table of entities that the deployed functions use, or None if there are none. One call."""
    configuration = _handler(cloud)
    return configuration["Environment"]["Variables"]["DECANT_ENTITIES_TABLE"] if configuration else None


def _handler(cloud: Cloud) -> State | None:
    """Return the configuration of the deployed HTTP handler, or None if there is none."""
    client, name = cloud.client("lambda"), spec.FUNCTIONS["http"].full_name(cloud.stage)
    return absent_is_none(lambda: dict(client.get_function_configuration(FunctionName=name)))


def wait_without_mapping(cloud: Cloud) -> None:
    """Wait until AWS has removed the mappings of the counters function, and delivers nothing more to it."""
    client, name = cloud.client("lambda"), spec.FUNCTIONS["counters"].full_name(cloud.stage)
    for _ in range(120):
        if not client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            return
        time.sleep(5)
    raise RefusedError(f"AWS has not removed the stream mapping of {name} for ten minutes. Run the same command again")


def made_by_template(cloud: Cloud) -> bool:
    """Return whether a template made the stage's functions, by their tags. False if there are none. Costs one call."""
    name = spec.FUNCTIONS["http"].full_name(cloud.stage)
    answer = absent_is_none(lambda: dict(cloud.client("lambda").get_function(FunctionName=name)))
    tags = answer.get("Tags", {}) if answer else {}
    return spec.TEMPLATE_TAG.items() <= tags.items() or "aws:cloudformation:stack-name" in tags


def permission(cloud: Cloud, key: str, statement: str, principal: str, source: str) -> Part:
    """The permission for one AWS service to call a function on behalf of one source in this account.

    Args:
        cloud: the account and stage.
        key: the function, a key of ``spec.FUNCTIONS``.
        statement: the id of the statement in the function's policy.
        principal: the service, such as iot.amazonaws.com.
        source: the ARN of a topic rule or an authorizer.
    """
    client, function = cloud.client("lambda"), spec.FUNCTIONS[key].full_name(cloud.stage)
    wanted = {"source": source, "account": cloud.account}

    def look() -> State | None:
        answer = absent_is_none(lambda: {"policy": client.get_policy(FunctionName=function)["Policy"]})
        statements = json.loads(answer["policy"])["Statement"] if answer else []
        matching = [existing for existing in statements if existing["Sid"] == statement]
        return _limits_of(matching[0]) if matching else None

    def make() -> None:
        client.add_permission(
            FunctionName=function,
            StatementId=statement,
            Action="lambda:InvokeFunction",
            Principal=principal,
            SourceArn=source,
            SourceAccount=cloud.account,
        )

    def drop() -> None:
        client.remove_permission(FunctionName=function, StatementId=statement)

    def mend(_: State) -> None:
        drop()
        make()

    return Part("permission", f"{function}/{statement}", wanted, look, make, mend, drop)


def _limits_of(statement: State) -> State:
    """Return to which source and account a statement of a function's policy is limited."""
    condition = statement.get("Condition", {})
    source_account = condition.get("StringEquals", {})
    return {
        "source": condition.get("ArnLike", {}).get("AWS:SourceArn"),
        "account": source_account.get("AWS:SourceAccount", source_account.get("aws:SourceAccount")),
    }


def stream_mapping(cloud: Cloud) -> Part:
    """The mapping by which Lambda feeds the stream of the segments table to the counters function.

    There is no other one: a mapping of a table that was restored from, or of a stream that was turned off, is removed.
    """
    client, dynamodb = cloud.client("lambda"), cloud.client("dynamodb")
    function, name = spec.FUNCTIONS["counters"].full_name(cloud.stage), cloud.names.segments
    stream = (storage.describe(dynamodb, name) or {}).get("LatestStreamArn")
    wanted: State = {**spec.STREAM_MAPPING, "EventSourceArn": stream, "others": 0}

    def existing() -> list[State]:
        """Return the mappings of the function, first that of the stream. Those that AWS is removing are left out."""
        pages = client.get_paginator("list_event_source_mappings").paginate(FunctionName=function)
        mappings = [mapping for page in pages for mapping in page["EventSourceMappings"]]
        present = [mapping for mapping in mappings if mapping.get("State") != "Deleting"]
        return sorted(present, key=lambda mapping: mapping["EventSourceArn"] != stream)

    def look() -> State | None:
        found = existing()
        return {**found[0], "others": len(found) - 1} if found else None

    def make() -> None:
        client.create_event_source_mapping(
            FunctionName=function, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", **spec.STREAM_MAPPING
        )

    def mend(_: State) -> None:
        ours = [mapping for mapping in existing() if mapping["EventSourceArn"] == stream]
        for mapping in existing():
            if mapping not in ours[:1]:
                client.delete_event_source_mapping(UUID=mapping["UUID"])
        if not ours:
            make()
        else:
            client.update_event_source_mapping(UUID=ours[0]["UUID"], **spec.STREAM_MAPPING)

    def drop() -> None:
        for mapping in existing():
            client.delete_event_source_mapping(UUID=mapping["UUID"])

    return Part("stream mapping", f"{name} → {function}", wanted, look, make, mend, drop)


def queue_mapping(cloud: Cloud, key: str, name: str, mapping: State) -> Part:
    """The mapping by which Lambda feeds a queue to a function.

    Args:
        cloud: the account and stage.
        key: the function, a key of ``spec.FUNCTIONS``.
        name: of the queue.
        mapping: the arguments of CreateEventSourceMapping.
    """
    client, function = cloud.client("lambda"), spec.FUNCTIONS[key].full_name(cloud.stage)
    queue = cloud.arn("sqs", name)
    wanted: State = {**mapping, "EventSourceArn": queue}

    def look() -> State | None:
        found = client.list_event_source_mappings(FunctionName=function, EventSourceArn=queue)["EventSourceMappings"]
        present = [mapping for mapping in found if mapping.get("State") != "Deleting"]
        return present[0] if present else None

    def make() -> None:
        client.create_event_source_mapping(FunctionName=function, EventSourceArn=queue, **mapping)

    def mend(actual: State) -> None:
        client.update_event_source_mapping(UUID=actual["UUID"], **mapping)

    def drop() -> None:
        client.delete_event_source_mapping(UUID=(look() or {})["UUID"])

    return Part("queue mapping", f"{name} → {function}", wanted, look, make, mend, drop)


def retries(cloud: Cloud, key: str) -> Part:
    """How often Lambda retries a failed call of a function, and the queue to which it then sends the call."""
    client, function = cloud.client("lambda"), spec.FUNCTIONS[key].full_name(cloud.stage)
    destination = cloud.arn("sqs", cloud.names.failures)
    wanted: State = {"age_s": spec.RETRY_FOR_S, "retries": spec.RETRIES, "destination": destination}

    def look() -> State:
        config = client.get_function_event_invoke_config(FunctionName=function)
        return {
            "age_s": config.get("MaximumEventAgeInSeconds"),
            "retries": config.get("MaximumRetryAttempts"),
            "destination": config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
        }

    def make() -> None:
        client.put_function_event_invoke_config(
            FunctionName=function,
            MaximumEventAgeInSeconds=wanted["age_s"],
            MaximumRetryAttempts=wanted["retries"],
            DestinationConfig={"OnFailure": {"Destination": destination}},
        )

    def drop() -> None:
        client.delete_function_event_invoke_config(FunctionName=function)

    return Part("retries", function, wanted, lambda: absent_is_none(look), make, lambda _: make(), drop)


def logging(cloud: Cloud, key: str) -> Part:
    """What goes into the log of a function: its own lines, and from Lambda only warnings and errors."""
    client, function = cloud.client("lambda"), spec.FUNCTIONS[key].full_name(cloud.stage)
    wanted: State = dict(spec.LOGGING)

    def look() -> State:
        config = client.get_function_configuration(FunctionName=function)
        return dict(config.get("LoggingConfig", {}))

    def make() -> None:
        client.update_function_configuration(FunctionName=function, LoggingConfig=wanted)
        client.get_waiter("function_updated_v2").wait(FunctionName=function)

    return Part("logging", function, wanted, lambda: absent_is_none(look), make, lambda _: make(), None)
