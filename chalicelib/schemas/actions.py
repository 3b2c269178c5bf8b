"""Actions as clients send them, and messages that are published to a device.

Source: the official clients name the fields; what a trigger of type mqtt_topic and the action that stores hold is in no
source, and decided in docs/decisions.md.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec import topics
from chalicelib.schemas.devices import Description, Id, Name, Tags
from chalicelib.schemas.queries import bad
from chalicelib.schemas.reading import read_json

MAX_TRIGGERS = 50
MAX_MESSAGE_BYTES = 128_000
FIELDS = (
    "id", "name", "active", "tags", "description", "type", "trigger", "action", "lock", "profile", "last_triggered",
    "created_at", "updated_at", "trigger_when_unlock",
)  # fmt: skip
DEFAULT_FIELDS = ("id", "name")


def _filter(text: str) -> str:
    if not topics.is_filter(text):
        raise ValueError("topic must be a topic, or a filter with + for a level or # at its end")
    return text


def _topic(text: str) -> str:
    if not text or "+" in text or "#" in text or "\0" in text:
        raise ValueError("topic must have a character at least, and no wildcard")
    return text


class Trigger(TypedDict, total=False):
    """When an action is done: a message of one device, or of those with a tag, on a topic."""

    device: Id | None
    tag_key: Annotated[StrictStr, Field(max_length=100)] | None
    tag_value: Annotated[StrictStr, Field(max_length=500)] | None
    topic: Annotated[StrictStr, Field(max_length=256), AfterValidator(_filter)]


class Deed(TypedDict):
    """What is done: the message is stored as data of the device that sent it."""

    type: Literal["insert_to_device"]


Triggers = Annotated[list[Trigger], Field(min_length=1, max_length=MAX_TRIGGERS)]


class ActionEditIn(TypedDict, total=False):
    """PUT /action/{id}; other fields are ignored."""

    name: Name
    active: StrictBool
    tags: Tags
    description: Description
    type: Literal["mqtt_topic"]
    trigger: Triggers
    action: Deed
    lock: StrictBool
    trigger_when_unlock: StrictBool


class ActionIn(ActionEditIn):
    """POST /action: what an edit may leave out is required, which a type checker does not let a subclass say."""

    name: Name  # type: ignore[misc]
    type: Literal["mqtt_topic"]  # type: ignore[misc]
    trigger: Triggers  # type: ignore[misc]
    action: Deed  # type: ignore[misc]


class Options(TypedDict, total=False):
    """Of a message, as the Python client sends them."""

    qos: StrictInt | None
    retain: StrictBool | None


class PublishIn(TypedDict):
    """POST /analysis/services/mqtt/publish."""

    topic: Annotated[StrictStr, Field(max_length=256), AfterValidator(_topic)]
    message: StrictStr
    device: NotRequired[Id | None]
    bucket: NotRequired[Id | None]
    qos: NotRequired[StrictInt | None]
    retain: NotRequired[StrictBool | None]
    options: NotRequired[Options | None]


class Publication(TypedDict):
    """A message to a device, whichever client sent it."""

    device: str
    topic: str
    message: str
    qos: int


_edit = TypeAdapter(ActionEditIn)
_create = TypeAdapter(ActionIn)
_publish = TypeAdapter(PublishIn)


def read_create(raw: bytes) -> ActionIn:
    """Read a new action.

    Raises:
        errors.BadRequest: not JSON, a field that breaks a rule, or a trigger that names no device.
    """
    sent = read_json(_create, raw)
    _check_triggers(sent["trigger"])
    return sent


def read_edit(raw: bytes) -> ActionEditIn:
    """Read a change of an action.

    Raises:
        errors.BadRequest: as read_create.
    """
    sent = read_json(_edit, raw)
    _check_triggers(sent.get("trigger", ()))
    return sent


def _check_triggers(triggers: Any) -> None:
    for index, trigger in enumerate(triggers):
        if not trigger.get("topic"):
            raise bad("trigger", f"trigger {index} must have a topic")
        if not trigger.get("device") and not trigger.get("tag_key"):
            raise bad("trigger", f"trigger {index} must have a device, or tag_key and tag_value")


def read_publication(raw: bytes) -> Publication:
    """Read a message to a device. The JavaScript client flattens its options, the Python one calls the device a bucket.

    Raises:
        errors.BadRequest: not JSON, no device, or a field that breaks a rule.
        errors.TooLarge: the message is over 128,000 bytes.
    """
    sent = read_json(_publish, raw)
    device = sent.get("device") or sent.get("bucket")
    if device is None:
        raise bad("device", "device is required")
    options = sent.get("options") or {}
    qos = sent.get("qos") or options.get("qos") or 0
    if qos not in (0, 1, 2):
        raise bad("qos", "qos must be 0, 1 or 2")
    if len(sent["message"].encode()) > MAX_MESSAGE_BYTES:
        raise errors.TooLarge(f"message must have at most {MAX_MESSAGE_BYTES} bytes")
    return {"device": device, "topic": sent["topic"], "message": sent["message"], "qos": qos}
