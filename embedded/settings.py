"""The settings of the embedded mode, read once from the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """Each field is the environment variable ``DECANT_<NAME>``, in upper case. An empty variable counts as not set."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    http_port: int = 8000
    """Port of the HTTP server. 0 takes a free port."""
    mqtt_port: int = 1883
    """Port of the MQTT broker. 0 takes a free port."""
    mqtts_port: int = 8883
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
    synchronous: str = "FULL"
    """`FULL` survives a power cut, `NORMAL` only a crash of the process."""


def load() -> EmbeddedSettings:
    """Read the environment.

    Raises:
        ValueError: a setting breaks a rule; the text names its variable.
    """
    defaults = EmbeddedSettings()
    return EmbeddedSettings(
        host=os.environ.get("DECANT_HOST") or defaults.host,
        http_port=_port("DECANT_HTTP_PORT", defaults.http_port),
        mqtt_port=_port("DECANT_MQTT_PORT", defaults.mqtt_port),
        mqtts_port=_port("DECANT_MQTTS_PORT", defaults.mqtts_port),
        mqtt_cert=os.environ.get("DECANT_MQTT_CERT") or defaults.mqtt_cert,
        mqtt_key=os.environ.get("DECANT_MQTT_KEY") or defaults.mqtt_key,
        data_dir=Path(os.environ.get("DECANT_DATA_DIR") or defaults.data_dir),
        profile_token=os.environ.get("DECANT_PROFILE_TOKEN") or defaults.profile_token,
        device_token=os.environ.get("DECANT_DEVICE_TOKEN") or defaults.device_token,
        synchronous=_synchronous(os.environ.get("DECANT_SYNCHRONOUS") or defaults.synchronous),
    )


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise ValueError(f"{name} must be a port from 0 to {_MAX_PORT}, not {text!r}")
    return int(text)


def _synchronous(text: str) -> str:
    if text.upper() not in ("FULL", "NORMAL"):
        raise ValueError(f"DECANT_SYNCHRONOUS must be FULL or NORMAL, not {text!r}")
    return text.upper()
