"""Points as CSV: the cases that the console shares, and that what is written is read as it was."""

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.codec import csvtext
from chalicelib.schemas.points import clean_location

CASES = json.loads((Path(__file__).parents[1] / "kit" / "csv_cases.json").read_text())


def named(kind):
    return pytest.mark.parametrize("case", CASES[kind], ids=[case["name"] for case in CASES[kind]])


def lines_of(text):
    return io.StringIO(text, newline="\n")


def test_cases_have_the_columns_of_the_codec():
    assert tuple(CASES["columns"]) == csvtext.COLUMNS


@named("write")
def test_write(case):
    has_ids = case.get("ids", False)
    assert csvtext.header(has_ids=has_ids) + csvtext.write(case["points"], has_ids=has_ids) == case["text"]


@named("read")
def test_read(case):
    rows = [*csvtext.read(lines_of(case["text"]))]
    assert [row.problem for row in rows] == [""] * len(rows)
    assert [row.point for row in rows] == case["points"]
    assert [type(row.point.get("value")) for row in rows] == [type(point.get("value")) for point in case["points"]]


@named("refused")
def test_refused(case):
    if "lines" in case:
        assert [row.line for row in csvtext.read(lines_of(case["text"])) if row.problem] == case["lines"]
    else:
        with pytest.raises(ValueError, match=r"first line|no CSV"):
            [*csvtext.read(lines_of(case["text"]))]


def test_write_and_read_keep_numbers_exactly():
    values = [10**37, Decimal("0.1234567890123456789012345"), 1e-7, 1e22, -0.0, 5e-324]
    text = csvtext.header(has_ids=False) + csvtext.write(
        [{"variable": "n", "value": value} for value in values], has_ids=False
    )
    read = [row.point["value"] for row in csvtext.read(lines_of(text))]
    assert read == values and [*map(type, read)] == [*map(type, values)]


_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
_NUMBERS = st.integers(-(10**37), 10**37) | st.floats(-1e125, 1e125)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"variable": _TEXTS},
            optional={
                "value": _NUMBERS | st.booleans() | _TEXTS.filter(lambda text: not csvtext._NUMBER.fullmatch(text)),
                "unit": _TEXTS,
                "group": _TEXTS,
                "location": st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
                "metadata": st.dictionaries(_TEXTS, _TEXTS | st.booleans(), max_size=3),
            },
        ).filter(lambda point: point.get("value") not in ("true", "false")),
        max_size=5,
    )
)
def test_what_is_written_is_read_as_it_was(points):
    for point in points:
        if "location" in point:
            point["location"] = {"type": "Point", "coordinates": [*point["location"]]}
    text = csvtext.header(has_ids=False) + csvtext.write(points, has_ids=False)
    read = [row.point for row in csvtext.read(lines_of(text))]
    for point in read:
        if "location" in point:
            point["location"] = clean_location(point["location"])
    assert read == points
