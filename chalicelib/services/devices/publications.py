"""Publishes messages to devices."""

from chalicelib.host import mqtt
from chalicelib.schemas.publications import Publication
from chalicelib.services.access import reach

_MAX_QOS = 1
"""The highest QoS that IoT Core and the embedded broker deliver."""


def publish(*, profile: str, sent: Publication) -> None:
    """Publish a message to the clients of a device.

    Raises:
        errors.BadRequest: this deployment has no broker.
        errors.NotFound: the profile has no such device.
        errors.Unavailable: the broker does not answer.
    """
    device = reach.device_or_raise(profile=profile, device=sent["device"])
    payload, qos = sent["message"].encode(), min(_MAX_QOS, sent["qos"])
    mqtt.current().publish(device=device["id"], topic=sent["topic"], payload=payload, qos=qos)
