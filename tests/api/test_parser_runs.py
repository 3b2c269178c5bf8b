"""POST /integration/parser/run: what a parser makes of a sample, while nothing is stored."""

import pytest

from chalicelib.services.accounts import audit
from tests.kit.parsers import encoded, ready

ready()
PATH = "/integration/parser/run"


def run(world, source, payload='{"a": 1}', **more):
    return world.admin.post(PATH, {"payload_decoder": encoded(source), "payload": payload, **more})


def test_points_and_log_are_answered_and_nothing_is_stored(world):
    found = run(
        world, "console.log('got', payload.length)\npayload = [{variable: 'Temp 1', value: payload[0].a}]"
    ).result
    assert found["points"] == [{"variable": "temp_1", "value": 1}]
    assert found["log"][0] == "device: got 1" and "temp_1" in found["log"][1]
    assert (found["serial"], found["error"]) == (None, None)
    assert (
        world.read() == [] and world.admin.get(f"/profile/{world.profile}/summary").result["limit_used"]["input"] == 0
    )


def test_an_error_has_its_line_and_what_was_written_before(world):
    found = run(world, "console.log('before')\n\nnull.value").result
    assert found["points"] == [] and found["log"] == ["device: before"]
    assert found["error"]["line"] == 3 and "(device parser, line 3)" in found["error"]["message"]


def test_source_that_cannot_be_read_has_its_line(world):
    assert run(world, "let a = 1\nlet b = )").result["error"]["line"] == 2


def test_what_is_no_list_of_records_is_an_error_without_a_line(world):
    error = run(world, "payload = 'text'", kind="connector").result["error"]
    assert error["line"] is None and "(connector parser)" in error["message"]


def test_parser_of_a_network_answers_the_serial_number(world):
    found = run(world, "serial = payload[0].eui; payload = []", '{"eui": "A1"}', kind="network").result
    assert (found["serial"], found["points"]) == ("A1", [])


def test_parser_sees_tags_and_parameters_of_the_named_device(world):
    world.admin.put(f"/device/{world.device}", {"tags": [{"key": "site", "value": "north"}]})
    world.admin.post(f"/device/{world.device}/params", {"key": "model", "value": "7", "sent": False})
    source = "payload = [{variable: device.params[0].value + device.tags[0].value}]"
    assert run(world, source, device=world.device).result["points"] == [{"variable": "7north"}]
    assert run(world, source).result["error"]["line"] == 1
    assert run(world, source, device="0" * 24).status == 404


@pytest.mark.parametrize(
    ("payload", "content_type", "seen"),
    [('{"a": 1}', "", "object"), ('{"a": 1}', "text/plain; charset=utf-8", "string"), ("0A0B", "", "string")],
)
def test_content_type_decides_what_the_parser_gets(world, payload, content_type, seen):
    found = run(world, "payload = [{variable: typeof payload}]", payload, content_type=content_type).result
    assert found["points"] == [{"variable": seen}]


def test_sample_that_claims_to_be_json_and_is_not_is_refused(world):
    assert run(world, "", "{", content_type="application/json").status == 400
    assert run(world, "", "").status == 400


def test_source_over_the_limit_is_refused(world):
    assert run(world, " " * 65_537).body["field_errors"].keys() == {"payload_decoder"}


def test_needs_a_profile_token_and_is_not_audited(world):
    assert world.api.post(PATH, {"payload_decoder": "", "payload": "{}"}).status == 401
    assert audit.resource_of(PATH) is None
