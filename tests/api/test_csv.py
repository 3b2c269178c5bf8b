"""GET /data as CSV."""

import csv
import io
import json

import pytest

from chalicelib import settings
from chalicelib.codec import csvtext
from chalicelib.schemas.points import clean_location
from tests.kit.world import World, point

CSV = "text/csv; charset=utf-8"
HOSTILE = '=HYPERLINK("http://x","y")'


def rows_of(answer):
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == CSV
    return [*csv.DictReader(io.StringIO(answer.text, newline=""), strict=True)]


def test_csv_holds_what_the_json_holds(world):
    world.send(
        point("a", 21.5, unit="°C", group="g", time="2026-01-01T00:00:00.000Z", metadata={"x": 'say "hi", you'}),
        point("b", None, location={"lat": 1.5, "lng": -2}, time="2026-01-02T00:00:00.000Z"),
        point("c", HOSTILE, time="2026-01-03T00:00:00.000Z"),
        point("d", True, time="2026-01-04T00:00:00.000Z"),
    )
    sent = world.api.get("/data", query={"qty": 10, "format": "csv"}).text
    read = [row.point for row in csvtext.read(io.StringIO(sent, newline=""))]
    for one in read:
        if "location" in one:
            one["location"] = clean_location(one["location"])
    expected = world.read(qty=10)
    assert read == [{name: one[name] for name in csvtext.COLUMNS if name in one} for one in expected]
    assert [row["id"] for row in rows_of(world.api.get("/data", query={"qty": 10, "format": "csv"}))] == [
        one["id"] for one in expected
    ]
    assert f"c,'{HOSTILE[:11]}" in sent.replace('"', "")


@pytest.mark.parametrize(
    "last", [{}, {"unit": "'x"}, {"unit": "a,b"}, {"value": 'a"b'}, {"value": "+1"}, {"metadata": {}}, {"value": 1e-7}]
)
def test_csv_is_the_same_whether_or_not_points_are_decoded(world, last):
    world.send(
        point("a", -21.5, time="2026-01-01"), point("b", True, unit="m/s", group="x-1", time="2026-01-02"),
        point("c+", 7, unit="°C", time="2026-01-03"), {**point("d", 0, time="2026-01-04"), **last},
    )  # fmt: skip
    expected = csvtext.header(has_ids=True) + csvtext.write(world.read(qty=10), has_ids=True)
    assert world.api.get("/data", query={"qty": 10, "format": "csv"}).text == expected


def test_csv_keeps_long_numbers(world):
    world.api.post("/data", raw='{"variable": "a", "value": 0.12345678901234567890123}').result  # noqa: B018
    assert [row["value"] for row in rows_of(world.api.get("/data", query={"format": "csv"}))] == [
        "0.12345678901234567890123"
    ]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", CSV), ("TEXT/CSV", CSV), ("text/csv, */*;q=0.1", CSV), ("application/json;q=0.5, text/csv", CSV),
        ("application/json, text/csv", "application/json"), ("text/csv;q=0", "application/json"),
        ("text/csv;q=0.9, application/json", "application/json"), ("*/*", "application/json"),
        ("application/json, text/plain, */*", "application/json"), ("text/html", "application/json"),
        ("text/csv;;;q=x", "application/json"),
    ],
)  # fmt: skip
def test_csv_by_accept(world, accept, kind):
    world.send(point())
    answer = world.api.get("/data", headers={"Accept": accept})
    assert answer.headers["content-type"] == kind


def test_format_overrides_accept(world):
    assert world.api.get("/data", query={"format": "json"}, headers={"Accept": "text/csv"}).result == []
    answer = world.api.get("/data", query={"format": "CSV"}, headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == CSV and answer.text == csvtext.header(has_ids=True)
    refused = world.api.get("/data", query={"format": "xml"}, headers={"Accept": "text/csv"})
    assert refused.status == 400 and "format" in refused.message
    assert world.api.delete("/data", query={"format": "csv"}).status == 400


def test_csv_is_saved_under_the_id_of_the_device(world):
    answer = world.admin.get(f"/device/{world.device}/data", query={"format": "csv"})
    assert answer.headers["content-disposition"] == f'attachment; filename="{world.device}.csv"'
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["access-control-allow-origin"] == "*" and answer.headers["x-request-id"]


def test_csv_of_numbers_and_buckets(world):
    world.send(*(point("a", value, time=f"2026-01-0{value}") for value in (1, 2, 3)))
    span = {"start_date": "2026-01-01", "end_date": "2026-01-05", "format": "csv"}
    assert world.api.get("/data", query={"query": "count", "format": "csv"}).text == "value\r\n3\r\n"
    assert world.api.get("/data", query={"query": "avg", **span}).text == "value\r\n2\r\n"
    assert world.api.get("/data", query={"query": "sum", "variables": "none", **span}).text == "value\r\n\r\n"
    buckets = {"query": "aggregate", "interval": "day", "function": "max", "variables": "a", **span}
    found = rows_of(world.api.get("/data", query=buckets))
    assert [(row["variable"], row["value"], row["time"][:10]) for row in found] == [
        ("a", str(value), f"2026-01-0{value}") for value in (1, 2, 3)
    ]


def test_error_of_csv_has_the_envelope(world):
    refused = world.api.get("/data", query={"qty": 0, "format": "csv"})
    assert refused.status == 400 and json.loads(refused.text)["status"] is False
    assert world.api.get("/data", query={"query": "last_value", "format": "csv"}).status == 200


def test_csv_that_is_too_large_is_refused(world, monkeypatch):
    monkeypatch.setattr(settings, "MAX_ANSWER_BYTES", 5_000)
    world.send(*(point("a", "x" * 100) for _ in range(60)))
    refused = world.api.get("/data", query={"qty": 60, "format": "csv"})
    assert refused.status == 413 and refused.headers["content-type"] == "application/json"


def test_csv_counts_escapes_as_lambda_sends_them(world, monkeypatch):
    monkeypatch.setattr(settings, "MAX_SENT_BYTES", 5_000)
    world.send(*(point("a", "\x01" * 20) for _ in range(30)))
    answer = world.api.get("/data", query={"qty": 30, "format": "csv"})
    assert answer.status == 413


def test_csv_is_a_read_of_its_profile_only(world):
    assert World().admin.get(f"/device/{world.device}/data", query={"format": "csv"}).status == 404
