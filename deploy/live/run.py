"""Runs the checks: makes visitors in the stage, checks, removes the visitors, and prints the report meanwhile."""

import argparse
import contextlib
import importlib.util
import platform
import sys
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import botocore

from chalicelib import __version__
from deploy import chalice
from deploy.inventory import use_deployed_store
from deploy.live import function_checks, gateway_checks
from deploy.live.api import Api
from deploy.live.patience import Patience
from deploy.live.report import Report, masked_account
from deploy.live.site import Check, Finding, Site
from deploy.live.temporary import Temporary, Visitor
from deploy.mqtt import PORT, host, is_ours
from deploy.parts import Cloud

Address = tuple[str, int]
_KEY_REQUESTS = 5
_KEY_S = 90.0
"""How long API Gateway may take to know a new key."""


def run(cloud: Cloud, *, url: str | None, mqtt: Address | None, patience: Patience | None = None) -> int:
    """Check a deployed stage, and print the report. Takes up to four minutes.

    Makes two profiles with API keys, a device, tokens and a few points, and removes them in the end, even if it is
    interrupted. Prints what it could not remove.

    Args:
        cloud: the account and stage.
        url: the base URL; None: that of Chalice's record.
        mqtt: host and port of the MQTT endpoint; None: that of the stage.
        patience: how long to wait.

    Returns:
        The exit status: 1 if anything is not as promised, or could not be removed; 130 if it was interrupted.
    """
    record = chalice.deployed(cloud.stage).get("rest_api")
    api_url = url or (record and record["rest_api_url"])
    if not api_url:
        print(f"not deployed: run `python -m deploy up --stage {cloud.stage}`", file=sys.stderr)
        return 1
    use_deployed_store(cloud)
    mqtt = mqtt or _mqtt_address(cloud)
    report = Report(print, [urlsplit(api_url).hostname or "", *([mqtt[0]] if mqtt else [])])
    report.begin("Live check", _facts(cloud, is_named=url is not None))
    patience = patience or Patience()
    api = Api(api_url, patience)
    try:
        with _visited(cloud, api, patience, mqtt, report) as site:
            if site is not None:
                _check_all(site, report)
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    finally:
        api.close()
    print(f"\n{report.faults} faults")
    return 1 if report.faults else 0


def base_url(text: str) -> str:
    """Return a base URL, for argparse. Raises ArgumentTypeError: it is not one of HTTPS, which keeps tokens secret."""
    if urlsplit(text).scheme != "https" or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError(f"{text!r} must begin with https:// and name a host")
    return text


def mqtt_address(text: str) -> Address:
    """Return host and port of ``HOST[:PORT]``, for argparse. Raises ArgumentTypeError: it is none."""
    name, _, port = text.partition(":")
    if not name or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536)):
        raise argparse.ArgumentTypeError(f"{text!r} must be HOST or HOST:PORT")
    return name, int(port or PORT)


def _mqtt_address(cloud: Cloud) -> Address | None:
    """Return where the stage's MQTT clients connect, or None if MQTT belongs to another stage or was never made."""
    found = host(cloud) if is_ours(cloud) else None
    return (found, PORT) if found else None


def _facts(cloud: Cloud, *, is_named: bool) -> list[str]:
    address = "the address that `--url` names" if is_named else "API Gateway's own address"
    return [
        f"account {masked_account(cloud.account)}, region {cloud.region}, stage {cloud.stage}, {address}",
        f"Decant {__version__}, Python {platform.python_version()}, botocore {botocore.__version__}",
    ]


@contextlib.contextmanager
def _visited(cloud: Cloud, api: Api, patience: Patience, mqtt: Address | None, report: Report) -> Iterator[Site | None]:
    """Make what the checks need, and remove it. The site is None if it could not be made."""
    temporary = Temporary(cloud, api)
    site = None
    try:
        try:
            site = _made(cloud, api, patience, mqtt, temporary)
        except Exception as error:
            report.fault("Preparation", _told(error))
        yield site
    finally:
        patience.extend()
        left = temporary.remove()
        if site is not None and site.mqtt is not None:
            try:
                site.remove_letters()
            except Exception as error:
                left.append(f"a dead letter: {_told(error)}")
        report.judge("Removal", "the temporary profiles, keys, device, tokens and messages", left)


def _made(cloud: Cloud, api: Api, patience: Patience, mqtt: Address | None, temporary: Temporary) -> Site:
    free, unlimited = temporary.profile("free"), temporary.profile("unlimited")
    for visitor in (free, unlimited):
        _await_key(api, patience, visitor)
    return Site(cloud, api, patience, temporary, mqtt, free, unlimited, temporary.device(unlimited))


def _await_key(api: Api, patience: Patience, visitor: Visitor) -> None:
    """Wait until API Gateway knows the key of a profile: all its servers, of which each request meets another."""

    def look() -> bool | None:
        are_known = all(api.ask("GET", "/info", visitor.token).status == 200 for _ in range(_KEY_REQUESTS))
        return True if are_known else None

    if not patience.until(look, _KEY_S, "API Gateway to know the new API keys"):
        _ = api.ask("GET", "/info", visitor.token).result  # raises what it answers


def _check_all(site: Site, report: Report) -> None:
    _check(site, report, gateway_checks.CHECKS)
    if site.mqtt is None:
        report.note("MQTT", "not looked at: this stage has no MQTT endpoint")
    elif importlib.util.find_spec("paho") is None:
        report.note("MQTT", "not looked at: pip install paho-mqtt")
    else:
        from deploy.live import mqtt_checks  # noqa: PLC0415 - needs paho-mqtt

        _check(site, report, mqtt_checks.CHECKS)
    _check(site, report, function_checks.CHECKS)


def _check(site: Site, report: Report, checks: Sequence[tuple[str, Check]]) -> None:
    for name, check in checks:
        try:
            site.patience.answer_s()  # raises if no time is left
            found = check(site)
        except Exception as error:  # the other checks go on
            found = Finding("failed", [_told(error)])
        if found.is_note:
            report.note(name, found.seen)
        else:
            report.judge(name, found.seen, found.faults)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
