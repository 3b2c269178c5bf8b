"""Stores MQTT messages.

The broker has authenticated the device that sent a message. The payload does not decide whose message it is.
"""

from typing import NamedTuple

from chalicelib import errors
from chalicelib import store as stores
from chalicelib.host import events, log
from chalicelib.schemas import messages
from chalicelib.services.access import reach
from chalicelib.services.devices import actions, params
from chalicelib.services.points import send
from chalicelib.services.points.send import Arrival


class Message(NamedTuple):
    """A message as a broker received it."""

    sender: tuple[str, str] | None
    """The profile and device of the client; None if no device is bound to its client id."""
    client_id: str
    topic: str
    payload: bytes
    arrived_ms: int
    unique: str
    """Differs between two equal messages, but not between two deliveries of one message."""


def store(message: Message) -> int:
    """Store a message if its topic is one of those that are stored; return how many points were stored.

    A message is one unit: if it is refused, it leaves no writes.

    Raises:
        errors.BadRequest: the message can never be stored; the text says why.
        errors.Unavailable: the store is down; the message must be delivered again.
    """
    topic = messages.plain(message.topic)
    named, below = messages.device_of_topic(topic) or (None, topic)
    if message.sender is None:
        if named is not None and below != messages.OWN_TOPIC:
            return 0  # the API published it to a device, without a client; the topic rule passes it on as well
        raise errors.BadRequest("No device is bound to the client id")
    profile, device_id = message.sender
    if named not in (None, device_id):
        raise errors.BadRequest(f"The topic is another device's: {topic[:200]}")
    device = reach.device_or_raise(profile=profile, device=device_id)
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    is_always = below == messages.OWN_TOPIC if named else topic in messages.STORED_TOPICS
    if not is_always and not actions.is_stored(device=device, topic=below):
        return 0
    sent = messages.read_message(
        message.payload, topic, is_hex=lambda: params.value_of(device=device_id, key="payload_type") == "hex"
    )
    if sent.ignored:
        log.line(function="mqtt", profile=profile, device=device_id, ignored=sent.ignored)
        events.current().seen(device_id, "[MQTT] Publish", f"ignored: {', '.join(sent.ignored)}")
    arrival = Arrival(message.arrived_ms, f"{message.client_id} {topic} {message.unique}")
    with stores.current().unit():
        return send.store_points(device=device, sent=sent, arrival=arrival)
