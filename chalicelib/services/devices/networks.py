"""The built-in networks and connectors that every profile has."""

from collections.abc import Mapping
from typing import Any

from chalicelib.store import Doc

HTTPS_NETWORK = "00000000000000000000a001"
HTTPS_CONNECTOR = "00000000000000000000a002"
MQTT_NETWORK = "00000000000000000000a003"
MQTT_CONNECTOR = "00000000000000000000a004"


def _built_in(doc_id: str, name: str, **more: Any) -> tuple[str, Doc]:
    doc = {"id": doc_id, "name": name, "public": True, "device_parameters": [], "created_ms": 0, "updated_ms": 0}
    return doc_id, doc | more


CONNECTORS: Mapping[str, Doc] = dict(
    (
        _built_in(HTTPS_CONNECTOR, "Custom HTTPS", networks=[HTTPS_NETWORK]),
        _built_in(MQTT_CONNECTOR, "Custom MQTT", networks=[MQTT_NETWORK]),
    )
)
NETWORKS: Mapping[str, Doc] = dict(
    (
        _built_in(HTTPS_NETWORK, "Custom HTTPS", serial_number=None),
        _built_in(MQTT_NETWORK, "Custom MQTT", serial_number=None),
    )
)
