"""Sends messages of a network to its middleware, which relays them to devices.

Source: TagoIO's MQTT relay, which takes them at ``/publish``. TagoIO's clients send downlinks to ``/downlink``.
"""

from typing import Any

from chalicelib import errors
from chalicelib.host import webhooks
from chalicelib.schemas.publications import Publication
from chalicelib.services.access.callers import Caller
from chalicelib.services.devices import network_devices
from chalicelib.store import Doc

PATH = "/publish"
"""Where a middleware takes messages, below its endpoint."""


def request(*, caller: Caller, network: Doc, sent: Publication) -> tuple[str, dict[str, Any]]:
    """Return the URL of a network's middleware and the document that it is to get.

    Raises:
        errors.BadRequest: the network has no ``middleware_endpoint``.
        errors.NotFound: the profile has no such device, or it is not the network's.

    Cost: that of the device.
    """
    device = network_devices.own_device_or_raise(caller=caller, device=sent["device"])
    endpoint = (network["middleware_endpoint"] or "").rstrip("/")
    if not endpoint:
        reason = "The network has no middleware_endpoint to publish to"
        raise errors.BadRequest.field("middleware_endpoint", reason)
    base = endpoint if "://" in endpoint else f"https://{endpoint}"
    return base + PATH, {**sent, "device": device["id"]}


def post(url: str, document: dict[str, Any]) -> None:
    """Send a document to a middleware once. It uses no store and takes at most five seconds.

    Raises:
        errors.BadRequest: the URL is not HTTPS or names an address that is not public, so nothing was sent; or the
            middleware does not answer in time, or not with success.
    """
    failed = webhooks.failure(url=url, body=document)
    if failed is not None:
        reason = f"The middleware_endpoint of the network could not be reached: {failed}"
        raise errors.BadRequest.field("middleware_endpoint", reason)
