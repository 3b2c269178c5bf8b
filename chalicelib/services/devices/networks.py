"""The built-in networks and connectors that every profile has."""

from chalicelib import errors

HTTPS_NETWORK = "00000000000000000000a001"
HTTPS_CONNECTOR = "00000000000000000000a002"
MQTT_NETWORK = "00000000000000000000a003"
MQTT_CONNECTOR = "00000000000000000000a004"

NAMES = {
    HTTPS_NETWORK: "Custom HTTPS",
    HTTPS_CONNECTOR: "Custom HTTPS",
    MQTT_NETWORK: "Custom MQTT",
    MQTT_CONNECTOR: "Custom MQTT",
}
_NETWORK_OF = {HTTPS_CONNECTOR: HTTPS_NETWORK, MQTT_CONNECTOR: MQTT_NETWORK}


def pair(connector: str | None, network: str | None) -> tuple[str, str]:
    """Return the connector and network of a new device.

    If neither is given, they are those of Custom HTTPS. A built-in connector without a network gets its own. Ids that
    are not built in are kept unchanged.

    Raises:
        errors.BadRequest: only one is given and does not determine the other, or a built-in connector has another
            network.
    """
    if connector is None and network is None:
        return HTTPS_CONNECTOR, HTTPS_NETWORK
    if connector is None:
        raise errors.BadRequest.field("connector", "connector is required with network")
    if network is None:
        network = _NETWORK_OF.get(connector)
        if network is None:
            raise errors.BadRequest.field("network", "network is required with connector")
    if connector in _NETWORK_OF and _NETWORK_OF[connector] != network:
        raise errors.BadRequest.field("network", f"network must be {_NETWORK_OF[connector]} with this connector")
    return connector, network
