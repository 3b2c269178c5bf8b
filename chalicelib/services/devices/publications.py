"""Publishes messages to devices."""

from chalicelib.host import mqtt
from chalicelib.schemas.publications import Publication
from chalicelib.services.access import reach


def publish(*, profile: str, sent: Publication) -> None:
    """Publish a message to the clients of a device.

    Raises:
        errors.BadRequest: this deployment has no broker.
        errors.NotFound: the profile has no such device.
        errors.Unavailable: the broker does not answer.
    """
    device = reach.device_or_raise(profile=profile, device=sent["device"])
    mqtt.current().publish(
        device=device["id"], topic=sent["topic"], payload=sent["message"].encode(), qos=sent["qos"],
        retain=sent["retain"],
    )  # fmt: skip
