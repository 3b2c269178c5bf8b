"""MQTT messages: from a payload to points.

Source: TagoIO, MQTT: what a stored payload becomes. Both names of the topic in the metadata are given, as clients
read one or the other.
"""

import re
from collections.abc import Callable

from chalicelib.schemas.points import Sent, read_points

STORED_TOPICS = ("tago/data/post", "tagoio/data/post")
"""Topics shared by all devices whose messages are stored."""
OWN_TOPIC = "data/post"
"""Below a device's own topics, what is always stored."""
_DEVICE_TOPIC = re.compile(r"device/([0-9a-f]{24})/(.+)")


def plain(topic: str) -> str:
    """Return a topic without the prefix of a message that was published to its rule directly.

    >>> plain("$aws/rules/decant_dev_shared/tago/data/post")
    'tago/data/post'
    """
    return topic.split("/", 3)[3] if topic.startswith("$aws/rules/") and topic.count("/") > 2 else topic


def device_of_topic(topic: str) -> tuple[str, str] | None:
    """Return the device that a topic of its own names, and what follows; or None."""
    match = _DEVICE_TOPIC.fullmatch(topic)
    return (match[1], match[2]) if match else None


def read_message(payload: bytes, topic: str, is_hex: Callable[[], bool]) -> Sent:
    """Read a payload: points in JSON, or anything else as the value of one point ``payload``.

    Args:
        payload: the bytes that were published.
        topic: goes into each point's metadata.
        is_hex: tells, when asked, whether what is not JSON is written as hex digits; else it is taken for text.

    Raises:
        errors.BadRequest: it looks like JSON and is not, or its points break a rule.
    """
    about = {"mqtt_topic": topic, "topic": topic}
    if payload.lstrip()[:1] in (b"[", b"{"):
        sent = read_points(payload)
        for item in sent.items:
            item["metadata"] = {**(item.get("metadata") or {}), **about}
        return sent
    value = payload.hex() if is_hex() else payload.decode(errors="replace")
    return Sent([{"variable": "payload", "value": value, "metadata": about}], payload)
