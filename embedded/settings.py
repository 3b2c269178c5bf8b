"""The settings of the embedded mode, read once from the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chalicelib.codec import tokens
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
    profile_token: str | None = None
    """Text of the first profile's token: a UUID, with or without `p-`. Random if not set."""
    device_token: str | None = None
    """Text of the first device's token: a UUID. Random if not set."""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """`FULL` survives a power cut, `NORMAL` only a crash of the process."""


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
        read(Settings)
    except ValueError as error:
        problems.append(str(error))
    for name in ("profile_token", "device_token"):
        text = getattr(options, name)
        if text is not None and tokens.bare(text) is None:
            problems.append(f"{variable(name)} must be a UUID, for a profile with p- in front")
    if problems:
        raise ValueError("; ".join(problems))
    return options
