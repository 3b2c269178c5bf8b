"""Devices with parsers that have habits of those that exist: what the API stores and answers."""

import base64

import pytest

from tests.kit.api import Api
from tests.kit.parsers import encoded
from tests.parsers.test_habits import SOURCES


@pytest.fixture
def send(world):
    """Return a function that sends a body as a new device with a parser; it returns the answer and the stored points."""

    def do(name, body, **kwargs):
        sent = {
            "name": "Sensor",
            "type": "mutable",
            "payload_decoder": encoded(SOURCES[name]),
        }
        made = world.admin.post("/device", {**sent, **kwargs}).result
        api = Api(made["token"])
        answer = api.post("/data", body) if not isinstance(body, str) else api.post("/data", raw=body)
        do.device = made["device_id"]
        return answer, {point["variable"]: point for point in api.get("/data", query={"qty": 99}).result}

    return do


def test_numbers_become_text_names_lose_signs_and_objects_are_dropped(send):
    answer, stored = send("numeric_group", [])
    assert answer.result == "3 Data Added"
    first = stored["temp__(1)"]
    assert (first["value"], first["unit"], first["group"]) == (20.5, "1", "1700000000123")
    assert stored["a_b"]["group"] == "5" and "value" not in stored["nested"]


def test_58_records_and_nothing(send, world):
    body = {"value": base64.b64encode(bytes(58)).decode(), "time": "2026-01-01T00:00:00Z"}
    assert send("many_records", body)[0].result == "58 Data Added"
    answer, stored = send("nothing", {"variable": "keepalive"})
    assert answer.result == "0 Data Added" and stored == {}
    assert world.admin.get(f"/device/{send.device}").result["last_input"]


def test_thrown_text_is_in_the_answer_and_nothing_is_stored(send):
    answer, stored = send("thrown_string", {"value": "bad"})
    assert (answer.status, stored) == (400, {})
    assert "Payload Parser Terminated Unexpectedly: Frame type not supported (device parser" in answer.message


def test_dates_parameters_and_text(send):
    stored = send("dates", [{"variable": "x"}])[1]
    assert stored["iso"]["time"] == "2023-11-14T22:13:20.123Z" and stored["custom"]["value"] == "2026-01-31"
    params = [{"key": "mode", "value": "celsius", "sent": False}]
    assert send("params", {"value": 212}, configuration_params=params)[1]["temperature"]["value"] == 100
    assert send("text_body", "a=1&b=x")[1]["raw"]["value"] == "a=1&b=x"
