"""The commands of ``python -m deploy``.

``up`` makes some parts, runs ``chalice deploy``, and makes the other parts. For each part it looks at what AWS has,
makes what is missing, repairs what differs, and prints what it did. So it can be interrupted and run again, and a
second run changes nothing. Every command returns its exit status.
"""

import sys

from chalicelib import errors
from chalicelib.schemas.tokens import TokenIn
from chalicelib.services.access import tokens
from chalicelib.services.accounts import profiles
from deploy import chalice, cost, functions, gateway, lock, mqtt, people, retry, spec, storage
from deploy import recount as recounts
from deploy.inventory import (
    deployed_parts,
    mqtt_to_remove,
    parts_after_functions,
    parts_before_functions,
    parts_of_mqtt,
    use_deployed_store,
)
from deploy.live import run as live
from deploy.parts import Cloud, NotYetError, Part, RefusedError
from deploy.pricing import prices, table

_CONCURRENCY_TOO_LOW = (
    "The account's Lambda concurrency is too low to reserve any. "
    f"Ask AWS for {spec.RESERVED + spec.UNRESERVED_MINIMUM} or more"
)
_RECOUNT = "run `python -m deploy recount --stage {}`"
_NOTHING_WRITTEN = "Nothing may be written to them now, nor since two minutes ago."
_RECOUNTED = {
    "right": "{} points",
    "corrected": "{} → {} points",
    "changed": "counted by the stream meanwhile",
    "immutable": "only mutable devices are counted again",
}


def begin_change(cloud: Cloud) -> None:
    """Print where a command works, and refuse a stage that the command must not change.

    Raises:
        RefusedError: the stage is not deployed, or a template made it.
    """
    open_deployed(cloud)
    refuse_template(cloud)


def open_deployed(cloud: Cloud) -> None:
    """Print where a command works, and make the services use the stage's tables.

    Raises:
        RefusedError: the stage has no table or no secret.
    """
    print_place(cloud)
    if None in (storage.secret(cloud).look(), storage.table(cloud, cloud.names.entities).look()):
        raise RefusedError(
            f"Stage {cloud.stage} is not deployed in account {cloud.account}, region {cloud.region}. "
            f"Run `python -m deploy up --stage {cloud.stage}`, or name another stage with --stage"
        )
    use_deployed_store(cloud)


def up(cloud: Cloud) -> int:
    """Make what is missing, repair what differs, and print the addresses of the API and of MQTT.

    Creates the first account and profile if there is none, and prints password and token at once. No later run does.

    Raises:
        botocore.exceptions.ClientError: AWS refused a call.
        subprocess.CalledProcessError: ``chalice deploy`` failed.
        RefusedError: somebody else changes the stage, a template made it, or a part differs in a way that AWS cannot
            change.
    """
    print_place(cloud)
    refuse_template(cloud)
    table = cloud.names.entities
    others = storage.other_tables(cloud)
    if others and table not in storage.tables_of_stage(cloud):
        raise RefusedError(
            f"The table {table} is missing, but there are {', '.join(others)}. If a restore made them, write what "
            f"follows the last hyphen into the SSM parameter {cloud.names.tables_parameter}"
        )
    if storage.create_table(cloud, table):  # the lock is in it
        print(f"created     table {table}")
    with lock.held(cloud, "up"):
        ensure_all(cloud)
    return 0


def ensure_all(cloud: Cloud) -> None:
    """Do what ``up`` does. The caller holds the lock."""
    has_mqtt = mqtt.is_ours(cloud)
    for part in parts_before_functions(cloud):
        ensure(part)
    if chalice.recover(cloud):
        print("recovered   Chalice's record of what it deployed")
    may_reserve = chalice.may_reserve(cloud)
    if not may_reserve:
        print(f"warning     {_CONCURRENCY_TOO_LOW}")
    written = chalice.write_config(
        cloud.names,
        partition=cloud.partition,
        may_reserve=may_reserve,
        has_mqtt=has_mqtt,
        architecture=functions.architecture(cloud),
    )
    for path in written:
        print(f"wrote       {path.relative_to(chalice.ROOT)}")
    if "rest_api" in chalice.deployed(cloud.stage):
        _prepare_keys(cloud, chalice.deployed(cloud.stage)["rest_api"]["rest_api_id"])
    chalice.build_guest(cloud.stage)
    chalice.build_console()
    chalice.run("deploy", "--stage", cloud.stage)
    api = chalice.deployed(cloud.stage)["rest_api"]
    for part in parts_after_functions(cloud, api["rest_api_id"]):
        ensure(part)
    for part in parts_of_mqtt(cloud) if has_mqtt else parts_of_mqtt(cloud)[::-1]:
        (ensure if has_mqtt else remove)(part)
    give_access(cloud)
    print(f"\nBase URL        {api['rest_api_url'].rstrip('/')}")
    if has_mqtt:
        _print_mqtt(cloud)
    else:
        print(f"MQTT            none: {_taken(cloud)}")


def print_place(cloud: Cloud) -> None:
    """Print where a command works, before it does anything: credentials may be those of another account."""
    print(f"Account {cloud.account}, region {cloud.region}, stage {cloud.stage}", flush=True)


def _taken(cloud: Cloud) -> str:
    owner = mqtt.owner(cloud)
    return f"it belongs to stage {owner} of this account and region. Use another region or account for this stage"


def give_access(cloud: Cloud) -> None:
    """Make the first account and profile if there is none, print both at once, and make the keys of all profiles."""
    use_deployed_store(cloud)
    account = people.first_account()
    if not profiles.list_all():
        _print_token(profiles.create(name="Default", account=account)[1])  # at once, as a later step may fail
    ensure(gateway.api_keys(cloud))


def _prepare_keys(cloud: Cloud, api_id: str) -> None:
    """Make the API keys that the functions will name, before Chalice deploys them. What is missing follows later."""
    for part in gateway.shared_plans(cloud, api_id):
        ensure(part)
    use_deployed_store(cloud)
    try:
        ensure(gateway.api_keys(cloud))
    except errors.Unavailable as error:
        print(f"later       API keys: {error}")


def refuse_template(cloud: Cloud) -> None:
    """Refuse a stage that a template made. Costs a call. Raises RefusedError."""
    if functions.made_by_template(cloud):
        raise RefusedError(
            f"A template made stage {cloud.stage}. Change it with CloudFormation or Terraform. "
            f"`python -m deploy init --stage {cloud.stage}` makes its first profile and its API keys"
        )


def token(cloud: Cloud, profile: str | None) -> int:
    """Make and print a full token of a profile, for an operator who has none.

    Args:
        cloud: the account and stage.
        profile: the id of the profile; None: the only one.
    """
    open_deployed(cloud)
    known = {found["id"]: found for found in profiles.list_all()}
    wanted = profile or (next(iter(known)) if len(known) == 1 else "")
    if wanted not in known:
        listed = "".join(f"\n  {found['id']}  {found.get('name', '')}" for found in known.values())
        print(f"Name one of the stage's profiles with --profile-id:{listed or ' there are none'}", file=sys.stderr)
        return 1
    sent: TokenIn = {"name": "Operator", "permission": "full"}
    _print_token(tokens.create(kind="profile", profile=wanted, sent=sent)["token"])
    return 0


def plan(cloud: Cloud, profile: str, wanted: str) -> int:
    """Give a profile of the stage another price plan, and make its API key."""
    open_deployed(cloud)
    try:
        profiles.set_plan(profile=profile, plan=wanted)
    except (errors.BadRequest, errors.NotFound) as error:
        raise RefusedError(error.message) from None
    ensure(gateway.api_keys(cloud))
    print(f"Profile {profile} has the plan {wanted}")
    return 0


def password(cloud: Cloud, email: str | None) -> int:
    """Ask for a new password of an account of the stage, the first one if ``email`` is None, and set it."""
    open_deployed(cloud)
    return people.set_password(email)


def _print_token(text: str) -> None:
    print(f"\nProfile token   {text}   (shown only this once)", flush=True)


def _print_mqtt(cloud: Cloud) -> None:
    """Print where MQTT is reached."""
    host = mqtt.host(cloud)
    print(f"MQTT            {host}:{mqtt.PORT}")
    print(
        f'\n  mosquitto_pub -h {host} -p {mqtt.PORT} --capath /etc/ssl/certs -i my-device -u Token -P "$DEVICE_TOKEN" '
        f'-q 1 -t {spec.SHARED_TOPIC} -m \'{{"variable": "temperature", "value": 21.5}}\''
    )


def report(part: Part, done: str, why: str = "") -> None:
    """Print what was done with a part."""
    print(f"{done:<11} {part.kind} {part.name}" + (f": {why}" if why else ""), flush=True)


def ensure(part: Part) -> None:
    """Make or repair a part, and print what was done."""
    try:
        report(part, part.ensure())
    except NotYetError as error:
        report(part, "later", str(error))


def remove(part: Part) -> None:
    """Remove a part if anything of it exists, and print it. One without ``drop`` goes together with another one."""
    if part.drop is None or not part.look():
        return
    try:
        part.drop()
        report(part, "removed")
    except NotYetError as error:
        report(part, "later", str(error))


def check(cloud: Cloud) -> int:
    """Print each part and what is wrong with it. Return 1 if anything is wrong, otherwise 0."""
    chalice.recover(cloud)
    faults, has_mqtt = 0, mqtt.is_ours(cloud)
    for part in deployed_parts(cloud, has_mqtt=has_mqtt):
        difference = part.difference()
        faults += difference is not None
        print(f"{'fault' if difference else 'ok':<6} {part.kind:<15} {part.name:<48} {difference or ''}".rstrip())
    if "rest_api" not in chalice.deployed(cloud.stage):
        faults += 1
        print(f"fault  API             not deployed: run `python -m deploy up --stage {cloud.stage}`")
    if not chalice.may_reserve(cloud):
        print(f"warn   concurrency     {_CONCURRENCY_TOO_LOW}")
    if not has_mqtt:
        print(f"note   MQTT            {_taken(cloud)}")
        for part in mqtt_to_remove(cloud):
            faults += 1
            print(f"fault  {part.kind:<15} {part.name:<48} `up` removes it, as MQTT belongs to another stage")
    for name in storage.other_tables(cloud):
        print(f"note   table           {name:<48} not in use: `restore --drop-old` removes it")
    print(
        f"{faults} fault{'' if faults == 1 else 's'}"
        + (f": `python -m deploy up --stage {cloud.stage}` repairs them" if faults else "")
    )
    return 1 if faults else 0


def check_live(cloud: Cloud, *, url: str | None, mqtt: tuple[str, int] | None) -> int:
    """Do what ``check`` does, then try the stage from outside. Return 1 if anything is wrong.

    Args:
        cloud: the account and stage.
        url: the base URL of the API; None: API Gateway's.
        mqtt: host and port of the MQTT endpoint; None: the stage's.
    """
    found = check(cloud)
    print("\nWhat follows can be pasted into an issue: it holds no secret.\n", flush=True)
    return max(found, live.run(cloud, url=url, mqtt=mqtt))


def diff(cloud: Cloud) -> int:
    """Print what ``up`` would change. Changes nothing in AWS."""
    chalice.recover(cloud)
    differences, has_mqtt = 0, mqtt.is_ours(cloud)
    for part in deployed_parts(cloud, has_mqtt=has_mqtt):
        difference = part.difference()
        if difference is not None:
            differences += 1
            print(f"{'create' if difference == 'missing' else 'repair'} {part.kind} {part.name}: {difference}")
    if not has_mqtt:
        taken, left = _taken(cloud), mqtt_to_remove(cloud)
        differences += len(left)
        for part in left:
            print(f"remove {part.kind} {part.name}: {taken}")
    if "rest_api" not in chalice.deployed(cloud.stage):
        print("create the functions, the API, and the parts that need them")
    elif not differences:
        print("Nothing differs around the functions and the API, which Chalice deploys anew at every `up`")
    return 0


def retry_queues(cloud: Cloud, *, with_dead_letters: bool) -> int:
    """Deliver failed messages again, and mark the devices that could not be counted.

    Args:
        cloud: the account and stage.
        with_dead_letters: whether to deliver also the messages that could not be stored.
    """
    open_deployed(cloud)
    for queue in (cloud.names.failures, *((cloud.names.dead_letters,) if with_dead_letters else ())):
        done = retry.retry(cloud, queue, recounts.mark)
        print(f"{queue}: {done.delivered} delivered again, {done.kept} kept in the queue")
        if done.uncounted:
            print(f"{len(set(done.uncounted))} devices must be counted again: {_RECOUNT.format(cloud.stage)}")
        if done.runs:
            print(f"{done.runs} failed runs of the housekeeping, or of the keys, removed: a later run does their work")
    return 0


def recount(cloud: Cloud, *, device: str | None, of_all: bool) -> int:
    """Count the points of mutable devices again. Return 1 if a device does not exist, or must be counted once more.

    Args:
        cloud: the account and stage.
        device: the id of the only device to count.
        of_all: whether to count all mutable devices. Without either, those that ``retry_queues`` marked.
    """
    open_deployed(cloud)
    with lock.held(cloud, "recount"):
        return _recount(cloud, device=device, of_all=of_all)


def _recount(cloud: Cloud, *, device: str | None, of_all: bool) -> int:
    wanted = None if of_all else {device} if device else recounts.marked()
    devices = recounts.find(wanted)
    gone = (wanted or set()) - {found["id"] for found in devices}
    print(f"{len(devices)} devices, about {recounts.expected_units(devices):,} read units. {_NOTHING_WRITTEN}")
    results = []
    for result in recounts.recount(devices):
        results.append(result)
        print(f"{result.outcome:<11} {result.device}  {_RECOUNTED[result.outcome].format(*result[2:4])}", flush=True)
    for name in sorted(gone):
        print(f"gone        {name}  there is no such device")
        recounts.unmark(name)
    print(f"{sum(result.read_units for result in results):,.0f} read units used")
    has_changed = any(result.outcome == "changed" for result in results)
    if has_changed:
        print(
            f"Some devices were counted by the stream meanwhile: wait two minutes, and {_RECOUNT.format(cloud.stage)}"
        )
    return 1 if has_changed or (device is not None and gone) else 0


def print_costs(
    *,
    points: float,
    batch: int,
    path: str,
    every_s: float,
    environments: float,
    basic_ingest: bool,
    access: str | None,
) -> int:
    """Print what points cost at list prices: to send, to keep, and a month without requests. Or what reads cost.

    Args:
        points: how many points are sent, or how many reads are made if ``access`` is given.
        batch: points a request or message, 1 or 100.
        path: http or mqtt.
        every_s: seconds between two requests of one device.
        environments: execution environments of each function; each has caches of its own.
        basic_ingest: whether devices publish MQTT messages to the topic rule itself.
        access: a kind of read, one of ``cost.ACCESSES``, or None.
    """
    print(f"List prices of {prices()['region']}, {prices()['date']}, without free tiers.")
    print(f"Each device sends a request every {every_s:g} s, to {environments:g} execution environments.")
    print("docs/cost.md says what is assumed, and what else costs money.\n")
    if access:
        found = cost.read(requests=points, access=access, every_s=every_s, environments=environments)
        print(f"{points:,.0f} reads, {access}\n\n{table(found)}")
        return 0
    sent = cost.send(
        points=points,
        batch=batch,
        path=path,
        every_s=every_s,
        environments=environments,
        basic_ingest=basic_ingest,
    )
    print(f"{points:,.0f} points over {path}, {batch} at a time\n\n{table(sent)}")
    print(f"\nTo keep them for a month\n\n{table(cost.keep(points=points, batch=batch))}")
    print(f"\nA month without requests\n\n{table(cost.idle())}")
    return 0


def config(stage: str) -> int:
    """Write the stage's part of .chalice/config.json and its policies, and print the files that changed."""
    names, has_mqtt = chalice.configured(stage)
    for path in chalice.write_config(names, may_reserve=chalice.reserves(stage), has_mqtt=has_mqtt):
        print(f"wrote {path.relative_to(chalice.ROOT)}")
    return 0
