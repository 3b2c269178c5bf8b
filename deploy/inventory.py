"""Lists the parts of a deployment in the order in which ``up`` makes them."""

from collections.abc import Iterator
from dataclasses import replace

from chalicelib import routes, settings, store
from chalicelib.codec import tokens
from chalicelib.host import secret
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import plans
from chalicelib.store import models
from chalicelib.store.dynamodb import DynamoStore
from deploy import chalice, functions, gateway, mqtt, spec, storage
from deploy.parts import Cloud, Part


def parts_before_functions(cloud: Cloud) -> list[Part]:
    """Return the parts that must exist before Chalice deploys the functions."""
    names = cloud.names
    return [
        *(storage.table(cloud, name) for name in spec.tables(cloud.stage)),
        storage.secret(cloud),
        *(storage.queue(cloud, name) for name in (names.dead_letters, names.failures)),
        *(storage.log_group(cloud, key) for key in spec.FUNCTIONS),
    ]


def parts_after_functions(cloud: Cloud, api_id: str) -> list[Part]:
    """Return the parts that need the functions and the API. Costs a few calls to AWS."""
    iot, arn = spec.IOT_PRINCIPAL, f"arn:aws:iot:{cloud.region}:{cloud.account}"
    rules = spec.topic_rules(cloud.stage)
    return [
        gateway.throttling(cloud, api_id),
        *gateway.usage_plans(cloud, api_id, routes.ALL),
        functions.stream_mapping(cloud),
        *(functions.logging(cloud, key) for key in spec.FUNCTIONS),
        *(functions.retries(cloud, key) for key in spec.ASYNCHRONOUS),
        mqtt.rule_errors_role(cloud),
        *(functions.permission(cloud, "iot-ingest", name, iot, f"{arn}:rule/{name}") for name in rules),
        *(mqtt.topic_rule(cloud, name, sql) for name, sql in rules.items()),
        functions.permission(cloud, "iot-authorizer", "authorizer", iot, f"{arn}:authorizer/{cloud.names.mqtt}"),
        mqtt.iot_authorizer(cloud),
        mqtt.mqtt_endpoint(cloud),
        *(storage.alarm(cloud, name, wanted) for name, wanted in spec.alarms(cloud.stage).items()),
    ]


def api_keys(cloud: Cloud) -> Part:
    """Return the part that holds an API key for each profile. Call ``use_deployed_store`` first: it reads profiles."""
    wanted = {profile["id"]: profile.get("plan") or plans.DEFAULT for profile in profiles.list_all()}
    return gateway.api_keys(cloud, wanted, lambda profile_id: tokens.api_key(secret.current(), profile_id))


def use_deployed_store(cloud: Cloud) -> None:
    """Make the services of this process use the stage's tables and secret.

    Raises:
        botocore.exceptions.ClientError: the secret does not exist.
    """
    stage_settings = replace(
        settings.current(),
        segments_table=cloud.names.segments,
        entities_table=cloud.names.entities,
        secret_parameter=cloud.names.secret_parameter,
    )
    settings.use(stage_settings)
    models.SegmentModel.Meta.table_name = stage_settings.segments_table
    models.EntityModel.Meta.table_name = stage_settings.entities_table
    models.forget_client()
    store.use(DynamoStore())
    parameter = cloud.client("ssm").get_parameter(Name=stage_settings.secret_parameter, WithDecryption=True)
    secret.use(parameter["Parameter"]["Value"].encode())


def all_parts(cloud: Cloud) -> Iterator[Part]:
    """Yield every part that can be looked at now: those after the functions only if the API exists."""
    yield from parts_before_functions(cloud)
    api = chalice.deployed(cloud.stage).get("rest_api")
    if api is not None:
        yield from parts_after_functions(cloud, api["rest_api_id"])
        if storage.secret(cloud).look() is not None:
            use_deployed_store(cloud)
            yield api_keys(cloud)
