"""The settings, read once from the environment."""

import os
from dataclasses import dataclass

from chalicelib.host.slot import Slot

_TRUE = {"1", "true", "yes", "on"}


def _flag(name: str, default: bool) -> bool:
    text = os.environ.get(name, "")
    return text.lower() in _TRUE if text else default


def _flag_or_auto(name: str) -> str:
    text = os.environ.get(name, "")
    return "auto" if text.lower() in ("", "auto") else str(_flag(name, False)).lower()


def _whole(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable ``DECANT_<NAME>``, in upper case."""

    segments_table: str = "decant-segments"
    """On AWS: DynamoDB table of the points."""
    entities_table: str = "decant-entities"
    """On AWS: DynamoDB table of profiles, devices, tokens, parameters and directories."""
    secret_parameter: str = "/decant/secret"  # noqa: S105 - a name
    """On AWS: SSM SecureString with the secret that tokens are derived from."""
    dead_letters_queue: str = "decant-dead-letters"
    """On AWS: SQS queue of the MQTT messages that could not be stored."""
    basic_ingest_rule: str = ""
    """On AWS: topic rule that devices may publish to without the message broker, which costs less."""
    dedupe: bool = True
    """Whether a retry, or a point that occurs twice in one request, is stored only once."""
    scalar_as_list: str = "auto"
    """Whether count, avg and sum answer ``[{"time", "value"}]`` instead of a bare number. ``auto``: only to TagoIO's
    clients, where they cannot read a number or null; they are known by their User-Agent."""
    max_inflated_bytes: int = 200_000
    """Size up to which a body in gzip or deflate is inflated; 200000 to 2000000."""
    profile_may_send: bool = False
    """Whether a profile token may POST to ``/device/{id}/data``. The embedded mode turns it on if it is not set."""


def load() -> Settings:
    """Read the environment.

    Raises:
        ValueError: a setting breaks a rule; the text names its variable.
    """
    defaults = Settings()
    return Settings(
        segments_table=os.environ.get("DECANT_SEGMENTS_TABLE", defaults.segments_table),
        entities_table=os.environ.get("DECANT_ENTITIES_TABLE", defaults.entities_table),
        secret_parameter=os.environ.get("DECANT_SECRET_PARAMETER", defaults.secret_parameter),
        dead_letters_queue=os.environ.get("DECANT_DEAD_LETTERS_QUEUE", defaults.dead_letters_queue),
        basic_ingest_rule=os.environ.get("DECANT_BASIC_INGEST_RULE", defaults.basic_ingest_rule),
        dedupe=_flag("DECANT_DEDUPE", defaults.dedupe),
        scalar_as_list=_flag_or_auto("DECANT_SCALAR_AS_LIST"),
        max_inflated_bytes=_whole("DECANT_MAX_INFLATED_BYTES", defaults.max_inflated_bytes, 200_000, 2_000_000),
        profile_may_send=_flag("DECANT_PROFILE_MAY_SEND", defaults.profile_may_send),
    )


_slot = Slot(load)
current, use = _slot.current, _slot.use

MAX_BODY_BYTES = 200_000
MAX_ANSWER_BYTES = 5_000_000
"""Lambda cuts answers at 6 MB."""
CACHE_S = 60
"""How many seconds a token or device may be used after it was read, without reading it again."""
REQUEST_LIMIT_S = 20.0
"""How long a request may take."""
STORE_DEADLINE_S = 20.0
