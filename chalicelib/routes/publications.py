"""/analysis/services/mqtt/publish: messages to devices."""

from typing import Any

from chalicelib.http.route import ANALYSIS, PROFILE, Call, Route
from chalicelib.schemas import publications as schema
from chalicelib.services.devices import publications


def publish(call: Call) -> Any:
    """Publish a message to a device's clients."""
    publications.publish(profile=call.profile, sent=call.body)
    return "MQTT Publish Success"


ROUTES = (
    Route(
        "POST", "/analysis/services/mqtt/publish", publish, who=(PROFILE, ANALYSIS), need="write", body=schema.publish,
        grant="services/mqtt_publish",
        note="SDK. On AWS to `device/<id>/<topic>`, where a device's clients may subscribe; QoS 2 is delivered as 1. "
        "topic has at most 5 slashes and 224 bytes",
    ),
)  # fmt: skip
