"""Messages that clients publish to a device.

Source: the official clients. Each has its own spelling.
"""

from typing import Annotated, NotRequired

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from chalicelib import errors
from chalicelib.schemas.bodies import Body
from chalicelib.schemas.fields import Id

MAX_MESSAGE_BYTES = 128_000


def _topic(text: str) -> str:
    if not text or "+" in text or "#" in text or "\0" in text:
        raise ValueError("topic must have a character at least, and no wildcard")
    return text


class Options(TypedDict, total=False):
    """The options of a message, as the Python client sends them."""

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
    """A message to a device, in the same shape for every client."""

    device: str
    topic: str
    message: str
    qos: int


def _publication(sent: PublishIn) -> Publication:
    """Read the spelling of either client: JavaScript's has no nested options, Python's says bucket for device."""
    device = sent.get("device") or sent.get("bucket")
    if device is None:
        raise errors.BadRequest.field("device", "device is required")
    options = sent.get("options") or {}
    qos = sent.get("qos") or options.get("qos") or 0
    if qos not in (0, 1, 2):
        raise errors.BadRequest.field("qos", "qos must be 0, 1 or 2")
    if len(sent["message"].encode()) > MAX_MESSAGE_BYTES:
        raise errors.TooLarge(f"message must have at most {MAX_MESSAGE_BYTES} bytes")
    return {"device": device, "topic": sent["topic"], "message": sent["message"], "qos": qos}


publish: Body[Publication] = Body(TypeAdapter(PublishIn), then=_publication)
