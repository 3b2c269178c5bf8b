"""The command line. ``python -m deploy --help`` lists the commands."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import botocore.session

from chalicelib import errors
from deploy import chalice, commands, cost, removal, restore, scale, scale_report, waiting
from deploy.arguments import finite, positive, time, whole
from deploy.init import init
from deploy.live.run import base_url, mqtt_address
from deploy.names import stage_name
from deploy.parts import Cloud, RefusedError

Options = argparse.Namespace
_STOPS = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    subprocess.CalledProcessError,
    errors.Unavailable,
)
"""What ends a command with one line instead of a traceback."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what follows the program on the command line; None takes the process's own.

    Returns:
        The exit status: 1 if ``check`` finds a fault, ``recount`` must run again, AWS refuses a call or ``chalice``
        fails; otherwise 0.

    Raises:
        SystemExit: the parser printed help (0) or refused the arguments (2).
    """
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return int(options.run(options))
    except _STOPS as error:
        cause = str(error).rstrip(".")
        print(f"Stopped: {cause}. What is done stays done. Run the same command again to continue.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. What is done stays done. Run the same command again to continue.", file=sys.stderr)
        return 130
    except RefusedError as error:
        print(f"Stopped: {error}.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    """Return the parser. Each command takes its own options and no others."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy", description="Deploy Decant to AWS, look after it, and remove it."
    )
    parsers = parser.add_subparsers(dest="command", required=True)
    _add_stage_commands(parsers)
    _add_cost(parsers)
    _add_scale(parsers)
    return parser


def _add(parsers: Any, name: str, run: Callable[[Options], int], does: str, more: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parsers.add_parser(name, help=does, description=f"{does}. {more}".strip())
    # A parser refuses unknown arguments with the usage of the program; the usage of the command helps more.
    parser.set_defaults(run=run, refuse=parser.error)
    return parser


def _add_stage_commands(parsers: Any) -> None:
    """Add the commands that work on one stage."""
    up = _add(
        parsers,
        "up",
        lambda options: commands.up(_cloud(options)),
        "Make what is missing, repair what differs, and print what was done",
        "You can interrupt it and run it again. A second run changes nothing.",
    )
    init_ = _add(
        parsers,
        "init",
        lambda options: init(_cloud(options)),
        "Make the secret, the first profile and the API keys of a stage that a template made",
        "A second run changes nothing.",
    )
    down = _add(
        parsers,
        "down",
        lambda options: removal.down(_cloud(options), with_data=options.data),
        "Remove what `up` made, but keep the tables and the secret",
    )
    down.add_argument("--data", action="store_true", help="remove the tables and the secret too")
    check = _add(
        parsers,
        "check",
        _run_check,
        "Print each part and what is wrong with it",
        "The exit status is 1 if anything is wrong.",
    )
    check.add_argument(
        "--live", action="store_true", help="also send requests and messages, and print a report of them"
    )
    check.add_argument("--url", type=base_url, help="with --live: the base URL of the API; default: API Gateway's own")
    check.add_argument(
        "--mqtt", type=mqtt_address, metavar="HOST[:PORT]", help="with --live: the MQTT endpoint; default: the stage's"
    )
    diff = _add(parsers, "diff", lambda options: commands.diff(_cloud(options)), "Print what `up` would change")
    retry = _add(
        parsers,
        "retry",
        lambda options: commands.retry_queues(_cloud(options), with_dead_letters=options.dead_letters),
        "Deliver the MQTT messages again that failed while the store was down",
        "It also marks the devices that could not be counted, for `recount`. "
        "It removes failed runs of the housekeeping and of the API keys, as a later run does their work.",
    )
    recount = _add(
        parsers,
        "recount",
        lambda options: commands.recount(_cloud(options), device=options.device, of_all=options.all),
        "Count the points of the mutable devices again that `retry` marked",
        "Nothing may be written to these devices meanwhile, nor in the two minutes before: deactivate them first. "
        "It reads all their segments, and prints how many read units that costs.",
    )
    chosen = recount.add_mutually_exclusive_group()
    chosen.add_argument("--device", metavar="ID", help="count only this device, marked or not")
    chosen.add_argument("--all", action="store_true", help="count all mutable devices of the stage")
    token = _add(
        parsers,
        "token",
        lambda options: commands.token(_cloud(options), options.profile_id),
        "Make a full token of a profile and print it",
        "For an operator who has lost every token.",
    )
    password = _add(
        parsers,
        "password",
        lambda options: commands.password(_cloud(options), options.email),
        "Ask for a new password of an account and set it",
        "It also turns the account's authenticator off and ends the tokens that it made.",
    )
    password.add_argument("--email", help="the e-mail address of the account; default: the first account")
    plan = _add(
        parsers,
        "plan",
        lambda options: commands.plan(_cloud(options), options.profile_id, options.plan),
        "Give a profile another price plan",
        "It counts within about a minute.",
    )
    plan.add_argument("profile_id", metavar="PROFILE", help="the id of the profile")
    plan.add_argument("plan", metavar="PLAN", help="the name of the price plan, such as free")
    restored = _add(
        parsers,
        "restore",
        _run_restore,
        "Bring the stage back to a second of the last 35 days",
        "It restores both tables under new names, looks them over, and makes the stage use them. The old tables stay. "
        "It can take hours. You can interrupt it and run it again.",
    )
    what = restored.add_mutually_exclusive_group()
    what.add_argument("--to", type=time, metavar="TIME", help="the second, such as 2026-11-26T07:00:00Z")
    what.add_argument("--back", action="store_true", help="use the older tables again")
    what.add_argument("--drop-old", action="store_true", help="remove the tables that the stage does not use")
    restored.add_argument(
        "--keep-deleted",
        action="store_true",
        help="with --to: devices and tokens that were deleted since come back",
    )
    token.add_argument("--profile-id", help="the profile; not needed if there is only one")
    retry.add_argument("--dead-letters", action="store_true", help="also deliver those that could not be stored")
    config = _add(
        parsers,
        "config",
        lambda options: commands.config(options.stage),
        "Write the stage's part of .chalice/config.json and its policies",
        "It prints the files that changed. It does not call AWS.",
    )
    for parser in (up, init_, down, check, diff, retry, recount, restored, token, password, plan, config):
        parser.add_argument("--stage", type=stage_name, default="dev", help="the stage to work on; default: dev")
    for parser in (up, init_, down, check, diff, retry, recount, restored, token, password, plan):
        parser.add_argument("--profile", help="the AWS profile with the credentials and the region, as for `aws`")


def _run_check(options: Options) -> int:
    if options.live:
        return commands.check_live(_cloud(options), url=options.url, mqtt=options.mqtt)
    if options.url or options.mqtt:
        options.refuse("--url and --mqtt need --live")
    return commands.check(_cloud(options))


def _add_cost(parsers: Any) -> None:
    """Add the command that prints costs."""
    parser = _add(
        parsers,
        "cost",
        _run_cost,
        "Print what points cost at AWS's list prices",
        "It does not call AWS and needs no account.",
    )
    parser.add_argument("--points", type=positive, default=1e6, help="how many points, or reads; default: 1e6")
    parser.add_argument(
        "--batch", type=int, choices=(1, 100), default=1, help="points a request or message; default: 1"
    )
    parser.add_argument("--path", choices=("http", "mqtt"), default="http", help="how devices send; default: http")
    parser.add_argument(
        "--every",
        type=positive,
        default=10,
        metavar="SECONDS",
        help="between two requests of a device; default: 10",
    )
    parser.add_argument(
        "--environments",
        type=positive,
        default=1,
        help="how many execution environments of each function have caches of their own; inf: none helps; default: 1",
    )
    parser.add_argument("--basic-ingest", action="store_true", help="devices publish to the topic rule, not the broker")
    parser.add_argument("--read", choices=cost.ACCESSES, help="print what reads of this kind cost instead")


def _add_scale(parsers: Any) -> None:
    """Add the command that prints what a fleet needs."""
    parser = _add(
        parsers,
        "scale",
        _run_scale,
        "Print what a fleet of devices needs of AWS, which limit it meets first, and what a month costs",
        "It does not call AWS and needs no account.",
    )
    parser.allow_abbrev = False  # other commands have --device and --profile
    parser.add_argument("--devices", type=whole, required=True, help="how many devices")
    parser.add_argument(
        "--every", type=finite, default=60, metavar="SECONDS", help="between two requests of a device; default: 60"
    )
    parser.add_argument(
        "--batch", type=whole, default=1, help=f"points a request, at most {scale.MOST_POINTS:,}; default: 1"
    )
    path = parser.add_mutually_exclusive_group()
    path.add_argument("--http", action="store_const", const="http", dest="path", help="devices use HTTP; the default")
    path.add_argument(
        "--mqtt", action="store_const", const="mqtt", dest="path", help="devices stay connected with MQTT"
    )
    parser.add_argument(
        "--retention", type=finite, default=12, metavar="MONTHS", help="how long points are kept; default: 12"
    )
    parser.add_argument("--profiles", type=whole, default=1, help="how many profiles share the devices; default: 1")


def _run_restore(options: Options) -> int:
    if options.keep_deleted and options.to is None:
        options.refuse("--keep-deleted goes with --to")
    if not (options.back or options.drop_old or options.to):
        options.refuse("say what to do: --to, --back or --drop-old")
    cloud = _cloud(options)
    if options.back:
        return restore.back(cloud)
    if options.drop_old:
        return restore.drop_old(cloud)
    return restore.restore(cloud, options.to, keep_deleted=options.keep_deleted)


def _run_cost(options: Options) -> int:
    return commands.print_costs(
        points=options.points,
        batch=options.batch,
        path=options.path,
        every_s=options.every,
        environments=options.environments,
        basic_ingest=options.basic_ingest,
        access=options.read,
    )


def _run_scale(options: Options) -> int:
    if options.batch > scale.MOST_POINTS:
        options.refuse(f"--batch: a request has at most {scale.MOST_POINTS:,} points here")
    if options.profiles > options.devices:
        options.refuse("--profiles: each profile needs a device, so there are at most as many as --devices")
    path = options.path or "http"
    fleet = scale.Fleet(
        options.devices, options.every, options.batch, path, months=options.retention, profiles=options.profiles
    )
    print(scale_report.report(fleet))
    return 0


def _cloud(options: Options) -> Cloud:
    if options.profile:
        # As with `aws`, the option outranks keys in the environment. Chalice takes the profile from there too.
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        os.environ["AWS_PROFILE"] = options.profile
    if "AWS_REGION" in os.environ:
        os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])  # the only one that botocore reads
    session = botocore.session.Session()
    try:
        is_known = session.get_credentials() is not None
    except botocore.exceptions.ProfileNotFound:
        known = ", ".join(session.available_profiles) or "none"
        raise RefusedError(
            f"There is no AWS profile {options.profile or os.environ['AWS_PROFILE']}, only {known}"
        ) from None
    if not is_known:
        raise RefusedError("No AWS credentials. Name a profile with --profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID")
    if session.get_config_variable("region") is None:
        raise RefusedError("No region. Set AWS_DEFAULT_REGION, or the region of the AWS profile")
    waiting.install(session)
    chalice.use_plans(options.stage)
    return Cloud(session, options.stage)


if __name__ == "__main__":
    sys.exit(main())
