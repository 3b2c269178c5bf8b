"""The settings, read once from the environment.

A settings class is a frozen dataclass. The type of a field says what its variable may hold, and ``read`` checks it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from chalicelib.host.slot import Slot

T = TypeVar("T")
Port = Annotated[int, range(65_536)]
_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


def read(model: type[T]) -> T:
    """Return a settings class with what the environment sets. An empty variable counts as not set.

    Args:
        model: a dataclass. Its fields are of type bool, Path, text, a ``Literal`` of texts, or a whole number whose
            range stands beside it, as in ``Port``.

    Raises:
        ValueError: variables break the rules of their types; the text names each, its rule and what is set.
    """
    known: Any = fields(model)  # type: ignore[arg-type]
    found, problems = {}, []
    for field in known:
        text = os.environ.get(variable(field.name))
        if text:
            try:
                found[field.name] = _parse(field.name, field.type, text)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return model(**found)


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return f"DECANT_{name.upper()}"


def _parse(name: str, kind: Any, text: str) -> Any:
    choices = get_args(kind)
    value: Any
    if kind is bool:
        value, rule = _FLAGS.get(text.lower()), "true or false"
    elif get_origin(kind) is Literal:
        folded = text.lower()
        if "true" in choices and folded in _FLAGS:
            folded = str(_FLAGS[folded]).lower()
        value = next((choice for choice in choices if choice.lower() == folded), None)
        rule = " or ".join(choices)
    elif get_origin(kind) is Annotated:
        allowed: range = choices[1]
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
        value, rule = number if number in allowed else None, f"a whole number from {allowed[0]} to {allowed[-1]}"
    else:
        return kind(text) if isinstance(kind, type) else text
    if value is None:
        raise ValueError(f"{variable(name)} must be {rule}, not {text!r}")
    return value


def unknown(*models: type[Any]) -> Iterator[str]:
    """Yield a warning for each ``DECANT_…`` variable of the environment that is no field of these settings classes."""
    known = [field.name for model in models for field in fields(model)]
    for name in sorted(os.environ):
        if name.startswith("DECANT_") and name not in map(variable, known):
            from difflib import get_close_matches  # noqa: PLC0415 - seldom needed

            near = get_close_matches(name.removeprefix("DECANT_").lower(), known, n=1)
            yield f"{name} is not a setting" + (f", do you mean {variable(near[0])}?" if near else "")


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
    failures_queue: str = "decant-failures"
    """On AWS: SQS queue of the calls that failed for good, and of the devices that could not be counted."""
    keys_queue: str = "decant-keys.fifo"
    """On AWS: SQS queue of the profiles whose API key must be made or removed."""
    keys_prefix: str = "decant-"
    """On AWS: how the names of the API keys and of the usage plans begin."""
    sealer_queue: str = "decant-sealer"
    """On AWS: SQS queue of the devices whose past days are to be sealed."""
    files_bucket: str = "decant-files"
    """On AWS: how the name of the S3 bucket of backups and restores begins. Account and region follow."""
    files_queue: str = "decant-files"
    """On AWS: SQS queue of the devices with a backup or restore."""
    sealing: bool = True
    """On AWS: whether past days with 64 small segments or more are sealed, of immutable devices that keep their points
    for seven months or more. It begins an hour after the first version that can read them. What was stored while it was
    off stays as it is."""
    basic_ingest_rule: str = ""
    """On AWS: topic rule that devices may publish to without the message broker, which costs less."""
    mqtt: bool = True
    """On AWS: whether this stage has MQTT. If not, the API refuses to publish, and there are no sessions to end."""
    dedupe: bool = True
    """Whether a retry, or a point that occurs twice in one request, is stored only once."""
    scalar_as_list: Literal["auto", "true", "false"] = "auto"
    """Whether count, avg and sum answer ``[{"time", "value"}]`` instead of a bare number. ``auto``: only to TagoIO's
    clients, where they cannot read a number or null; they are known by their User-Agent."""
    max_inflated_bytes: Annotated[int, range(200_000, 2_000_001)] = 200_000
    """Size up to which a body in gzip or deflate is inflated; 200000 to 2000000."""
    profile_may_send: bool = False
    """Whether a profile token may POST to ``/device/{id}/data``. The embedded mode turns it on if it is not set."""
    sign_up: Literal["closed", "open"] = "closed"
    """Whether anybody may create an account. If it is not set, the embedded mode opens it, provided that `DECANT_HOST`
    is this machine and `DECANT_URL` is not set: then only people at this machine reach it."""
    mail_from: str = ""
    """Address that mails come from. On AWS it must be verified in SES. Not set: no mail is sent."""
    url: str = ""
    """Base URL of the API for the links in mails, and for where `/` leads. Not set: the address of the API itself."""
    password_memory_kib: Annotated[int, range(8, 1_048_577)] = 19_456
    """Memory in KiB that hashing a password takes. Higher is safer and slower; old passwords keep theirs."""
    password_passes: Annotated[int, range(1, 101)] = 2
    """How many passes hashing a password makes."""
    plans: str = ""
    """Further price plans, or other figures for `free`, `starter`, `scale` and `unlimited`: a JSON file, or JSON
    that begins with a brace, such as `{"own": {"like": "scale", "resources": {"device": 500}}}`. A plan takes all
    other figures from the plan that it is `like`, by default from `unlimited`; null means no limit. The names are
    those of plans.json."""
    default_plan: str = "unlimited"
    """The price plan of new profiles, and of profiles whose plan does not exist any more."""
    alerts_topic: str = ""
    """On AWS: ARN of the SNS topic that gets a message when 80, 90 or 100 % of a quota is used. Empty: none. The topic
    must have the name ``decant-<stage>-alerts``: the functions may publish to no other."""


def load() -> Settings:
    """Read the environment. Raises ValueError: as in ``read``."""
    return read(Settings)


def _on_aws() -> Settings:
    for warning in unknown(Settings):
        print(warning)
    return load()


_slot = Slot(_on_aws)
current, use = _slot.current, _slot.use

MAX_BODY_BYTES = 200_000
MAX_ANSWER_BYTES = 5_000_000
"""The largest answer, in bytes of UTF-8."""
MAX_SENT_BYTES = 6_290_000
"""The same as Lambda counts it, with quotes and backslashes escaped. Lambda sends 6,291,556 bytes with the headers."""
CACHE_S = 60
"""How many seconds a token or device may be used after it was read, without reading it again."""
REQUEST_LIMIT_S = 20.0
"""How long a request may take."""
STORE_DEADLINE_S = 20.0
