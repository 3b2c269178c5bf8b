"""Stores MQTT messages.

The broker has authenticated the device that sent a message. The payload does not decide whose message it is.
"""

from typing import NamedTuple

from chalicelib import errors
from chalicelib import store as stores
from chalicelib.host import clock, events, log
from chalicelib.schemas import messages, payloads
from chalicelib.schemas.points import Sent
from chalicelib.services.access import reach
from chalicelib.services.devices import actions, params, parsers
from chalicelib.services.devices.parsers import Chain, Parsed
from chalicelib.services.points import send
from chalicelib.services.points.send import Arrival, Now, Prepared
from chalicelib.services.usage import quotas
from chalicelib.store import Doc


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


class Pending(NamedTuple):
    """A message that waits for the payload parsers of its device."""

    chain: Chain
    raw: bytes
    topic: str
    now: Now
    arrival: Arrival


class Ready(NamedTuple):
    """A message whose payload parsers have run."""

    prepared: Prepared
    parsed: Parsed


def store(message: Message) -> int:
    """Store a message if its topic is one of those that are stored; return how many points were stored.

    A message is one unit: if it is refused, it leaves no writes.

    Raises:
        errors.BadRequest: the message can never be stored; the text says why.
        errors.Unavailable: the store is down; the message must be delivered again.
    """
    begun = begin(message)
    if not isinstance(begun, Pending):
        return begun
    with parsers.showing(begun.chain.device["id"]):
        ready = parse(begun)
    return finish(ready)


def begin(message: Message) -> int | Pending:
    """Store a message as ``store`` does, unless its device has payload parsers.

    Returns:
        How many points were stored. If there are parsers: what ``parse`` needs to run them, maybe in a thread.

    Raises:
        errors.ApiError: as ``store``.
    """
    topic = messages.plain(message.topic)
    device = _device_of(message, topic)
    if device is None:
        return 0
    arrival = Arrival(message.arrived_ms, f"{message.client_id} {topic} {message.unique}")
    chain = parsers.chain_of(device)
    if chain is not None:
        quotas.check(profile=device["profile"], services=send.SERVICES)  # before the parsers take time
        now = Now(clock.now_ms(), clock.arrival_us())
        return Pending(chain, message.payload, topic, now, arrival)
    sent = messages.read_message(message.payload, topic, is_hex=lambda: _is_hex(params.list_all(device=device["id"])))
    _tell_ignored(device, sent)
    with stores.current().unit():
        return send.store_points(device=device, sent=sent, arrival=arrival)


def parse(pending: Pending) -> Ready:
    """Run the payload parsers for a message. Uses no store; must not run in the event loop.

    Raises:
        errors.ApiError: as ``parsers.parse``.
    """
    chain, raw, topic, now, arrival = pending
    payload = payloads.of_message(raw, topic, is_hex=lambda: _is_hex(chain.params))
    parsed = parsers.parse(chain, payload=payload, raw=raw, now_ms=arrival.time_ms)
    return Ready(send.prepare(device=chain.device, sent=parsed.sent, now=now, arrival=arrival), parsed)


def finish(ready: Ready) -> int:
    """Store what the payload parsers have made of a message; return how many points were stored.

    Raises:
        errors.ApiError: as ``store``, also if the device has been deleted or deactivated meanwhile.
    """
    prepared, parsed = ready
    device = prepared.request.device
    parsers.show(device["id"], parsed.notes)
    if parsed.dropped:
        log.line(function="mqtt", profile=device["profile"], device=device["id"], dropped=parsed.dropped)
    _tell_ignored(device, parsed.sent)
    with stores.current().unit():
        return send.put(send.renewed(prepared, device=_active_or_raise(device["profile"], device["id"])))


def _device_of(message: Message, topic: str) -> Doc | None:
    """Return the device whose data a message is; None if its topic is not stored."""
    named, below = messages.device_of_topic(topic) or (None, topic)
    if message.sender is None:
        if named is not None and below != messages.OWN_TOPIC:
            return None  # the API published it to a device, without a client; the topic rule passes it on as well
        raise errors.BadRequest("No device is bound to the client id")
    profile, device_id = message.sender
    if named not in (None, device_id):
        raise errors.BadRequest(f"The topic is another device's: {topic[:200]}")
    device = _active_or_raise(profile, device_id)
    is_always = below == messages.OWN_TOPIC if named else topic in messages.STORED_TOPICS
    return device if is_always or actions.is_stored(device=device, topic=below) else None


def _active_or_raise(profile: str, device_id: str) -> Doc:
    device = reach.device_or_raise(profile=profile, device=device_id)
    if not device["active"]:
        raise errors.BadRequest("Device is deactivated")
    return device


def _is_hex(known: list[Doc]) -> bool:
    """Return whether the parameters of a device say that a payload which is no JSON becomes hex digits.

    Of several the newest counts: a client may add one to the one that the device has got from its network.
    """
    return {param["key"]: param["value"] for param in known}.get("payload_type") == "hex"


def _tell_ignored(device: Doc, sent: Sent) -> None:
    if sent.ignored:
        log.line(function="mqtt", profile=device["profile"], device=device["id"], ignored=sent.ignored)
        events.current().seen(device["id"], "[MQTT] Publish", f"ignored: {', '.join(sent.ignored)}")
