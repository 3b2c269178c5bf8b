"""POST /data: every field, limit and rule."""

import base64
import json
import time

import pytest

from tests.kit.world import World, point, values

EMPTY = ["", "null", '""', "5", '"hello"', "true"]
BROKEN = ['[{"variable": "a"', '[{"variable": "a"},]', "{", "[", '{"variable": "a"} x', "{'variable': 'a'}"]


@pytest.mark.parametrize("raw", EMPTY)
def test_send_no_object_is_refused_and_says_what_is_expected(world, raw):
    answer = world.api.post("/data", raw=raw)
    assert answer.status == 400 and "object" in answer.message


def test_send_empty_array_adds_nothing(world):
    assert world.api.post("/data", []).result == "0 Data Added"


def test_send_object_and_list_of_one_are_alike(world):
    assert world.api.post("/data", point("a")).result == "1 Data Added"
    assert world.api.post("/data", [point("b")]).result == "1 Data Added"
    assert {one["variable"] for one in world.read()} == {"a", "b"}


@pytest.mark.parametrize("raw", BROKEN)
def test_send_broken_json_is_refused_with_the_place(world, raw):
    answer = world.api.post("/data", raw=raw)
    assert answer.status == 400 and "line 1 column" in answer.message
    assert world.read() == []


@pytest.mark.parametrize("raw", [b'[{"variable":"\xff"}]', b"\x00", b"\xed\xa0\x80"])
def test_send_bytes_that_are_no_utf8_json_are_refused(world, raw):
    answer = world.api.post("/data", raw=base64.b64encode(raw).decode(), base64=True)
    assert answer.status == 400


def test_send_broken_base64_is_refused(world):
    assert world.api.post("/data", raw="@@@", base64=True).status == 400


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_send_number_that_is_not_finite_is_refused_by_item_and_field(world, number):
    answer = world.api.post("/data", raw=f'[{{"variable":"a","value":1}},{{"variable":"a","value":{number}}}]')
    assert answer.status == 400
    assert answer.message == "Item 1: value must be a finite number"
    assert answer.body["field_errors"] == {"1": ["value must be a finite number"]}
    nested = world.api.post("/data", raw=f'{{"variable":"a","metadata":{{"x":[{number}]}}}}')
    assert nested.status == 400 and "metadata" in nested.message
    assert world.read() == []


EXACT = [
    "7e-06", "-0.0", "1e-130", "0.30000000000000004", "9223372036854775808", "18446744073709551616",
    "12345678901234567890123456789012345678", "-12345678901234567890123456789012345678",
    "0.12345678901234567890123456789012345678", "123456.123456789012345678", "1.5e125", "5e-324", "21.400000000000002",
]  # fmt: skip


@pytest.mark.parametrize("text", EXACT)
def test_send_number_comes_back_exactly(world, text):
    from decimal import Decimal

    world.api.post("/data", raw=f'{{"variable":"a","value":{text}}}')
    answer = world.api.get("/data")
    (got,) = json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)["result"]
    assert got["value"] == Decimal(text)
    assert got["value"].is_signed() == Decimal(text).is_signed()


@pytest.mark.parametrize(
    "text", ["123456789012345678901234567890123456789", "1e126", "-1e126", "0.123456789012345678901234567890123456789"]
)
def test_send_number_out_of_range_is_refused(world, text):
    answer = world.api.post("/data", raw=f'{{"variable":"a","value":{text}}}')
    assert answer.status == 400 and answer.message.startswith("Item 0: value ")


def test_send_value_keeps_its_type(world):
    sent = [True, False, 1, 0, 1.0, "1", "true", ""]
    world.send(*[point(f"v{index}", value) for index, value in enumerate(sent)])
    got = {one["variable"]: one["value"] for one in world.read()}
    for index, value in enumerate(sent):
        assert got[f"v{index}"] == value and type(got[f"v{index}"]) is type(value)


def test_send_endless_integer_is_refused_quickly(world):
    started = time.perf_counter()
    answer = world.api.post("/data", raw='{"variable":"a","value":' + "9" * 5000 + "}")
    assert answer.status == 400 and time.perf_counter() - started < 0.5


def deep(levels):
    return "{" + '"a":{' * (levels - 1) + "}" * levels


@pytest.mark.parametrize(("levels", "status"), [(1, 200), (32, 200), (33, 400), (250, 400), (60_000, 400)])
def test_send_metadata_depth_is_limited(world, levels, status):
    raw = '{"variable":"a","metadata":' + deep(levels) + "}"
    started = time.perf_counter()
    assert world.api.post("/data", raw=raw[:399_999]).status == (413 if len(raw) > 200_000 else status)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("raw", ["[" * 200_000, "{" + ",".join(f'"k{i}":0' for i in range(20_000)) + "}"])
def test_send_hostile_shapes_are_refused_quickly(world, raw):
    started = time.perf_counter()
    assert world.api.post("/data", raw=raw[:200_000]).status == 400
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(("size", "status"), [(200_000, 200), (200_001, 413), (7_000_000, 413)])
def test_send_body_size_is_limited(world, size, status):
    raw = '[{"variable":"a"}' + " " * (size - 18) + "]"
    assert len(raw) == size
    assert world.api.post("/data", raw=raw).status == status


def test_send_full_body_of_small_points_is_stored_whole(world):
    sent = [{"variable": f"v{index % 50}", "value": index} for index in range(5_000)]
    assert world.api.post("/data", sent).result == "5000 Data Added"
    assert world.read(query="count") == 5_000


def test_send_base64_flag_is_decoded(world):
    raw = base64.b64encode(json.dumps(point("a", "ü")).encode()).decode()
    assert world.api.post("/data", raw=raw, base64=True).result == "1 Data Added"
    assert values(world.read()) == ["ü"]


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "text/plain",
        "Application/X-Www-Form-Urlencoded",
    ],
)
def test_send_json_is_read_whatever_text_type_is_named(world, kind):
    assert world.api.post("/data", raw='{"variable":"a","value":1}', headers={"Content-Type": kind}).status == 200


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/xml", "application/octet-stream"])
def test_send_other_content_type_is_refused(world, kind):
    answer = world.api.post("/data", raw="x", headers={"Content-Type": kind})
    assert answer.status == 415


def test_send_form_is_one_point(world):
    raw = "variable=Temp&value=1&unit=C&location%5Blat%5D=1.5&location%5Blng%5D=2&metadata%5Bcolor%5D=red"
    answer = world.api.post("/data", raw=raw, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.result == "1 Data Added"
    (got,) = world.read()
    assert got["variable"] == "temp" and got["value"] == 1 and got["metadata"] == {"color": "red"}
    assert got["location"] == {"type": "Point", "coordinates": [2, 1.5]}


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TYPED = [
    ("1", 1), ("0", 0), ("-0.5", -0.5), ("1.0", 1.0), ("true", True), ("false", False), ("-0.0", -0.0),
    ("123456789012345678901234567890", 123456789012345678901234567890), ("1e-07", "1e-07"), ("1e-7", 1e-7),
    ("01", "01"), ("%2B1", "+1"), ("1e5", "1e5"), ("-0", "-0"), (".5", ".5"), ("1.", "1."), ("1.50", "1.50"),
    ("True", "True"), ("NaN", "NaN"), ("+1", " 1"), ("1+", "1 "), ("null", "null"), ("1" * 39, "1" * 39),
    ("1,5", "1,5"), ("%D9%A1", "\u0661"), ("0x10", "0x10"), ("1_000", "1_000"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), TYPED)
def test_send_form_value_is_a_number_or_boolean_if_it_is_written_as_json_writes_it(world, text, value):
    raw = f"variable=a&value={text}&metadata[x]={text}&metadata[y][z]={text}"
    assert world.api.post("/data", raw=raw, headers=FORM).result == "1 Data Added"
    (got,) = world.read()
    for read in (got["value"], got["metadata"]["x"], got["metadata"]["y"]["z"]):
        assert read == value and type(read) is type(value)


def test_send_form_location_with_many_digits_is_read(world):
    raw = "variable=a&location[lat]=42.123456789012345678&location[lng]=-71.1"
    assert world.api.post("/data", raw=raw, headers=FORM).result == "1 Data Added"
    assert world.read()[0]["location"]["coordinates"] == [-71.1, 42.123456789012345]


@pytest.mark.parametrize("raw", [b"variable=a&value=\xff", b"variable=a&value=%ff", b"variable=a&value=%C3", b"\xe9=1"])
def test_send_form_that_is_not_utf8_is_refused(world, raw):
    answer = world.api.post("/data", raw=base64.b64encode(raw).decode(), base64=True, headers=FORM)
    assert answer.status == 400 and "UTF-8" in answer.message
    assert world.read() == []


@pytest.mark.parametrize(
    "raw",
    [
        "novalue",
        "location=5&variable=a",
        "",
        "value=1",
        "location%5Blat%5D=x&location%5Blng%5D=1&variable=a",
        "variable=a&location[lat][x]=1&location[lng]=1",
    ],
)
def test_send_bad_form_is_refused(world, raw):
    answer = world.api.post("/data", raw=raw, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 400


def test_send_duplicate_keys_last_wins(world):
    world.api.post("/data", raw='{"variable":"a","value":1,"value":2}')
    assert values(world.read()) == [2]


@pytest.mark.parametrize(
    "name", ["Temp", "a" * 100, "a_b", "1", "🌡", "\u200fx", "__proto__", "a#b", "a/b", "%41", "ß", "{a}"]
)
def test_send_variable_is_folded_and_kept(world, name):
    world.send(point(name))
    assert [one["variable"] for one in world.read(variables=name)] == [name.lower()]


@pytest.mark.parametrize("name", ["", "a" * 101, *(f"a{c}b" for c in "*?!<>.-=$ \t\n\0\x7f"), 5, None, ["a"]])
def test_send_bad_variable_is_refused(world, name):
    answer = world.api.post("/data", [{"variable": "ok"}, {"variable": name}])
    assert answer.status == 400 and answer.message.startswith("Item 1: variable ")


@pytest.mark.parametrize(
    ("value", "status"), [("x" * 6_000, 200), ("x" * 6_001, 400), ("ü" * 3_000, 200), ("ü" * 3_001, 400)]
)
def test_send_text_value_is_limited_in_bytes(world, value, status):
    assert world.api.post("/data", point("a", value)).status == status


@pytest.mark.parametrize("field", ["variable", "value", "unit", "group"])
def test_send_lone_surrogate_is_refused(world, field):
    raw = json.dumps({"variable": "a", field: "\ud800"})
    assert world.api.post("/data", raw=raw).status == 400


LOCATIONS = [
    ({"lat": 1.5, "lng": -2}, [-2, 1.5]),
    ({"type": "Point", "coordinates": [-2, 1.5]}, [-2, 1.5]),
    ({"type": "point", "coordinates": [180, -90]}, [180, -90]),
    ({"coordinates": [0, 0]}, [0, 0]),
    ({"type": "Point", "coordinates": [-71.1, 42.3, 12.5]}, [-71.1, 42.3, 12.5]),
    ({"type": "Point", "coordinates": [0, 0, -430]}, [0, 0, -430]),
]


@pytest.mark.parametrize(("sent", "got"), LOCATIONS)
def test_send_location_comes_back_as_geojson(world, sent, got):
    world.send({"variable": "a", "location": sent})
    assert world.read()[0]["location"] == {"type": "Point", "coordinates": got}


BAD_LOCATIONS = [
    {}, [], "x", 5, {"lat": 91, "lng": 0}, {"lat": 0, "lng": 181}, {"lat": -90.1, "lng": 0}, {"lat": "1", "lng": "2"},
    {"lat": True, "lng": 0}, {"lat": 1}, {"type": "Polygon", "coordinates": [0, 0]}, {"type": "Point", "coordinates": [0]},
    {"type": "Point", "coordinates": [0, 0, 0, 0]}, {"type": "Point"}, {"coordinates": "ab"}, {"lat": None, "lng": 1},
    {"coordinates": [0, 0, "1"]}, {"coordinates": [0, 0, None]}, {"coordinates": [0, 0, 1e10]}, {"coordinates": [0, 91, 0]},
]  # fmt: skip


@pytest.mark.parametrize("sent", BAD_LOCATIONS)
def test_send_bad_location_is_refused(world, sent):
    answer = world.api.post("/data", {"variable": "a", "location": sent})
    assert answer.status == 400 and "location" in answer.message


def test_send_null_fields_are_absent(world):
    world.send({"variable": "a", **dict.fromkeys(("value", "unit", "group", "serie", "time", "location", "metadata"))})
    (got,) = world.read()
    assert set(got) == {"id", "device", "variable", "group", "time"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unit", "x" * 26), ("unit", 5), ("group", "x" * 101), ("group", 5), ("metadata", "text"), ("metadata", [1]),
        ("metadata", {"a": "x" * 10_000}), ("value", {}), ("value", []), ("serie", []), ("time", True), ("time", {}),
        ("time", "yesterday"), ("time", "2026-02-30"), ("time", "2026-01-01T24:30:00Z"), ("time", 10**18),
        ("time", "2026-01-01T00:00:60Z"), ("time", "0999-01-01"), ("time", "99999-01-01"),
        ("time", "2026-01-01T24:00:01Z"), ("time", "2026-01-01T23:59:61Z"), ("time", "2026-01-01T25:00:00Z"),
        ("time", "2026-01-01T23:59:60+01:00"), ("time", "2026-01-01 10:00:00 24:00"), ("time", "9999-12-31T24:00:00Z"),
    ],
)  # fmt: skip
def test_send_bad_field_is_refused_and_nothing_is_stored(world, field, value):
    answer = world.api.post("/data", [point("ok"), {"variable": "a", field: value}])
    assert answer.status == 400 and answer.message.startswith(f"Item 1: {field}")
    assert list(answer.body["field_errors"]) == ["1"]
    assert world.read() == []


def test_send_unknown_fields_are_ignored(world):
    world.send(
        {"variable": "a", "value": 1, "id": "0" * 24, "device": "0" * 24, "created_at": "x", "origin": "y", "z": {}}
    )
    (got,) = world.read()
    assert got["device"] == world.device and got["id"] != "0" * 24 and "z" not in got


def test_send_one_bad_item_of_many_stores_none(world):
    sent = [point("a", index) for index in range(2_000)]
    sent[1_500] = {"value": 1}
    answer = world.api.post("/data", sent)
    assert answer.status == 400 and answer.body["field_errors"] == {"1500": ["variable is required"]}
    assert world.read(query="count") == 0


def test_send_group_is_shared_and_serie_is_its_alias(world):
    world.send(point("a"), point("b"), point("c", serie=7), point("d", group="g", serie="s"))
    groups = {one["variable"]: one["group"] for one in world.read()}
    assert groups["a"] == groups["b"] and len(groups["a"]) == 24
    assert groups["c"] == "7" and groups["d"] == "g"
    world.send(point("a"))
    assert world.read(variables="a", query="last_item")[0]["group"] != groups["a"]


TIMES = [
    ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z"),
    ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
    ("2026-01-02T03:04:05.6789999Z", "2026-01-02T03:04:05.678Z"),
    ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z"),
    ("2026-01-02 03:04:05", "2026-01-02T03:04:05.000Z"),
    ("2026-01-02 03:04:05+00:00", "2026-01-02T03:04:05.000Z"),
    ("2026-01-02", "2026-01-02T00:00:00.000Z"),
    (1_767_323_045, "2026-01-02T03:04:05.000Z"),
    (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
    (1_767_323_045.678, "2026-01-02T03:04:05.678Z"),
    ("1767323045678", "2026-01-02T03:04:05.678Z"),
    ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    ("1100-01-01T00:00:00.000Z", "1100-01-01T00:00:00.000Z"),
    ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    (-1000, "1969-12-31T23:43:20.000Z"),
    ("2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"),
    ("2026-01-02T03:04:05.678z", "2026-01-02T03:04:05.678Z"),
    ("2026-12-31T24:00:00Z", "2027-01-01T00:00:00.000Z"),
    ("2026-12-31T24:00:00.000Z", "2027-01-01T00:00:00.000Z"),
    ("2026-02-28 24:00", "2026-03-01T00:00:00.000Z"),
    ("20260228T240000+0200", "2026-02-28T22:00:00.000Z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ("2016-12-31t23:59:60.999z", "2017-01-01T00:00:00.000Z"),
    ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00.000Z"),
]


@pytest.mark.parametrize(("sent", "got"), TIMES)
def test_send_time_is_read_in_every_spelling(world, sent, got):
    world.send(point("a", time=sent))
    assert world.read()[0]["time"] == got


@pytest.mark.parametrize("time", ["yesterday", "2026-02-30", True, {}, [1], 10**18, "01/31/2026"])
def test_send_bad_time_is_refused_with_the_accepted_forms(world, time):
    answer = world.api.post("/data", [{"variable": "a"}, {"variable": "a", "time": time}])
    assert answer.status == 400 and answer.message.startswith("Item 1: time ")
    assert "2026-01-31T12:00:00Z" in answer.message and "milliseconds" in answer.message


@pytest.mark.parametrize("absent", [{}, {"time": None}, {"time": ""}])
def test_send_without_time_takes_the_arrival_and_keeps_the_order(clock, world, absent):
    world.send(*[point("a", index, **absent) for index in range(5)])
    got = world.read()
    assert values(got) == [4, 3, 2, 1, 0]
    assert {one["time"] for one in got} == {"2026-09-21T14:13:20.000Z"}


def test_send_late_point_does_not_change_the_last_value(world):
    world.send(point("a", "new", time="2026-05-05T05:05:05Z"))
    world.send(point("a", "late", time="2026-05-05T04:05:05Z"), point("a", "later", time="2026-05-05T05:00:00Z"))
    assert values(world.read(query="last_value")) == ["new"]
    assert values(world.read()) == ["new", "later", "late"]


def test_send_clock_stepping_back_keeps_ids_apart(clock, world):
    for _ in range(3):
        world.send(point("a"))
    clock.advance(-0.002)
    world.send(point("a"))
    assert len({one["id"] for one in world.read()}) == 4


BATCH = [point("a", 1, time="2026-01-01T00:00:00Z"), point("a", 2, time="2026-01-01T00:59:59Z")]


def test_send_again_is_stored_once_and_answered_alike(world):
    first, again = (world.api.post("/data", BATCH) for _ in range(2))
    assert first.text == again.text
    assert world.read(query="count") == 2


def test_send_again_with_dedupe_off_is_stored_twice(world, configure):
    configure(dedupe=False)
    world.send(*BATCH)
    world.send(*BATCH)
    assert world.read(query="count") == 4


def test_send_without_time_is_a_new_reading_each_time(world):
    world.send(point("a"))
    world.send(point("a"))
    assert world.read(query="count") == 2


def test_send_same_point_twice_in_a_batch_is_one_point_and_says_so(world, configure):
    assert world.send(BATCH[0], BATCH[1], BATCH[0]) == "2 Data Added"
    assert world.read(query="count") == 2
    configure(dedupe=False)
    other = World()
    assert other.send(BATCH[0], BATCH[0]) == "2 Data Added"
    assert other.read(query="count") == 2


def test_send_with_idempotency_key_is_stored_once(clock, world):
    headers = {"Idempotency-Key": "one"}
    for _ in range(2):
        assert world.send(point("a"), headers=headers) == "1 Data Added"
        clock.advance(5)
    assert world.read(query="count") == 1
    world.send(point("a"), headers={"Idempotency-Key": "two"})
    assert world.read(query="count") == 2


def test_send_idempotency_key_with_another_body_is_refused_for_a_day(clock, world):
    headers = {"Idempotency-Key": "one"}
    world.send(point("a"), headers=headers)
    assert world.api.post("/data", [point("b")], headers=headers).status == 400
    clock.advance(86_401)
    assert world.api.post("/data", [point("b")], headers=headers).status == 200


@pytest.mark.parametrize("key", ["x" * 256])
def test_send_bad_idempotency_key_is_refused(world, key):
    assert world.api.post("/data", [point("a")], headers={"Idempotency-Key": key}).status == 400


def test_send_over_many_hours_is_stored_once_however_often(world):
    sent = [point("a", hour, time=f"2026-01-01T{hour:02d}:30:00Z") for hour in (5, 3, 4, 3)]
    sent.append(point("a", "other", time="2026-01-01T03:30:00Z"))
    for _ in range(2):
        world.send(*sent)
    assert sorted(map(str, values(world.read()))) == ["3", "4", "5", "other"]


def test_send_to_a_full_device_is_refused(world, monkeypatch):
    monkeypatch.setattr("chalicelib.services.points.fullness.MAX_POINTS", 3)
    world.send(*[point("a")] * 4)
    answer = world.api.post("/data", [point("a")])
    wanted = "The device has reached the limit of 3 data registers: delete points, or use an immutable device"
    assert answer.status == 400 and answer.message == wanted
    world.api.delete("/data", query={"qty": 2})
    assert world.send(point("a")) == "1 Data Added"


def test_send_to_a_deactivated_device_is_refused(world):
    world.admin.put(f"/device/{world.device}", {"active": False})
    answer = world.api.post("/data", [point("a")])
    assert answer.status == 400 and answer.message == "Device is deactivated"


def test_send_points_too_large_for_an_item_are_refused_before_any_write(world, monkeypatch):
    monkeypatch.setattr("chalicelib.codec.segments.MAX_BODY_BYTES", 1_000)
    from tests.property.test_codec import noise

    sent = [point("a", noise(index, 900), time=f"2026-01-01T0{index}:00:00Z") for index in range(2)]
    sent.append(point("a", noise(9, 900), time="2026-01-01T01:00:01Z"))
    answer = world.api.post("/data", sent)
    assert answer.status == 413
    assert world.read(query="count") == 0


def test_time_zero_is_a_time(world):
    for _ in range(2):
        assert world.send(point("a", 1, time=0)) == "1 Data Added"
    assert world.read(query="count") == 1 and world.read()[0]["time"] == "1970-01-01T00:00:00.000Z"


def test_refused_request_does_not_use_up_its_idempotency_key(world):
    headers = {"idempotency-key": "k"}
    assert world.api.post("/data", {"variable": "a b"}, headers=headers).status == 400
    assert world.api.post("/data", point("ab"), headers=headers).result == "1 Data Added"
    assert world.api.post("/data", point("ab"), headers=headers).result == "1 Data Added"
    assert world.read(query="count") == 1
