"""Turns the payload of an MQTT message into points.

Source: TagoIO, MQTT. The metadata holds the topic under two names, as some clients read one and some the other.
"""

import re
from collections.abc import Callable

from chalicelib.codec import jsontext
from chalicelib.schemas.points import Sent, payload_point, read_points

STORED_TOPICS = ("tago/data/post", "tagoio/data/post")
"""Topics that all devices share. Messages on them are always stored."""
OWN_TOPIC = "data/post"
"""The end of the one topic below ``device/<id>/`` whose messages are always stored."""
_DEVICE_TOPIC = re.compile(r"device/([0-9a-f]{24})/(.+)")


def plain(topic: str) -> str:
    """Return a topic without the prefix that it has if a client published to the topic rule directly.

    >>> plain("$aws/rules/decant_dev_shared/tago/data/post")
    'tago/data/post'
    """
    return topic.split("/", 3)[3] if topic.startswith("$aws/rules/") and topic.count("/") > 2 else topic


def device_of_topic(topic: str) -> tuple[str, str] | None:
    """Return the device id and the rest of a topic ``device/<id>/<rest>``; None for other topics."""
    match = _DEVICE_TOPIC.fullmatch(topic)
    return (match[1], match[2]) if match else None


def read_message(payload: bytes, topic: str, is_hex: Callable[[], bool]) -> Sent:
    """Read a payload: points in JSON, or anything else as the value of one point ``payload``.

    Args:
        payload: the bytes that were published.
        topic: goes into each point's metadata.
        is_hex: returns whether a payload that is not JSON is stored as hex digits, and not as text. Called only then.

    Raises:
        errors.BadRequest: the payload looks like JSON but is not, or its points break a rule.
    """
    about = {"mqtt_topic": topic, "topic": topic}
    text = jsontext.bare(payload)
    if text is not None:
        sent = read_points(text)
        for item in sent.items:
            item["metadata"] = {**(item.get("metadata") or {}), **about}
        return sent
    return Sent([payload_point(payload, about, is_hex=is_hex())], payload)
