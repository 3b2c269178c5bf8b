"""What a new device gets from its connector and its network. Those that are unknown here give nothing."""

from collections.abc import Sequence
from typing import Any

from chalicelib import errors
from chalicelib.codec import jsontext
from chalicelib.schemas.params import ParamIn
from chalicelib.services.devices import catalogue, integrations


def pair(*, profile: str, connector: str | None, network: str | None) -> tuple[str, str]:
    """Return the connector and network of a new device.

    If neither is given, they are those of Custom HTTPS. A connector of one network gives it to a device without. Ids
    that are unknown here are kept unchanged.

    Raises:
        errors.BadRequest: only one is given and does not determine the other, or the connector is not for the network.

    Cost: that of ``integrations.connector``.
    """
    if connector is None and network is None:
        return catalogue.HTTPS_CONNECTOR, catalogue.HTTPS_NETWORK
    if connector is None:
        raise errors.BadRequest.field("connector", "connector is required with network")
    found = integrations.connector(profile, connector)
    if network is None:
        if found is None or len(found["networks"]) != 1:
            raise errors.BadRequest.field("network", "network is required with connector")
        network = str(found["networks"][0])
    if found is not None and network not in found["networks"]:
        allowed = " or ".join(found["networks"])
        raise errors.BadRequest.field("network", f"network must be {allowed} with this connector")
    return connector, network


def parameters(*, profile: str, connector: str, network: str, sent: Sequence[ParamIn]) -> list[ParamIn]:
    """Return the configuration parameters of a new device.

    Args:
        profile: the owner.
        connector: the id of its connector.
        network: the id of its network.
        sent: what the client sent.

    Returns:
        First what the client sent, then the parameters that connector and network define, with their defaults. If
        several have the same key, the client wins, then the connector.

    Cost: that of ``integrations.connector`` and ``network``.
    """
    given = {param.get("key") for param in sent}
    defined: dict[str, ParamIn] = {}
    for doc in (integrations.connector(profile, connector), integrations.network(profile, network)):
        for parameter in doc.get("device_parameters", ()) if doc else ():
            key = parameter["name"]
            if key not in given:
                defined.setdefault(key, {"key": key, "value": _text(parameter.get("default")), "sent": False})
    return [*sent, *defined.values()]


def _text(default: Any) -> str:
    if default is None:
        return ""
    return default if isinstance(default, str) else jsontext.dumps(default)
