"""The settings of the embedded mode, read once from the environment."""

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chalicelib.codec import tokens
from chalicelib.schemas.accounts import check_email, check_password
from chalicelib.services.usage import plans
from chalicelib.settings import Port, Settings, read, variable


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """Each field is the environment variable ``DECANT_<NAME>``, in upper case. An empty variable counts as not set."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    http_port: Port = 8000
    """Port of the HTTP server. 0 takes a free port."""
    mqtt_port: Port = 1883
    """Port of the MQTT broker. 0 takes a free port."""
    mqtts_port: Port = 8883
    """Port of the MQTT broker with TLS. It is open only if there is a certificate."""
    mqtt_cert: str | None = None
    """File with the certificate for TLS, followed by its chain."""
    mqtt_key: str | None = None
    """File with the key of the certificate."""
    data_dir: Path = Path("data")
    """Folder of everything that is stored. One process at a time may use it."""
    email: str = "admin@localhost"
    """E-mail address of the first account, which the first start makes."""
    password: str | None = None
    """Password of the first account. Random, and printed once, if not set. It does not change an account that exists:
    `python -m embedded password EMAIL` does."""
    profile_token: str | None = None
    """Text of the first profile's token: a UUID, with or without `p-`. Random if not set."""
    device_token: str | None = None
    """Text of the first device's token: a UUID. Random if not set."""
    smtp_host: str | None = None
    """SMTP server that sends the mails, with STARTTLS if it offers that. Not set: mails are printed into the log."""
    smtp_port: Port = 587
    """Port of the SMTP server."""
    smtp_user: str = ""
    """Name to log in to the SMTP server with. Not set: no login."""
    smtp_password: str = ""
    """Password to log in to the SMTP server with."""
    token: str = ""
    """Token with which `python -m embedded import`, `export` and `simulate` call the API that `TAGOIO_API` names."""
    metrics_token: str = ""
    """Token of `GET /metrics`, which callers send as `Authorization: Bearer …`. Not set: only programs of this machine
    may read it, and nobody if `DECANT_URL` is the address of a proxy."""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """`FULL` survives a power cut, `NORMAL` only a crash of the process."""


def is_local(host: str) -> bool:
    """Return whether only this machine reaches an address to listen on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(name: str, text: str | None, check: Callable[[str], str]) -> Iterator[str]:
    """Yield what is wrong with a setting that is set."""
    try:
        if text:
            check(text)
    except ValueError as error:
        yield f"{variable(name)}: {error}"


def load() -> EmbeddedSettings:
    """Read the environment.

    Raises:
        ValueError: settings, also of the API, break a rule; the text names the variable of each.
    """
    options, problems = EmbeddedSettings(), []
    try:
        options = read(EmbeddedSettings)
    except ValueError as error:
        problems.append(str(error))
    try:
        common = read(Settings)
        plans.check(common.plans, common.default_plan)
    except ValueError as error:
        problems.append(str(error))
    problems += [*_wrong("email", options.email, check_email), *_wrong("password", options.password, check_password)]
    for name in ("profile_token", "device_token"):
        text = getattr(options, name)
        if text is not None and tokens.bare(text) is None:
            problems.append(f"{variable(name)} must be a UUID, for a profile with p- in front")
    if problems:
        raise ValueError("; ".join(problems))
    return options
