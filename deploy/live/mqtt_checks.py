"""Checks over MQTT: points, refusals, wills, retained messages, and what the topic rules pass on."""

import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from deploy.live import broker
from deploy.live.broker import Client, Message, NotAdmitted
from deploy.live.report import shape
from deploy.live.site import SHARED_TOPIC, Check, Finding, Site, nonce

_STORED_S = 30.0
"""How long a message may take to be stored. A cold start takes some seconds."""
_LETTER_S = 45.0
_UNWANTED_S = 12.0
"""How long to look for a letter that should not come."""


def point(site: Site) -> Finding:
    """A message is stored."""
    started_s = site.patience.now_s()
    with _connected(site) as client:
        is_acknowledged = client.publish(SHARED_TOPIC, _point("live_mqtt"))
    faults = [] if is_acknowledged else ["the broker did not acknowledge the message"]
    faults += _not_stored(site, "live_mqtt")
    return Finding(f"connected, published and read back in {site.patience.now_s() - started_s:.1f} s", faults)


def bad_token(site: Site) -> Finding:
    """A client with an unknown token is refused."""
    try:
        with _connected(site, token=str(uuid.uuid4())):
            return Finding("connected", ["expected a refusal"])
    except NotAdmitted as error:
        return Finding(f"refused, {error}")


def own_publish(site: Site) -> Finding:
    """A message that the API publishes reaches the device, and the topic rules leave it out."""
    topic, text = f"device/{site.device.id}/data/post", nonce()
    with _connected(site) as client:
        if not client.subscribe(topic):
            return Finding("subscription refused", ["expected to be allowed below device/<id>/"])
        sent = {"topic": "data/post", "message": f'{{"broken": "{text}"', "device": site.device.id, "qos": 1}
        _ = site.api.ask("POST", "/analysis/services/mqtt/publish", site.unlimited.token, sent).result
        message = client.next_message()
    seen = "not delivered" if message is None else f"delivered on `{message.topic.replace(site.device.id, '<id>')}`"
    faults = [] if message is not None and text.encode() in message.payload else ["expected the API's message"]
    letter = site.patience.until(lambda: site.letter(text), _UNWANTED_S, "a dead letter that should not come")
    if letter is None:
        return Finding(f"{seen}; the topic rules leave it out", faults)
    client_id = str(letter.get("clientid", ""))
    told = "n/a" if client_id.lower() == "n/a" else shape(client_id)
    return Finding(
        f"{seen}; clientid() is {told}", [*faults, "the topic rules pass it on, and it became a dead letter"]
    )


def principal(site: Site) -> Finding:
    """A message that can never be stored becomes a dead letter, which holds what the topic rule selects."""
    text = nonce()
    client_id, site.are_letters_due = site.client_id(), True
    with _connected(site, client_id=client_id) as client:
        client.publish(SHARED_TOPIC, f'{{"broken": "{text}"'.encode())
    letter = site.patience.until(lambda: site.letter(text), _LETTER_S, "the dead letter")
    if letter is None:
        return Finding("no dead letter", [f"expected one within {_LETTER_S:.0f} s"])
    site.are_letters_due = False
    found = letter.get("principal")
    more = " (this may ring the alarm of the dead letters once)"
    if found == site.device.id:
        return Finding(f"the id of the device{more}")
    if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{24}", found):
        return Finding(f"24 hex digits{more}", ["they look like a device's id, but are not this device's"])
    if found == client_id:
        return Finding(f"the client id{more}", is_note=True)
    told = "absent" if found is None else shape(str(found))
    return Finding(f"{told}{more}", is_note=True)


def will(site: Site) -> Finding:
    """The will of a client that loses its connection is stored."""
    try:
        client = _client(site, will=Message(SHARED_TOPIC, _point("live_will")))
    except NotAdmitted as error:
        return Finding(f"refused, {error}", ["expected that a client may have a will"])
    try:
        client.drop()
    finally:
        client.close()
    faults = _not_stored(site, "live_will")
    return Finding("connected; the connection was dropped" + ("" if faults else "; the will was stored"), faults)


def retained(site: Site) -> Finding:
    """A message with the flag RETAIN is accepted and kept."""
    topic = f"device/{site.device.id}/live-retained"
    with _connected(site) as client:
        if not client.publish(topic, b"kept", is_retained=True):
            return Finding("not acknowledged", ["expected that a device may publish with RETAIN below device/<id>/"])
        try:
            message = client.next_message() if client.subscribe(topic) else None
        finally:
            client.publish(topic, b"", is_retained=True)  # an empty message removes the one that is kept
    if message is None or not message.is_retained:
        return Finding("acknowledged, but not delivered to a later subscription", ["expected the message"])
    return Finding("acknowledged, kept, and delivered to a later subscription")


def _not_stored(site: Site, variable: str) -> list[str]:
    stored = site.patience.until(lambda: site.point(variable), _STORED_S, f"the point {variable}")
    return [] if stored else [f"the point was not stored within {_STORED_S:.0f} s"]


def _point(variable: str) -> bytes:
    return json.dumps({"variable": variable, "value": 1}).encode()


def _client(site: Site, *, token: str | None = None, client_id: str | None = None, **more: Any) -> Client:
    assert site.mqtt is not None  # noqa: S101 - else no check of this module runs
    return broker.Client(
        site.mqtt, token or site.device.token, client_id or site.client_id(), site.patience.answer_s(), **more
    )


@contextlib.contextmanager
def _connected(site: Site, **options: Any) -> Iterator[Client]:
    """Connect a client for a while. Raises broker.NotAdmitted."""
    client = _client(site, **options)
    try:
        yield client
    finally:
        client.close()


CHECKS: tuple[tuple[str, Check], ...] = (
    ("Point over MQTT", point),
    ("MQTT, bad token", bad_token),
    ("MQTT, the API's own message", own_publish),
    ("MQTT, principal()", principal),
    ("MQTT, will", will),
    ("MQTT, RETAIN", retained),
)
