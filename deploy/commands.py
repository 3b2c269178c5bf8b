"""The commands of ``python -m deploy``: what comes before and after ``chalice deploy``.

Every step looks first, makes what is missing, mends what differs and says what it did; so it can be interrupted and run
again, and a second run changes nothing.
"""

from chalicelib.services import profiles
from deploy import chalice, cost, retry, spec
from deploy.inventory import all_parts, api_keys, parts_after_functions, parts_before_functions, use_deployed_store
from deploy.parts import Cloud, Part

_CONCURRENCY_TOO_LOW = (
    f"Lambda's concurrency is too low to reserve any: ask AWS for {spec.RESERVED + spec.UNRESERVED_MINIMUM} or more"
)


def up(cloud: Cloud) -> int:
    """Make or mend everything."""
    for part in parts_before_functions(cloud):
        report(part, part.ensure())
    if chalice.recover(cloud):
        print("recovered   Chalice's record of what it deployed")
    may_reserve = chalice.may_reserve(cloud)
    if not may_reserve:
        print(f"warning     {_CONCURRENCY_TOO_LOW}")
    for path in chalice.write_config(cloud.stage, may_reserve=may_reserve):
        print(f"wrote       {path.relative_to(chalice.ROOT)}")
    chalice.run("deploy", "--stage", cloud.stage)
    api = chalice.deployed(cloud.stage)["rest_api"]
    for part in parts_after_functions(cloud, api["rest_api_id"]):
        report(part, part.ensure())
    use_deployed_store(cloud)
    token = None
    if not profiles.list_all():
        _, token = profiles.create(name="Default")
    keys = api_keys(cloud)
    report(keys, keys.ensure())
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


def report(part: Part, done: str) -> None:
    """Say what was done."""
    print(f"{done:<11} {part.kind} {part.name}", flush=True)


def check(cloud: Cloud) -> int:
    """Print each part with what is wrong with it; return 1 if anything is."""
    chalice.recover(cloud)
    faults = 0
    for part in all_parts(cloud):
        difference = part.difference()
        faults += difference is not None
        print(f"{'fault' if difference else 'ok':<6} {part.kind:<15} {part.name:<48} {difference or ''}".rstrip())
    if "rest_api" not in chalice.deployed(cloud.stage):
        faults += 1
        print(f"fault  API             not deployed: run `python -m deploy up --stage {cloud.stage}`")
    if not chalice.may_reserve(cloud):
        print(f"warn   concurrency     {_CONCURRENCY_TOO_LOW}")
    print(f"{faults} faults" + (f": `python -m deploy up --stage {cloud.stage}` mends them" if faults else ""))
    return 1 if faults else 0


def diff(cloud: Cloud) -> int:
    """Print what ``up`` would change."""
    chalice.recover(cloud)
    for part in all_parts(cloud):
        difference = part.difference()
        if difference is not None:
            print(f"{'create' if difference == 'missing' else 'repair'} {part.kind} {part.name}: {difference}")
    if "rest_api" not in chalice.deployed(cloud.stage):
        print("create the functions and the API, and what needs them")
    return 0


def down(cloud: Cloud, *, with_data: bool) -> int:
    """Remove what ``up`` made, the last first; tables and secret only when told to."""
    chalice.recover(cloud)
    for part in reversed(list(all_parts(cloud))):
        if part.holds_data and not with_data:
            report(part, "kept")
        elif part.kind != "log group":
            remove(part)
    if chalice.deployed(cloud.stage):
        chalice.run("delete", "--stage", cloud.stage)
    for part in parts_before_functions(cloud):
        if part.kind == "log group":
            remove(part)
    return 0


def remove(part: Part) -> None:
    """Remove a part that is there and does not go by itself."""
    if part.drop is not None and part.look() is not None:
        part.drop()
        report(part, "removed")


def retry_queues(cloud: Cloud, *, with_dead_letters: bool) -> int:
    """Deliver again what failed while the store was down, and with ``with_dead_letters`` what could not be stored."""
    for queue in (cloud.names.failures, *((cloud.names.dead_letters,) if with_dead_letters else ())):
        delivered, kept = retry.retry(cloud, queue)
        print(f"{queue}: {delivered} delivered again, {kept} left")
    return 0


def print_costs(*, points: float, batch: int, path: str, every_s: float, basic_ingest: bool, access: str | None) -> int:
    """Print what points cost, at list prices."""
    priced = cost.prices()
    print(f"List prices of {priced['region']}, {priced['date']}; free tiers left out; one of a device's requests every")
    print(f"{every_s:g} s. How long functions run is assumed: {priced['assumed_ms']} ms.\n")
    if access:
        print(f"{points:,.0f} reads, {access}\n\n{cost.table(cost.read(requests=points, access=access))}")
        return 0
    sent = cost.send(points=points, batch=batch, path=path, every_s=every_s, basic_ingest=basic_ingest)
    print(f"{points:,.0f} points over {path}, {batch} at a time\n\n{cost.table(sent)}")
    print(f"\nTo keep them, a month\n\n{cost.table(cost.keep(points=points, batch=batch))}")
    print(f"\nA deployment in which nothing happens, a month\n\n{cost.table(cost.idle())}")
    return 0


def config(stage: str) -> int:
    """Write the stage's part of the configuration and its policies; print the files that changed."""
    for path in chalice.write_config(stage):
        print(f"wrote {path.relative_to(chalice.ROOT)}")
    return 0
