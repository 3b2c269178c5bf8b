"""The parsers of the catalogue: what each makes of bodies as devices and network servers send them."""

import base64
import json
import re

import pytest

from chalicelib import sandbox
from chalicelib.services.devices import catalogue
from tests.kit.scripts import run
from tests.program import ROOT

ALL = {**catalogue.CONNECTORS, **catalogue.NETWORKS}


def source(key):
    """Return the parser of a connector or network of the catalogue."""
    return base64.b64decode(ALL[key]["payload_decoder"]).decode()


def decode(key, payload, **kwargs):
    """Return the points that a parser makes."""
    return run(source(key), payload, **kwargs).payload


def values(points):
    """Return the value of each point, by variable."""
    return {point["variable"]: point.get("value") for point in points}


def refusal(key, payload, **kwargs):
    """Return the text of the error that a parser throws."""
    with pytest.raises(sandbox.Failed) as failed:
        decode(key, payload, **kwargs)
    return failed.value.text


@pytest.mark.parametrize("key", ALL)
def test_entry_is_whole(key):
    doc = ALL[key]
    assert doc["id"] == key and re.fullmatch("[0-9a-f]{24}", key) and doc["public"] is True
    assert 0 < len(doc["name"]) <= 255 and 0 < len(doc["description"]) <= 500
    assert set(doc.get("networks", [])) <= set(catalogue.NETWORKS)
    assert len(base64.b64decode(doc["payload_decoder"] or "")) <= 65_536


def test_files_are_all_used():
    used = {source(key) for key, doc in ALL.items() if doc["payload_decoder"]}
    files = {path.read_text() for path in (ROOT / "chalicelib/services/devices/decoders").iterdir()}
    assert used == files and len(used) == 7


def test_json_each_field_is_a_point():
    body = {
        "temp": 21.5,
        "on": True,
        "name": "x",
        "none": None,
        "empty": {},
        "door": {"open": {"now": 1}},
        "list": [5, {"a": 6}],
    }
    assert values(decode(catalogue.JSON_CONNECTOR, body)) == {
        "temp": 21.5, "on": True, "name": "x", "door_open_now": 1, "list_0": 5, "list_1_a": 6,
    }  # fmt: skip


def test_json_time_and_group_are_those_of_all_points():
    for name in ("time", "timestamp", "ts"):
        points = decode(catalogue.JSON_CONNECTOR, {name: 1_700_000_000, "group": 7, "a": 1, "b": 2})
        assert points == [
            {"variable": key, "value": value, "time": 1_700_000_000, "group": "7"}
            for key, value in (("a", 1), ("b", 2))
        ]
    assert values(decode(catalogue.JSON_CONNECTOR, {"time": {"hour": 7}})) == {"time_hour": 7}


@pytest.mark.parametrize("names", [("lat", "lng"), ("lat", "lon"), ("latitude", "longitude")])
def test_json_coordinates_are_a_location(names):
    body = dict(zip(names, (52.5, 13.25), strict=True)) | {"speed": 3}
    location, speed = decode(catalogue.JSON_CONNECTOR, body)
    assert location == {"variable": "location", "value": "52.5,13.25", "location": {"lat": 52.5, "lng": 13.25}}
    assert speed == {"variable": "speed", "value": 3}


def test_json_points_pass_and_objects_in_a_list_are_read():
    sent = [
        {"variable": "a", "value": 1, "metadata": {"x": 1}},
        {"b": 2},
        {"variable": "payload", "value": '{"c": {"d": 3}}'},
    ]
    assert decode(catalogue.JSON_CONNECTOR, sent) == [
        sent[0],
        {"variable": "b", "value": 2},
        {"variable": "c_d", "value": 3},
    ]
    assert decode(catalogue.JSON_CONNECTOR, {"variable": "payload", "value": "text"}) == [
        {"variable": "payload", "value": "text"}
    ]


def test_json_text_that_is_json():
    assert decode(catalogue.JSON_CONNECTOR, ' {"a": 1} ') == [{"variable": "a", "value": 1}]
    assert decode(catalogue.JSON_CONNECTOR, '[{"a": 1}, {"a": 2}]') == [
        {"variable": "a", "value": 1},
        {"variable": "a", "value": 2},
    ]


def test_json_what_is_no_object_is_refused():
    assert (
        refusal(catalogue.JSON_CONNECTOR, "a=1")
        == refusal(catalogue.JSON_CONNECTOR, "5")
        == "Error: The body is not a JSON object"
    )
    assert refusal(catalogue.JSON_CONNECTOR, [1, 2]) == "Error: Expected a JSON object, got 1"


def test_csv_first_line_names_the_columns():
    text = 'time,temperature (C),name,on,group\r\n2026-01-01T00:00:00Z,21.5,"a ""b"", c",true,g1\r\n\r\n1767225600,-3e1,,FALSE,\r\n'
    assert decode(catalogue.CSV_CONNECTOR, text) == [
        {"variable": "temperature", "value": 21.5, "unit": "C", "time": "2026-01-01T00:00:00Z", "group": "g1"},
        {"variable": "name", "value": 'a "b", c', "time": "2026-01-01T00:00:00Z", "group": "g1"},
        {"variable": "on", "value": True, "time": "2026-01-01T00:00:00Z", "group": "g1"},
        {"variable": "temperature", "value": -30, "unit": "C", "time": 1_767_225_600},
        {"variable": "on", "value": False, "time": 1_767_225_600},
    ]


@pytest.mark.parametrize("text", ["a;b\n1,5;2", "a\tb\n1,5\t2"])
def test_csv_separator_is_found(text):
    assert values(decode(catalogue.CSV_CONNECTOR, text)) == {"a": "1,5", "b": 2}


def test_csv_columns_of_the_device():
    points = decode(catalogue.CSV_CONNECTOR, "1,2\n3,", params={"columns": "a [m], b"})
    assert points == [
        {"variable": "a", "value": 1, "unit": "m"}, {"variable": "b", "value": 2}, {"variable": "a", "value": 3, "unit": "m"},
    ]  # fmt: skip
    assert values(decode(catalogue.CSV_CONNECTOR, "a\n1", params={"columns": ""})) == {"a": 1}, (
        "an empty parameter is none"
    )
    assert values(decode(catalogue.CSV_CONNECTOR, "a,b,\n1,2,,\n")) == {"a": 1, "b": 2}, "empty cells need no column"


def test_csv_text_in_a_point_and_quoted_newline():
    sent = [{"variable": "payload", "value": '\ufeffa,b\n"x\ny",1'}, {"variable": "rssi", "value": -60}]
    assert values(decode(catalogue.CSV_CONNECTOR, sent)) == {"a": "x\ny", "b": 1, "rssi": -60}


def test_csv_what_cannot_be_read_says_why():
    assert "name the columns" in refusal(catalogue.CSV_CONNECTOR, "1,2\n3,4")
    assert refusal(catalogue.CSV_CONNECTOR, "a,b\n1,2,3") == "Error: A line has 3 cells, but there are 2 columns"
    assert refusal(catalogue.CSV_CONNECTOR, 'a\n"b') == "Error: The CSV text ends inside double quotes"
    for text in ("", "a,b", "a,b1,2"):
        assert refusal(catalogue.CSV_CONNECTOR, text) == "Error: There is no line after the names of the columns"
    assert refusal(catalogue.CSV_CONNECTOR, "\n", params={"columns": "a"}) == "Error: There is no line"


def test_hex_bytes_are_read():
    short = {"temperature": -0.01, "humidity": 49.5, "battery": 3}
    assert values(decode(catalogue.HEX_CONNECTOR, "01ffff630bb8")) == short
    assert values(decode(catalogue.HEX_CONNECTOR, "0x01 FFFF 63 0BB8 8000003C\n")) == short | {
        "door_open": True,
        "door_age": 60,
    }


def test_hex_point_named_payload_passes_with_its_time():
    sent = [
        {"variable": "payload", "value": "010929630bb8", "time": "2026-01-01", "group": "g"},
        {"variable": "x", "value": 1},
    ]
    points = decode(catalogue.HEX_CONNECTOR, sent)
    assert points[:2] == sent and len(points) == 5
    assert points[2] == {
        "variable": "temperature",
        "value": 23.45,
        "unit": "°C",
        "time": "2026-01-01",
        "group": "g",
    }
    assert decode(catalogue.HEX_CONNECTOR, sent[1:]) == sent[1:]


def test_hex_wrong_frames_are_refused():
    assert refusal(catalogue.HEX_CONNECTOR, "hello") == "Error: The payload is not hex: hello"
    assert refusal(catalogue.HEX_CONNECTOR, "02") == "Error: Unknown version 2"
    assert refusal(catalogue.HEX_CONNECTOR, "0109") == "Error: Expected 6 or 10 bytes, got 2"
    assert refusal(catalogue.HEX_CONNECTOR, "") == "Error: The payload is not hex:"


def test_lorawan_each_type():
    hex_text = (
        "00000101010102020064030200ff04650100"
        "0566010667011007687308710001ffff03e8"
        "0973277b0a860064ff9cffff0b8806765ff2960a0003e8"
    )
    found = values(decode(catalogue.LORAWAN_CONNECTOR, {"variable": "payload", "value": hex_text}))
    assert found.pop("payload") == hex_text
    assert found == {
        "digital_in_0": 1, "digital_out_1": 1, "analog_in_2": 1, "analog_in_3": 2.55, "illuminance_4": 256, "presence_5": 1,
        "temperature_6": 27.2, "humidity_7": 57.5, "acceleration_8_x": 0.001, "acceleration_8_y": -0.001,
        "acceleration_8_z": 1, "pressure_9": 1010.7, "rotation_10_x": 1, "rotation_10_y": -1, "rotation_10_z": -0.01,
        "location_11": "42.3519,-87.9094", "altitude_11": 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tail", "reason"), [("0163", "unknown type 99"), ("0167", ""), ("01", ""), ("0188000000", "")]
)
def test_lorawan_what_cannot_be_read_is_a_point_beside_the_others(tail, reason):
    sent = {"variable": "payload", "value": "036700ff" + tail, "time": "2026-01-01", "group": "g"}
    _, good, bad = decode(catalogue.LORAWAN_CONNECTOR, sent)
    assert good == {"variable": "temperature_3", "value": 25.5, "unit": "°C", "time": "2026-01-01", "group": "g"}
    assert bad["variable"] == "parse_error" and reason in bad["value"] and bad["time"] == "2026-01-01"


def test_lorawan_other_points_and_text_pass():
    assert decode(catalogue.LORAWAN_CONNECTOR, [{"variable": "fport", "value": 1}]) == [
        {"variable": "fport", "value": 1}
    ]
    assert decode(catalogue.LORAWAN_CONNECTOR, "text") == "text"


UPLINK = {
    "end_device_ids": {
        "device_id": "dev-1", "application_ids": {"application_id": "weather"}, "dev_eui": "70b3d57ed005b89a",
        "join_eui": "0000000000000001", "dev_addr": "260BABCD",
    },
    "correlation_ids": ["as:up:01"],
    "received_at": "2026-05-25T13:42:11.412345678Z",
    "uplink_message": {
        "session_key_id": "AWNb", "f_port": 2, "f_cnt": 1834, "frm_payload": "A2cBEA==",
        "decoded_payload": {"temperature_3": 27.2, "door": {"open": True}, "none": None},
        "rx_metadata": [
            {"gateway_ids": {"gateway_id": "far"}, "rssi": -110, "snr": -3.5},
            {"gateway_ids": {"gateway_id": "near"}, "rssi": -68, "snr": 9.2},
        ],
        "settings": {"data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7}}, "frequency": "868100000"},
        "received_at": "2026-05-25T13:42:11.203Z",
    },
}  # fmt: skip


def test_ttn_uplink():
    ran = run(source(catalogue.TTN_NETWORK), UPLINK, has_serial=True)
    assert ran.serial == "70B3D57ED005B89A"
    assert {point["time"] for point in ran.payload} == {"2026-05-25T13:42:11.203Z"}
    assert values(ran.payload) == {
        "payload": "03670110", "fport": 2, "fcnt": 1834, "rssi": -68, "snr": 9.2, "temperature_3": 27.2, "door_open": True,
    }  # fmt: skip
    assert ran.payload[0]["metadata"] == {
        "device_id": "dev-1", "dev_eui": "70b3d57ed005b89a", "application_id": "weather", "spreading_factor": 7, "frequency": "868100000",
    }  # fmt: skip
    assert ran.payload[3]["metadata"] == {"gateway_id": "near", "gateways": 2}


def test_ttn_empty_fields_are_missing_as_the_things_stack_leaves_them_out():
    uplink = {
        "end_device_ids": {"device_id": "x"},
        "received_at": "2026-01-01T00:00:00Z",
        "uplink_message": {"frm_payload": "AA=="},
    }
    ran = run(source(catalogue.TTN_NETWORK), uplink, has_serial=True)
    assert values(ran.payload) == {"payload": "00", "fport": 0, "fcnt": 0} and ran.serial is None
    assert values(decode(catalogue.TTN_NETWORK, uplink | {"uplink_message": {}})) == {"fcnt": 0}
    assert values(decode(catalogue.TTN_NETWORK, uplink | {"uplink_message": {"f_port": 7}})) == {"fport": 7, "fcnt": 0}


def test_ttn_position():
    body = {key: UPLINK[key] for key in ("end_device_ids", "received_at")}
    solved = body | {
        "location_solved": {"service": "x", "location": {"latitude": 1.5, "longitude": 2, "source": "SOURCE_WIFI"}}
    }
    (point,) = decode(catalogue.TTN_NETWORK, solved)
    assert point["location"] == {"lat": 1.5, "lng": 2} and point["time"] == body["received_at"]
    decoded = body | {"uplink_message": {"decoded_payload": {"latitude": 1.5, "longitude": 2}}}
    assert decode(catalogue.TTN_NETWORK, decoded)[-1]["location"] == {"lat": 1.5, "lng": 2}


@pytest.mark.parametrize("kind", ["join_accept", "downlink_ack", "downlink_sent", "downlink_failed", "service_data"])
def test_ttn_other_messages_give_nothing(kind):
    assert decode(catalogue.TTN_NETWORK, {"end_device_ids": UPLINK["end_device_ids"], kind: {"f_port": 1}}) == []


def test_ttn_points_pass_and_text_is_refused():
    assert decode(catalogue.TTN_NETWORK, {"variable": "a", "value": 1}) == [{"variable": "a", "value": 1}]
    assert "format to JSON" in refusal(catalogue.TTN_NETWORK, "\x0a\x10")


EVENT = {
    "deduplicationId": "57433366-50a6-4dc2-8145-2df1bbc70d9e",
    "time": "2022-07-18T09:34:15.775023242+00:00",
    "deviceInfo": {
        "tenantName": "t", "applicationId": "17c82e96", "applicationName": "weather", "deviceName": "dev-1",
        "devEui": "01abcd0101010101", "tags": {"key": "value"},
    },
    "devAddr": "00189440", "dr": 1, "fPort": 1, "fCnt": 10, "adr": True, "data": "A2cBEA==",
    "object": {"temperature": 27.2, "list": [1, 2]},
    "rxInfo": [
        {"gatewayId": "far", "rssi": -110, "snr": -3.5, "metadata": {}},
        {"gatewayId": "near", "rssi": -36, "snr": 10.5},
    ],
    "txInfo": {"frequency": 867100000, "modulation": {"lora": {"spreadingFactor": 11}}},
}  # fmt: skip
BASE = {key: EVENT[key] for key in ("deduplicationId", "time", "deviceInfo")}


def test_chirpstack_uplink():
    ran = run(source(catalogue.CHIRPSTACK_NETWORK), EVENT, has_serial=True)
    assert ran.serial == "01ABCD0101010101"
    assert {point["time"] for point in ran.payload} == {EVENT["time"]}
    assert values(ran.payload) == {
        "payload": "03670110", "fport": 1, "fcnt": 10, "rssi": -36, "snr": 10.5, "temperature": 27.2, "list_0": 1, "list_1": 2,
    }  # fmt: skip
    assert ran.payload[0]["metadata"] == {
        "dev_eui": "01ABCD0101010101",
        "device_name": "dev-1",
        "application_name": "weather",
    }
    assert ran.payload[3]["metadata"] == {"gateway_id": "near", "gateways": 2}


@pytest.mark.parametrize("eui", ["01abcd0101010101", "AavNAQEBAQE="])
def test_chirpstack_uplink_of_version_3(eui):
    event = {
        "applicationName": "weather", "deviceName": "dev-1", "devEUI": eui, "fPort": 1, "fCnt": 10, "data": "A2cBEA==",
        "rxInfo": [{"gatewayID": "g", "time": None, "rssi": -48, "loRaSNR": 9}], "objectJSON": '{"temperature": 27.2}',
    }  # fmt: skip
    ran = run(source(catalogue.CHIRPSTACK_NETWORK), event, has_serial=True)
    assert ran.serial == "01ABCD0101010101" and "time" not in ran.payload[0]
    assert values(ran.payload) == {
        "payload": "03670110", "fport": 1, "fcnt": 10, "rssi": -48, "snr": 9, "temperature": 27.2,
    }  # fmt: skip


def test_chirpstack_protobuf_json_of_version_3_has_ids_in_base64_and_the_time_of_publication():
    event = {
        "devEUI": "AgICAgICAgI=", "fPort": 1, "fCnt": 10, "data": "AA==", "publishedAt": "2026-11-08T13:59:25.5Z",
        "rxInfo": [{"gatewayID": "AwMDAwMDAwM=", "time": None, "rssi": -48, "loRaSNR": 9}],
    }  # fmt: skip
    points = decode(catalogue.CHIRPSTACK_NETWORK, event)
    assert {point["time"] for point in points} == {event["publishedAt"]}
    assert points[0]["metadata"] == {"dev_eui": "0202020202020202"}
    assert points[3]["metadata"] == {"gateway_id": "0303030303030303", "gateways": 1}
    event["rxInfo"][0]["time"] = "2026-11-08T13:59:25Z"
    assert decode(catalogue.CHIRPSTACK_NETWORK, event)[0]["time"] == "2026-11-08T13:59:25Z"


def test_chirpstack_status_and_location():
    assert values(decode(catalogue.CHIRPSTACK_NETWORK, BASE | {"margin": 7, "batteryLevel": 75.5})) == {
        "margin": 7,
        "battery": 75.5,
    }
    assert values(decode(catalogue.CHIRPSTACK_NETWORK, BASE | {"margin": 7, "batteryLevelUnavailable": True})) == {
        "margin": 7
    }
    assert values(decode(catalogue.CHIRPSTACK_NETWORK, BASE | {"externalPowerSource": True})) == {
        "margin": 0,
        "external_power": True,
    }
    (point,) = decode(
        catalogue.CHIRPSTACK_NETWORK, BASE | {"location": {"latitude": 1.5, "longitude": 2, "altitude": 3}}
    )
    assert point["location"] == {"lat": 1.5, "lng": 2} and point["time"] == EVENT["time"]


@pytest.mark.parametrize(
    "event",
    [
        {"devAddr": "00189440"}, {"acknowledged": True, "fCntDown": 4}, {"gatewayId": "g", "fCntDown": 4},
        {"level": "ERROR", "code": "UPLINK_CODEC", "description": "x"}, {"devAddr": "x", "rxInfo": [{"rssi": 1}]},
        {"type": "OTAA", "error": "x", "fCnt": 12},
        {"rxInfo": [{"rssi": -48, "loRaSNR": 9, "time": "2026-11-08T13:59:25Z"}], "acknowledged": True, "fCnt": 15},
        {"integrationName": "lorawan-cloud", "eventType": "result", "object": {"temperature": 1}},
    ],
    ids=["join", "ack", "txack", "log", "join of version 3", "error of version 3", "ack of version 3", "integration"],
)  # fmt: skip
def test_chirpstack_other_events_give_nothing(event):
    assert decode(catalogue.CHIRPSTACK_NETWORK, BASE | event) == []


def test_chirpstack_points_pass_and_text_is_refused():
    assert decode(catalogue.CHIRPSTACK_NETWORK, {"variable": "a", "value": 1}) == [{"variable": "a", "value": 1}]
    assert "encoding to JSON" in refusal(catalogue.CHIRPSTACK_NETWORK, "\x0a\x10")


METRIC = {
    "fields": {"usage_idle": 92.5, "up": True, "none": None, "state": "ok"}, "name": "cpu",
    "tags": {"host": "web01", "cpu": "cpu0"}, "timestamp": 1_458_229_140,
}  # fmt: skip


def test_telegraf_fields_of_one_metric():
    points = decode(catalogue.TELEGRAF_CONNECTOR, METRIC)
    assert values(points) == {"cpu_usage_idle": 92.5, "cpu_up": True, "cpu_state": "ok"}
    assert points[0] == {
        "variable": "cpu_usage_idle", "value": 92.5, "group": "cpu cpu0 web01", "metadata": METRIC["tags"],
        "time": 1_458_229_140_000,
    }  # fmt: skip


def test_telegraf_batch():
    other = {"fields": {"free": 5}, "name": "disk", "tags": {}, "timestamp": 1_458_229_150}
    points = decode(catalogue.TELEGRAF_CONNECTOR, {"metrics": [METRIC, other]})
    assert len(points) == 4 and points[3] == {
        "variable": "disk_free",
        "value": 5,
        "group": "disk",
        "time": 1_458_229_150_000,
    }
    assert decode(catalogue.TELEGRAF_CONNECTOR, {"metrics": []}) == []
    assert len(decode(catalogue.TELEGRAF_CONNECTOR, json.dumps({"metrics": [METRIC, other]}))) == 4


@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_telegraf_units_of_the_timestamp(digits):
    points = decode(catalogue.TELEGRAF_CONNECTOR, METRIC | {"timestamp": 1_458_229_140 * 10**digits})
    assert points[0]["time"] == 1_458_229_140_000


def fnv1a(text):
    """Return the hash FNV-1a of a text, in 8 hex digits."""
    hashed = 0x811C9DC5
    for byte in text.encode():
        hashed = ((hashed ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{hashed:08x}"


def test_telegraf_timestamp_as_text_and_long_tags():
    points = decode(
        catalogue.TELEGRAF_CONNECTOR, METRIC | {"timestamp": "2016-03-17T15:39:00Z", "tags": {"a": "x" * 200}}
    )
    assert points[0]["time"] == "2016-03-17T15:39:00Z"
    assert points[0]["group"] == "cpu " + "x" * 87 + " " + fnv1a("cpu " + "x" * 200)
    tags = {"container_image": "x" * 82, "cpu": "0"}
    at_most, longer, other = (
        decode(catalogue.TELEGRAF_CONNECTOR, METRIC | {"tags": tags | more})[0]["group"]
        for more in ({"host": "a" * 11}, {"host": "a" * 12}, {"host": "a" * 11 + "b"})
    )
    assert at_most.endswith(" 0 " + "a" * 11) and len(at_most) == len(longer) == len(other) == 100
    assert longer[:91] == other[:91] == at_most[:91] and len({at_most, longer, other}) == 3


def test_telegraf_points_pass_and_text_is_refused():
    assert decode(catalogue.TELEGRAF_CONNECTOR, {"variable": "a", "value": 1}) == [{"variable": "a", "value": 1}]
    assert "data_format" in refusal(catalogue.TELEGRAF_CONNECTOR, "cpu usage=1")
