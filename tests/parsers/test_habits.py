"""Parsers with the habits of those that exist, in decoders/: each runs as it is."""

import base64
import json
from pathlib import Path

import pytest

from chalicelib import sandbox
from tests.kit.scripts import run

SOURCES = {path.stem: path.read_text() for path in (Path(__file__).parent / "decoders").glob("*.js")}
MAX_SOURCE_BYTES = sandbox.MAX_SOURCE_BYTES


def decode(name, payload=None, **kwargs):
    return run(SOURCES[name], payload, **kwargs).payload


def values(points):
    return {point["variable"]: point.get("value") for point in points}


def test_minified_parser_has_its_own_buffer_and_ends_in_a_comment():
    assert SOURCES["minified"].count("\n") == 0 and SOURCES["minified"].endswith("minified.js.map")
    sent = {"variable": "payload", "value": "09294b"}
    assert decode("minified", sent) == [sent, {"variable": "t", "value": 23.45}, {"variable": "h", "value": 75}]
    assert values(decode("minified", sent))["t"] == 23.45, "a second run begins anew"


def test_undeclared_variables_live_for_one_run():
    expected = {"channel_1": 21.5, "channel_2": -10, "a": 6, "b": 6, "total": 12}
    sent = {"variable": "payload", "value": "0100d702ff9c"}
    assert values(decode("undeclared", sent)) == expected
    assert run("payload = { value: typeof bytes + typeof i }").payload == {"value": "undefinedundefined"}


def test_local_variables_may_have_the_names_of_globals():
    sent = {"variable": "data", "value": "2a", "group": "g", "time": "2026-01-01"}
    level, kind = decode("local_raw_payload", sent)[1:]
    assert level == {"variable": "level", "value": 42, "group": "g", "time": "2026-01-01"}
    assert kind["value"] == "local"


def test_64_bits_are_read_with_bigint():
    expected = {"counter": "18446744073709551600", "low": 4294967280, "signed": "-16", "same": True}
    assert values(decode("bigint", {"value": "fffffffffffffff0"})) == expected


def test_cbor_is_read_by_recursion_with_half_floats():
    item = b"\xa6" + b"\x64temp\xf9\x4d\x80" + b"\x62ok\xf5" + b"\x61n\x39\x03\xe7" + b"\x61x\xf6"
    item += b"\x61l\x83\x01\x02\x18\x64" + b"\x61m\xa2\x61a\x81\x81\x01\x61b\xfb" + bytes.fromhex("3fb999999999999a")
    sent = {"value": base64.b64encode(item).decode()}
    assert values(decode("cbor", sent)) == {
        "temp": 22, "ok": True, "n": -1000, "l": "1;2;100", "m": {"a": [[1]], "b": 0.1},
    }  # fmt: skip


def test_new_buffer_takes_a_list_and_a_text():
    expected = {"number": 32767, "float": 25, "text": "R3LDvMOfZQ==", "sum": 647, "is_buffer": True}
    assert values(decode("new_buffer", {"value": "ff7f41c80000"})) == expected


def test_read_past_the_end_is_an_error_that_a_parser_can_catch():
    ran = run(SOURCES["past_the_end"], {"variable": "payload", "value": "0102"})
    ((point),) = ran.payload
    assert point["variable"] == "parse_error" and point["value"], point
    assert len(ran.log) == 2 and ran.log[1] == point["value"] and "RangeError" in ran.log[0]


@pytest.mark.parametrize(
    ("params", "value"), [({}, 212), ({"mode": "celsius"}, 100), ({"mode": "celsius", "factor": "2"}, 200)]
)
def test_parameter_of_the_device_may_be_missing(params, value):
    (point,) = decode("params", {"value": 212}, params=params, tags={"site": "roof"})
    assert point == {"variable": "temperature", "value": value, "metadata": {"site": "roof"}}
    assert decode("params", {"value": 212}, params=params)[0]["metadata"] == {}


def test_network_parser_reads_json_in_a_value_and_sets_the_serial():
    message = {"deviceId": "AB12", "ts": 1_700_000_000, "readings": [{"k": "t", "v": 1}, {"k": "h", "v": 2}]}
    sent = {"variable": "payload", "value": json.dumps(message), "metadata": {"topic": "up/AB12"}}
    ran = run(SOURCES["json_in_value"], sent, has_serial=True)
    assert ran.serial == "ab12"
    assert ran.payload[0] == {
        "variable": "t", "value": 1, "time": "2023-11-14T22:13:20.000Z", "metadata": {"topic": "up/AB12"},
    }  # fmt: skip


def test_result_may_be_one_object():
    assert decode("single_object", [{"variable": "a"}, {"variable": "b"}]) == {"variable": "only", "value": 2}


def test_thrown_text_is_in_the_error():
    assert decode("thrown_string", {"value": "good"}) == [{"value": "good"}]
    with pytest.raises(sandbox.Failed) as failed:
        decode("thrown_string", {"value": "bad"})
    assert failed.value.text == "Payload Parser Terminated Unexpectedly: Frame type not supported"


def test_dates_are_text_and_dayjs_has_its_plugins():
    found = values(decode("dates"))
    assert found.pop("string").startswith("Tue Nov 14 2023 22:13:20 GMT+0000")
    assert "2023" in found["locale"] and "13:20" in found.pop("locale")
    assert found == {
        "iso": "2023-11-14T22:13:20.123Z", "json": '{"date":"2023-11-14T22:13:20.123Z"}',
        "utc": "2023-11-14 22:13:20.123", "zone": "2023-11-14 19:13 -03:00", "summer": "2026-07-01T10:00:00.000Z",
        "custom": "2026-01-31", "advanced": "14th 4 1700000000", "still": 0, "same": found["same"], "real": True,
    }  # fmt: skip
    assert found["same"] in ("function", "object")


def test_groups_and_units_that_are_numbers_come_out_as_they_are():
    first, second, third = decode("numeric_group")
    assert first == {"variable": "Temp. (1)", "value": 20.5, "unit": 1, "group": 1_700_000_000_123}
    assert second["serie"] == 5 and third["value"] == {"x": 1}


def test_58_records():
    points = decode("many_records", {"value": base64.b64encode(bytes(range(58))).decode(), "time": "2026-01-01"})
    assert len(points) == 58 and points[57] == {
        "variable": "pressure", "value": 5.7, "time": "2025-12-31T17:00:00.000Z", "unit": "bar"
    }  # fmt: skip


def test_variables_that_do_not_matter_pass_through():
    sent = [{"variable": "rssi"}, {"variable": "frame", "value": "ff", "group": "g"}, {"variable": "x", "value": 1}]
    assert decode("pass_through", sent) == [*sent[1:], {"variable": "decoded", "value": 255, "group": "g"}]
    assert decode("pass_through", sent[2:]) == sent[2:]


def test_es5_with_a_return_at_the_top_and_changed_prototypes():
    expected = {"bits": "00000101", "last": 3, "sum": 3}
    assert values(decode("es5", [{"variable": "bits", "value": 5}, {"variable": "other"}])) == expected
    assert decode("es5", []) == []
    assert run("payload = typeof ''.padLeft + typeof [].last").payload == "undefinedundefined"


def test_es2020():
    points = decode("es2020", {"value": "020304", "metadata": {"firmware": "1.7", "unit": "A"}})
    assert values(points) == {"byte_0": 9, "byte_1": 16, "kind": "alarm", "version": 107, "a": 1000}
    assert points[0]["unit"] == "A" and decode("es2020", {"value": "05"})[0]["value"] == "kind 5"


def test_source_may_end_in_a_comment_without_a_newline():
    assert SOURCES["ends_in_comment"].endswith("// the end")
    assert decode("ends_in_comment", {"variable": "a", "value": 5}) == [{"variable": "a", "value": 10}]


def test_text_is_a_string():
    ran = run(SOURCES["text_body"], "a=1&b=x")
    assert values(ran.payload) == {"a": 1, "b": "x", "raw": "a=1&b=x"}
    assert len(ran.log) == 1 and ran.log[0].startswith("read 2 pairs ")


def test_raw_payload_is_what_was_sent_and_stays_so():
    raw = {"variable": "sent"}
    points = run("payload.push(1); payload.push(raw_payload)", {"variable": "stage"}, raw=raw).payload
    assert points == [{"variable": "stage"}, 1, raw]


@pytest.mark.parametrize("sent", [{"variable": "keepalive"}, {"variable": "other"}])
def test_nothing_comes_out_of_an_empty_list_and_null(sent):
    assert not decode("nothing", sent)
    assert run("payload = undefined", sent).payload is None


def test_source_of_64_kb():
    line = 'table["k%d"]=function(a,b){return a*%d+b};'
    lines = "".join(line % (number, number) for number in range(1_500))
    source = f"var table={{}};{lines}payload=[{{variable:'x',value:table.k1499(2,1)}}];//"
    source += "x" * (MAX_SOURCE_BYTES - len(source))
    assert run(source).payload == [{"variable": "x", "value": 2999}]


def test_error_names_the_line_of_the_source():
    with pytest.raises(sandbox.Failed) as failed:
        run("// first\n\nvar x = payload;\nx.missing.field = 1;\n")
    assert failed.value.line == 4 and "TypeError" in failed.value.text and "\n" not in failed.value.text
    with pytest.raises(sandbox.Failed) as failed:
        run("payload = [];\nvar x = ;\n")
    assert failed.value.line == 2 and "SyntaxError" in failed.value.text


def test_log_of_a_failed_run_is_kept():
    with pytest.raises(sandbox.Failed) as failed:
        run("console.log('before', 1); console.debug(null); throw new Error('broken')")
    assert failed.value.log == ("before 1", "null") and failed.value.text == "Error: broken"


def test_random_numbers_differ_from_run_to_run():
    numbers = {run("payload = Math.random()").payload for _ in range(5)}
    assert len(numbers) == 5
