"""A network of one's own with a parser of the catalogue, as docs/parsers.md describes it."""

import json

from chalicelib.services.devices import catalogue
from tests.docs.test_connectors import EXAMPLES
from tests.kit.api import Api


def test_messages_of_many_devices_come_by_one_token(world):
    decoder = catalogue.NETWORKS[catalogue.TTN_NETWORK]["payload_decoder"]
    rule = {"mask": "FFFFFFFFFFFFFFFF", "case": "upper"}
    admin = world.admin
    network = admin.post(
        "/integration/network", {"name": "My network", "payload_decoder": decoder, "serial_number": rule}
    ).result["network"]
    token = admin.post("/integration/network/token", {"network": network, "name": "Server"}).result["token"]
    lpp = catalogue.CONNECTORS[catalogue.LORAWAN_CONNECTOR]["payload_decoder"]
    connector = admin.post(
        "/integration/connector", {"name": "My sensor", "networks": [network], "payload_decoder": lpp}
    ).result["connector"]
    devices = {}
    for serial in ("70B3D57ED005B89A", "70b3d57ed005b89b"):
        sent = {"name": "Sensor", "type": "mutable", "network": network, "connector": connector, "serie_number": serial}
        devices[serial.upper()] = Api(admin.post("/device", sent).result["token"])
    message = json.loads(EXAMPLES["the-things-stack"][1])
    for serial, expected in (("70B3D57ED005B89A", 200), ("70B3D57ED005B89B", 200), ("70B3D57ED005B89C", 404)):
        message["end_device_ids"]["dev_eui"] = serial
        answer = Api().post("/integration/network/data", message, headers={"Network-Token": token})
        assert answer.status == expected, answer.text
    for api in devices.values():
        points = {point["variable"]: point["value"] for point in api.get("/data", query={"qty": 99}).result}
        assert points["payload"] == "03670110" and points["temperature_3"] == 27.2 and points["temperature"] == 27.2
