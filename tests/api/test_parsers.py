"""Payload parsers in POST /data: what they get, what is stored of what they give, and what fails."""

import base64
import gzip
import json

import pytest

from chalicelib import errors, sandbox
from chalicelib.host import cache, log
from chalicelib.services.devices import parsers
from chalicelib.services.usage import quotas
from tests.kit.clock import NOW_MS
from tests.kit.parsers import CONNECTOR_ID, NETWORK_ID, encoded, give, integration, ready
from tests.kit.world import World, point, values

ready()
ECHO = "payload = [{variable: 'got', metadata: {payload, raw_payload, device}}]"
SEEN = "payload = [{variable: 'seen', value: typeof payload === 'string' ? payload : JSON.stringify(payload)}]"


def post(world, raw, kind="application/json", **more):
    """Post a body under a content type. Bytes come in base64, as API Gateway passes them on."""
    headers = {"Content-Type": kind} | more.pop("headers", {})
    if isinstance(raw, bytes):
        return world.api.post("/data", raw=base64.b64encode(raw).decode(), base64=True, headers=headers)
    return world.api.post("/data", raw=raw, headers=headers, **more)


def got(world):
    """Return what ECHO has got."""
    return world.read(variables="got", qty=1)[0]["metadata"]


def chained(world, network=None, connector=None, own=None):
    """Return a new device with these parsers."""
    integration(world, "network", network)
    integration(world, "connector", connector)
    sent = {"name": "Chained", "connector": CONNECTOR_ID, "network": NETWORK_ID}
    made = world.admin.post("/device", sent).result
    world.device, world.api.token = made["device_id"], made["token"]
    give(world, own)
    return world


def test_parser_makes_the_points_that_are_stored(world):
    give(world, "payload = payload.map(({temp, at}) => ({variable: 'temp', value: temp, unit: 'C', time: at}))")
    assert (
        world.api.post("/data", [{"temp": 1, "at": NOW_MS}, {"temp": 2.5, "at": NOW_MS + 5}]).result == "2 Data Added"
    )
    assert [(one["value"], one["unit"]) for one in world.read()] == [(2.5, "C"), (1, "C")]


def test_parser_knows_the_payload_and_the_device(world):
    world.admin.put(f"/device/{world.device}", {"tags": [{"key": "site", "value": "north"}]})
    world.admin.post(f"/device/{world.device}/params", {"key": "model", "value": 7, "sent": False})
    give(world, f"const was = payload; payload = []; {ECHO.replace('{payload,', '{payload: was,')}")
    assert world.api.post("/data", {"a": 1}).result == "1 Data Added"
    device = {
        "id": world.device,
        "tags": [{"key": "site", "value": "north"}],
        "params": [{"key": "model", "value": "7", "sent": False}],
    }
    assert got(world) == {"payload": [{"a": 1}], "raw_payload": [{"a": 1}], "device": device}


def test_parser_sees_a_parameter_that_was_just_changed(world):
    give(world, "payload = [{variable: 'count', value: device.params.map(p => p.value).join()}]")
    world.api.post("/data", {})
    path = f"/device/{world.device}/params"
    world.admin.post(path, [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    world.api.post("/data", {})
    first, _ = world.admin.get(path).result
    world.admin.delete(f"{path}/{first['id']}")
    world.api.post("/data", {})
    assert values(world.read(ordination="ascending")) == ["", "1,2", "2"]


TYPES = [
    ('{"a":1}', "application/json", '[{"a":1}]'),
    (' [1,"x"]', "application/json; charset=utf-8", '[1,"x"]'),
    ('{"a":1}', "application/vnd.x+json", '[{"a":1}]'),
    ('{"a":1}', None, '[{"a":1}]'),
    ('{"a":1}', "application/x-www-form-urlencoded", '[{"a":1}]'),
    ("variable=A&value=1", "application/x-www-form-urlencoded", '[{"variable":"A","value":1}]'),
    ("temp=1&hum=2", "application/x-www-form-urlencoded", "temp=1&hum=2"),
    ("{oops", "application/x-www-form-urlencoded", "{oops"),
    ('{"a":1}', "text/plain", '{"a":1}'),
    ("1;2;3", "text/csv", "1;2;3"),
    ("01ff", None, "01ff"),
    ("[1;2]", None, "[1;2]"),
    ("<a/>", "application/xml", "<a/>"),
    ("ü\n", "multipart/form-data; boundary=x", "ü\n"),
    (b"\x00\xff\x00\x00", "application/octet-stream", "00FF0000"),
    (b" ", "application/octet-stream", "20"),
    (b"abc", "Application/Octet-Stream", "616263"),
    (b"\xef\xbb\xbf\xc3\xbc", "text/plain", "ü"),
]


@pytest.mark.parametrize(("raw", "kind", "seen"), TYPES)
def test_parser_gets_a_body_of_any_content_type(world, raw, kind, seen):
    give(world, SEEN)
    assert post(world, raw, kind).result == "1 Data Added"
    assert values(world.read()) == [seen]


def test_body_in_gzip_reaches_the_parser_inflated(world):
    give(world, SEEN)
    answer = post(world, gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"})
    assert answer.result == "1 Data Added" and values(world.read()) == ['[{"a":1}]']
    large = gzip.compress(b"[" + b" " * 200_000 + b"]")
    assert post(world, large, headers={"Content-Encoding": "gzip"}).status == 413


REFUSED = [
    ("5", "application/json", "must be a JSON object or an array"),
    ('"hello"', "application/json", "must be a JSON object or an array"),
    ('{"a"', "application/json", "Invalid JSON"),
    ("[NaN]", "application/json", "finite"),
    ("", "application/json", "empty"),
    (" ", "text/plain", "empty"),
    (b"\xe9", "text/plain", "application/octet-stream"),
]


@pytest.mark.parametrize(("raw", "kind", "text"), REFUSED)
def test_body_that_no_parser_can_get_is_refused(world, raw, kind, text):
    give(world, SEEN)
    answer = post(world, raw, kind)
    assert answer.status == 400 and text in answer.message


def test_without_a_parser_content_types_mean_what_they_meant(world):
    give(world, SEEN)
    give(world, None)
    assert post(world, "1;2", "text/csv").status == 400
    assert post(world, "<a/>", "application/xml").status == 415
    assert post(world, '{"variable":"a"}', "text/plain").status == 200


def test_each_parser_gets_what_the_one_before_it_gave(world):
    add = "console.log(JSON.stringify(payload)); payload = {variable: 'x', value: payload[0].value * 10 + %d}"
    chained(world, *(add % number for number in (1, 2, 3)))
    assert world.api.post("/data", point("x", 4)).result == "1 Data Added"
    assert values(world.read()) == [4123]


def test_later_parsers_get_a_list_after_none_and_the_raw_payload(world, inspector):
    chained(
        world,
        "payload = null",
        "console.log(JSON.stringify(payload)); payload = 'text'",
        "payload = [{variable: 'x', value: payload + raw_payload[0].a}]",
    )
    assert world.api.post("/data", {"a": 1}).result == "1 Data Added"
    assert values(world.read()) == ["text1"] and inspector.lines == ["connector: []"]


@pytest.mark.parametrize("gives", ["[]", "null", "undefined", "[[]]"])
def test_nothing_from_a_parser_stores_nothing_and_counts_as_input(world, gives):
    give(world, f"payload = {gives}")
    assert world.api.post("/data", {"a": 1}).result == "0 Data Added"
    assert world.read() == []
    if gives == "[]":
        assert world.admin.get(f"/device/{world.device}").result["last_input"] is not None


FAILURES = [
    ("x.y", "ReferenceError: x is not defined (device parser, line 1)"),
    ("\n\nnull.a", "(device parser, line 3)"),
    ("throw 'plain'", "Payload Parser Terminated Unexpectedly: plain (device parser)"),
    ("throw new Error('ünï \\ud800')", "(device parser, line 1)"),
    ("if (", "SyntaxError"),
    ("payload = 'text'", "payload must be an array of records at the end, not a single value (device parser)"),
    ("payload = 5", "payload must be an array of records"),
    (
        "payload = Array(1001).fill({variable: 'a'})",
        "The parser gave over 1,000 records; at most 1,000 are allowed (device parser)",
    ),
    ("payload = [{variable: 'a', metadata: {x: 'x'.repeat(200001)}}]", "output has over 200,000 bytes (device parser)"),
    ("for (;;);", "takes too long"),
    ("let all = []; for (;;) all.push(new Uint8Array(1e6))", ""),
]


@pytest.mark.parametrize(("source", "text"), FAILURES)
def test_parser_that_fails_stores_nothing_and_says_where(world, inspector, monkeypatch, source, text):
    monkeypatch.setattr(parsers, "Budget", lambda: sandbox.Budget(cpu_s=0.3, wall_s=0.5))
    give(world, f"console.log('here');{source}")
    answer = world.api.post("/data", point())
    assert answer.status == 400 and answer.message.startswith("Function Parse Error: ") and text in answer.message
    assert world.read() == []
    assert inspector.lines[-1] == answer.message and inspector.lines[0] in ("device: here", answer.message)


def test_failure_names_the_parser_of_the_chain(world):
    chained(world, "payload = [{a: 1}]", "\npayload.b.c", SEEN)
    assert world.api.post("/data", {}).message.endswith("(connector parser, line 2)")


def test_log_says_nothing_that_the_client_sent(world, monkeypatch):
    lines = []
    log.use(lines.append)
    give(world, "console.log(payload); throw new Error('secret ' + payload)")
    post(world, "hunter2", "text/plain")
    assert json.loads(lines[-1])[
        "reason"
    ] == "a payload parser failed (device parser, line 1)" and "hunter2" not in "".join(lines)


def test_console_is_shown_in_the_inspector(world, inspector):
    give(world, "console.log('a', 1); console.error({b: 2}); payload = []")
    world.api.post("/data", {})
    assert inspector.lines == ["device: a 1", 'device: {"b":2}']


def test_records_are_mended_and_none_makes_the_request_fail(world, inspector):
    give(
        world,
        """payload = [
        {variable: 'a.b-c d', value: 1, group: 1700000000000, unit: 5},
        {variable: 'object', value: {x: 1}, metadata: [1], location: 'here'},
        {variable: 'Wide', value: 'x'.repeat(6001), unit: 'y'.repeat(26), group: 'z'.repeat(101)},
        {variable: 'late', time: 'Invalid Date'}, {value: 1}, null, 'text', {variable: 'v'.repeat(101)},
        [{variable: 'date', time: String(new Date(1e12)), value: true}],
        {variable: 'null', value: null, unit: null, group: null, location: null, metadata: null, time: null},
        {variable: 8, value: 'x', location: {lat: 1, lng: 2}, metadata: {a: [1]}},
    ]""",
    )
    lines = []
    log.use(lines.append)
    assert world.api.post("/data", {}).result == "6 Data Added"
    logged = json.loads(lines[-1])
    assert (logged["points"], logged["dropped"]) == (6, 5)
    stored = {one["variable"]: one for one in world.read(qty=20)}
    assert stored.keys() == {"a_b_c_d", "object", "wide", "date", "null", "8"}
    assert stored["a_b_c_d"]["group"] == "1700000000000" and stored["a_b_c_d"]["unit"] == "5"
    assert not {"value", "metadata", "location"} & stored["object"].keys()
    assert not {"value", "unit"} & stored["wide"].keys() and len(stored["wide"]["group"]) == 24
    assert stored["date"]["time"] == "2001-09-09T01:46:40.000Z"
    assert stored["8"]["location"]["coordinates"] == [2, 1] and stored["8"]["metadata"] == {"a": [1]}
    assert sum("the record is dropped" in line for line in inspector.lines) == 5
    assert sum("it is left out" in line for line in inspector.lines) == 6
    assert "record 9: value is null, or was NaN or infinite; the point has none" in inspector.lines
    assert "stored as a_b_c_d" in inspector.lines[0]


def test_without_the_engine_the_client_is_told_to_try_again(world, monkeypatch):
    """It is the server that is not complete, so nothing that was sent is to blame."""
    give(world, "payload = []")

    def run(*_, **__):
        raise sandbox.Missing

    monkeypatch.setattr(sandbox, "run", run)
    answer = world.api.post("/data", {})
    assert answer.status == 503 and "Payload parsers do not run" in answer.message


def test_records_outside_the_window_of_an_immutable_device_are_dropped(immutable_world, inspector):
    give(immutable_world, "payload = [{variable: 'a', time: '2001-01-01'}, {variable: 'b'}]")
    assert immutable_world.api.post("/data", {}).result == "1 Data Added"
    assert "record 0: time must be between" in inspector.lines[0]


def test_notes_are_bounded(world, inspector):
    give(world, "payload = Array(1000).fill({value: 1})")
    assert world.api.post("/data", {}).result == "0 Data Added"
    assert len(inspector.lines) == 100 and inspector.lines[-1] == "and 901 more lines of this kind"


def test_half_surrogates_reach_neither_store_nor_inspector(world, inspector):
    give(world, "payload = [{variable: 'a', value: 'x\\ud800y'}]")
    assert world.api.post("/data", {}).result == "1 Data Added"
    assert values(world.read()) == ["x?y"]


def test_fields_of_the_output_that_nothing_reads_are_named(world, inspector):
    give(world, "payload = [{variable: 'a', timestamp: 5}]")
    world.api.post("/data", {})
    assert any("timestamp; the field is time" in content for _, content in inspector.entries)


def test_retry_is_one_point_if_the_times_come_from_the_body(world):
    give(world, "payload = payload.map(p => ({variable: 'a', value: 1, time: p.at, group: p.at}))")
    for _ in range(2):
        assert world.api.post("/data", {"at": NOW_MS}).result == "1 Data Added"
    assert len(world.read()) == 1


def test_equal_bodies_are_two_points_if_the_times_come_from_the_clock(world, clock):
    give(world, "payload = [{variable: 'a', value: raw_payload, time: new Date()}]")
    for _ in range(2):
        assert post(world, "01ff", "text/plain").result == "1 Data Added"
    one, other = world.read()
    assert one["time"] == other["time"] and one["group"] != other["group"]


def test_the_same_body_after_a_decoder_was_corrected_is_stored_again(world):
    """Who replays data after a mend wants the new points. Only a body that gives the same points is a retry."""
    fixed = "time: '2026-07-14T00:00:00Z'"
    for number in (1, 2, 2):
        give(world, f"payload = {{variable: 'a', value: {number}, {fixed}}}")
        assert post(world, "x", "text/plain").result == "1 Data Added"
    assert sorted(values(world.read())) == [1, 2]
    for count in (3, 4, 5, 1):
        give(world, f"payload = Array.from(Array({count}), (_, i) => ({{variable: 'b', value: i, {fixed}}}))")
        assert post(world, "x", "text/plain").result == f"{count} Data Added"


def test_a_retry_with_a_key_never_runs_into_itself(world, clock):
    """A decoder may give another number of points each time. What the first tries have stored is there."""
    for count in (1, 2, 3, 4, 2, 5):
        give(world, f"payload = Array.from(Array({count}), (_, i) => ({{variable: 'b', value: i, time: 1.75e12}}))")
        assert post(world, "x", "text/plain", headers={"Idempotency-Key": "k"}).result == f"{count} Data Added"
        clock.advance(1)
    assert {*values(world.read(qty=50))} == {0, 1, 2, 3, 4}


def test_a_busy_machine_is_no_fault_of_the_parser(world, monkeypatch):
    """It asks the client to come again, and does not refuse for good."""
    give(world, "for (;;);")

    def run(*_, budget, **__):
        budget.wall_s, budget.cpu_s = -0.01, 0.9
        raise sandbox.Failed("The parser takes too long")

    monkeypatch.setattr(sandbox, "run", run)
    assert world.api.post("/data", {}).status == 503


@pytest.mark.parametrize(
    "time",
    [
        "'Mon Jan 01 0001 00:00:00 GMT+2359'",
        "String(new Date('0001-01-01T00:00:00Z'))",
        "new Date(-6e13).toUTCString()",
    ],
)
def test_a_date_that_nobody_can_store_drops_its_record_only(world, inspector, time):
    give(world, f"payload = [{{variable: 'good', value: 1}}, {{variable: 'bad', value: 2, time: {time}}}]")
    assert world.api.post("/data", {}).result == "1 Data Added"
    assert any("years 1100 and 9999; the record is dropped" in line for line in inspector.lines)


def test_what_a_terminal_would_obey_is_not_shown(world, inspector):
    give(world, "console.log('a\u001b[31mb'); throw '\u0000\u001b[31m\u202e'")
    assert world.api.post("/data", {}).message.isprintable()
    assert all(line.isprintable() for line in inspector.lines) and inspector.lines


def test_retry_with_a_key_is_one_point_whatever_the_parser_makes_of_the_clock(world, clock):
    give(world, "payload = [1, 2].map(i => ({variable: 'a', value: Date.now(), time: Date.now() - i * 60000}))")
    key = {"Idempotency-Key": "k"}
    for _ in range(3):
        assert post(world, "01ff", "text/plain", headers=key).result == "2 Data Added"
        clock.advance(7)
    assert len(world.read()) == 2
    answer = post(world, "02ff", "text/plain", headers=key)
    assert answer.status == 400 and "Idempotency-Key was used with another body" in answer.message
    cache.clear_all()
    assert len(world.read()) == 2


def test_request_that_loses_the_race_for_its_key_is_told_to_come_again(world, clock, monkeypatch):
    give(world, "payload = [{variable: 'a', time: Date.now() - 1}]")
    parse, is_first = parsers.parse, [True]

    def raced(chain, **kwargs):
        if is_first.pop() if is_first else False:
            clock.advance(1)
            assert post(world, "x", "text/plain", headers={"Idempotency-Key": "k"}).result == "1 Data Added"
        return parse(chain, **kwargs)

    monkeypatch.setattr(parsers, "parse", raced)
    assert post(world, "x", "text/plain", headers={"Idempotency-Key": "k"}).status == 503
    assert post(world, "x", "text/plain", headers={"Idempotency-Key": "k"}).result == "1 Data Added"
    assert len(world.read()) == 1


@pytest.mark.parametrize("kind", ["connector", "network"])
def test_parser_of_what_was_deleted_is_skipped(world, kind):
    def made(noun, **fields):
        return world.admin.post(f"/integration/{noun}", {"name": "Throws", **fields}).result[noun]

    throws = {"payload_decoder": encoded("throw new Error('no')")}
    network = made("network", **(throws if kind == "network" else {}))
    connector = made("connector", networks=[network], **(throws if kind == "connector" else {}))
    device = world.admin.post("/device", {"name": "Device", "connector": connector, "network": network}).result
    world.api.token = device["token"]
    assert f"({kind} parser, line 1)" in world.api.post("/data", point()).message
    world.admin.delete(f"/integration/{kind}/{connector if kind == 'connector' else network}")
    assert world.api.post("/data", point()).result == "1 Data Added"


def test_failed_parser_does_not_use_up_the_key(world):
    give(world, "throw 1")
    assert post(world, "x", "text/plain", headers={"Idempotency-Key": "k"}).status == 400
    give(world, SEEN)
    assert post(world, "y", "text/plain", headers={"Idempotency-Key": "k"}).result == "1 Data Added"


def test_quota_that_is_used_up_keeps_parsers_from_running(world, monkeypatch):
    def refuse(**_):
        raise errors.PaymentRequired("used up")

    monkeypatch.setattr(quotas, "check", refuse)
    monkeypatch.setattr(sandbox, "run", None)
    give(world, SEEN)
    assert world.api.post("/data", {}).status == 402


def test_another_profiles_connector_is_not_run(world):
    other = World()
    integration(other, "connector", "payload = []")
    sent = {"name": "Device", "connector": CONNECTOR_ID, "network": NETWORK_ID}
    made = world.admin.post("/device", sent).result
    assert world.api.post("/data", point(), token=made["token"]).result == "1 Data Added"


def test_parser_works_for_a_profile_token_too(world, configure):
    configure(profile_may_send=True)
    give(world, SEEN)
    assert world.admin.post(f"/device/{world.device}/data", {"a": 1}).result == "1 Data Added"
    assert values(world.read()) == ['[{"a":1}]']
