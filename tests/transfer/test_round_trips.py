"""What is exported and imported again is the same, in each format, with each kind of field."""

import argparse
import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chalicelib.codec import jsontext, times
from chalicelib.codec.keys import EARLIEST_MS, LATEST_MS
from embedded.client import Api, loads
from embedded.transfer import commands, exporting, importing

TEXTS = st.text(st.characters(codec="utf-8"), max_size=25)
NUMBERS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-(2**53) - 2, 2**53 + 2),
    st.floats(-1e125, 1e125),
    st.decimals(-1000, 1000, places=25),
    st.sampled_from([-0.0, 1.0, 1e21, 5e-324, 2**53 + 1]),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(-1e100, 1e100) | st.integers(-(2**63), 2**63) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
COORDINATES = st.tuples(
    st.floats(-180, 180) | st.integers(-180, 180), st.floats(-90, 90) | st.integers(-90, 90)
) | st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.floats(-1000, 1e6))  # fmt: skip
POINTS = st.fixed_dictionaries(
    {
        "variable": st.text(st.sampled_from("abcxyz_019éß温"), min_size=1, max_size=20),
        "time": st.integers(EARLIEST_MS, LATEST_MS).map(times.to_iso)
        | st.sampled_from(["2026-11-01T00:00:00.000Z", "2026-11-01T00:00:00.001Z", "1969-12-31T23:59:59.999Z"]),
    },
    optional={
        "value": st.booleans() | NUMBERS | TEXTS | st.sampled_from(["=1+1", "'=1", "\r\n", '"', "-5", "+", "\t", "@a"]),
        "unit": TEXTS,
        "group": TEXTS.filter(bool),
        "location": COORDINATES.map(lambda coordinates: {"type": "Point", "coordinates": list(coordinates)}),
        "metadata": st.dictionaries(TEXTS, JSON, max_size=3),
    },
)
_LOOKS_TYPED = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false")


def as_csv_can_hold(point):
    """Return a point without the differences that docs/import-export.md says CSV cannot hold."""
    if isinstance(point.get("value"), str) and _LOOKS_TYPED.fullmatch(point["value"]):
        point = {**point, "value": f"text {point['value']}"}
    return {name: field for name, field in point.items() if field != ""}


def options(*arguments):
    parser = argparse.ArgumentParser()
    commands.add_to(parser.add_subparsers(dest="command"))
    given = parser.parse_args([*map(str, arguments)])
    given.format = commands._format(given)
    return given


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
@settings(max_examples=25, deadline=None, phases=[Phase.generate])  # each takes 0.1 s
@given(points=st.lists(POINTS, min_size=1, max_size=12))
def test_what_is_exported_and_imported_again_is_the_same(site, kind, points):
    if kind == "csv":
        points = [as_csv_can_hold(point) for point in points]
    first, second = (site.device()[0] for _ in range(2))
    api = Api(site.url, site.token, patience_s=0)
    with tempfile.TemporaryDirectory() as folder:
        start, middle, end = Path(folder, "a.ndjson"), Path(folder, f"b.{kind}"), Path(folder, "c.ndjson")
        start.write_text("".join(jsontext.dumps(point) + "\n" for point in points))
        assert importing.run(options("import", start, "--device", first), api) == 0
        assert exporting.run(options("export", middle, "--device", first), api) == 0
        assert exporting.run(options("export", start, "--device", first), api) == 0
        assert importing.run(options("import", middle, "--device", second), api) == 0
        assert exporting.run(options("export", end, "--device", second), api) == 0
        was, found = (without_ids(path) for path in (start, end))
        assert found == was and len(found) >= 1
        sent = {jsontext.dumps(loads(jsontext.dumps(point.get("value")).encode())) for point in points}
        assert {jsontext.dumps(loads(line.encode()).get("value")) for line in found} == sent, "digit by digit"
    for device in (first, second):
        site.call("DELETE", f"/device/{device}")


def without_ids(path):
    """Return the points of a file as texts, so that 1 and 1.0 differ."""
    points = [loads(line.encode()) for line in path.read_text().split("\n") if line]
    assert all("device" not in point and len(point.pop("id")) == 24 for point in points)
    return [jsontext.dumps(point) for point in points]


def test_other_programs_files_are_read(site, tmp_path):
    """What pandas writes, for example: other types, NaN for what is missing, nested columns."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from datetime import datetime
    from decimal import Decimal

    device, _ = site.device()
    parquet.write_table(
        arrow.table({
            "variable": arrow.array(["a", "b", "c"]).dictionary_encode(), "ts": arrow.array([datetime(2026, 11, 1, 0, 0, i) for i in range(3)], arrow.timestamp("ns")),
            "value": arrow.array([1.5, float("nan"), None]), "exact": arrow.array([None, None, "0.10000000000000000000001"]),
            "location": [{"lat": 1.0, "lng": 2.0}, None, None], "metadata": [None, {"n": 1}, None],
        }), tmp_path / "a.parquet",
    )  # fmt: skip
    parquet.write_table(
        arrow.table(
            {"variable": ["d", "e"], "value": [Decimal("1.25"), None], "unit": ["C", "C"], "group": ["g", "g"]}
        ),
        tmp_path / "b.parquet",
    )
    api = Api(site.url, site.token, patience_s=0)
    assert importing.run(options("import", tmp_path / "a.parquet", "--map", "time=ts", "--device", device), api) == 0
    assert importing.run(options("import", tmp_path / "b.parquet", "--device", device), api) == 0
    found = {point["variable"]: point for point in json.loads(json.dumps(site.points(device)))}
    assert [found[name].get("value") for name in "abcde"] == [1.5, None, 0.1, 1.25, None]
    assert found["a"]["location"] == {"type": "Point", "coordinates": [2.0, 1.0]} and found["b"]["metadata"] == {"n": 1}
    assert found["c"]["time"] == "2026-11-01T00:00:02.000Z" and found["e"]["unit"] == "C"
