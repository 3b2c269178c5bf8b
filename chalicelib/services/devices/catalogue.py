"""The connectors and networks that every profile has. Nobody can change them.

``decoders/`` holds their parsers. Each file is a whole payload parser that a client can copy, so what two of them need
is in both. docs/connectors has a page for each connector.
"""

import base64
from pathlib import Path
from typing import Any

HTTPS_NETWORK = "00000000000000000000a001"
HTTPS_CONNECTOR = "00000000000000000000a002"
MQTT_NETWORK = "00000000000000000000a003"
MQTT_CONNECTOR = "00000000000000000000a004"
JSON_CONNECTOR = "00000000000000000000a005"
CSV_CONNECTOR = "00000000000000000000a006"
HEX_CONNECTOR = "00000000000000000000a007"
TELEGRAF_CONNECTOR = "00000000000000000000a008"
TTN_NETWORK = "00000000000000000000a009"
TTN_CONNECTOR = "00000000000000000000a00a"
CHIRPSTACK_NETWORK = "00000000000000000000a00b"
CHIRPSTACK_CONNECTOR = "00000000000000000000a00c"
LORAWAN_CONNECTOR = "00000000000000000000a00d"

_CREATED_MS = 1_795_651_200_000
"""When the catalogue was made: 2026-11-26."""
_DEV_EUI = {
    "mask": "FFFFFFFFFFFFFFFF", "label": "DevEUI", "image": None, "case": "upper", "required": False,
    "help": "The 16 hex digits that are printed on the device",
}  # fmt: skip


def _source(file: str | None) -> str | None:
    """Return a parser in base64, as the API takes and shows it."""
    if file is None:
        return None
    return base64.b64encode((Path(__file__).parent / "decoders" / file).read_bytes()).decode()


def _shared(
    *, key: str, name: str, description: str, file: str | None = None, parameters: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    """Return the fields that connectors and networks have in common."""
    return {
        "id": key, "name": name, "description": description, "payload_decoder": _source(file),
        "device_parameters": list(parameters), "public": True, "created_ms": _CREATED_MS, "updated_ms": _CREATED_MS,
    }  # fmt: skip


def _network(*, serial_number: dict[str, Any] | None = None, **shared: Any) -> dict[str, Any]:
    return {**_shared(**shared), "serial_number": serial_number}


def _connector(*, networks: tuple[str, ...], install: str, **shared: Any) -> dict[str, Any]:
    return {**_shared(**shared), "networks": list(networks), "install_text": install}


_SEND = "Send JSON to POST /data with the device token."
_ANY_BODY = (HTTPS_NETWORK, MQTT_NETWORK)
_COLUMNS = {
    "name": "columns", "label": "Columns, if the first line does not name them", "type": "text", "default": "",
    "group": "main",
}  # fmt: skip
_PAYLOAD_TYPE = {
    "name": "payload_type", "label": "How a message that is not JSON is stored", "type": "dropdown", "default": "auto",
    "group": "main", "options": ["auto", "hex"],
}  # fmt: skip

NETWORKS: dict[str, dict[str, Any]] = {
    doc["id"]: doc
    for doc in (
        _network(key=HTTPS_NETWORK, name="Custom HTTPS", description="Devices that send over HTTPS"),
        _network(
            key=MQTT_NETWORK, name="Custom MQTT", description="Devices that publish over MQTT",
            parameters=(_PAYLOAD_TYPE,),
        ),
        _network(
            key=TTN_NETWORK, name="LoRaWAN The Things Stack v3", file="ttn.js", serial_number=_DEV_EUI,
            description="The Things Network and The Things Industries, by their webhook",
        ),
        _network(
            key=CHIRPSTACK_NETWORK, name="LoRaWAN ChirpStack", file="chirpstack.js", serial_number=_DEV_EUI,
            description="ChirpStack 3 and 4, by their HTTP integration",
        ),
    )
}  # fmt: skip
"""The networks by id, as stored. Fields that are not set are missing."""

CONNECTORS: dict[str, dict[str, Any]] = {
    doc["id"]: doc
    for doc in (
        _connector(
            key=HTTPS_CONNECTOR, name="Custom HTTPS", networks=(HTTPS_NETWORK,), install=_SEND,
            description="Points over HTTPS, without a parser",
        ),
        _connector(
            key=MQTT_CONNECTOR, name="Custom MQTT", networks=(MQTT_NETWORK,),
            install="Publish to tago/data/post with the device token as the password.",
            description="Points over MQTT, without a parser",
        ),
        _connector(
            key=JSON_CONNECTOR, name="JSON object", networks=_ANY_BODY, file="json.js",
            install='Send any JSON object, such as {"temperature": 21.5}. Each field becomes a point.',
            description="A point of each field of a JSON object",
        ),
        _connector(
            key=CSV_CONNECTOR, name="CSV", networks=_ANY_BODY, file="csv.js", parameters=(_COLUMNS,),
            install="Send lines of cells, with the content type text/csv. The first line names the columns.",
            description="A point of each cell of a CSV text",
        ),
        _connector(
            key=HEX_CONNECTOR, name="Hex sensor (example)", networks=_ANY_BODY, file="hex.js",
            install="Send the bytes in hex as text, such as 010929630BB8. Copy the parser and change it.",
            description="An example of a parser for bytes in hex",
        ),
        _connector(
            key=TELEGRAF_CONNECTOR, name="Telegraf", networks=_ANY_BODY, file="telegraf.js",
            install='Let outputs.http send to /data with data_format = "json" and the device token in its headers.',
            description="The metrics of Telegraf",
        ),
        _connector(
            key=TTN_CONNECTOR, name="The Things Stack v3 webhook", networks=(TTN_NETWORK,),
            install="Add a webhook with the base URL of this API, the path /data, JSON, and the header Device-Token.",
            description="Uplinks of The Things Stack, as its payload formatter decodes them",
        ),
        _connector(
            key=CHIRPSTACK_CONNECTOR, name="ChirpStack webhook", networks=(CHIRPSTACK_NETWORK,),
            install="Add an HTTP integration with the encoding JSON, the URL of /data, and the header Device-Token.",
            description="Uplinks of ChirpStack, as the codec of its device profile decodes them",
        ),
        _connector(
            key=LORAWAN_CONNECTOR, name="LoRaWAN sensor (example)", file="lorawan.js",
            networks=(TTN_NETWORK, CHIRPSTACK_NETWORK), install="Set up the webhook of the network server.",
            description="Sensors that send Cayenne LPP, and an example of a parser for LoRaWAN",
        ),
    )
}  # fmt: skip
"""The connectors by id, as stored. Fields that are not set are missing."""
