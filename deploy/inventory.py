"""Lists the parts of a deployment in the order in which ``up`` makes them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from chalicelib import routes, settings, store
from chalicelib.host import keys, secret
from chalicelib.store import models
from chalicelib.store.dynamodb import DynamoStore
from deploy import buckets, chalice, functions, gateway, mqtt, spec, storage
from deploy.parts import Cloud, Part


def parts_before_functions(cloud: Cloud) -> list[Part]:
    """Return the parts that must exist before Chalice deploys the functions."""
    names = cloud.names
    return [
        *(storage.table(cloud, name) for name in spec.tables(names)),
        storage.secret(cloud),
        buckets.bucket(cloud),
        *(storage.queue(cloud, name, wanted) for name, wanted in spec.queues(names, _queue_arn(cloud)).items()),
        *(storage.log_group(cloud, key) for key in spec.FUNCTIONS),
    ]


def _queue_arn(cloud: Cloud) -> Callable[[str], str]:
    return lambda name: cloud.arn("sqs", name)


def parts_after_functions(cloud: Cloud, api_id: str) -> list[Part]:
    """Return the parts that need the functions and the API, without those of MQTT. Costs a few calls to AWS."""
    return [
        gateway.api_name(cloud, api_id),
        gateway.throttling(cloud, api_id, routes.ALL),
        *gateway.usage_plans(cloud, api_id, routes.ALL),
        functions.stream_mapping(cloud),
        functions.queue_mapping(cloud, "keys", cloud.names.keys, spec.KEYS_MAPPING),
        functions.queue_mapping(cloud, "sealer", cloud.names.sealer, spec.SEALER_MAPPING),
        functions.queue_mapping(cloud, "files", cloud.names.files, spec.FILES_MAPPING),
        *(functions.logging(cloud, key) for key in spec.FUNCTIONS),
        *(functions.retries(cloud, key) for key in spec.ASYNCHRONOUS),
        *(storage.alarm(cloud, name, wanted) for name, wanted in spec.alarms(cloud.stage).items()),
    ]


def parts_of_mqtt(cloud: Cloud) -> list[Part]:
    """Return the parts that only the stage has to which MQTT belongs. Costs a few calls to AWS."""
    iot, rules = spec.IOT_PRINCIPAL, spec.topic_rules(cloud.stage)
    authorizer = cloud.arn("iot", f"authorizer/{cloud.names.mqtt}")
    return [
        mqtt.rule_errors_role(cloud),
        *(functions.permission(cloud, "iot-ingest", name, iot, cloud.arn("iot", f"rule/{name}")) for name in rules),
        *(mqtt.topic_rule(cloud, name, sql) for name, sql in rules.items()),
        functions.permission(cloud, "iot-authorizer", "authorizer", iot, authorizer),
        mqtt.iot_authorizer(cloud),
        mqtt.mqtt_endpoint(cloud),
    ]


def use_deployed_store(cloud: Cloud) -> None:
    """Make the services of this process use the tables of ``cloud.names``, and the stage's secret.

    Raises:
        botocore.exceptions.ClientError: the secret does not exist.
    """
    names = cloud.names
    stage_settings = replace(
        settings.current(),
        segments_table=names.segments,
        entities_table=names.entities,
        secret_parameter=names.secret_parameter,
        failures_queue=names.failures,
        sealer_queue=names.sealer,
        files_queue=names.files,
        files_bucket=names.files,
        keys_prefix=names.prefix,
    )
    settings.use(stage_settings)
    models.SegmentModel.Meta.table_name = stage_settings.segments_table
    models.EntityModel.Meta.table_name = stage_settings.entities_table
    models.forget_client()
    store.use(DynamoStore())
    keys.use(keys.nobody)  # the deployer makes the keys itself
    parameter = cloud.client("ssm").get_parameter(Name=stage_settings.secret_parameter, WithDecryption=True)
    secret.use(parameter["Parameter"]["Value"].encode())


def deployed_parts(cloud: Cloud, *, has_mqtt: bool) -> Iterator[Part]:
    """Yield every part that can be looked at now: those after the functions only if the API exists.

    Args:
        cloud: the account and stage.
        has_mqtt: whether MQTT belongs to the stage.
    """
    yield from parts_before_functions(cloud)
    api = chalice.deployed(cloud.stage).get("rest_api")
    if api is None:
        return
    yield from parts_after_functions(cloud, api["rest_api_id"])
    if has_mqtt:
        yield from parts_of_mqtt(cloud)
    if storage.secret(cloud).look() is not None:
        use_deployed_store(cloud)
        yield gateway.api_keys(cloud)


def mqtt_to_remove(cloud: Cloud) -> list[Part]:
    """Return the parts of MQTT that a stage has to which MQTT does not belong, without those that only wait."""
    found = [(part, part.look()) for part in parts_of_mqtt(cloud)]
    return [part for part, actual in found if actual is not None and not mqtt.is_at_rest(actual)]


def removable_parts(cloud: Cloud) -> list[Callable[[], list[Part]]]:
    """Return functions that return every part that may exist, also without an API, in the order of ``down``.

    Each may fail by itself, as to list parts calls AWS.
    """
    api_id = chalice.deployed(cloud.stage).get("rest_api", {}).get("rest_api_id", "")
    return [
        lambda: [gateway.keys_to_remove(cloud)],
        lambda: parts_of_mqtt(cloud)[::-1],
        lambda: parts_after_functions(cloud, api_id)[::-1],
        lambda: parts_before_functions(cloud)[::-1],
    ]
