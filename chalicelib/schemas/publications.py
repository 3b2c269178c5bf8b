"""Messages that clients publish to a device.

Source: the official clients. Each has its own spelling.
"""

from typing import Annotated, NotRequired

from pydantic import AfterValidator, StrictBool, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.codec import topics
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Id

MAX_MESSAGE_BYTES = 128_000


def _topic(text: str) -> str:
    if not text or "+" in text or "#" in text or "\0" in text:
        raise ValueError("topic must have a character at least, and no wildcard")
    return text


class PublishOptions(TypedDict, total=False):
    """The options of a message, as the Python client sends them."""

    qos: StrictInt | None
    retain: StrictBool | None


class _MessageIn(TypedDict):
    """What every client sends."""

    topic: Annotated[StrictStr, AfterValidator(_topic)]
    qos: NotRequired[StrictInt | None]
    retain: NotRequired[StrictBool | None]


class PublishIn(_MessageIn):
    """POST /analysis/services/mqtt/publish."""

    message: StrictStr
    device: NotRequired[Id | None]
    bucket: NotRequired[Id | None]
    options: NotRequired[PublishOptions | None]


class Publication(TypedDict):
    """A message to a device, in the same shape for every client."""

    device: str
    topic: str
    message: str
    qos: int
    retain: bool


def _publication(sent: PublishIn) -> Publication:
    """Read the spelling of either client: JavaScript's has no nested options, Python's says bucket for device."""
    device = sent.get("device") or sent.get("bucket")
    if device is None:
        raise errors.BadRequest.field("device", "device is required")
    _check_length(device, sent["topic"])
    options = sent.get("options") or {}
    return {
        "device": device,
        "topic": sent["topic"],
        "message": _message(sent["message"]),
        "qos": _qos(sent.get("qos") or options.get("qos")),
        "retain": sent.get("retain") or options.get("retain") or False,
    }


def _qos(sent: int | None) -> int:
    qos = sent or 0
    if qos not in (0, 1, 2):
        raise errors.BadRequest.field("qos", "qos must be 0, 1 or 2")
    return qos


def _message(text: str) -> str:
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        raise errors.TooLarge(f"message must have at most {MAX_MESSAGE_BYTES} bytes")
    return text


def _check_length(device: str, topic: str) -> None:
    """Refuse a topic that is too long for IoT Core. It is refused in the embedded mode too: both answer alike."""
    prefix = topics.of_device(device, "")
    max_slashes, max_bytes = topics.MAX_SLASHES - prefix.count("/"), topics.MAX_BYTES - len(prefix)
    if topic.count("/") > max_slashes:
        raise errors.BadRequest.field("topic", f"topic must have at most {max_slashes} slashes")
    if len(topic.encode()) > max_bytes:
        raise errors.BadRequest.field("topic", f"topic must have at most {max_bytes} bytes of UTF-8")


class RelayIn(_MessageIn):
    """POST /integration/network/publish."""

    device: Id
    message: NotRequired[StrictStr | None]


def _relayed(sent: RelayIn) -> Publication:
    return {
        "device": sent["device"],
        "topic": sent["topic"],
        "message": _message(sent.get("message") or ""),
        "qos": _qos(sent.get("qos")),
        "retain": sent.get("retain") or False,
    }


_QOS = {"properties": {"qos": {"enum": [0, 1, 2, None]}}}
relay: Body[Publication] = Body(TypeAdapter(RelayIn), then=_relayed, rules=_QOS)
publish: Body[Publication] = Body(
    TypeAdapter(PublishIn),
    then=_publication,
    rules={**_QOS, "anyOf": [{"required": ["device"]}, {"required": ["bucket"]}]},
)
