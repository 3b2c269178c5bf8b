"""``python -m deploy up | down | check | diff | retry | cost``: what comes before and after ``chalice deploy``.

Every step looks first, makes what is missing, mends what differs and says what it did; so it can be interrupted and run
again, and a second run changes nothing.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import boto3
import botocore.exceptions

from chalicelib import settings, store
from chalicelib.codec import tokens
from chalicelib.host import secret
from chalicelib.services.accounts import profiles
from chalicelib.services.usage import plans
from chalicelib.store import models
from chalicelib.store.dynamodb import DynamoStore
from deploy import chalice, cost, functions, gateway, mqtt, retry, spec, storage
from deploy.parts import Cloud, Part

_LOW = f"Lambda's concurrency is too low to reserve any: ask AWS for {spec.RESERVED + spec.UNRESERVED_MINIMUM} or more"


def foundation(cloud: Cloud) -> list[Part]:
    """Return what must be there before the functions are."""
    names = cloud.names
    return [
        *(storage.table(cloud, name) for name in spec.tables(cloud.stage)),
        storage.secret(cloud),
        *(storage.queue(cloud, name) for name in (names.dead_letters, names.failures)),
        *(storage.log_group(cloud, key) for key in spec.FUNCTIONS),
    ]


def surroundings(cloud: Cloud, api_id: str) -> list[Part]:
    """Return what needs the functions and the API."""
    iot, base = spec.IOT, f"arn:aws:iot:{cloud.region}:{cloud.account}"
    rules = spec.topic_rules(cloud.stage)
    return [
        gateway.throttling(cloud, api_id),
        *gateway.usage_plans(cloud, api_id, chalice.routes()),
        functions.stream_mapping(cloud),
        *(functions.logging(cloud, key) for key in spec.FUNCTIONS),
        *(functions.failures(cloud, key) for key in spec.ASYNCHRONOUS),
        mqtt.rule_errors_role(cloud),
        *(functions.permission(cloud, "iot-ingest", name, iot, f"{base}:rule/{name}") for name in rules),
        *(mqtt.topic_rule(cloud, name, sql) for name, sql in rules.items()),
        functions.permission(cloud, "iot-authorizer", "authorizer", iot, f"{base}:authorizer/{cloud.names.mqtt}"),
        mqtt.iot_authorizer(cloud),
        mqtt.mqtt_endpoint(cloud),
        *(storage.alarm(cloud, name, wanted) for name, wanted in spec.alarms(cloud.stage).items()),
    ]


def keys(cloud: Cloud) -> Part:
    """Return the API keys of the profiles that there are."""
    wanted = {one["id"]: one.get("plan") or plans.DEFAULT for one in profiles.list_all()}
    return gateway.api_keys(cloud, wanted, lambda profile: tokens.api_key(secret.current(), profile))


def use_store(cloud: Cloud) -> None:
    """Let the services work on the deployment's tables and secret."""
    found = replace(
        settings.current(),
        segments_table=cloud.names.segments,
        entities_table=cloud.names.entities,
        secret_parameter=cloud.names.secret_parameter,
    )
    settings.use(found)
    models.SegmentModel.Meta.table_name = found.segments_table
    models.EntityModel.Meta.table_name = found.entities_table
    models.forget_client()
    store.use(DynamoStore())
    parameter = cloud.client("ssm").get_parameter(Name=found.secret_parameter, WithDecryption=True)
    secret.use(parameter["Parameter"]["Value"].encode())


def up(cloud: Cloud) -> int:
    """Make or mend everything."""
    for part in foundation(cloud):
        tell(part, part.ensure())
    if chalice.recover(cloud):
        print("recovered   Chalice's record of what it deployed")
    may_reserve = chalice.may_reserve(cloud)
    if not may_reserve:
        print(f"warning     {_LOW}")
    for path in chalice.write_config(cloud.stage, may_reserve=may_reserve):
        print(f"wrote       {path.relative_to(chalice.ROOT)}")
    chalice.run("deploy", "--stage", cloud.stage)
    api = chalice.deployed(cloud.stage)["rest_api"]
    for part in surroundings(cloud, api["rest_api_id"]):
        tell(part, part.ensure())
    use_store(cloud)
    token = None
    if not profiles.list_all():
        _, token = profiles.create(name="Default")
    part = keys(cloud)
    tell(part, part.ensure())
    print(f"\nBase URL        {api['rest_api_url'].rstrip('/')}")
    if token is not None:
        print(f"Profile token   {token}   (shown this once)")
    endpoint = cloud.client("iot").describe_domain_configuration(domainConfigurationName=cloud.names.mqtt)
    host = (
        endpoint.get("domainName")
        or cloud.client("iot").describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    )
    print(f"MQTT            {host}:8883")
    print(
        f"\n  mosquitto_pub -h {host} -p 8883 --capath /etc/ssl/certs -i my-device -u Token -P <device token> "
        '-q 1 -t tago/data/post -m \'{"variable": "temperature", "value": 21.5}\''
    )
    return 0


def tell(part: Part, done: str) -> None:
    """Say what was done."""
    print(f"{done:<11} {part.kind} {part.name}", flush=True)


def everything(cloud: Cloud) -> Iterator[Part]:
    """Yield every part that can be looked at now."""
    yield from foundation(cloud)
    api = chalice.deployed(cloud.stage).get("rest_api")
    if api is not None:
        yield from surroundings(cloud, api["rest_api_id"])
        if storage.secret(cloud).look() is not None:
            use_store(cloud)
            yield keys(cloud)


def check(cloud: Cloud) -> int:
    """Print each part with what is wrong with it; return 1 if anything is."""
    chalice.recover(cloud)
    wrong = 0
    for part in everything(cloud):
        difference = part.difference()
        wrong += difference is not None
        print(f"{'fault' if difference else 'ok':<6} {part.kind:<15} {part.name:<48} {difference or ''}".rstrip())
    if "rest_api" not in chalice.deployed(cloud.stage):
        wrong += 1
        print(f"fault  API             not deployed: run `python -m deploy up --stage {cloud.stage}`")
    if not chalice.may_reserve(cloud):
        print(f"warn   concurrency     {_LOW}")
    print(f"{wrong} faults" + (f": `python -m deploy up --stage {cloud.stage}` mends them" if wrong else ""))
    return 1 if wrong else 0


def diff(cloud: Cloud) -> int:
    """Print what ``up`` would change."""
    chalice.recover(cloud)
    for part in everything(cloud):
        difference = part.difference()
        if difference is not None:
            print(f"{'create' if difference == 'missing' else 'repair'} {part.kind} {part.name}: {difference}")
    if "rest_api" not in chalice.deployed(cloud.stage):
        print("create the functions and the API, and what needs them")
    return 0


def down(cloud: Cloud, *, with_data: bool) -> int:
    """Remove what ``up`` made, the last first; tables and secret only when told to."""
    chalice.recover(cloud)
    for part in reversed(list(everything(cloud))):
        if part.holds_data and not with_data:
            tell(part, "kept")
        elif part.kind != "log group":
            remove(part)
    if chalice.deployed(cloud.stage):
        chalice.run("delete", "--stage", cloud.stage)
    for part in foundation(cloud):
        if part.kind == "log group":
            remove(part)
    return 0


def remove(part: Part) -> None:
    """Remove a part that is there and does not go by itself."""
    if part.drop is not None and part.look() is not None:
        part.drop()
        tell(part, "removed")


def retry_all(cloud: Cloud, *, with_letters: bool) -> int:
    """Deliver again what failed while the store was down, and with ``with_letters`` what could not be stored."""
    for queue in (cloud.names.failures, *((cloud.names.dead_letters,) if with_letters else ())):
        delivered, left = retry.retry(cloud, queue)
        print(f"{queue}: {delivered} delivered again, {left} left")
    return 0


def bill(options: argparse.Namespace) -> int:
    """Print what points cost, at list prices."""
    points, batch = options.points, options.batch
    priced = cost.prices()
    print(f"List prices of {priced['region']}, {priced['date']}; free tiers left out; one of a device's requests every")
    print(f"{options.every:g} s. How long functions run is assumed: {priced['assumed_ms']} ms.\n")
    if options.read:
        print(f"{points:,.0f} reads, {options.read}\n\n{cost.table(cost.read(requests=points, access=options.read))}")
        return 0
    sent = cost.send(
        points=points, batch=batch, path=options.path, every_s=options.every, basic_ingest=options.basic_ingest
    )
    print(f"{points:,.0f} points over {options.path}, {batch} at a time\n\n{cost.table(sent)}")
    print(f"\nTo keep them, a month\n\n{cost.table(cost.keep(points=points, batch=batch))}")
    print(f"\nA deployment in which nothing happens, a month\n\n{cost.table(cost.idle())}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "check", "diff", "retry", "cost", "config"))
    parser.add_argument("--stage", default="dev")
    parser.add_argument("--data", action="store_true", help="down: remove the tables and the secret too")
    parser.add_argument("--dead-letters", action="store_true", help="retry: those that could not be stored too")
    parser.add_argument("--points", type=float, default=1e6, help="cost: how many points, or reads")
    parser.add_argument("--batch", type=int, choices=(1, 100), default=1, help="cost: points a request or message")
    parser.add_argument("--path", choices=("http", "mqtt"), default="http", help="cost: how they come")
    parser.add_argument("--every", type=float, default=10, help="cost: seconds between the requests of a device")
    parser.add_argument("--basic-ingest", action="store_true", help="cost: devices publish to the rule itself")
    parser.add_argument("--read", choices=cost.ACCESSES, help="cost: of reads instead")
    options = parser.parse_args(arguments)
    if options.command == "cost":
        return bill(options)
    if options.command == "config":
        for path in chalice.write_config(options.stage):
            print(f"wrote {path.relative_to(chalice.ROOT)}")
        return 0
    cloud = Cloud(boto3.Session(), options.stage)
    commands: dict[str, Callable[[], int]] = {
        "up": lambda: up(cloud),
        "check": lambda: check(cloud),
        "diff": lambda: diff(cloud),
        "down": lambda: down(cloud, with_data=options.data),
        "retry": lambda: retry_all(cloud, with_letters=options.dead_letters),
    }
    try:
        return commands[options.command]()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, subprocess.CalledProcessError) as error:
        print(f"Stopped: {error}. What was done stays; run the same command again.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
