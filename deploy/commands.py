"""The commands of ``python -m deploy``.

``up`` makes some parts, runs ``chalice deploy``, and makes the other parts. For each part it looks at what AWS has,
makes what is missing, repairs what differs, and prints what it did. So it can be interrupted and run again, and a
second run changes nothing. Every command returns its exit status.
"""

import sys

from chalicelib.schemas.tokens import TokenIn
from chalicelib.services.access import tokens
from chalicelib.services.accounts import profiles
from deploy import chalice, cost, retry, spec
from deploy.inventory import all_parts, api_keys, parts_after_functions, parts_before_functions, use_deployed_store
from deploy.parts import Cloud, Part

_CONCURRENCY_TOO_LOW = (
    "The account's Lambda concurrency is too low to reserve any. "
    f"Ask AWS for {spec.RESERVED + spec.UNRESERVED_MINIMUM} or more"
)


def up(cloud: Cloud) -> int:
    """Make what is missing, repair what differs, and print the addresses of the API and of MQTT.

    Creates the first profile if there is none, and prints its token at once. No later run prints that token.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
        subprocess.CalledProcessError: ``chalice deploy`` failed.
        RuntimeError: a part differs in a way that AWS cannot change.
    """
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
    if not profiles.list_all():
        _print_token(profiles.create(name="Default")[1])  # at once, as a later step may fail
    keys = api_keys(cloud)
    report(keys, keys.ensure())
    _print_addresses(cloud, api["rest_api_url"].rstrip("/"))
    return 0


def token(cloud: Cloud, profile: str | None) -> int:
    """Make and print a full token of a profile, for an operator who has none.

    Args:
        cloud: the account and stage.
        profile: the id of the profile; None: the only one.
    """
    use_deployed_store(cloud)
    known = {found["id"]: found for found in profiles.list_all()}
    wanted = profile or (next(iter(known)) if len(known) == 1 else "")
    if wanted not in known:
        listed = "".join(f"\n  {found['id']}  {found.get('name', '')}" for found in known.values())
        print(f"Name one of the stage's profiles with --profile-id:{listed or ' there are none'}", file=sys.stderr)
        return 1
    sent: TokenIn = {"name": "Operator", "permission": "full"}
    _print_token(tokens.create(kind="profile", profile=wanted, device="", sent=sent)["token"])
    return 0


def _print_token(text: str) -> None:
    print(f"\nProfile token   {text}   (shown only this once)", flush=True)


def _print_addresses(cloud: Cloud, base_url: str) -> None:
    """Print where the API and MQTT are reached."""
    print(f"\nBase URL        {base_url}")
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


def report(part: Part, done: str) -> None:
    """Print what was done with a part."""
    print(f"{done:<11} {part.kind} {part.name}", flush=True)


def check(cloud: Cloud) -> int:
    """Print each part and what is wrong with it. Return 1 if anything is wrong, otherwise 0."""
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
    print(f"{faults} faults" + (f": `python -m deploy up --stage {cloud.stage}` repairs them" if faults else ""))
    return 1 if faults else 0


def diff(cloud: Cloud) -> int:
    """Print what ``up`` would change. Changes nothing in AWS."""
    chalice.recover(cloud)
    for part in all_parts(cloud):
        difference = part.difference()
        if difference is not None:
            print(f"{'create' if difference == 'missing' else 'repair'} {part.kind} {part.name}: {difference}")
    if "rest_api" not in chalice.deployed(cloud.stage):
        print("create the functions, the API, and the parts that need them")
    return 0


def down(cloud: Cloud, *, with_data: bool) -> int:
    """Remove what ``up`` made, in reverse order.

    Args:
        cloud: the account and stage.
        with_data: whether to remove the tables and the secret too.
    """
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
    """Remove a part if it exists. A part without ``drop`` goes together with another one."""
    if part.drop is not None and part.look() is not None:
        part.drop()
        report(part, "removed")


def retry_queues(cloud: Cloud, *, with_dead_letters: bool) -> int:
    """Deliver failed messages again.

    Args:
        cloud: the account and stage.
        with_dead_letters: whether to deliver also the messages that could not be stored.
    """
    for queue in (cloud.names.failures, *((cloud.names.dead_letters,) if with_dead_letters else ())):
        delivered, kept = retry.retry(cloud, queue)
        print(f"{queue}: {delivered} delivered again, {kept} kept in the queue")
    return 0


def print_costs(*, points: float, batch: int, path: str, every_s: float, basic_ingest: bool, access: str | None) -> int:
    """Print what points cost at list prices: to send, to keep, and a month without requests. Or what reads cost.

    Args:
        points: how many points are sent, or how many reads are made if ``access`` is given.
        batch: points a request or message, 1 or 100.
        path: http or mqtt.
        every_s: seconds between two requests of one device.
        basic_ingest: whether devices publish MQTT messages to the topic rule itself.
        access: a kind of read, one of ``cost.ACCESSES``, or None.
    """
    priced = cost.prices()
    print(f"List prices of {priced['region']}, {priced['date']}, without free tiers.")
    print(f"Each device sends a request every {every_s:g} s.")
    print("Assumed run times, in milliseconds a call (for the counters, a change):")
    print(f"{cost.assumed_run_times()}.\n")
    if access:
        print(f"{points:,.0f} reads, {access}\n\n{cost.table(cost.read(requests=points, access=access))}")
        return 0
    sent = cost.send(points=points, batch=batch, path=path, every_s=every_s, basic_ingest=basic_ingest)
    print(f"{points:,.0f} points over {path}, {batch} at a time\n\n{cost.table(sent)}")
    print(f"\nTo keep them for a month\n\n{cost.table(cost.keep(points=points, batch=batch))}")
    print(f"\nA month without requests\n\n{cost.table(cost.idle())}")
    return 0


def config(stage: str) -> int:
    """Write the stage's part of .chalice/config.json and its policies, and print the files that changed."""
    for path in chalice.write_config(stage):
        print(f"wrote {path.relative_to(chalice.ROOT)}")
    return 0
