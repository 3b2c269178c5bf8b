"""/analysis/services/mqtt/publish: messages to devices."""

from typing import Any

from chalicelib.host import mqtt
from chalicelib.http.route import Call, Route
from chalicelib.schemas import actions as schema
from chalicelib.services.access import reach


def publish(call: Call) -> Any:
    """Publish a message to a device's clients."""
    device = reach.device_or_raise(profile=call.profile, device=call.body["device"])
    payload, qos = call.body["message"].encode(), min(1, call.body["qos"])
    mqtt.current().publish(device=device["id"], topic=call.body["topic"], payload=payload, qos=qos)
    return "MQTT Publish Success"


ROUTES = (
    Route(
        "POST", "/analysis/services/mqtt/publish", publish, need="write", body=schema.publish,
        note="SDK. QoS 2 is delivered as 1. On AWS to `device/<id>/<topic>`, where a device's clients may subscribe",
    ),
)  # fmt: skip
